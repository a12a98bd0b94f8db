"""How near encoders come to the speed of the machine; writes docs/results/encoders.md.

    python benchmarks/encoders.py [--device cuda]

Every ratio is of things measured in this run in turns, the best turn of each: on the CPU in CPU seconds of one thread, on a GPU
in seconds on the wall. The networks have random weights, which compute as fast as others. With `--device cuda` a ViT-L in
bfloat16 is measured instead, and docs/results/encoders_cuda.md is written.
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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

if TYPE_CHECKING:
    import torch
    from anndata import AnnData

    from histodecon.encoders import Encoder

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
WIDTH, HEIGHT, CHUNK, MPP = 9272, 9923, 1024, 0.687
TILE_PX = 163
SMALL, BASE, LARGE = "vit_small_patch16_224", "vit_base_patch16_224", "vit_large_patch16_224"
BATCHES = {SMALL: (1, 2, 4, 8, 16, 32), BASE: (1, 8, 16)}
N_SPOTS = {"cpu": 192, "cuda": 20_000}
N_MANY = 50_000


def best_of(works: dict[Any, Callable[[], Any]], *, device: str = "cpu", turns: int = 5) -> dict[Any, float]:
    """Best of some turns, in which all take part one after the other, so that a busy machine slows all of them."""
    import torch

    def now() -> float:
        if device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    best = dict.fromkeys(works, float("inf"))
    for _ in range(turns):
        for key, work in works.items():
            start = now()
            work()
            best[key] = min(best[key], now() - start)
    return best


def peak_gb() -> float:
    """Peak memory of this process; a Mac counts in bytes."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def encoder_of(model: str, work: Path, *, device: str = "cpu", precision: str = "float32") -> Encoder:
    """Load a network with random weights, as one with published weights is loaded."""
    from dataclasses import replace

    import torch
    from safetensors.torch import save_file

    from histodecon.encoders import load_encoder, timm_card
    from histodecon.encoders._timm import build_timm

    torch.set_num_threads(1)
    path = work / f"{model}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        save_file(build_timm(timm_card(model)).inner.state_dict(), path)
    card = replace(timm_card(model, weights=path), safe_dtypes=("bfloat16",))
    return load_encoder(card, device=device, precision=precision)


def normalized_batch(n: int, encoder: Encoder) -> torch.Tensor:
    import torch

    generator = torch.Generator().manual_seed(0)
    batch = torch.empty(n, 3, encoder.input_px, encoder.input_px).normal_(generator=generator)
    network = encoder.network
    return batch.to(device=network.device, dtype=network.dtype).contiguous(memory_format=torch.channels_last)


def gemms(module: torch.nn.Module, rows: int) -> dict[str, tuple[Callable[[], Any], float]]:
    """Products of matrices as large as those of the linear layers, and their operations."""
    import torch

    shapes = {
        (layer.in_features, layer.out_features) for layer in module.modules() if isinstance(layer, torch.nn.Linear)
    }
    found = {}
    for width_in, width_out in sorted(shapes):
        a, b = torch.randn(rows, width_in), torch.randn(width_out, width_in)
        repeats = max(1, round(2e10 / (2 * rows * width_in * width_out)))

        def product(a: torch.Tensor = a, b: torch.Tensor = b, repeats: int = repeats) -> None:
            for _ in range(repeats):
                torch.nn.functional.linear(a, b)

        found[f"{rows} × {width_in} × {width_out}"] = (product, 2.0 * rows * width_in * width_out * repeats)
    return found


def operations(module: torch.nn.Module, batch: torch.Tensor) -> float:
    """Operations of a forward pass on one tile: two for each multiplication with its addition."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        module(batch[:1])
    return float(counter.get_total_flops())


def measure_forward(work: Path, model: str) -> dict[str, Any]:
    """Compare forward passes with the products of matrices that they consist of, at several batch sizes."""
    import torch

    encoder = encoder_of(model, work)
    module = encoder.network.module
    with torch.inference_mode():
        batches = {n: normalized_batch(n, encoder) for n in BATCHES[model]}
        each = operations(module, batches[1])
        products = gemms(module, encoder.batch_size * 197)
        repeats = {n: max(1, 16 // n) for n in batches}

        def forward(n: int) -> Callable[[], Any]:
            return lambda: [module(batches[n]) for _ in range(repeats[n])]

        works = {key: work for key, (work, _) in products.items()} | {n: forward(n) for n in batches}
        took = best_of(works, turns=5 if model == SMALL else 3)
    gemm = max(count / took[key] for key, (_, count) in products.items())
    rates = {n: repeats[n] * n / took[n] for n in batches}
    return {
        "gflop_each": each / 1e9,
        "gemm_gflops": gemm / 1e9,
        "batch_size": encoder.batch_size,
        "tiles_per_s": rates,
        "of_gemm": {n: rate * each / gemm for n, rate in rates.items()},
    }


def measure_half(work: Path) -> dict[str, Any]:
    """Compare bfloat16 on the CPU with float32."""
    encoders = {name: encoder_of(BASE, work, precision=name) for name in ("float32", "bfloat16")}
    tiles = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    took = best_of({name: lambda one=one: one.encode(tiles) for name, one in encoders.items()}, turns=3)
    full, half = (encoders[name].encode(tiles) for name in encoders)
    cosine = (full * half).sum(axis=1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    return {"times": took["float32"] / took["bfloat16"], "cosine": float(cosine.min())}


def prepare(work: Path, device: str = "cpu") -> dict[str, Any]:
    """Store an image of the size of a section of her2st in chunks, and tables of spots that are tiled."""
    import pandas as pd
    import zarr
    from anndata import AnnData

    import histodecon as hd

    with hd.images.open_image(hd.datasets.toy_slide()["toy_1_image"]) as drawn:
        small = drawn.read(0, 0, drawn.width, drawn.height)
    repeats = (-(-HEIGHT // small.shape[0]), -(-WIDTH // small.shape[1]), 1)
    pixels = np.moveaxis(np.tile(small, repeats)[:HEIGHT, :WIDTH], 2, 0)
    image = zarr.create_array(work / "image.zarr", shape=pixels.shape, chunks=(3, CHUNK, CHUNK), dtype="u1")
    image[:] = pixels
    for n in (N_SPOTS[device], N_MANY):
        adata = AnnData(obs=pd.DataFrame(index=[f"spot_{i}" for i in range(n)]))
        adata.obsm["spatial"] = np.random.default_rng(0).uniform(TILE_PX, np.array([WIDTH, HEIGHT]) - TILE_PX, (n, 2))
        hd.pp.tile_spots(adata, size_px=TILE_PX, mpp=MPP, image=image)
        adata.write_h5ad(work / f"spots_{n}.h5ad")
    return {}


def slide(work: Path, n: int) -> tuple[AnnData, Any]:
    import anndata
    import zarr

    return anndata.read_h5ad(work / f"spots_{n}.h5ad"), zarr.open_array(work / "image.zarr", mode="r")


def measure_pipeline(work: Path, device: str) -> dict[str, Any]:
    """Compare pp.embed_tiles, from a stored image to obsm, with the network alone on tiles that are at hand."""
    import torch

    import histodecon as hd

    model, precision = (SMALL, "float32") if device == "cpu" else (LARGE, "bfloat16")
    encoder = encoder_of(model, work, device=device, precision=precision)
    n = N_SPOTS[torch.device(device).type]
    adata, image = slide(work, n)
    module, size = encoder.network.module, encoder.batch_size
    batch = normalized_batch(size, encoder)

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, n, size):
                module(batch[: min(size, n - start)])

    def pipeline() -> None:
        hd.pp.embed_tiles(adata, encoder, image=image, overwrite=True, show_progress_bar=False)

    if device != "cpu":  # the first pass chooses algorithms
        bare()
        pipeline()
    took = best_of({"bare": bare, "pipeline": pipeline}, device=device, turns=3)
    return {
        "model": model,
        "dtype": encoder.dtype,
        "batch_size": size,
        "n_tiles": n,
        "bare": n / took["bare"],
        "pipeline": n / took["pipeline"],
        "ratio": took["bare"] / took["pipeline"],
    }


def measure_memory(work: Path) -> dict[str, Any]:
    """Embed many tiles with a network that is next to nothing."""
    import torch
    import tqdm.auto  # noqa: F401 the libraries are there before it is measured

    import histodecon as hd
    import histodecon.encoders._load
    import histodecon.pp._embed_tiles

    torch.set_num_threads(1)
    weights = torch.linspace(-1, 1, 16).view(1, 16)

    def tiny(tiles: np.ndarray) -> np.ndarray:
        return (torch.from_numpy(tiles[:, ::16, ::16, 0]).float().mean(dim=(1, 2))[:, None] * weights).numpy()

    adata, image = slide(work, N_MANY)
    before = peak_gb()
    hd.pp.embed_tiles(adata, tiny, image=image, show_progress_bar=False)
    result = adata.obsm["X_tiny"].nbytes / 1e9
    return {"n_tiles": adata.n_obs, "before_gb": before, "result_gb": result, "beyond_gb": peak_gb() - before - result}


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "prepare": prepare,
    "small": lambda work: measure_forward(work, SMALL),
    "base": lambda work: measure_forward(work, BASE),
    "half": measure_half,
    "pipeline": lambda work: measure_pipeline(work, "cpu"),
    "memory": measure_memory,
}
PARTS_CUDA: dict[str, Callable[[Path], dict[str, Any]]] = {
    "prepare": lambda work: prepare(work, "cuda"),
    "pipeline": lambda work: measure_pipeline(work, "cuda"),
}


def rows_of_forward(name: str, found: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    size = str(found["batch_size"])
    part = found["of_gemm"][size]
    sweep = ", ".join(f"{n}: {share:.0%}" for n, share in found["of_gemm"].items())
    return [
        (
            f"{name}, float32, batches of {size}: of the rate of products of matrices",
            f"{part:.0%}",
            "≥ 80 %",
            part >= 0.8,
        ),
        (
            "the same: tiles; products of matrices; operations of a tile",
            f"{found['tiles_per_s'][size]:.1f} a second; {found['gemm_gflops']:.0f} GFLOP/s; {found['gflop_each']:.1f} GFLOP",
            "",
            True,
        ),
        ("the same, by size of the batch", sweep, "", True),
    ]


def row_of_pipeline(found: dict[str, Any], aim: float) -> list[tuple[str, str, str, bool]]:
    name = f"`pp.embed_tiles`, {found['model']} in {found['dtype']}, {found['n_tiles']:,} tiles of a stored image"
    return [
        (f"{name}: of the bare forward pass", f"{found['ratio']:.1%}", f"≥ {aim:.0%}", found["ratio"] >= aim),
        (
            "the same: tiles; tiles of the bare forward pass",
            f"{found['pipeline']:,.1f}; {found['bare']:,.1f} a second",
            "",
            True,
        ),
    ]


def table_of(rows: list[tuple[str, str, str, bool]]) -> str:
    lines = [
        f"| {what} | {value} | {aim} | {('yes' if met else 'no') if aim else ''} |" for what, value, aim, met in rows
    ]
    return "\n".join(["| what | measured | aim | reached |", "|---|---|---|---|", *lines])


def report_cpu(found: dict[str, Any]) -> str:
    half, memory = found["half"], found["memory"]
    beyond = memory["beyond_gb"]
    rows = [
        *rows_of_forward("ViT-S/16", found["small"]),
        *rows_of_forward("ViT-B/16", found["base"]),
        ("ViT-B/16, bfloat16 beside float32 on this CPU", f"{half['times']:.2f} ×", "", True),
        ("the same, cosine of the embeddings, smallest", f"{half['cosine']:.5f}", "≥ 0.999", half["cosine"] >= 0.999),
        *row_of_pipeline(found["pipeline"], 0.95),
        (
            f"Memory beyond libraries and result, {memory['n_tiles']:,} tiles",
            f"{1000 * beyond:.0f} MB",
            "≤ 200 MB",
            beyond <= 0.2,
        ),
    ]
    return f"""# Encoders: speed and memory

Made by `python benchmarks/encoders.py`; every ratio is of things measured in one run, CPU seconds of one thread, the best of
three to five turns that they take one after the other. The networks are timm's, with random weights. The products of matrices
are as large as those of the network's linear layers, without anything between them; the best of them is the rate that the
forward pass is compared with. What is missing is the work between: softmax, norms, GELU, the patches. `pp.embed_tiles` reads
tiles of {TILE_PX} px from an image of {WIDTH} × {HEIGHT} px in chunks of {CHUNK} px, resamples them to 224 px and writes
`obsm`; the bare forward pass has them in memory, normalized. The time of the thread that reads ahead counts, although it
passes beside the computation where a core is free.

{table_of(rows)}

{platform.system()} {platform.machine()}, Python {platform.python_version()}. On a GPU `python benchmarks/encoders.py --device
cuda` measures a ViT-L in bfloat16; no GPU was at hand here, so this page says nothing of them.
"""


def report_cuda(found: dict[str, Any]) -> str:
    import torch

    return f"""# Encoders on a GPU

Made by `python benchmarks/encoders.py --device cuda`, on one {torch.cuda.get_device_name()}; seconds on the wall, the best of
three turns that the two take one after the other. The network has random weights. `pp.embed_tiles` reads tiles of {TILE_PX} px
from an image of {WIDTH} × {HEIGHT} px in chunks of {CHUNK} px, resamples them to 224 px and writes `obsm`; the bare forward
pass has them on the GPU, normalized, in batches of {found["pipeline"]["batch_size"]}.

{table_of(row_of_pipeline(found["pipeline"], 0.9))}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    parts = PARTS if arguments.device == "cpu" else PARTS_CUDA
    if arguments.part:
        print(json.dumps(parts[arguments.part](arguments.work)))
        return
    with tempfile.TemporaryDirectory() as work:
        found = {}
        for part in parts:
            command = [sys.executable, __file__, "--part", part, "--work", work, "--device", arguments.device]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[part] = json.loads(done.stdout.splitlines()[-1])
            print(f"{part}: {json.dumps(found[part])}", flush=True)
    target = RESULTS / ("encoders.md" if arguments.device == "cpu" else "encoders_cuda.md")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(report_cpu(found) if arguments.device == "cpu" else report_cuda(found))
    print(f"\n{target.read_text()}\nwritten to {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
