"""The worst difference between what the package computes fast and what a slow, independent way computes.

    python benchmarks/deviations.py

Each function measures one quantity over many seeds and yields differences; the page docs/reliability.md shows the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations
from tempfile import TemporaryDirectory

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import false_discovery_control, pearsonr, spearmanr

import histodecon as hd
from histodecon import stats

SEEDS = range(20)


def _weights(coords: np.ndarray, length: float, *, include_self: bool = True) -> np.ndarray:
    w = np.exp(-((coords[:, None] - coords[None]) ** 2).sum(axis=2) / (2 * length**2))
    return w if include_self else w - np.diag(w.diagonal())


def _dense_r(x: np.ndarray, coords: np.ndarray, length: float, *, include_self: bool) -> np.ndarray:
    """The formula with all weights at once, in extended precision."""
    wide = np.longdouble
    u = x.astype(wide) - x.astype(wide).mean(axis=0)
    u /= np.sqrt((u * u).sum(axis=0))
    w = _weights(coords.astype(wide), wide(length), include_self=include_self)
    return (len(x) / w.sum()) * (u.T @ w @ u)


def _slide(seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    row, column = (one.ravel() for one in np.indices((24, 20)))
    coords = np.column_stack([100.0 * column + 50.0 * (row % 2), 100 * np.sqrt(3) / 2 * row])
    coords = coords[rng.random(len(coords)) < 0.8] if kind == "lattice" else rng.uniform(0, 2000, (400, 2))
    return rng.gamma(0.7, size=(len(coords), 6)), coords + 1e5


def _moran(method: str, precision: str = "float64") -> Iterator[float]:
    for seed in SEEDS:
        x, coords = _slide(seed, "lattice" if method in {"lattice", "fft"} else "anywhere")
        length, include_self = 100.0 * (0.4 + seed % 5), bool(seed % 2)
        found = stats.morans_r(x, coords, length, method=method, include_self=include_self, precision=precision)
        yield float(np.abs(found.r - _dense_r(x, coords, length, include_self=include_self)).max())


def _moments() -> Iterator[float]:
    orders = np.array(list(permutations(range(6))))
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        coords, x = rng.uniform(0, 3, (6, 2)), rng.gamma(0.5, size=(6, 2))
        found, w = stats.morans_r(x, coords, 1.0), _weights(coords, 1.0)
        u = x - x.mean(axis=0)
        u /= np.linalg.norm(u, axis=0)
        r = u[orders, 0] @ (w * 6 / w.sum()) @ u[orders, 1].T
        yield abs(found.sd[0, 1] / r.std() - 1)


def _local() -> Iterator[float]:
    for seed in SEEDS:
        x, coords = _slide(seed, "anywhere")
        found = stats.local_morans_r(x, coords, 150.0, [[0, 1], [2, 2]])
        r = _dense_r(x, coords, 150.0, include_self=True)
        yield float(np.abs(found.r.mean(axis=0) - [r[0, 1], r[2, 2]]).max())


def _scores(name: str) -> Iterator[float]:
    slow: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "cc": lambda t, p: pearsonr(t, p)[0],
        "spearman": lambda t, p: spearmanr(t, p)[0],
        "l1": lambda t, p: math.fsum(abs(t - p)) / len(t),
        "rmse": lambda t, p: math.sqrt(math.fsum((t - p) ** 2) / len(t)),
        "jsd": lambda t, p: jensenshannon(t, p, base=2) ** 2,
    }
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        truth = rng.gamma(0.8, size=(400, 5)).round(1)
        predicted = truth + rng.gamma(0.5, size=(400, 5)).round(1)
        found = stats.score_table(truth, predicted, list("abcde"))[name].to_numpy()
        yield max(abs(found[k] - slow[name](truth[:, k], predicted[:, k])) for k in range(5))


def _discoveries() -> Iterator[float]:
    for seed in SEEDS:
        p = np.random.default_rng(seed).uniform(size=500) ** 2
        yield float(np.abs(stats.benjamini_hochberg(p) - false_discovery_control(p)).max())


def _cut() -> Iterator[float]:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 256, (500, 600, 3), dtype=np.uint8)
        around = np.pad(pixels, ((300, 300), (300, 300), (0, 0)), constant_values=255)
        xy = rng.uniform(-20, 620, (60, 2))
        for rows, tiles in hd.images.iter_tiles(hd.images.open_image(pixels), xy, 97, 97):
            for row, tile in zip(rows, tiles, strict=True):
                x, y = np.floor(xy[row] - 97 / 2 + 0.5).astype(int) + 300
                yield float(np.abs(tile.astype(int) - around[y : y + 97, x : x + 97]).max())


def _resample(interpolation: str) -> Iterator[float]:
    import PIL.Image

    for seed, (size, output) in enumerate([(163, 224), (300, 224), (448, 224), (97, 40), (1000, 224), (224, 224)]):
        pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
        image = hd.images.open_image(pixels)
        ((_, tiles),) = hd.images.iter_tiles(image, [[size / 2, size / 2]], size, output, interpolation=interpolation)
        how = getattr(PIL.Image.Resampling, interpolation.upper())
        yield float(
            np.abs(tiles[0].astype(int) - np.asarray(PIL.Image.fromarray(pixels).resize((output, output), how))).max()
        )


def _loss(dtype: str) -> Iterator[float]:
    import torch

    from histodecon.models import composite_loss

    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        p, t = rng.normal(size=(256, 12)), rng.normal(size=(256, 12)) + 0.3
        error, (a, b) = p - t, (one - one.mean(axis=0) for one in (p, t))
        var = (b * b).mean(axis=0)
        r = (a * b).mean(axis=0) / np.sqrt(((a * a).mean(axis=0) + 1e-3 * var) * var * (1 + 1e-3))
        slow = (error**2).mean() + 0.7 * np.abs(error).mean() - 1.3 * r.mean()
        sides = (torch.tensor(one, dtype=getattr(torch, dtype)) for one in (p, t))
        yield abs(float(composite_loss(*sides, l1=0.7, l2=1.3)) / slow - 1)


def _kept() -> Iterator[float]:
    for learner in ("mean", "ridge", "mlp"):
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(80, 12)).astype(np.float32), rng.gamma(2, size=(80, 3))
        params = {"n_networks": 2, "max_epochs": 3, "hidden": 8} if learner == "mlp" else None
        model = hd.models.AbundanceRegressor(learner, params=params, device="cpu").fit(X, Y, cell_types=list("abc"))
        with TemporaryDirectory() as folder:
            again = hd.models.AbundanceRegressor.load(model.save(f"{folder}/model.safetensors"))
        yield float(np.abs(again.predict(X) - model.predict(X)).max())


def _ridge() -> Iterator[float]:
    from sklearn.base import clone

    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = (rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + 5.0).astype(np.float32)
        Y, groups = (
            np.clip(3 + 0.3 * X[:, :4] + rng.normal(size=(300, 4)), 0, None),
            rng.integers(0, 5, 300).astype(str),
        )
        folds = [np.flatnonzero(groups != name) for name in np.unique(groups)]
        model = hd.models.AbundanceRegressor("ridge")
        for rows, found in zip(folds, hd.models.fit_folds(model, X, Y, folds, groups=groups), strict=True):
            slow = clone(model).fit(X[rows], Y[rows], groups=groups[rows]).predict(X)
            yield float((np.abs(found.predict(X) - slow) / np.abs(slow).max()).max())


QUANTITIES: dict[str, tuple[str, str, Callable[[], Iterator[float]]]] = {
    **{
        f"Moran's R, `method={name!r}`": (
            "absolute",
            "the formula over all pairs, 80 bits",
            lambda name=name: _moran(name),
        )
        for name in ("blocks", "lattice", "fft", "near")
    },
    "Moran's R, `precision='float32'`": ("absolute", "the same", lambda: _moran("lattice", "float32")),
    "sd of R under the null": ("relative", "all pairs of orders of 6 spots", _moments),
    "mean of local R": ("absolute", "the formula over all pairs, 80 bits", _local),
    **{
        f"score `{name}`": ("absolute", against, lambda name=name: _scores(name))
        for name, against in {
            "cc": "scipy",
            "spearman": "scipy",
            "l1": "exact sums",
            "rmse": "exact sums",
            "jsd": "scipy",
        }.items()
    },
    "q values": ("absolute", "scipy", _discoveries),
    "tiles at native size": ("grey levels", "one crop a spot", _cut),
    "tiles, bilinear": ("grey levels", "Pillow", lambda: _resample("bilinear")),
    "tiles, bicubic": ("grey levels", "Pillow", lambda: _resample("bicubic")),
    "loss of the network, float64": ("relative", "its formula in numpy", lambda: _loss("float64")),
    "loss of the network, float32": ("relative", "its formula in numpy, float64", lambda: _loss("float32")),
    "ridge, all folds at once": ("of the largest prediction", "one fold after the other", _ridge),
    "predictions of a model that was saved": ("absolute", "the model in memory", _kept),
}


def rows() -> list[str]:
    """The table of the page."""
    table = ["| quantity | beside | cases | worst difference | measured as |", "|---|---|---|---|---|"]
    for name, (unit, against, measure) in QUANTITIES.items():
        found = list(measure())
        table.append(f"| {name} | {against} | {len(found)} | {max(found):.1e} | {unit} |")
    return [line.replace(" 0.0e+00 ", " 0 ").replace(" 1.0e+00 ", " 1 ") for line in table]


if __name__ == "__main__":
    print("\n".join(rows()))
