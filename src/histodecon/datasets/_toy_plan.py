"""The plan of a drawn section: where its tissue lies, its regions, and how dense each cell type is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from histodecon.datasets._toy_noise import at_points, smooth_noise

STEP_UM = 4.0
FAT_CELL_UM = 52.0

CELL_TYPES = ("Cancer Epithelial", "CAFs MSC/iCAF-like", "T-cells", "B-cells", "Macrophage", "Endothelial")
"""Real spellings; one of them holds a slash, as real ones do."""


@dataclass(frozen=True)
class Plan:
    """Fields on a grid of ``STEP_UM``, each of shape (rows, columns), float32.

    ``tissue``, ``nest``, ``aggregate``, ``fat`` lie in [0, 1]; ``flow`` is a length in µm whose level lines are the
    collagen fibers; ``mosaic_xy`` (m, 2) in µm and ``mosaic_fat`` (m,) are the cells of the fat; ``density`` has shape (n_types, rows, columns), cells per square mm.
    """

    tissue: np.ndarray
    nest: np.ndarray
    aggregate: np.ndarray
    fat: np.ndarray
    mosaic_xy: np.ndarray
    mosaic_fat: np.ndarray
    flow: np.ndarray
    density: np.ndarray

    def holds(self, xy_um: np.ndarray) -> np.ndarray:
        """Tell which points lie in tissue.

        Parameters
        ----------
        xy_um
            Shape (n, 2), x then y, µm.

        Returns
        -------
        Boolean, shape (n,).
        """
        return at_points(self.tissue, xy_um, STEP_UM) > 0.5


def _step(field: np.ndarray, width: float) -> np.ndarray:
    return np.clip(field / width + 0.5, 0, 1).astype(np.float32)


def _ranks(field: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Map a field to its quantile among the cells of ``where``, so that areas do not depend on chance."""
    ordered = np.sort(field[where])
    return (np.searchsorted(ordered, field) / len(ordered)).astype(np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, int], scale_um: float) -> np.ndarray:
    return smooth_noise(rng, shape, scale_um / STEP_UM)


def _warp(rng: np.random.Generator, *fields: np.ndarray) -> list[np.ndarray]:
    """Bend fields together, so that no border follows the axes of the noise."""
    shape = fields[0].shape
    where = np.indices(shape, dtype=np.float32)
    where += [(26 * _noise(rng, shape, 70) + 8 * _noise(rng, shape, 24)) / STEP_UM for _ in "yx"]
    return [ndimage.map_coordinates(field, where, order=1, mode="nearest") for field in fields]


def _outline(rng: np.random.Generator, shape: tuple[int, int], margin_um: float) -> np.ndarray:
    """Distance inside the ragged outline, in µm: positive in tissue."""
    rows, columns = shape
    half = np.array([rows, columns]) * STEP_UM / 2
    y = (np.arange(rows) + 0.5) * STEP_UM - half[0]
    x = (np.arange(columns) + 0.5) * STEP_UM - half[1]
    u = np.abs(y[:, None]) / (half[0] - margin_um)
    v = np.abs(x[None]) / (half[1] - margin_um)
    inside = (1 - (u**3.2 + v**3.2) ** (1 / 3.2)) * half.min() + 38 * _noise(rng, shape, 190)
    from_border = np.minimum(half[0] - np.abs(y)[:, None], half[1] - np.abs(x)[None])
    return np.minimum(inside, from_border - 45) + 9 * _noise(rng, shape, 45) + 3 * _noise(rng, shape, 14)


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])


def _aggregates(rng: np.random.Generator, shape: tuple[int, int], room: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Bumps of height 1 in the stroma, one for about 0.24 square mm, some 100 µm in radius."""
    n = max(1, round(np.count_nonzero(room) * STEP_UM**2 * 1e-6 / 0.24))
    y, x = np.indices(shape, dtype=np.float32) * np.float32(STEP_UM)
    cost = t + np.where(room, 0, 1e6) + 0.15 * rng.random(shape)
    level = np.zeros(shape, np.float32)
    for _ in range(n):
        i, j = np.unravel_index(np.argmin(cost), shape)
        square = (y - y[i, j]) ** 2 + (x - x[i, j]) ** 2
        level = np.maximum(level, np.exp(-square / (2 * rng.uniform(75, 105) ** 2)))
        cost = cost + 4 * np.exp(-square / (2 * 200.0**2))
    return level * (1 + 0.12 * _noise(rng, shape, 60)) + 0.02 * _noise(rng, shape, 16)


def _fat(rng: np.random.Generator, depth: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A lobule of fat cells on one side of the section, away from what is taken; about a twelfth of it.

    Returns the lobule on the plan, the centers of a cell mosaic in µm, and which of its cells are fat.
    """
    rows, columns = depth.shape
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.indices(depth.shape)
    side = np.cos(angle) * (x / columns - 0.5) + np.sin(angle) * (y / rows - 0.5)
    score = side + 0.11 * _noise(rng, depth.shape, 170) - 1.5 * taken
    zone = (_ranks(score, depth > 0) > 0.915) & (depth > 0)
    i, j = np.mgrid[-1 : rows * STEP_UM / FAT_CELL_UM * 1.16 + 1, -1 : columns * STEP_UM / FAT_CELL_UM + 1]
    xy = np.stack([(j + 0.5 * (i % 2)).ravel(), (i * np.sqrt(3) / 2).ravel()], axis=1) * FAT_CELL_UM
    xy += rng.normal(0, 0.16 * FAT_CELL_UM, xy.shape)
    is_fat = at_points(zone, np.maximum(xy, 0), STEP_UM)
    points = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * STEP_UM
    lobule = is_fat[cKDTree(xy).query(points)[1]].reshape(depth.shape)
    return lobule.astype(np.float32), xy, is_fat


def _densities(
    rng: np.random.Generator, nest: np.ndarray, near: np.ndarray, level: np.ndarray, loose: np.ndarray
) -> np.ndarray:
    """Cells per square mm; ``near`` is high along the borders of the nests, ``loose`` is 1 in stroma."""
    shape = nest.shape
    somewhere = loose > 0.5 if (loose > 0.5).any() else np.ones(shape, bool)
    vascular, foamy, inflamed = (np.clip(2.6 * _ranks(_noise(rng, shape, 175), somewhere) - 1.25, 0, 1) for _ in "vfi")
    follicle = _step(level - 0.42, 0.12)
    core = _step(level - 0.7, 0.25)
    stroma = loose * (1 - follicle)
    nest = nest * (1 - follicle)
    by_type = {
        "Cancer Epithelial": 4300 * nest,
        "CAFs MSC/iCAF-like": stroma * 2700 * (1 - 0.7 * vascular) * (1 - 0.6 * foamy) + 150 * follicle,
        "T-cells": follicle * (8200 - 4700 * core) + stroma * inflamed * (500 + 2200 * near) + 150 * nest,
        "B-cells": follicle * (2400 + 4400 * core) + 250 * stroma * inflamed * near,
        "Macrophage": stroma * foamy * 3300 + 60 * stroma + 100 * nest,
        "Endothelial": stroma * vascular * 4300 + 60 * stroma + 80 * follicle,
    }
    return np.stack([by_type[name] for name in CELL_TYPES]).astype(np.float32)


def draw_plan(rng: np.random.Generator, height_um: float, width_um: float, *, margin_um: float) -> Plan:
    """Draw the plan of one section.

    Parameters
    ----------
    rng
        Source of randomness.
    height_um, width_um
        Size of the picture.
    margin_um
        White border, about.

    Returns
    -------
    The plan.
    """
    shape = (int(np.ceil(height_um / STEP_UM)), int(np.ceil(width_um / STEP_UM)))
    depth = _outline(rng, shape, margin_um)
    mask = _largest(depth > 0)
    depth = np.where(mask, depth, -1)
    inner = mask & (depth > 90) if (depth > 90).any() else mask
    t = _ranks(_noise(rng, shape, 125) + 0.45 * _noise(rng, shape, 60) + 0.10 * _noise(rng, shape, 20), mask)
    level = _aggregates(rng, shape, inner, t)
    t, level = _warp(rng, t, level)
    follicle = _step(level - 0.42, 0.12)
    fat, mosaic_xy, mosaic_fat = _fat(rng, depth, np.maximum(level, t - 0.4))
    nest = _step(t - 0.56, 0.04) * (1 - _step(level - 0.3, 0.1)) * (1 - fat) * mask
    near = np.exp(-(((t - 0.5) / 0.14) ** 2))
    loose = mask * (1 - nest) * (1 - fat)
    y, x = np.indices(shape, dtype=np.float32) * np.float32(STEP_UM)
    angle = rng.uniform(0, np.pi)
    along = 1.3 * (np.cos(angle) * x + np.sin(angle) * y)
    around = ndimage.gaussian_filter(t, 8) * 190 + ndimage.gaussian_filter(level, 8) * 130
    flow = along + around + 26 * _noise(rng, shape, 110) + 3 * _noise(rng, shape, 28)
    return Plan(
        tissue=_step(depth, 5.0) * mask,
        nest=nest,
        aggregate=follicle * mask,
        fat=fat,
        mosaic_xy=mosaic_xy,
        mosaic_fat=mosaic_fat,
        flow=flow.astype(np.float32),
        density=_densities(rng, nest, near, level, loose) * ((depth > 9) * (1 - fat)).astype(np.float32),
    )
