"""The cells of a drawn section: what each type looks like and where its nuclei lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from histodecon.datasets._toy_noise import at_points
from histodecon.datasets._toy_plan import CELL_TYPES, STEP_UM, Plan

SITE_UM = 8.2
"""Pitch of the sites that a nucleus can start from; one nucleus a site at most."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one cell type looks like. Lengths are half axes in µm, stains amounts of dye; ``body`` is the cytoplasm."""

    long: float
    short: float
    spread: float
    wobble: float
    hematoxylin: float
    rim: float
    texture: float
    nucleolus: float = 0.0
    along_fibers: bool = False
    body: float = 0.0
    body_hematoxylin: float = 0.0
    body_eosin: float = 0.0


_CANCER = Look(
    long=5.6, short=4.5, spread=0.16, wobble=0.09, hematoxylin=0.78, rim=0.35, texture=0.32, nucleolus=0.7,
    body=8.5, body_hematoxylin=0.17, body_eosin=0.36,
)  # fmt: skip
_FIBROBLAST = Look(
    long=8.2, short=1.9, spread=0.18, wobble=0.05, hematoxylin=1.15, rim=0.15, texture=0.18, along_fibers=True
)
_T_CELL = Look(
    long=3.2, short=2.95, spread=0.07, wobble=0.03, hematoxylin=2.0, rim=0.1, texture=0.15,
    body=3.8, body_hematoxylin=0.05, body_eosin=0.16,
)  # fmt: skip
_B_CELL = Look(
    long=4.0, short=3.7, spread=0.08, wobble=0.04, hematoxylin=1.3, rim=0.35, texture=0.4,
    body=5.6, body_hematoxylin=0.3, body_eosin=0.3,
)  # fmt: skip
_MACROPHAGE = Look(
    long=4.6, short=3.1, spread=0.12, wobble=0.07, hematoxylin=0.85, rim=0.3, texture=0.2, nucleolus=0.35,
    body=10.0, body_eosin=0.13,
)  # fmt: skip
_ENDOTHELIAL = Look(
    long=4.4, short=1.7, spread=0.12, wobble=0.04, hematoxylin=1.5, rim=0.1, texture=0.15, along_fibers=True
)
LOOKS = dict(zip(CELL_TYPES, (_CANCER, _FIBROBLAST, _T_CELL, _B_CELL, _MACROPHAGE, _ENDOTHELIAL), strict=True))


@dataclass(frozen=True)
class Cells:
    """Nuclei and capillaries: ``xy`` (n, 2) and ``vessel_xy`` (m, 2) in µm, ``kind`` indexes ``CELL_TYPES``."""

    xy: np.ndarray
    kind: np.ndarray
    angle: np.ndarray
    long: np.ndarray
    short: np.ndarray
    vessel_xy: np.ndarray
    vessel_radius: np.ndarray


def _sites(rng: np.random.Generator, plan: Plan, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of a turned, jittered lattice, and a number in [0, 1) for each that is spread evenly over its neighbors.

    Thresholding that number draws a type nearly as often as its density says in any small disk: the counts vary much
    less than a Poisson process would let them.
    """
    height, width = (side * STEP_UM for side in plan.tissue.shape)
    reach = int(np.hypot(height, width) / pitch / 2) + 2
    i, j = np.meshgrid(np.arange(-reach, reach), np.arange(-reach, reach), indexing="ij")
    turn = rng.uniform(0, np.pi)
    x0, y0 = pitch * (j + 0.5 * (i % 2)).ravel(), pitch * np.sqrt(3) / 2 * i.ravel()
    xy = np.stack([np.cos(turn) * x0 - np.sin(turn) * y0, np.sin(turn) * x0 + np.cos(turn) * y0], axis=1)
    xy += np.array([width, height]) / 2 + rng.normal(0, 0.27 * pitch, xy.shape)
    even = (0.7548776662 * i + 0.5698402910 * j).ravel() + rng.random() + rng.normal(0, 0.06, i.size)
    inside = (xy > 0).all(axis=1) & (xy < [width, height]).all(axis=1)
    return xy[inside], even[inside] % 1


def _capillaries(rng: np.random.Generator, plan: Plan) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rings of endothelial nuclei: centers, radii, nuclei, and the angle of each nucleus."""
    pitch, ring = 21.0, 3
    xy, even = _sites(rng, plan, pitch)
    density = at_points(plan.density[CELL_TYPES.index("Endothelial")], xy, STEP_UM)
    xy = xy[even < density / ring * 1e-6 * pitch**2 * np.sqrt(3) / 2]
    radius = rng.uniform(3.4, 6.0, len(xy))
    turn = rng.uniform(0, 2 * np.pi, len(xy))[:, None] + 2 * np.pi / ring * np.arange(ring)
    turn += rng.normal(0, 0.35, turn.shape)
    reach = (radius + 1.6)[:, None, None]
    nuclei = xy[:, None] + reach * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    return xy, radius, nuclei.reshape(-1, 2), (turn + np.pi / 2).ravel()


def _spread(xy: np.ndarray, radius: np.ndarray, fixed: int, rounds: int = 6) -> np.ndarray:
    """Push overlapping disks apart; the last ``fixed`` of them stay where they are."""
    xy = xy.copy()
    free = len(xy) - fixed
    for _ in range(rounds):
        pairs = cKDTree(xy).query_pairs(2 * float(radius[:free].max(initial=0)) + 0.1, output_type="ndarray")
        a, b = pairs.T
        gap = xy[b] - xy[a]
        distance = np.maximum(np.hypot(*gap.T), 1e-3)
        overlap = radius[a] + radius[b] - distance
        near = overlap > 0
        a, b = a[near], b[near]
        push = gap[near] * (0.35 * overlap[near] / distance[near])[:, None]
        for axis in (0, 1):
            moved = np.bincount(b, push[:, axis], len(xy)) - np.bincount(a, push[:, axis], len(xy))
            xy[:free, axis] += moved[:free]
    return xy


def _fiber_angle(plan: Plan, xy: np.ndarray) -> np.ndarray:
    dy, dx = np.gradient(plan.flow)
    return np.arctan2(at_points(dy, xy, STEP_UM), at_points(dx, xy, STEP_UM)) + np.pi / 2


def place_cells(rng: np.random.Generator, plan: Plan) -> Cells:
    """Place every nucleus of a section.

    Parameters
    ----------
    rng
        Source of randomness.
    plan
        Regions and densities.

    Returns
    -------
    The cells.
    """
    vessel_xy, vessel_radius, ring_xy, ring_angle = _capillaries(rng, plan)
    endothelial = CELL_TYPES.index("Endothelial")
    xy, even = _sites(rng, plan, SITE_UM)
    share = at_points(plan.density, xy, STEP_UM) * 1e-6 * SITE_UM**2 * np.sqrt(3) / 2
    share[endothelial] = 0
    kind = (even[None] >= np.cumsum(share, axis=0)).sum(axis=0)
    xy, kind = xy[kind < len(CELL_TYPES)], kind[kind < len(CELL_TYPES)]
    looks = [LOOKS[name] for name in CELL_TYPES]
    sides = np.array([(look.long, look.short, look.spread) for look in looks])
    room = np.maximum(np.sqrt(sides[:, 0] * sides[:, 1]), 3.0)[kind]
    n_free = len(xy)
    everything = np.concatenate([xy, vessel_xy])
    xy = _spread(everything, np.concatenate([room, vessel_radius + 4]), fixed=len(vessel_xy))[:n_free]
    angle = np.where(
        np.array([look.along_fibers for look in looks])[kind],
        _fiber_angle(plan, xy) + rng.normal(0, 0.22, n_free),
        rng.uniform(0, np.pi, n_free),
    )
    xy, angle = np.concatenate([xy, ring_xy]), np.concatenate([angle, ring_angle])
    kind = np.concatenate([kind, np.full(len(ring_xy), endothelial)])
    size = np.exp(sides[kind, 2][:, None] * rng.standard_normal((len(kind), 2)))
    size = sides[kind, :2] * np.clip(size, 0.6, 1.7)
    return Cells(xy, kind, angle, size[:, 0], size[:, 1], vessel_xy, vessel_radius)
