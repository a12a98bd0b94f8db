"""A loaded encoder: tiles in, embedding out."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import FallbackWarning, ImageError, InputError, ResourceError
from histodecon.encoders import _batches
from histodecon.encoders._card import EncoderCard
from histodecon.encoders._network import Network

AHEAD = 2
"""Batches that an accelerator has before it while one is fetched from it."""


class Encoder:
    """Turn tiles into an embedding. Made by :func:`load_encoder`.

    Parameters
    ----------
    card
        Its card, with the digest of the weights that were loaded and what is computed in.
    run
        Function of uint8 (n, input_px, input_px, 3) that returns (n, dim); for a network with weights this is
        ``encoder.network``, whose ``module`` is the network itself.
    device
        Where it computes.
    batch_size
        Tiles that it takes well at once.
    allow_cpu
        Whether a network goes on on the CPU when not even one tile fits into the memory of its device.
    remake
        Function that makes it again from its card, in another process: what is pickled is how it was loaded, not its weights.
    """

    def __init__(
        self,
        card: EncoderCard,
        run: Callable[[NDArray[np.uint8]], NDArray],
        *,
        device: str = "cpu",
        batch_size: int = _batches.FUNCTION,
        allow_cpu: bool = False,
        remake: Callable[[EncoderCard], Encoder] | None = None,
    ) -> None:
        self.card = card
        self.device = device
        self.batch_size = batch_size
        self.network = run if isinstance(run, Network) else None
        self._allow_cpu = allow_cpu
        self._run = run
        self._remake = remake
        self._fits: int | None = None  # known once the memory was too small

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, {self.input_px} px -> {self.dim}, {self.dtype} on {self.device})"

    def __reduce__(self) -> tuple[Any, ...] | str:
        return super().__reduce__() if self._remake is None else (self._remake, (self.card,))

    @property
    def name(self) -> str:
        """Name of the encoder."""
        return self.card.name

    @property
    def dim(self) -> int:
        """Width of the embedding."""
        return self.card.dim

    @property
    def dtype(self) -> str:
        """What it is computed in; the embedding is float32 always."""
        return self.card.dtype

    @property
    def input_px(self) -> int:
        """Side of the tiles that are encoded."""
        return self.card.input_px

    @property
    def resize_px(self) -> int:
        """Side of the tiles that need no resampling; their center of ``input_px`` is encoded."""
        return self.card.resize_px or self.card.input_px

    @property
    def fingerprint(self) -> str:
        """Digest of the recipe, see :meth:`EncoderCard.fingerprint`."""
        return self.card.fingerprint()

    def encode(self, tiles: NDArray[np.uint8], *, batch_size: int | None = None) -> NDArray[np.float32]:
        """Encode tiles.

        Parameters
        ----------
        tiles
            uint8 (n, side, side, 3), RGB. Tiles of another side than ``resize_px`` are resampled with the encoder's own
            interpolation, antialiased; then the center of ``input_px`` is cut out.
        batch_size
            Tiles computed at once; default as the encoder takes them well.

        Returns
        -------
        float32 (n, dim). A tile's row does not depend on the tiles beside it.

        Raises
        ------
        ImageError
            The tiles have another dtype or shape.
        InputError
            The encoder answered with another shape than its card declares.
        ResourceError
            There is not enough memory for a single tile.

        Warns
        -----
        FallbackWarning
            The memory did not suffice: from now on fewer tiles are computed at once, or on the CPU. Or half precision
            overflowed on some tiles, which were computed in float32.
        """
        tiles = np.asarray(tiles)
        if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.shape[1] != tiles.shape[2]:
            msg = f"Encoder {self.name!r} reads uint8 tiles of shape (n, side, side, 3)"
            fix = "cut them with `histodecon.images.iter_tiles(...)`"
            raise ImageError(msg, where=f"dtype {tiles.dtype}, shape {tiles.shape}", fix=fix, code="BI-49")
        if self.card.orientations is None:
            return self._encode(tiles, batch_size)
        total = np.zeros((len(tiles), self.dim), dtype=np.float64)
        for turned in orientations(tiles):
            total += self._encode(turned, batch_size)
        return np.asarray(total / self.card.orientations, dtype=np.float32)

    def _encode(self, tiles: NDArray[np.uint8], batch_size: int | None) -> NDArray[np.float32]:
        values = np.empty((len(tiles), self.dim), dtype=np.float32)
        for start, answer in self._answers(tiles, batch_size):
            with np.errstate(all="ignore"):  # numbers too large for float32 are found by who knows their names
                values[start : start + len(answer)] = answer
        return values

    def _answers(self, tiles: NDArray[np.uint8], batch_size: int | None) -> Iterator[tuple[int, NDArray]]:
        """Yield the first row of each batch, and its checked answer, in order."""
        waiting: deque[tuple[int, NDArray[np.uint8], Any]] = deque()
        start = 0
        while start < len(tiles):
            step = min(batch_size or self.batch_size, self._fits or len(tiles))
            part = self._fitted(tiles[start : start + step])
            started = self._try(part)
            if started is None:
                continue
            waiting.append((start, part, started))
            start += len(part)
            if len(waiting) > AHEAD:
                yield self._finished(*waiting.popleft())
        while waiting:
            yield self._finished(*waiting.popleft())

    def _try(self, part: NDArray[np.uint8]) -> Any:
        """Begin to encode a batch; None where the memory did not suffice and fewer tiles should be tried."""
        try:
            return self._run(part) if self.network is None else self.network.start(part)
        except (RuntimeError, MemoryError) as error:
            if not _batches.is_out_of_memory(error):
                raise
            why = str(error).partition("\n")[0][:200]
        self._shrink(len(part), why)  # not in the handler, where the error still holds on to the memory
        return None

    def _shrink(self, tried: int, why: str) -> None:
        if self.network is not None:
            self.network.release_memory()
        if tried > 1:
            self._fits = tried // 2
            self.batch_size = min(self.batch_size, self._fits)
            now = f"from now on {self._fits} are computed at once"
        elif self._allow_cpu and self.network is not None and self.network.device.type != "cpu":
            self.network.move("cpu")
            self.device, self.batch_size, self._fits = "cpu", _batches.CPU, None
            now = "it goes on on the CPU"
        else:
            msg = f"There is not enough memory on {self.device} for encoder {self.name!r} to encode a single tile"
            fix = 'free memory on the device, or `device="cpu"`' if self.device != "cpu" else "use a smaller encoder"
            raise ResourceError(msg, where=why, fix=fix, code="FI-17")
        warnings.warn(
            f"[HD-FI-17] {tried} tiles at once are too many for the memory that encoder {self.name!r} has on its device; "
            f"{now}. The embedding is the same up to rounding.",
            FallbackWarning,
            stacklevel=2,
        )

    def _finished(self, start: int, part: NDArray[np.uint8], started: Any) -> tuple[int, NDArray]:
        values = np.asarray(started if self.network is None else self.network.finish(part, started))
        if values.shape != (len(part), self.dim) or values.dtype.kind not in "fiu":
            msg = f"Encoder {self.name!r} did not answer with one row of {self.dim} numbers for each tile"
            where = f"{len(part)} tiles in, shape {values.shape}, dtype {values.dtype} out"
            fix = "let it return an array of shape (n, dim) for uint8 tiles of shape (n, side, side, 3)"
            raise InputError(msg, where=where, fix=fix, code="BI-44")
        return start, values

    def _fitted(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resample tiles where they have another size, and cut out the part that is encoded."""
        if tiles.shape[1] != self.resize_px:
            tiles = _resized(_as_torch_wants(tiles), self.resize_px, self.card.interpolation)
        rim = round((self.resize_px - self.input_px) / 2)  # as torchvision rounds where it is odd
        tiles = tiles[:, rim : rim + self.input_px, rim : rim + self.input_px]
        return tiles.copy() if self.network is None else _as_torch_wants(tiles)  # a function may write into its tiles


def orientations(tiles: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield tiles in their eight orientations: four turns, each as it is and mirrored.

    Parameters
    ----------
    tiles
        Shape (n, side, side, 3).

    Yields
    ------
    Views of the same shape; the first is as they are.
    """
    for quarter in range(4):
        turned = np.rot90(tiles, quarter, axes=(1, 2))
        yield turned
        yield turned[:, :, ::-1]


def _as_torch_wants(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make an array that torch takes over without an error or a warning."""
    tiles = np.ascontiguousarray(tiles)
    return tiles if tiles.flags.writeable and min(tiles.strides) > 0 else tiles.copy()


def _resized(tiles: NDArray[np.uint8], side: int, interpolation: str) -> NDArray[np.uint8]:
    import torch

    batch = torch.from_numpy(tiles).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(
        batch, size=(side, side), mode=interpolation, align_corners=False, antialias=True
    )
    return resized.permute(0, 2, 3, 1).contiguous().numpy()
