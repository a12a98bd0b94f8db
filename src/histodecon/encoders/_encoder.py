"""A loaded encoder: tiles in, embedding out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from histodecon._core import ImageError, InputError
from histodecon.encoders._card import EncoderCard


class Encoder:
    """Turn tiles into an embedding. Made by :func:`load_encoder`.

    Parameters
    ----------
    card
        Its card, with the digest of the weights that were loaded.
    run
        Function of uint8 (n, input_px, input_px, 3) that returns (n, dim).
    device
        Where it computes.
    batch_size
        Tiles that it takes well at once.
    """

    def __init__(
        self,
        card: EncoderCard,
        run: Callable[[NDArray[np.uint8]], NDArray],
        *,
        device: str = "cpu",
        batch_size: int = 64,
    ) -> None:
        self.card = card
        self.device = device
        self.batch_size = batch_size
        self._run = run

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, {self.input_px} px -> {self.dim}, {self.device})"

    @property
    def name(self) -> str:
        """Name of the encoder."""
        return self.card.name

    @property
    def dim(self) -> int:
        """Width of the embedding."""
        return self.card.dim

    @property
    def input_px(self) -> int:
        """Side of the tiles that are encoded."""
        return self.card.input_px

    @property
    def fingerprint(self) -> str:
        """Digest of the recipe, see :meth:`EncoderCard.fingerprint`."""
        return self.card.fingerprint()

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode a batch of tiles.

        Parameters
        ----------
        tiles
            uint8 (n, side, side, 3), RGB. Tiles of another side than ``input_px`` are resampled with the encoder's own
            interpolation, antialiased.

        Returns
        -------
        float32 (n, dim). A tile's row does not depend on the tiles beside it.

        Raises
        ------
        ImageError
            The tiles have another dtype or shape.
        InputError
            The encoder answered with another shape than its card declares.
        """
        tiles = np.asarray(tiles)
        if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.shape[1] != tiles.shape[2]:
            msg = f"Encoder {self.name!r} reads uint8 tiles of shape (n, side, side, 3)"
            fix = "cut them with `histodecon.images.iter_tiles(...)`"
            raise ImageError(msg, where=f"dtype {tiles.dtype}, shape {tiles.shape}", fix=fix, code="BI-49")
        if len(tiles) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        if tiles.shape[1] != self.input_px:
            tiles = _resized(tiles, self.input_px, self.card.interpolation)
        values = np.asarray(self._run(np.ascontiguousarray(tiles)))
        if values.shape != (len(tiles), self.dim) or values.dtype.kind not in "fiu":
            msg = f"Encoder {self.name!r} did not answer with one row of {self.dim} numbers for each tile"
            where = f"{len(tiles)} tiles in, shape {values.shape}, dtype {values.dtype} out"
            fix = "let it return an array of shape (n, dim) for uint8 tiles of shape (n, side, side, 3)"
            raise InputError(msg, where=where, fix=fix, code="BI-44")
        return np.ascontiguousarray(values, dtype=np.float32)


def _resized(tiles: NDArray[np.uint8], side: int, interpolation: str) -> NDArray[np.uint8]:
    import torch

    batch = torch.from_numpy(np.ascontiguousarray(tiles)).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(
        batch, size=(side, side), mode=interpolation, align_corners=False, antialias=True
    )
    return resized.permute(0, 2, 3, 1).contiguous().numpy()
