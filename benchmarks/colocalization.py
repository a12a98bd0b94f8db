"""Speed, memory and exactness of Moran's R of all pairs, beside peers; writes docs/results/colocalization.md and .png.

    python benchmarks/colocalization.py

Peers take part where they can be imported: `pip install liana SpatialDM esda` in an environment of its own. Each part runs
in a process of its own, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np

from histodecon import stats
from histodecon.stats._lattice import find_lattice

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("HISTODECON_SHARED", ROOT.parent / "shared" / "data"))
REPORT = ROOT / "docs" / "results" / "colocalization.md"
FIGURE = REPORT.with_suffix(".png")
TYPES = 80
LENGTH = 1.5
MANY = 50_000
PERMUTATIONS = 1000
GROWTH = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
PEER_GROWTH = {"liana": 100_000, "spatialdm": 30_000}
PAIRS = np.triu_indices(TYPES)
CHUNK = 100
ESDA_SPOTS, ESDA_PAIRS = 5_000, 10


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


def places(n: int, kind: str) -> np.ndarray:
    """Spots at a pitch of about 1."""
    side = round(np.sqrt(n))
    if kind == "scattered":
        return np.random.default_rng(1).uniform(0, side, (n, 2))
    row, column = np.divmod(np.arange(n), -(-n // side))
    if kind == "square":
        return np.column_stack([column, row]).astype(float)
    return np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)])


def values(n: int, k: int = TYPES) -> np.ndarray:
    return np.random.default_rng(0).standard_gamma(0.7, size=(n, k))


# --- peers -----------------------------------------------------------------------------------------------------------


def present(name: str) -> bool:
    return find_spec(name) is not None


def liana_weights(xy: np.ndarray) -> Any:
    import anndata as ad
    from liana.utils import spatial_neighbors

    adata = ad.AnnData(np.zeros((len(xy), 1), dtype=np.float32))
    adata.obsm["spatial"] = xy
    spatial_neighbors(adata, bandwidth=LENGTH, cutoff=0.1, kernel="gaussian", set_diag=True, max_neighbours=100)
    return adata.obsp["spatial_connectivities"]


def liana_all_pairs(x: np.ndarray, weights: Any) -> None:
    """R alone: its p of all pairs would make a dense n x n matrix."""
    from liana.method.sp._bivariate._global_functions import GlobalFunction

    morans = GlobalFunction.instances["morans"]
    for start in range(0, len(PAIRS[0]), CHUNK):
        a, b = (index[start : start + CHUNK] for index in PAIRS)
        morans({}, x[:, a], x[:, b], weights, 0, None, False, False)  # noqa: FBT003  its own signature


def spatialdm_weights(xy: np.ndarray, length: float = LENGTH, cutoff: float = 0.2) -> Any:
    from spatialdm.stats import rbfweight

    return rbfweight(xy, l=length, cutoff=cutoff, n_neighbors=160)[0]


def spatialdm_all_pairs(x: np.ndarray, weights: Any) -> None:
    from spatialdm.stats import Moran_R

    for start in range(0, len(PAIRS[0]), CHUNK):
        a, b = (index[start : start + CHUNK] for index in PAIRS)
        Moran_R(x[:, a], x[:, b], weights)


def r_alone(x: np.ndarray, lattice: Any, scale: float) -> np.ndarray:
    """What liana does with ready-made weights: R, no null. Ready here: the sites of the spots and the sum of the weights."""
    from histodecon.stats._bands import gram_by_bands
    from histodecon.stats._columns import unit_table

    return gram_by_bands(lattice, unit_table(x)[0], LENGTH) * scale


# --- parts -----------------------------------------------------------------------------------------------------------


def measure_lattice() -> dict[str, Any]:
    """All pairs at full size on one thread, peers with their weights made beforehand."""
    xy, x = places(MANY, "hexagonal"), values(MANY)
    whole = stats.morans_r(x, xy, LENGTH)
    lattice = find_lattice(xy)
    scale = 1.0 / (whole.neighbors + 1.0)
    found: dict[str, Any] = {"method": whole.method, "same": float(np.abs(r_alone(x, lattice, scale) - whole.r).max())}
    works: list[tuple[str, Callable[[], Any]]] = []
    if present("liana"):
        weights = liana_weights(xy)
        works.append(("liana", lambda: liana_all_pairs(x, weights)))
    if present("spatialdm"):
        start = time.process_time()
        other = spatialdm_weights(xy)
        found["spatialdm_weights"] = time.process_time() - start
        works.append(("spatialdm", lambda: spatialdm_all_pairs(x, other)))
    ours = [
        ("ours", lambda: stats.morans_r(x, xy, LENGTH)),
        ("float32", lambda: stats.morans_r(x, xy, LENGTH, precision="float32")),
        ("alone", lambda: r_alone(x, lattice, scale)),
    ]
    square = places(MANY, "square")
    ours.append(("square", lambda: stats.morans_r(x, square, LENGTH)))
    for _ in range(2):  # peers are slow: two turns, with five of ours around each
        for group, repeats in ((ours, 5), (works, 1), (ours, 5)):
            took = cpu_seconds(*(work for _, work in group), repeats=repeats)
            for (name, _), seconds in zip(group, took, strict=True):
                found[name] = min(found.get(name, np.inf), seconds)
    return found


def measure_memory(n: int) -> dict[str, Any]:
    xy, x = places(n, "hexagonal"), values(n)
    before = peak_gb()
    took = cpu_seconds(lambda: stats.morans_r(x, xy, LENGTH), repeats=3)[0]
    return {"before": before, "peak": peak_gb(), "seconds": took, "table": x.nbytes / 1e9}


def measure_large() -> dict[str, Any]:
    return measure_memory(500_000)


def measure_small() -> dict[str, Any]:
    return measure_memory(MANY)


def measure_scattered() -> dict[str, Any]:
    xy, x = places(MANY, "scattered"), values(MANY)
    double, single = cpu_seconds(
        lambda: stats.morans_r(x, xy, LENGTH), lambda: stats.morans_r(x, xy, LENGTH, precision="float32")
    )
    plain = stats.morans_r(x, xy, LENGTH, method="blocks").r
    found = stats.morans_r(x, xy, LENGTH)
    rough = stats.morans_r(x, xy, LENGTH, precision="float32").r
    return {
        "method": found.method,
        "double": double,
        "single": single,
        "double_error": float(np.abs(found.r - plain).max()),
        "single_error": float(np.abs(rough - plain).max()),
    }


def measure_permutations() -> dict[str, Any]:
    xy, x = places(MANY, "hexagonal"), values(MANY)
    found = {}
    for precision in ("float64", "float32"):
        start = time.process_time()
        stats.morans_r(x, xy, LENGTH, permutations=PERMUTATIONS, precision=precision)
        found[precision] = time.process_time() - start
    return found


def measure_esda() -> dict[str, Any]:
    if not (present("esda") and present("libpysal")):
        return {}
    from esda.moran import Moran_BV

    xy, x = places(ESDA_SPOTS, "hexagonal"), values(ESDA_SPOTS)
    weights = esda_weights(dense_weights(xy, LENGTH, cutoff=1e-3))
    pairs = list(zip(*(index[:ESDA_PAIRS] for index in np.triu_indices(TYPES, 1)), strict=True))

    def theirs() -> None:
        for a, b in pairs:
            Moran_BV(x[:, b], x[:, a], weights, transformation="O", permutations=0)

    ours, one_by_one = cpu_seconds(lambda: stats.morans_r(x, xy, LENGTH), theirs, repeats=3)
    return {"ours": ours, "theirs": one_by_one / ESDA_PAIRS * len(PAIRS[0])}


def dense_weights(xy: np.ndarray, length: float, cutoff: float = 0.0) -> np.ndarray:
    squared = sum(np.subtract.outer(xy[:, axis], xy[:, axis]) ** 2 for axis in range(2))
    weights = np.exp(-squared / (2 * length**2))
    weights[weights < cutoff] = 0.0
    return weights


def esda_weights(dense: np.ndarray) -> Any:
    from libpysal.weights import WSP
    from scipy.sparse import csr_matrix

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WSP(csr_matrix(dense)).to_W(silence_warnings=True)


def exact_places() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    square, hexagonal = places(2500, "square") * 100, places(2500, "hexagonal") * 100
    hd = places(2500, "square") * 8
    ellipse = ((hd - hd.mean(axis=0)) ** 2 @ np.array([1.0, 1.6])) < 190**2
    found = {
        "square": square,
        "hexagons with holes": hexagonal[rng.random(len(hexagonal)) < 0.8],
        "bins of 8 µm in an ellipse": hd[ellipse],
    }
    tables = sorted(SHARED.glob("her2st/spotfiles/B4*")) if SHARED.exists() else []
    if tables:
        import pandas as pd

        spots = pd.read_csv(tables[0], sep="\t")
        found["her2st B4, jittered"] = spots[["pixel_x", "pixel_y"]].to_numpy() * 0.687
    return found


def double_loop(x: np.ndarray, xy: np.ndarray, length: float) -> np.ndarray:
    n, k = x.shape
    centered = x - x.mean(axis=0)
    norm = np.sqrt((centered**2).sum(axis=0))
    top, total = np.zeros((k, k)), 0.0
    for i in range(n):
        for j in range(n):
            weight = np.exp(-((xy[i] - xy[j]) ** 2).sum() / (2 * length**2))
            total += weight
            top += weight * np.outer(centered[i], centered[j])
    return n / total * top / np.outer(norm, norm)


def measure_exact() -> dict[str, Any]:
    found: dict[str, Any] = {"fast": {}}
    rng = np.random.default_rng(3)
    xy, x = rng.uniform(0, 6, (60, 2)), values(60, 4)
    plain = stats.morans_r(x, xy, 1.0, method="blocks").r
    found["loop"] = float(np.abs(plain - double_loop(x, xy, 1.0)).max())
    for name, spots in exact_places().items():
        table = values(len(spots), 20)
        pitch = stats.nearest_neighbor_pitch(spots)
        worst = {"float64": 0.0, "float32": 0.0}
        for length in (0.7 * pitch, 1.5 * pitch, 6 * pitch):
            truth = stats.morans_r(table, spots, length, method="blocks").r
            ways = ("lattice", "fft", "near") if stats.on_lattice(spots) else ("near",)
            for way in ways:
                for precision in worst:
                    other = stats.morans_r(table, spots, length, method=way, precision=precision).r  # type: ignore[arg-type]
                    worst[precision] = max(worst[precision], float(np.abs(other - truth).max()))
        found["fast"][name] = worst
    found["invariance"] = invariances()
    found["peers"] = peer_exactness()
    found["published"] = published()
    return found


def invariances() -> dict[str, float]:
    rng = np.random.default_rng(4)
    xy, x = rng.uniform(0, 30, (800, 2)), values(800, 10)
    plain = stats.morans_r(x, xy, 1.5).r
    order = rng.permutation(800)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    changed = {
        "order of the spots": stats.morans_r(x[order], xy[order], 1.5).r,
        "rotation": stats.morans_r(x, xy @ turn, 1.5).r,
        "translation by 1,000,000": stats.morans_r(x, xy + 1e6, 1.5).r,
        "scale": stats.morans_r(x, xy * 7, 10.5).r,
        "offset and factor of the values": stats.morans_r(x * 3 + 5, xy, 1.5).r,
    }
    return {name: float(np.abs(r - plain).max()) for name, r in changed.items()}


def peer_exactness() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    xy, x = rng.uniform(0, 20, (400, 2)), values(400, 4)
    found: dict[str, Any] = {}
    if present("esda") and present("libpysal"):
        from esda.moran import Moran_BV

        dense = dense_weights(xy, LENGTH)
        weights = esda_weights(dense)
        ours = stats.morans_r(x, xy, LENGTH).r
        theirs = [Moran_BV(x[:, 1], x[:, a], weights, transformation="O", permutations=0).I for a in (0, 2, 3)]
        found["esda"] = float(np.abs(np.array(theirs) * len(xy) / dense.sum() - ours[1, [0, 2, 3]]).max())
    if present("spatialdm"):
        from spatialdm.stats import Moran_R

        worst = 0.0
        for length in (1.0, 3.0):  # cut off by weight; by number of neighbors, so that weights are not symmetric
            mine = stats.morans_r_spatialdm(x, xy, length)
            weights = spatialdm_weights(xy, length)
            for a in range(4):
                r, z, p = Moran_R(x[:, [a] * 4], x, weights)
                for one, other in ((r, mine.r[a]), (z, mine.z[a]), (p, mine.p[a])):
                    worst = max(worst, float(np.abs(np.asarray(one).ravel() - other).max()))
        found["spatialdm"] = worst
    return found


def published() -> dict[str, float]:
    folder = SHARED / "hist2cell"
    if not folder.exists():
        return {}
    import pandas as pd
    from scipy.stats import norm

    first, second = (pd.read_csv(folder / f"moranR_{name}.csv") for name in ("Cell2location", "Hist2Cell"))
    both = first.merge(second, on=["A", "B"])
    a, b = both["R_val_x"], both["R_val_y"]
    sd = pd.concat([table["R_val"] / table["R_z_score"] for table in (first, second)])
    off = max(float(np.abs(norm.sf(table["R_z_score"]) - table["R_p_val"]).max()) for table in (first, second))
    return {
        "pairs": len(both),
        "sd": float(sd.median()),
        "sd_spread": float((sd / sd.median() - 1).abs().max()),
        "p": off,
        "cosine": float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)),
        "pearson": float(np.corrcoef(a, b)[0, 1]),
    }


def measure_growth(n: int, kind: str) -> dict[str, Any]:
    if kind in PEER_GROWTH:
        x, xy = values(n), places(n, "hexagonal")
        make, run = {
            "liana": (liana_weights, liana_all_pairs),
            "spatialdm": (spatialdm_weights, spatialdm_all_pairs),
        }[kind]
        weights = make(xy)
        return {"seconds": cpu_seconds(lambda: run(x, weights), repeats=1)[0], "peak": peak_gb()}
    x, xy = values(n), places(n, kind)
    took = cpu_seconds(lambda: stats.morans_r(x, xy, LENGTH), repeats=5 if n < MANY else 2)[0]
    return {"seconds": took, "peak": peak_gb()}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "lattice": measure_lattice,
    "small": measure_small,
    "large": measure_large,
    "scattered": measure_scattered,
    "permutations": measure_permutations,
    "esda": measure_esda,
    "exact": measure_exact,
}


def alone(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def growth() -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for kind in ("hexagonal", "scattered", *(name for name in PEER_GROWTH if present(name))):
        sizes = [n for n in GROWTH if n <= PEER_GROWTH.get(kind, GROWTH[-1])]
        runs = [alone("--growth", str(n), "--kind", kind) for n in sizes]
        found[kind] = {
            "n": [float(n) for n in sizes],
            "seconds": [run["seconds"] for run in runs],
            "peak": [run["peak"] for run in runs],
        }
        print(f"growth {kind}: {json.dumps(found[kind])}", flush=True)
    return found


# --- report ----------------------------------------------------------------------------------------------------------


def draw(curves: dict[str, dict[str, list[float]]]) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    look = {
        "hexagonal": ("histodecon, hexagonal lattice", "#0072B2", "o-"),
        "scattered": ("histodecon, scattered spots", "#56B4E9", "s-"),
        "liana": ("liana, R alone, weights made before", "#D55E00", "^--"),
        "spatialdm": ("SpatialDM, weights made before", "#E69F00", "v--"),
    }
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for ax, part, unit in zip(
        axes, ("seconds", "peak"), ("CPU seconds", "peak memory of the process, GB"), strict=True
    ):
        for kind, curve in curves.items():
            label, color, style = look[kind]
            ax.plot(curve["n"], curve[part], style, color=color, label=label, markersize=5)
        ax.set(xscale="log", yscale="log", xlabel="spots", ylabel=unit)
        ax.grid(visible=True, which="major", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(f"Moran's R of all pairs of {TYPES} types, l = {LENGTH} pitches, one thread", fontsize=11)
    figure.savefig(FIGURE, dpi=130)


Row = tuple[str, str, str, bool | None]


def speed_rows(found: dict[str, Any]) -> list[Row]:
    at = found["lattice"]
    small, large, scattered, drawn = (found[name] for name in ("small", "large", "scattered", "permutations"))
    rows: list[Row] = [
        ("50,000 spots on a hexagonal lattice", f"{at['ours']:.2f} s", "≤ 0.15 s", at["ours"] <= 0.15),
        ("on a square lattice", f"{at['square']:.2f} s", "≤ 0.15 s", at["square"] <= 0.15),
        ('hexagonal, `precision="float32"`', f"{at['float32']:.2f} s", "", None),
        ("peak memory of the process", f"{small['peak']:.2f} GB", "≤ 0.3 GB", small["peak"] <= 0.3),
    ]
    if "liana" in at:
        ratio, whole = at["liana"] / at["alone"], at["liana"] / at["ours"]
        text = f"{at['liana']:.1f} s against {at['alone']:.3f} s: {ratio:.0f} ×; with our null, p and q: {whole:.0f} ×"
        rows.append(("liana beside it: R alone, weights ready-made", text, "≥ 80 ×", ratio >= 80))
    if "spatialdm" in at:
        ready, whole = (
            seconds / at["ours"] for seconds in (at["spatialdm"], at["spatialdm"] + at["spatialdm_weights"])
        )
        text = f"{at['spatialdm']:.1f} s + {at['spatialdm_weights']:.1f} s for its weights: {whole:.0f} ×; weights left out: {ready:.0f} ×"
        rows.append(("SpatialDM beside it: weights, R, z, p", text, "≥ 200 ×", whole >= 200))
        whole = (at["spatialdm"] + at["spatialdm_weights"]) / at["float32"]
        rows.append(('the same beside `precision="float32"`', f"{whole:.0f} ×", "≥ 200 ×", whole >= 200))
    if found["esda"]:
        one = found["esda"]
        text = f"{one['theirs']:.0f} s against {one['ours']:.3f} s: {one['theirs'] / one['ours']:,.0f} ×"
        rows.append((f"esda at {ESDA_SPOTS:,} spots, from {ESDA_PAIRS} pairs scaled to all", text, "", None))
    return [
        *rows,
        ("500,000 spots on a hexagonal lattice", f"{large['seconds']:.1f} s", "≤ 2.5 s", large["seconds"] <= 2.5),
        ("peak memory of the process", f"{large['peak']:.2f} GB", "≤ 2 GB", large["peak"] <= 2),
        (
            "50,000 scattered spots",
            f"{scattered['double']:.2f} s; error {scattered['double_error']:.0e}",
            "≤ 0.5 s; ≤ 2e-6",
            scattered["double"] <= 0.5 and scattered["double_error"] <= 2e-6,
        ),
        (
            'the same, `precision="float32"`',
            f"{scattered['single']:.2f} s; error {scattered['single_error']:.0e}",
            "≤ 2e-6",
            scattered["single_error"] <= 2e-6,
        ),
        (
            f"{PERMUTATIONS:,} permutations of 50,000 spots",
            f"{drawn['float64']:.0f} s",
            "≤ 20 s",
            drawn["float64"] <= 20,
        ),
        ('the same, `precision="float32"`', f"{drawn['float32']:.0f} s", "≤ 20 s", drawn["float32"] <= 20),
    ]


def exact_rows(found: dict[str, Any]) -> list[Row]:
    exact = found["exact"]
    rows: list[Row] = [
        ("plain reference beside a double loop", f"{exact['loop']:.0e}", "≤ 1e-12", exact["loop"] <= 1e-12)
    ]
    for name, worst in exact["fast"].items():
        text = f"{worst['float64']:.0e}; {worst['float32']:.0e}"
        met = worst["float64"] <= 1e-9 and worst["float32"] <= 1e-6
        rows.append((f"fast paths beside the reference, {name}: float64; float32", text, "≤ 1e-9; ≤ 1e-6", met))
    for name, off in exact["invariance"].items():
        rows.append((f"unchanged by {name}", f"{off:.0e}", "≤ 1e-9", off <= 1e-9))
    if "esda" in exact["peers"]:
        off = exact["peers"]["esda"]
        rows.append(("esda's `Moran_BV` times n / S0", f"{off:.0e}", "≤ 1e-12", off <= 1e-12))
    if "spatialdm" in exact["peers"]:
        off = exact["peers"]["spatialdm"]
        rows.append(("`stats.morans_r_spatialdm` beside SpatialDM: R, z, p", f"{off:.0e}", "≤ 1e-9", off <= 1e-9))
    one = exact["published"]
    if one:
        right = abs(one["sd"] - 0.00369181) < 1e-8 and one["sd_spread"] < 1e-5 and one["p"] < 1e-12
        rows.append(
            (
                "published tables of Hist2Cell: R / z; p beside the upper tail of z",
                f"{one['sd']:.8f} in all; {one['p']:.0e}",
                "0.00369181",
                right,
            )
        )
        alike = (round(one["cosine"], 4), round(one["pearson"], 4))
        text = f"{one['cosine']:.4f}; {one['pearson']:.4f}"
        what = f"its two maps joined on {one['pairs']:,} pairs: cosine; Pearson"
        rows.append((what, text, "0.8773; 0.7430", alike == (0.8773, 0.7430)))
    return rows


def markdown(rows: list[Row]) -> str:
    body = [
        f"| {what} | {value} | {aim} | {'' if met is None else 'yes' if met else 'no'} |"
        for what, value, aim, met in rows
    ]
    return "\n".join(["| what | measured | aim | reached |", "|---|---|---|---|", *body])


def installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def report(found: dict[str, Any]) -> str:
    peers = [text for text in map(installed, ("liana", "SpatialDM", "esda")) if text]
    beside = f"Peers of this run: {', '.join(peers)}." if peers else "No peer was installed."
    return f"""# Colocalization: speed, memory, exactness

Made by `python benchmarks/colocalization.py`: CPU seconds of one thread, best of several turns in which all take part one after
the other; every ratio is of two things measured in one run. {beside} They take part where they can be imported:
`pip install liana SpatialDM esda` beside histodecon, in an environment of its own.

All pairs of {TYPES} types ({len(PAIRS[0]):,} with the diagonal), l = {LENGTH} pitches. Ours is R, exact moments, z, two-sided p
and q, with no cutoff and nothing made beforehand, unless a row says otherwise. Each peer is compared with what does its work: liana
gets its weights ready-made (at most 100 neighbors, from 0.1) and computes R without p (its p of so many spots would need an n × n
matrix), so beside it stands R alone with the sites of the spots and the sum of the weights known; SpatialDM makes weights (160
neighbors, from 0.2), R, z and one-sided p, so beside it stands the whole.

{markdown(speed_rows(found))}

![Time and memory by number of spots](colocalization.png)

## Exactness

Largest difference of any entry. Fast paths run over three length scales, 0.7, 1.5 and 6 pitches.

{markdown(exact_rows(found))}

{platform.system()} {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--growth", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part]()))
        return
    if arguments.growth:
        print(json.dumps(measure_growth(arguments.growth, arguments.kind)))
        return
    found = {}
    for part in PARTS:
        found[part] = alone("--part", part)
        print(f"{part}: {json.dumps(found[part])}", flush=True)
    draw(growth())
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(report(found))
    print(f"\n{REPORT.read_text()}\nwritten to {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
