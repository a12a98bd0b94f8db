"""Nuclei of tiles: found as dark blobs of hematoxylin, counted by size and shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

EDGE_SIGMA_UM = 1.4
"""Scale of the Laplacian whose zero crossings are the borders of nuclei."""

LEAST_DARK = 0.25
MOST_SADDLE = 0.05
"""Upward bend at which two nuclei are cut apart, in units of the darkness of the tile."""

LEAST_AREA_UM2 = 9.0
SIZES_UM2 = {"tiny": 16.0, "small": 26.0, "medium": 38.0, "large": 56.0, "huge": 80.0, "clump": 120.0}
LONG = (1.4, 2.0)
"""Long over short axis from which a nucleus begins to count as long, and from which it does in full."""

DARK = (0.7, 0.9)
"""The same for dark nuclei, by their mean darkness relative to the tile."""

CELL_SIGMA_UM = 4.5
"""Scale of the surroundings of a nucleus, about its cell."""

BLOB_SIGMAS_UM = (1.5, 2.2, 3.2, 4.6, 6.6)
EDGE_UM = 4.0
"""Width over which nuclei at the rim of the middle fade out."""

USUAL = {"area": 40.0, "length": 1.5, "darkness": 0.7, "grain": 0.15, "eosin": 0.1, "crowding": 0.2}
"""A usual nucleus: area in µm², long over short axis, the rest as in :class:`Nuclei`."""

SPREAD = ("area", "length", "darkness")
_MEANS = tuple(part for name in USUAL for part in ((name, f"{name}_sd") if name in SPREAD else (name,)))

NUCLEUS_NAMES = (
    *(
        f"nuclei_{kind}_{size}_{where}"
        for where in ("middle", "tile")
        for kind in ("round", "long", "dark")
        for size in SIZES_UM2
    ),
    *(f"nucleus_{name}" for name in _MEANS),
    *(f"blob_{round(10 * sigma)}" for sigma in BLOB_SIGMAS_UM),
    *(f"blob_{round(10 * sigma)}_middle" for sigma in BLOB_SIGMAS_UM),
    "nuclear_area",
    "nuclear_area_middle",
)


@dataclass(frozen=True)
class Nuclei:
    """Every nucleus of a batch of tiles, shape (m,) each: ``tile`` is its row, lengths in µm, darkness relative to the tile."""

    tile: NDArray
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    area: NDArray[np.float64]
    length: NDArray[np.float64]
    darkness: NDArray[np.float64]
    grain: NDArray[np.float64]
    eosin: NDArray[np.float64]
    crowding: NDArray[np.float64]


def find_nuclei(dark: Floats, eosin: Floats) -> tuple[Nuclei, NDArray[np.bool_]]:
    """Find nuclei: connected pixels that are dark, inside a zero crossing of the Laplacian, and on no saddle.

    Parameters
    ----------
    dark
        Hematoxylin relative to each tile, (n, h, w), on pixels of 1 µm.
    eosin
        Amounts of eosin, (n, h, w).

    Returns
    -------
    The nuclei, and their pixels (n, h, w).
    """
    mask = (dark > LEAST_DARK) & _domes(dark)
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    labels, count = ndimage.label(mask, structure=in_plane)
    where = np.flatnonzero(labels)
    of = labels.reshape(-1)[where] - 1
    height, width = dark.shape[1:]
    y, x = where // width % height, where % width
    area = np.bincount(of, minlength=count)
    value = dark.reshape(-1)[where]

    def mean(values: NDArray) -> NDArray[np.float64]:
        return np.bincount(of, values, count) / area

    tile = np.zeros(count, dtype=np.intp)
    tile[of] = where // (height * width)
    my, mx, darkness = mean(y), mean(x), mean(value)
    length = _elongation(mean(y * y) - my**2, mean(x * x) - mx**2, mean(x * y) - mx * my)
    grain = np.sqrt(np.maximum(mean(value * value) - darkness**2, 0))
    around = _at(_blurred(eosin, CELL_SIGMA_UM), tile, my, mx)
    crowding = _at(_blurred(mask.astype(np.float32), 2 * CELL_SIGMA_UM), tile, my, mx)
    keep = area >= LEAST_AREA_UM2
    columns = (tile, my, mx, area.astype(np.float64), length, darkness, grain, around, crowding)
    return Nuclei(*(column[keep] for column in columns)), mask


def _domes(dark: Floats) -> NDArray[np.bool_]:
    """Pixels that bend down on the whole, and up in no direction: nuclei without the necks between them."""
    padded = np.pad(_blurred(dark, EDGE_SIGMA_UM), ((0, 0), (1, 1), (1, 1)), mode="edge")
    center = padded[:, 1:-1, 1:-1]
    down = padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1] - 2 * center
    across = padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2] - 2 * center
    corners = padded[:, 2:, 2:] + padded[:, :-2, :-2] - padded[:, 2:, :-2] - padded[:, :-2, 2:]
    upward = (down + across) / 2 + np.hypot((down - across) / 2, corners / 4)
    return (down + across < 0) & (upward < np.float32(MOST_SADDLE / EDGE_SIGMA_UM**2))


def _elongation(vy: NDArray, vx: NDArray, cross: NDArray) -> NDArray:
    """Long over short axis, from the second moments; a pixel itself has 1/12."""
    half, gap = (vy + vx) / 2 + 1 / 12, np.hypot((vy - vx) / 2, cross)
    return np.sqrt((half + gap) / np.maximum(half - gap, 1 / 12))


def _blurred(layer: Floats, sigma: float) -> Floats:
    return ndimage.gaussian_filter(layer, (0, sigma, sigma), truncate=3)


def _at(layer: Floats, tile: NDArray, y: NDArray, x: NDArray) -> NDArray:
    return layer[tile, np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)].astype(np.float64)


def nucleus_features(dark: Floats, eosin: Floats, middle: Floats, radius: float) -> Floats:
    """Describe the nuclei of tiles.

    Parameters
    ----------
    dark
        Hematoxylin relative to each tile, (n, h, w), on pixels of 1 µm.
    eosin
        Amounts of eosin, (n, h, w).
    middle
        Weights of the pixels for values of the spot itself, (h, w), sum 1.
    radius
        Radius of the spot in µm.

    Returns
    -------
    float32 (n, len(NUCLEUS_NAMES)).
    """
    n, height, width = dark.shape
    blobs = np.stack([np.maximum(_laplacian(dark, sigma), 0) for sigma in BLOB_SIGMAS_UM])
    nuclei, mask = find_nuclei(dark, eosin)
    distance = np.hypot(nuclei.y - (height - 1) / 2, nuclei.x - (width - 1) / 2)
    inside = np.clip((radius - distance) / EDGE_UM + 0.5, 0, 1)
    long = np.clip((nuclei.length - LONG[0]) / (LONG[1] - LONG[0]), 0, 1)
    black = np.clip((nuclei.darkness - DARK[0]) / (DARK[1] - DARK[0]), 0, 1)
    kinds = (1 - long, long, black)
    middle_um2, tile_um2 = np.pi * radius**2, float(height * width)
    columns = [
        *(_by_size(nuclei, inside * kind, n) * (1000 / middle_um2) for kind in kinds),
        *(_by_size(nuclei, kind, n) * (1000 / tile_um2) for kind in kinds),
        _means(nuclei, inside + 0.25, n),
        blobs.mean(axis=(2, 3)).T * 10,
        (blobs * middle).sum(axis=(2, 3)).T * 10,
        mask.mean(axis=(1, 2))[:, None],
        (mask * middle).sum(axis=(1, 2))[:, None],
    ]
    return np.concatenate(columns, axis=1, dtype=np.float32)


def _laplacian(layer: Floats, sigma: float) -> Floats:
    """Negative Laplacian of the blurred layer, in units of the layer: positive inside dark blobs of that size."""
    padded = np.pad(_blurred(layer, sigma), ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return np.float32(sigma**2) * (4 * padded[:, 1:-1, 1:-1] - around)


def _by_size(nuclei: Nuclei, weight: NDArray, n: int) -> NDArray:
    """Count nuclei by size; one between two sizes counts for both in part."""
    sizes = len(SIZES_UM2)
    place = np.interp(np.log(nuclei.area), np.log(list(SIZES_UM2.values())), np.arange(sizes))
    lower = np.minimum(place.astype(np.intp), sizes - 2)
    upper = place - lower
    index = nuclei.tile * sizes + lower
    counts = np.bincount(index, weight * (1 - upper), n * sizes) + np.bincount(index + 1, weight * upper, n * sizes)
    return counts.reshape(n, sizes)


def _means(nuclei: Nuclei, weight: NDArray, n: int) -> NDArray:
    """Means and spreads over the nuclei of a tile, drawn toward a usual nucleus where there are few."""
    total = np.bincount(nuclei.tile, weight, n) + 1
    columns = []
    for name, usual in USUAL.items():
        values = getattr(nuclei, name)
        if name in {"area", "length"}:
            values, usual = np.log(values), np.log(usual)
        mean = (np.bincount(nuclei.tile, weight * values, n) + usual) / total
        columns.append(mean)
        if name in SPREAD:
            columns.append(np.sqrt(np.bincount(nuclei.tile, weight * (values - mean[nuclei.tile]) ** 2, n) / total))
    return np.stack(columns, axis=1)
