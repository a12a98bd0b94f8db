"""How many tiles an encoder takes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from histodecon.encoders._network import Network

CPU, FUNCTION, UNMEASURED, MOST = 8, 64, 32, 64
"""Of a network on a CPU, whose cache larger batches leave; of a function; on a device whose memory cannot be asked; and on one
where it can: larger batches keep it no busier, and the copy of the next one has to hide behind this one."""

PROBE = 8
SHARE = 0.7
"""Part of the free memory that a batch may fill: others use the device, too, and memory is handed out in pieces."""


def choose_batch_size(network: Network, px: int) -> int:
    """Choose how many tiles a network takes at once.

    Parameters
    ----------
    network
        The network.
    px
        Side of its tiles.

    Returns
    -------
    The number; on CUDA from the free memory and from what a few tiles took.
    """
    if network.device.type == "cpu":
        return CPU
    if network.device.type != "cuda":
        return UNMEASURED
    return largest_batch(*_measure(network, px))


def largest_batch(free: int, used: int) -> int:
    """Find the largest power of two that fits.

    Parameters
    ----------
    free
        Free bytes.
    used
        Bytes that a batch of ``PROBE`` tiles took; 0 where it did not fit.

    Returns
    -------
    At least 1, at most ``MOST``.
    """
    if used <= 0:
        return 1
    fits = int(SHARE * free * PROBE / used)
    return min(MOST, 1 << max(fits.bit_length() - 1, 0))


def _measure(network: Network, px: int) -> tuple[int, int]:
    """Ask a CUDA device for its free bytes, and encode a few tiles to see how many they take."""
    import torch

    device = network.device
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    try:
        network(np.zeros((PROBE, px, px, 3), dtype=np.uint8))
    except torch.OutOfMemoryError:
        return 0, 0
    used = torch.cuda.max_memory_allocated(device) - before
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0], used


def is_out_of_memory(error: BaseException) -> bool:
    """Tell errors for lack of memory, on any device, from others.

    Parameters
    ----------
    error
        The error.

    Returns
    -------
    Whether fewer tiles at once may help.
    """
    import torch

    texts = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in texts)
    )
