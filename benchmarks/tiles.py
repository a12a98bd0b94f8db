"""How fast tiles are cut, and how much memory that takes; writes docs/results/tiles.md.

    python benchmarks/tiles.py [--work FOLDER]

Every ratio is of two things measured in this run on one thread, in CPU seconds, the best of five turns. The image is a section
of her2st where HISTODECON_SHARED names a folder with it (else a drawn one of that size).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("HISTODECON_SHARED", ROOT.parent / "shared" / "data"))
REPORT = ROOT / "docs" / "results" / "tiles.md"
WIDTH, HEIGHT = 9272, 9923
CHUNK = 1024
MPP = 0.687
HUGE_PX, HUGE_TILE = 100_000, 1024


def cpu_seconds(*works: Callable[[], Any], repeats: int = 5) -> list[float]:
    """Best of some turns, in which all take part one after the other, so that a busy machine slows all of them."""
    best = [float("inf")] * len(works)
    for _ in range(repeats):
        for n, work in enumerate(works):
            start = time.process_time()
            work()
            best[n] = min(best[n], time.process_time() - start)
    return best


def peak_gb() -> float:
    """Peak memory of this process; a Mac counts in bytes."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def tissue_pixels() -> tuple[np.ndarray, str]:
    from histodecon import images

    path = next(iter(sorted(SHARED.glob("her2st/images/B4_*.jpg"))), None)
    if path is not None:
        with images.open_image(path) as image:
            return image.read(0, 0, image.width, image.height), "her2st section B4"
    from histodecon import datasets

    drawn = images.open_image(datasets.toy_slide()["toy_1_image"])
    small = drawn.read(0, 0, drawn.width, drawn.height)
    repeats = (-(-HEIGHT // small.shape[0]), -(-WIDTH // small.shape[1]), 1)
    return np.tile(small, repeats)[:HEIGHT, :WIDTH], "a drawn section, repeated"


def centers(width: int, height: int, spacing: float) -> np.ndarray:
    from histodecon.images._grid import grid_centers

    return grid_centers(width, height, spacing).xy


def prepare(work: Path) -> dict[str, Any]:
    """Write the image as SpatialData stores it."""
    import zarr

    pixels, what = tissue_pixels()
    target = work / "image.zarr"
    if not target.exists():
        array = zarr.create_array(target, shape=(3, *pixels.shape[:2]), chunks=(3, CHUNK, CHUNK), dtype="u1")
        array[:] = np.moveaxis(pixels, 2, 0)
    return {"what": what, "width": pixels.shape[1], "height": pixels.shape[0]}


def counting_store(path: Path) -> tuple[Any, Counter]:
    import zarr

    seen: Counter = Counter()

    class Counting(zarr.storage.LocalStore):
        async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
            if "/" in key:  # a chunk, not metadata
                seen[key] += 1
            return await super().get(key, *args, **kwargs)

    return Counting(path, read_only=True), seen


def measure_stream(work: Path) -> dict[str, Any]:
    """Stream tiles out of zarr; nothing else happens in this process, so that its peak memory is that of the stream."""
    import torch
    import zarr

    from histodecon import images

    torch.set_num_threads(1)
    baseline = peak_gb()
    store, seen = counting_store(work / "image.zarr")
    array = zarr.open_array(store, mode="r")
    xy = centers(array.shape[2], array.shape[1], 100 / MPP)
    size_px = round(112 / MPP)

    def stream(size: int, output: int, *, prefetch: bool) -> None:
        with images.open_image(array) as image:
            for _ in images.iter_tiles(image, xy, size, output, prefetch=prefetch):
                pass

    stream(size_px, 224, prefetch=True)
    decoded, peak = list(seen.values()), peak_gb()  # of one pass
    cut, both = cpu_seconds(lambda: stream(224, 224, prefetch=False), lambda: stream(size_px, 224, prefetch=False))
    return {
        "n_tiles": len(xy),
        "size_px": size_px,
        "chunks": len(decoded),
        "chunks_stored": int(np.prod([-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True)])),
        "most_often": max(decoded),
        "cut_s": cut,
        "cut_resize_s": both,
        "baseline_gb": baseline,
        "peak_gb": peak,
    }


def measure_compute(work: Path) -> dict[str, Any]:
    """Cut the same tiles one by one, as a loop over spots of a lazy image does."""
    import dask
    import dask.array as da

    image = da.from_zarr(str(work / "image.zarr"))
    xy = centers(image.shape[2], image.shape[1], 100 / MPP)
    inside = xy[((xy > 112) & (xy < [image.shape[2] - 112, image.shape[1] - 112])).all(axis=1)]
    some = inside[np.random.default_rng(0).choice(len(inside), 100, replace=False)].astype(int)

    def loop() -> None:
        with dask.config.set(scheduler="synchronous"):
            for x, y in some:
                image[:, y - 112 : y + 112, x - 112 : x + 112].compute()

    return {"one_by_one_s": cpu_seconds(loop)[0] / len(some)}


def measure_resize(work: Path) -> dict[str, Any]:
    import torch
    import zarr
    from PIL import Image

    from histodecon.images._tiles import resample

    torch.set_num_threads(1)
    array = zarr.open_array(work / "image.zarr", mode="r")
    middle = np.ascontiguousarray(np.moveaxis(array[:, 4000:5792, 4000:5792], 0, 2))
    found = {}
    for size in (163, 448):
        starts = range(0, 1792 - size, size // 2)
        tiles = np.stack([middle[y : y + size, x : x + size] for y in starts for x in starts])[:48]

        def pillow(tiles: np.ndarray = tiles) -> np.ndarray:
            kernel = Image.Resampling.BILINEAR
            return np.stack([np.asarray(Image.fromarray(tile).resize((224, 224), kernel)) for tile in tiles])

        def ours(tiles: np.ndarray = tiles) -> np.ndarray:
            return resample(tiles, 224)

        difference = int(np.abs(pillow().astype(int) - ours().astype(int)).max())
        pillow_s, ours_s = cpu_seconds(pillow, ours, repeats=9)
        found[str(size)] = {
            "pillow_s": pillow_s / len(tiles),
            "ours_s": ours_s / len(tiles),
            "difference": difference,
        }
    return found


def write_huge(path: Path, tile: np.ndarray) -> None:
    """Write a pyramid of 100,000 px a side: an ellipse of tissue on glass, JPEG tiles, of which equal ones are encoded once."""
    import imagecodecs
    import tifffile

    glass = np.full_like(tile, 243)
    blocks = -(-HUGE_PX // HUGE_TILE)
    y, x = np.mgrid[:blocks, :blocks] + 0.5
    tissue = ((x / blocks - 0.5) / 0.38) ** 2 + ((y / blocks - 0.5) / 0.3) ** 2 < 1
    encoded: dict[bytes, bytes] = {}

    def encode(mask: np.ndarray, part: int) -> bytes:
        key = bytes([part % 251]) + mask.tobytes()
        if key not in encoded:
            step = len(mask)
            pieces = [tile[::step, ::step], glass[::step, ::step]]
            rows = [np.concatenate([pieces[0 if one else 1] for one in row], axis=1) for row in mask]
            pixels = np.ascontiguousarray(np.concatenate(rows))
            encoded[key] = imagecodecs.jpeg8_encode(pixels, level=85, colorspace="RGB", outcolorspace="YCBCR")
        return encoded[key]

    def level_tiles(level: int) -> Any:
        step = 2**level
        n = -(-(HUGE_PX // step) // HUGE_TILE)
        padded = np.zeros((n * step, n * step), dtype=bool)
        fit = min(blocks, n * step)
        padded[:fit, :fit] = tissue[:fit, :fit]
        for row in range(n):
            for column in range(n):
                yield encode(padded[row * step : (row + 1) * step, column * step : (column + 1) * step], level)

    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for level in range(6):
            side = HUGE_PX // 2**level
            tiff.write(
                level_tiles(level),
                shape=(side, side, 3),
                dtype="uint8",
                photometric="ycbcr",
                subsampling=(2, 2),
                tile=(HUGE_TILE, HUGE_TILE),
                compression="jpeg",
                subfiletype=1 if level else 0,
                resolution=(40_000, 40_000),  # pixels a centimeter: 0.25 µm
                resolutionunit="CENTIMETER",
                metadata=None,
            )


def measure_huge(work: Path) -> dict[str, Any]:
    import zarr

    import histodecon as hd

    path = work / "huge.tif"
    if not path.exists():
        array = zarr.open_array(work / "image.zarr", mode="r")
        part = work / "part.tif"
        write_huge(part, np.moveaxis(array[:, 4000 : 4000 + HUGE_TILE, 4000 : 4000 + HUGE_TILE], 0, 2))
        part.rename(path)
    start, wall = time.process_time(), time.perf_counter()
    slide = hd.io.read_slide(path)
    hd.pp.tile_grid(slide, spacing_um=200)
    tiled = time.process_time()

    def mean_color(tiles: np.ndarray) -> np.ndarray:
        return tiles.mean(axis=(1, 2))

    hd.pp.embed_tiles(slide, mean_color, show_progress_bar=False)
    table = slide["table"]
    record = table.uns["histodecon"]["slides"]["huge"]
    return {
        "file_gb": path.stat().st_size / 1e9,
        "mpp": record["mpp"],
        "n_places": record["n_places"],
        "n_tiles": table.n_obs,
        "grid_s": tiled - start,
        "embed_s": time.process_time() - tiled,
        "wall_s": time.perf_counter() - wall,
        "peak_gb": peak_gb(),
    }


PARTS = {
    "prepare": prepare,
    "stream": measure_stream,
    "compute": measure_compute,
    "resize": measure_resize,
    "huge": measure_huge,
}


def report(found: dict[str, Any]) -> str:
    image, stream, one, resize, huge = (found[name] for name in PARTS)
    cut, both = stream["n_tiles"] / stream["cut_s"], stream["n_tiles"] / stream["cut_resize_s"]
    rows = [
        ("Tiles of 224 px, cut", f"{cut:,.0f} a CPU second", "≥ 7,000", cut >= 7000),
        (
            "the same, beside one `.compute()` per spot",
            f"{cut * one['one_by_one_s']:.0f} ×",
            "≥ 50 ×",
            cut * one["one_by_one_s"] >= 50,
        ),
        (f"Tiles of {stream['size_px']} px, cut and resized to 224", f"{both:,.0f} a CPU second", "", True),
        (
            "Chunks decoded, of those stored; the most often decoded one",
            f"{stream['chunks']} of {stream['chunks_stored']}; {stream['most_often']} time",
            "once",
            stream["most_often"] == 1,
        ),
        (
            f"Peak memory of one pass, the next batch read ahead ({stream['baseline_gb']:.2f} GB of it are the libraries)",
            f"{stream['peak_gb']:.2f} GB",
            "≤ 0.5 GB",
            stream["peak_gb"] <= 0.5,
        ),
    ]
    for size, took in resize.items():
        ratio = took["pillow_s"] / took["ours_s"]
        rows.append((f"Resize {size} → 224 px, beside Pillow", f"{ratio:.1f} ×", "≥ 4 ×", ratio >= 4))
        rows.append(("the same, largest difference", f"{took['difference']} of 255", "≤ 2", took["difference"] <= 2))
    rows.append(
        (
            f"Pyramid of 100,000 × 100,000 px, tiled and embedded ({huge['n_tiles']:,} tiles of {huge['n_places']:,} places): peak memory",
            f"{huge['peak_gb']:.2f} GB",
            "≤ 2 GB",
            huge["peak_gb"] <= 2,
        )
    )
    rows.append(
        (
            "the same, CPU seconds for grid and tissue; for the tiles",
            f"{huge['grid_s']:.0f}; {huge['embed_s']:.0f}",
            "",
            True,
        )
    )
    table = "\n".join(
        f"| {what} | {value} | {aim} | {('yes' if met else 'no') if aim else ''} |" for what, value, aim, met in rows
    )
    return f"""# Tiles: speed and memory

Made by `python benchmarks/tiles.py`; every ratio is of two things measured in one run, CPU seconds of one thread, the best of
five turns. The image is {image["what"]}, {image["width"]} × {image["height"]} px, as SpatialData stores it: zarr, color first,
chunks of {CHUNK} px. {stream["n_tiles"]:,} tiles lie on a hexagonal grid of 100 µm over all of it. The pyramid is a
synthetic TIFF of JPEG tiles ({huge["file_gb"]:.1f} GB, {huge["mpp"]} µm per pixel) with tissue on a third of its area; each of
its tiles is read from the level that need not be enlarged.

| what | measured | aim | reached |
|---|---|---|---|
{table}

{platform.system()} {platform.machine()}, Python {platform.python_version()}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder for the images, kept; default is a temporary one")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part](arguments.work)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        found = {}
        for part in PARTS:
            command = [sys.executable, __file__, "--part", part, "--work", str(work)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[part] = json.loads(done.stdout.splitlines()[-1])
            print(f"{part}: {json.dumps(found[part])}", flush=True)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(report(found))
    print(f"\n{REPORT.read_text()}\nwritten to {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
