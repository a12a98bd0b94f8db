"""`import histodecon` costs little: no torch, no scverse stack."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "scanpy",
    "squidpy",
    "spatialdata",
    "matplotlib.pyplot",
    "skimage",
    "sklearn",
    "dask",
)
ROOMS = ("io", "datasets", "pp", "tl", "pl", "get", "images", "encoders", "models", "stats")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_histodecon_loads_nothing_heavy() -> None:
    assert loaded_after("import histodecon") == set()


@pytest.mark.parametrize("room", ROOMS)
def test_listing_a_room_loads_nothing_heavy(room: str) -> None:
    assert loaded_after(f"import histodecon\ndir(histodecon.{room})\nhistodecon.{room}.__all__") <= {"sklearn"}


def test_looking_up_every_public_function_loads_nothing_heavy() -> None:
    code = f"import histodecon\nfor room in {ROOMS!r}:\n    m = getattr(histodecon, room)\n    [getattr(m, n) for n in m.__all__]"
    assert loaded_after(code) <= {"sklearn"}


def test_the_check_itself_can_fail() -> None:
    assert "torch" in loaded_after("import torch")
