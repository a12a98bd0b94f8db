"""What a kill costs while tiles are embedded, and what keeping shards costs; writes docs/results/resume.md.

    python benchmarks/resume.py

The encoder is a small function that waits, so that a run can be killed at many points; drawn tiles, one thread.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import anndata as ad
import numpy as np
import pandas as pd

import histodecon as hd

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "docs" / "results" / "resume.md"
FORK = multiprocessing.get_context("fork")
N, KILLS, MANY, DIM = 10_000, 20, 50_000, 1024
SIDE = 16


def slide(n: int) -> tuple[ad.AnnData, np.ndarray]:
    rng = np.random.default_rng(0)
    picture = np.clip(np.array([170, 90, 160]) + rng.integers(-40, 40, (3000, 4000, 3)), 0, 255).astype(np.uint8)
    obs = pd.DataFrame({"library_id": "A"}, index=[f"s{i}" for i in range(n)])
    adata = ad.AnnData(np.zeros((n, 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = rng.uniform([20, 20], [3980, 2980], (n, 2))
    hd.pp.tile_spots(adata, size_px=SIDE, mpp=0.5, image=picture)
    return adata, picture


class Encoder:
    input_px = SIDE

    def __init__(self, dim: int = DIM, pause: float = 0.0) -> None:
        self.weights = np.cos(np.arange(SIDE * SIDE * 3 * dim, dtype=np.float32)).reshape(-1, dim)
        self.pause = pause
        self.seen = FORK.Value("q", 0)

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        with self.seen.get_lock():
            self.seen.value += len(tiles)
        time.sleep(self.pause * len(tiles))
        return tiles.reshape(len(tiles), -1).astype(np.float32) @ self.weights


def embed(adata: ad.AnnData, picture: np.ndarray, encoder: Encoder, folder: Path | None) -> float:
    start = time.perf_counter()
    hd.pp.embed_tiles(
        adata,
        encoder,
        image=picture,
        key_added="X_e",
        cache_dir=folder or False,
        show_progress_bar=False,
        overwrite=True,
    )
    return time.perf_counter() - start


def shards(folder: Path) -> int:
    return len(list(folder.glob("*/shard_*.npy")))


def kills() -> dict[str, Any]:
    adata, picture = slide(N)
    whole = adata.copy()
    embed(whole, picture, Encoder(), None)
    encoder, rng = Encoder(pause=0.04 / 256), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        for _ in range(KILLS):
            before = shards(folder)
            child = FORK.Process(target=embed, args=(adata, picture, encoder, folder))
            child.start()
            while shards(folder) == before and child.is_alive():
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.05))
            os.kill(child.pid, signal.SIGKILL)
            child.join()
        left = shards(folder)
        embed(adata, picture, encoder, folder)
    redone = encoder.seen.value - N - 4 * (KILLS + 1)
    return {
        "equal": bool(np.array_equal(adata.obsm["X_e"], whole.obsm["X_e"])),
        "shards": left,
        "redone": redone / 256 / KILLS,
    }


def restarts() -> dict[str, Any]:
    adata, picture = slide(N)
    encoder = Encoder()
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        alone, kept = [], []
        for turn in range(3):
            alone.append(embed(adata, picture, encoder, None))
            kept.append(embed(adata, picture, encoder, folder / str(turn)))
        out["alone"], out["kept"] = min(alone), min(kept)
        out["again"] = min(embed(adata, picture, encoder, folder / "0") for _ in range(3))
    return out


def memory() -> dict[str, Any]:
    adata, picture = slide(MANY)
    unit = 1 if platform.system() == "Darwin" else 1024
    encoder = Encoder(dim=64)
    embed(adata[:500].copy(), picture, encoder, None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    embed(adata, picture, encoder, None)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"beyond": (after - before - MANY * 64 * 4) / 1e9}


def in_its_own_process(part: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, "--part", part], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(kill: dict[str, Any], restart: dict[str, Any], peak: dict[str, Any]) -> str:
    a_shard = (restart["kept"] - restart["alone"]) / -(-N // 256) * 1000
    return f"""# Kills and restarts

Written by `python benchmarks/resume.py`. Tiles of {SIDE} px from a drawn image, one thread, an encoder that is a single matrix
product, so that what is measured is everything else.

| | |
|---|---|
| {KILLS} kills (SIGKILL) at random moments of a run over {N:,} spots: the result equals that of an unbroken run bit for bit | {"yes" if kill["equal"] else "no"} |
| shards of 256 spots computed again, a kill | {kill["redone"]:.2f} |
| what keeping a shard (256 × {DIM} numbers) costs | {a_shard:.1f} ms |
| {N:,} spots computed, nothing kept | {restart["alone"]:.2f} s |
| the same call when all of its shards are there | {restart["again"]:.2f} s |
| peak memory beyond the result and what 500 spots take, at {MANY:,} spots | {peak["beyond"]:.2f} GB |

A restart reads the journal and the finished shards, checks their digests, and streams the missing tiles only. For an
encoder that takes a millisecond for a tile, keeping shards costs {a_shard / 256 * 100:.1f} % of the time; for one that takes ten,
{a_shard / 2560 * 100:.2f} %.
"""


def main() -> None:
    parts = {"kills": kills, "restarts": restarts, "memory": memory}
    if "--part" in sys.argv:
        print(json.dumps(parts[sys.argv[-1]]()))
        return
    text = report(*(in_its_own_process(part) for part in parts))
    REPORT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
