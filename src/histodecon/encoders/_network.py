"""Networks with their weights on a device: pixels in, numbers out."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histodecon._core import FallbackWarning, InputError
from histodecon.encoders._card import EncoderCard
from histodecon.encoders._hub import fetch_weights
from histodecon.encoders._low_rank import merge_low_rank
from histodecon.encoders._normalization import normalized
from histodecon.encoders._precision import choose_dtype
from histodecon.encoders._weights import load_strictly, read_state

if TYPE_CHECKING:
    import torch

BUILDERS = {
    "timm": ("_timm", "build_timm"),
    "torch": ("_towers", "build_torch"),
    "transformers": ("_transformers", "build_transformers"),
}
"""File and function that build the network of a card, without weights: from normalized tiles (n, 3, px, px) to (n, dim)."""

FEW = 4
"""Tiles that are computed in float32 at once where half precision overflowed: twice as large, on a device that may be full."""


class Network:
    """A network on a device, in a precision. Made by :func:`load_network`.

    Parameters
    ----------
    module
        From normalized tiles (n, 3, px, px) to (n, dim), with its weights.
    card
        Card of the encoder, with what it is computed in.
    device
        Where to compute.
    """

    def __init__(self, module: torch.nn.Module, card: EncoderCard, device: torch.device) -> None:
        import torch

        self.name = card.name
        self.dtype: torch.dtype = getattr(torch, card.dtype)
        self.module = module.requires_grad_(requires_grad=False).eval()
        self._channels = (card.mean, card.std)
        self._warned = False
        self.move(device)
        if self.dtype != torch.float32:
            self._require_finite_weights()

    def move(self, device: str | torch.device) -> None:
        """Compute elsewhere from now on.

        Parameters
        ----------
        device
            The device.
        """
        import torch

        self.device = device = torch.device(device)
        self.module.to(device=device, dtype=self.dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # absent in its stubs
        self._mean, self._std = (
            torch.tensor(value, dtype=torch.float32, device=device).view(1, 3, 1, 1) for value in self._channels
        )

    def _require_finite_weights(self) -> None:
        broken = [name for name, value in self.module.named_parameters() if not bool(value.isfinite().all())]
        if broken:
            msg = f"Some weights of encoder {self.name!r} are too large for {_name(self.dtype)}"
            where = f"{len(broken)} tensors: {', '.join(broken[:3])}"
            raise InputError(msg, where=where, fix='`precision="float32"`', code="BI-42")

    def release_memory(self) -> None:
        """Give back the memory of the device that is free but kept."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()

    def start(self, tiles: NDArray[np.uint8]) -> torch.Tensor:
        """Begin to encode tiles; an accelerator goes on by itself.

        Parameters
        ----------
        tiles
            uint8 (n, px, px, 3).

        Returns
        -------
        float32 (n, dim) on the device.
        """
        return self._forward(tiles, self.dtype)

    def finish(self, tiles: NDArray[np.uint8], started: torch.Tensor) -> NDArray[np.float32]:
        """Wait for the answer to tiles; where half precision overflowed, compute in float32.

        Parameters
        ----------
        tiles
            The tiles.
        started
            What :meth:`start` returned for them.

        Returns
        -------
        float32 (n, dim).
        """
        import torch

        values: NDArray[np.float32] = started.cpu().numpy()
        if self.dtype == torch.float32:
            return values
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            self._warn_of_overflow()
            values[bad] = self._in_float32(tiles[bad])
        return values

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode uint8 tiles (n, px, px, 3) as float32 (n, dim)."""
        return self.finish(tiles, self.start(tiles))

    def _forward(self, tiles: NDArray[np.uint8], dtype: torch.dtype) -> torch.Tensor:
        import torch

        with undisturbed(self.device):
            batch = torch.from_numpy(tiles)
            if self.device.type == "cuda":
                batch = batch.pin_memory()  # else the copy waits for the computation
            batch = batch.to(self.device, non_blocking=self.device.type == "cuda").permute(0, 3, 1, 2)
            values: torch.Tensor = self.module(normalized(batch, self._mean, self._std).to(dtype))
            return values.to(torch.float32)

    def _in_float32(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute with the same rounded weights and the range of float32; rounding them again changes nothing."""
        import torch

        self.module.to(torch.float32)
        try:
            parts = [tiles[start : start + FEW] for start in range(0, len(tiles), FEW)]
            return np.concatenate([self._forward(part, torch.float32).cpu().numpy() for part in parts])
        finally:
            self.module.to(self.dtype)

    def _warn_of_overflow(self) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"[HD-BI-42] Encoder {self.name!r} overflows in {_name(self.dtype)} on some tiles; these are computed again in "
                'float32. `precision="float32"` computes all of them so.',
                FallbackWarning,
                stacklevel=2,
            )


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Compute the same numbers whatever the process set: no gradients, no autocast, no TF32, float32 by default.

    Parameters
    ----------
    device
        Where it is computed.

    Yields
    ------
    Nothing; all settings are as before afterwards.
    """
    import torch

    default, matmul = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if torch.amp.is_autocast_available(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        )
        if default != torch.float32:
            stack.callback(torch.set_default_dtype, default)
            torch.set_default_dtype(torch.float32)
        if matmul != "highest":
            stack.callback(torch.set_float32_matmul_precision, matmul)
            torch.set_float32_matmul_precision("highest")
        yield


def load_network(
    card: EncoderCard,
    weights: str | os.PathLike[str] | None,
    device: torch.device,
    precision: str = "auto",
) -> tuple[EncoderCard, Network]:
    """Build the network of a card with its weights.

    Parameters
    ----------
    card
        Its card.
    weights
        Path of a local weight file or folder; default that of the card, else the Hub.
    device
        Where to compute.
    precision
        See :func:`choose_dtype`.

    Returns
    -------
    The card with digest and commit of the weights that were loaded and with what is computed in, and the network.
    """
    dtype = choose_dtype(card, device, precision)
    if weights is None and card.repo is None and card.weights_file is not None:
        weights = card.weights_file
    path, commit = fetch_weights(card, weights=weights)
    state, found = read_state(path, sha256=card.weights_sha256)
    if card.low_rank_scale is not None:
        state = merge_low_rank(state, card.low_rank_scale, name=card.name)
    module = build_network(card)
    load_strictly(getattr(module, "inner", module), state, prefix=card.prefix, dropped=card.dropped, name=card.name)
    card = replace(card, weights_sha256=found, revision=commit or card.revision, dtype=dtype)
    return card, Network(module, card, device)


def build_network(card: EncoderCard) -> torch.nn.Module:
    """Build the network of a card in float32 on the CPU, without weights and without a change of the random state.

    Parameters
    ----------
    card
        Its card.

    Returns
    -------
    The network in evaluation mode.
    """
    import torch

    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            file, function = BUILDERS[card.loader]
            module: torch.nn.Module = getattr(importlib.import_module(f"{__package__}.{file}"), function)(card)
    finally:
        torch.set_default_dtype(default)
    return module.eval()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
