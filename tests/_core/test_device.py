from __future__ import annotations

import pytest

import histodecon as hd
from histodecon._core import one_thread, resolve_device


def test_unknown_device_is_refused() -> None:
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(hd.InputError, match="FI-19"):
        resolve_device("warp")


def test_the_number_of_threads_is_as_before_even_after_an_error() -> None:
    import torch

    torch.set_num_threads(2)

    def fail_inside() -> None:
        with one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
