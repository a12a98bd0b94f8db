"""Shared fixtures: real data where it is at hand, one toy slide, and a hash of an AnnData."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "agg")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real tissue, weights and references; `HISTODECON_SHARED` names it."""
    folder = Path(os.environ.get("HISTODECON_SHARED", ROOT.parent / "shared" / "data"))
    if not (folder / "her2st").is_dir():
        pytest.skip(f"real data is absent: set HISTODECON_SHARED to a folder with her2st/ (looked in {folder})")
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
