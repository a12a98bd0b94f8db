"""Devices and seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from histodecon._core._errors import InputError

if TYPE_CHECKING:
    import torch


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Choose where torch computes.

    Parameters
    ----------
    device
        ``"auto"`` takes CUDA, then MPS, then the CPU; anything else is taken at its word.

    Returns
    -------
    The device.

    Raises
    ------
    InputError
        The device is unknown or absent.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        msg = f"Device {device!r} cannot be used"
        raise InputError(
            msg,
            where=str(error).splitlines()[0],
            fix='use `device="auto"` or `device="cpu"`',
            code="FI-19",
        ) from error
    return chosen


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one CPU thread inside a ``with`` block.

    Products of small matrices are slower when they are shared out, much slower on a busy machine; and the result does
    not depend on how many threads there are.

    Yields
    ------
    Nothing; the number of threads is as before afterwards.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
