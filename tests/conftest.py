"""Shared fixtures: real data where it is at hand, one toy slide, and a hash of an AnnData."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where real data must be there (HISTODECON_REQUIRE_DATA, set by .ci/run), a test may not skip for lack of it."""
    report = yield
    wants_data = "shared_data" in getattr(item, "fixturenames", ()) or "real data" in str(report.longrepr)
    if report.skipped and wants_data and os.environ.get("HISTODECON_REQUIRE_DATA") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although real data are required here: {report.longrepr}"
    return report


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their length: packed ones may hold a time, and every worker must collect the same names."""
    return f"{argname}_of_{len(val)}_bytes" if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def signals_are_heard() -> Generator[None, None, None]:
    """Where a test sends SIGINT: what a shell starts in the background ignores it otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
