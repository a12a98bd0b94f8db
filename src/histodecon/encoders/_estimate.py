"""What an encoder will cost: counted on a network without numbers, divided by what the device does in a moment."""

from __future__ import annotations

import functools
import importlib
import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon.encoders._batches import CPU, PROBE, UNMEASURED, largest_batch
from histodecon.encoders._callable import import_function
from histodecon.encoders._card import NETWORKS, EncoderCard
from histodecon.encoders._network import BUILDERS

if TYPE_CHECKING:
    import torch

MEASURE_S = 0.2
_FLOAT32 = 4
_SIDE = {"cpu": 1024}
_SIDE_ACCELERATOR = 4096
_STREAMED_BYTES = 2**25
_FEW_TILES = 4


@dataclass(frozen=True)
class Cost:
    """What one tile costs a network, in float32.

    Parameters
    ----------
    flops
        Operations of its products: two for each multiplication with its addition.
    moved_bytes
        Bytes that its operations read and write, without its parameters.
    live_bytes
        Most bytes of intermediate results that exist at one time.
    parameters
        Number of its parameters.
    """

    flops: int
    moved_bytes: int
    live_bytes: int
    parameters: int


@dataclass(frozen=True)
class Speed:
    """What a device does in a second.

    Parameters
    ----------
    flops
        Operations of a large product of matrices.
    moved_bytes
        Bytes read and written by an elementwise function.
    """

    flops: float
    moved_bytes: float


def estimate(card: EncoderCard, n_tiles: int, device: torch.device, dtype: str) -> tuple[float, float]:
    """Estimate time and memory of an encoder.

    Parameters
    ----------
    card
        Its card.
    n_tiles
        Number of tiles.
    device
        Where to compute.
    dtype
        What in.

    Returns
    -------
    Seconds for the tiles; and gigabytes of the device, of the host on a CPU, NaN for a function.
    """
    if card.loader not in NETWORKS:
        return n_tiles * _seconds_of_function(card), float("nan")
    cost, speed = count_cost(card), measure_speed(device, dtype)
    share = 1.0 if dtype == "float32" else 0.5
    seconds = n_tiles * (cost.flops / speed.flops + share * cost.moved_bytes / speed.moved_bytes)
    weights = share * _FLOAT32 * cost.parameters
    used = weights + _batch_size(device, share * cost.live_bytes, weights) * share * cost.live_bytes
    if device.type == "cpu":  # while they are loaded there are two of them
        used = max(used, 2 * _FLOAT32 * cost.parameters) + _FLOAT32 * n_tiles * card.dim
    return seconds, used / 1e9


@functools.cache
def count_cost(card: EncoderCard) -> Cost:
    """Count what one tile costs, on torch's meta device: nothing is computed and no weights are needed.

    Parameters
    ----------
    card
        Card of a network.

    Returns
    -------
    The cost.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    file, function = BUILDERS[card.loader]
    with torch.device("meta"), torch.random.fork_rng(devices=[]), torch.inference_mode():
        module = (
            getattr(importlib.import_module(f"{__package__}.{file}"), function)(card)
            .requires_grad_(requires_grad=False)
            .eval()
        )
        tile = torch.empty(1, 3, card.input_px, card.input_px)
        traffic = _traffic()
        with FlopCounterMode(display=False) as counter, traffic:
            module(tile)
    parameters = sum(value.numel() for value in module.parameters())
    return Cost(counter.get_total_flops(), traffic.moved, traffic.peak, parameters)


def _traffic() -> Any:
    """Make a mode that counts the bytes that operations move, and those that are alive."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Traffic(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.moved = self.alive = self.peak = 0
            self._tensors: Counter[int] = Counter()  # alive, by storage

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
            if not func.is_view:
                read = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
                read = [leaf for leaf in read if not isinstance(leaf, torch.nn.Parameter)]
                self.moved += sum(leaf.numel() * leaf.element_size() for leaf in (*read, *made))
            for leaf in made:
                self._keep(leaf, new=not func.is_view)
            return out

        def _keep(self, tensor: torch.Tensor, *, new: bool) -> None:
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if not self._tensors[key]:
                if not new:
                    return
                self.alive += size
                self.peak = max(self.peak, self.alive)
            self._tensors[key] += 1
            weakref.finalize(tensor, self._release, key, size)

        def _release(self, key: int, size: int) -> None:
            self._tensors[key] -= 1
            if not self._tensors[key]:
                self.alive -= size

    return Traffic()


@functools.cache
def measure_speed(device: torch.device, dtype: str) -> Speed:
    """Measure a device, for less than a second.

    Parameters
    ----------
    device
        The device.
    dtype
        What is computed in.

    Returns
    -------
    Its speed, the best of several tries.
    """
    import torch

    kind = getattr(torch, dtype)
    side = _SIDE.get(device.type, _SIDE_ACCELERATOR)
    one = torch.ones(side, side, dtype=kind, device=device)
    flat = torch.ones(_STREAMED_BYTES // kind.itemsize, dtype=kind, device=device)
    with torch.inference_mode():
        product = _best(lambda: one @ one, device)
        stream = _best(lambda: torch.nn.functional.silu(flat), device)
    return Speed(2 * side**3 / product, 2 * _STREAMED_BYTES / stream)


def _best(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of the fastest of some calls, the first not counted."""
    wait = _waiter(device)
    work()
    wait()
    times: list[float] = []
    while not times or sum(times) < MEASURE_S:
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return min(times)


def _waiter(device: torch.device) -> Callable[[], object]:
    import torch

    if device.type == "cuda":
        return functools.partial(torch.cuda.synchronize, device)
    return torch.mps.synchronize if device.type == "mps" else lambda: None


def _batch_size(device: torch.device, live: float, weights: float) -> int:
    """Tiles at once, as the encoder will choose them where it can be known."""
    import torch

    if device.type == "cpu":
        return CPU
    if device.type != "cuda":
        return UNMEASURED
    free = torch.cuda.mem_get_info(device)[0] - weights
    return largest_batch(int(free), max(int(PROBE * live), 1)) if free > 0 else 1


@functools.cache
def _seconds_of_function(card: EncoderCard) -> float:
    """Seconds of a function for one tile."""
    function = import_function(card.model)
    tiles = np.random.default_rng(0).integers(0, 256, (_FEW_TILES, card.input_px, card.input_px, 3), dtype=np.uint8)
    function(tiles[:1])
    start = time.perf_counter()
    function(tiles)
    return (time.perf_counter() - start) / _FEW_TILES
