"""The brush: from plan and cells to amounts of stain in every pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from histodecon.datasets._toy_cells import LOOKS, Cells, Look
from histodecon.datasets._toy_noise import smooth_noise, upsample
from histodecon.datasets._toy_plan import CELL_TYPES, STEP_UM, Plan

_PIXELS_AT_ONCE = 2_000_000

Amount = Callable[[slice, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Canvas:
    """Amounts of stain, three layers of shape (h, w) float32, on pixels of ``mpp`` µm."""

    def __init__(self, shape: tuple[int, int], mpp: float) -> None:
        self.shape = shape
        self.mpp = mpp
        self.hematoxylin = np.zeros(shape, np.float32)
        self.eosin = np.zeros(shape, np.float32)
        self.blood = np.zeros(shape, np.float32)

    def fine(self, field: np.ndarray) -> np.ndarray:
        """Stretch a field of the plan over the pixels."""
        return upsample(field, STEP_UM / self.mpp, self.shape)

    def noise(self, rng: np.random.Generator, scale_um: float) -> np.ndarray:
        """Draw smooth noise with bumps of a size in µm."""
        return smooth_noise(rng, self.shape, max(scale_um / self.mpp, 1.0))


def _fibers(rng: np.random.Generator, canvas: Canvas, plan: Plan) -> np.ndarray:
    """Collagen in [0, ~1.3]: wavy strands along the level lines of the flow, with clefts between bundles."""
    size, um = 1024, 0.8
    wide = smooth_noise(rng, (size, size), (3.2 / um, 60 / um), periodic=True)
    fine = smooth_noise(rng, (size, size), (1.6 / um, 26 / um), periodic=True)
    bundle = smooth_noise(rng, (size, size), (8 / um, 110 / um), periodic=True)
    cleft = np.clip((bundle - 0.95) * 1.4, 0, 1)
    strands = np.clip(0.62 + 0.20 * wide + 0.13 * fine, 0.05, 1.4) * (1 - 0.85 * cleft)
    dy, dx = np.gradient(ndimage.gaussian_filter(plan.flow, 25), STEP_UM)
    slope = np.array([dx.mean(), dy.mean()])
    slope /= max(float(np.hypot(*slope)), 1e-6)
    y, x = (np.arange(n, dtype=np.float32) * np.float32(canvas.mpp) for n in canvas.shape)
    across = (canvas.fine(plan.flow) / np.float32(um)).astype(np.int32) & (size - 1)
    along = ((x[None] * slope[1] - y[:, None] * slope[0]) / np.float32(um)).astype(np.int32) & (size - 1)
    return strands.astype(np.float32)[across, along]


def _fat_cells(canvas: Canvas, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Where fat cells lie, and their thin walls, both in [0, 1] on the pixels."""
    step = max(canvas.mpp, 1.0)
    rows, columns = (int(np.ceil(n * canvas.mpp / step)) for n in canvas.shape)
    area = upsample(ndimage.binary_dilation(plan.fat > 0.5, iterations=3), STEP_UM / step, (rows, columns)) > 0.5
    y, x = np.nonzero(area)
    inside, wall = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    points = np.stack([x + 0.5, y + 0.5], axis=1) * step
    distance, nearest = cKDTree(plan.mosaic_xy).query(points, k=3)
    gap = distance[:, 1:] - distance[:, :1]
    gap = -3.0 * np.log(np.exp(-gap / 3.0).sum(axis=1))  # a smooth minimum rounds the corners
    fat = plan.mosaic_fat[nearest]
    inside[y, x] = fat[:, 0]
    wall[y, x] = np.clip(1.6 - gap / 2.2, 0, 1) * fat[:, :2].any(axis=1)
    upsampled = [upsample(field, step / canvas.mpp, canvas.shape) for field in (inside, wall)]
    return upsampled[0], upsampled[1]


def _stamp(layer: np.ndarray, mpp: float, xy: np.ndarray, reach: np.ndarray, value: Amount) -> None:
    """Lay patches onto a layer, keeping the larger amount; ``value(members, dx, dy, where)`` gives their amounts."""
    height, width = layer.shape
    half = int(np.ceil(reach.max(initial=0) / mpp)) + 1
    offsets = np.arange(-half, half + 1)
    per_time = max(1, _PIXELS_AT_ONCE // offsets.size**2)
    for start in range(0, len(xy), per_time):
        members = slice(start, start + per_time)
        center = np.floor(xy[members] / mpp).astype(np.int32)
        column = center[:, 0, None, None] + offsets[None, None, :]
        row = center[:, 1, None, None] + offsets[None, :, None]
        dx = ((column + 0.5) * mpp - xy[members, 0, None, None]).astype(np.float32)
        dy = ((row + 0.5) * mpp - xy[members, 1, None, None]).astype(np.float32)
        where = np.clip(row, 0, height - 1) * width + np.clip(column, 0, width - 1)
        amount = value(members, dx, dy, where)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (amount > 0)
        np.maximum.at(layer.reshape(-1), where[inside], amount[inside])


def _nuclei(
    rng: np.random.Generator, canvas: Canvas, cells: Cells, look: Look, of: np.ndarray, grain: np.ndarray
) -> None:
    long, short = (side[of].astype(np.float32)[:, None, None] for side in (cells.long, cells.short))
    cosine, sine = (f(cells.angle[of]).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    phase = rng.uniform(0, 2 * np.pi, (2, len(of), 1, 1)).astype(np.float32)
    tone = (look.hematoxylin * np.exp(rng.normal(0, 0.12, (len(of), 1, 1)))).astype(np.float32)
    spot = (rng.uniform(-0.35, 0.35, (2, len(of), 1, 1)) * look.short).astype(np.float32)
    grain = grain.reshape(-1)

    def amount(members: slice, dx: np.ndarray, dy: np.ndarray, where: np.ndarray) -> np.ndarray:
        a, b, c, s = long[members], short[members], cosine[members], sine[members]
        u, v = (c * dx + s * dy) / a, (c * dy - s * dx) / b
        turn = np.arctan2(v, u)
        edge = 1 + look.wobble * (np.cos(2 * turn + phase[0, members]) + 0.8 * np.cos(3 * turn + phase[1, members]))
        radius = np.hypot(u, v) / edge
        soft = np.clip((1 - radius) * b / max(0.9, canvas.mpp) + 0.5, 0, 1)
        inner = 1 + look.texture * grain[where] + look.rim * (np.clip((radius - 0.62) / 0.38, 0, 1) - 0.3)
        if look.nucleolus:
            inner += look.nucleolus * np.exp(-((dx - spot[0, members]) ** 2 + (dy - spot[1, members]) ** 2) / 0.9)
        return tone[members] * soft * np.clip(inner, 0.25, 2.0)

    _stamp(canvas.hematoxylin, canvas.mpp, cells.xy[of], 1.2 * np.maximum(long, short)[:, 0, 0], amount)


def _bodies(canvas: Canvas, xy: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Round cytoplasms in [0, 1], highest in the middle; neighbors meet in a seam."""
    layer = np.zeros(canvas.shape, np.float32)

    def amount(members: slice, dx: np.ndarray, dy: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.clip(1 - (dx**2 + dy**2) / radius[members, None, None] ** 2, 0, 1).astype(np.float32)

    _stamp(layer, canvas.mpp, xy, radius, amount)
    return layer


def _ground(rng: np.random.Generator, canvas: Canvas, plan: Plan) -> None:
    """Stroma with its fibers, the ground of the nests and of the lymphoid aggregates."""
    nest, aggregate = canvas.fine(plan.nest), canvas.fine(plan.aggregate)
    canvas.eosin += _fibers(rng, canvas, plan) * (0.62 + 0.10 * canvas.fine(smooth_noise(rng, plan.tissue.shape, 50)))
    canvas.hematoxylin += 0.05
    cleft = np.clip(1 - np.abs(nest - 0.3) / 0.25, 0, 1) * np.clip(0.1 + canvas.noise(rng, 45), 0, 1)
    grain = canvas.noise(rng, 2.2)
    for layer, in_nest, in_aggregate in ((canvas.eosin, 0.20, 0.20), (canvas.hematoxylin, 0.13, 0.10)):
        layer += nest * (in_nest * (1 + 0.22 * grain) - layer)
        layer += aggregate * (1 - nest) * (in_aggregate * (1 + 0.25 * grain) - layer)
        layer *= 1 - 0.75 * cleft


def _cytoplasm(rng: np.random.Generator, canvas: Canvas, cells: Cells) -> None:
    foam = canvas.noise(rng, 2.6)
    for kind, name in enumerate(CELL_TYPES):
        look, of = LOOKS[name], np.flatnonzero(cells.kind == kind)
        if not look.body:
            continue
        size = look.body * np.exp(rng.normal(0, 0.1, len(of)))
        body = _bodies(canvas, cells.xy[of], size.astype(np.float32))
        if name == "Macrophage":
            cover = np.clip(2.2 * body, 0, 1)
            canvas.eosin += cover * (look.body_eosin * (1 + 0.5 * foam) - canvas.eosin)
            canvas.blood += cover * np.clip(0.10 + 0.09 * foam, 0, None)
        else:
            canvas.eosin += look.body_eosin * body
            canvas.hematoxylin += look.body_hematoxylin * body


def _vessels(rng: np.random.Generator, canvas: Canvas, cells: Cells) -> None:
    """Capillaries: an eosinophilic wall around a lumen, four in five of them with blood in it."""
    wall = np.clip(3 * _bodies(canvas, cells.vessel_xy, (cells.vessel_radius + 3.2).astype(np.float32)), 0, 1)
    lumen = np.clip(4 * _bodies(canvas, cells.vessel_xy, cells.vessel_radius.astype(np.float32)), 0, 1)
    canvas.eosin += wall * (0.5 - canvas.eosin)
    for layer in (canvas.eosin, canvas.hematoxylin):
        layer *= 1 - lumen
    filled = rng.random(len(cells.vessel_xy)) < 0.8
    count = rng.integers(2, 5, len(cells.vessel_xy)) * filled
    of = np.repeat(np.arange(len(count)), count)
    turn, out = rng.uniform(0, 2 * np.pi, len(of)), np.sqrt(rng.random(len(of)))
    out *= np.maximum(cells.vessel_radius[of] - 2.8, 0.5)
    discs = cells.vessel_xy[of] + np.stack([np.cos(turn), np.sin(turn)], axis=1) * out[:, None]
    canvas.blood += 0.75 * np.clip(2.5 * _bodies(canvas, discs, np.full(len(of), 3.2, np.float32)), 0, 1)


def paint(rng: np.random.Generator, plan: Plan, cells: Cells, shape: tuple[int, int], mpp: float) -> np.ndarray:
    """Paint a section.

    Parameters
    ----------
    rng
        Source of randomness.
    plan
        Regions and fibers.
    cells
        Nuclei and capillaries.
    shape
        Height and width in pixels.
    mpp
        Size of a pixel in µm.

    Returns
    -------
    Amounts of hematoxylin, eosin and blood, shape (3, h, w), float32.
    """
    canvas = Canvas(shape, mpp)
    _ground(rng, canvas, plan)
    _cytoplasm(rng, canvas, cells)
    inside, wall = _fat_cells(canvas, plan)
    _vessels(rng, canvas, cells)
    tissue = canvas.fine(plan.tissue)
    for layer, in_wall in ((canvas.eosin, 0.5), (canvas.hematoxylin, 0.06), (canvas.blood, 0.0)):
        layer *= 1 - inside
        np.maximum(layer, in_wall * wall, out=layer)
        layer *= tissue
    grain = canvas.noise(rng, 1.3)
    for kind, name in enumerate(CELL_TYPES):
        _nuclei(rng, canvas, cells, LOOKS[name], np.flatnonzero(cells.kind == kind), grain)
    amounts = np.stack([canvas.hematoxylin, canvas.eosin, canvas.blood])
    return amounts * (1 + 0.05 * canvas.fine(smooth_noise(rng, plan.tissue.shape, 80)))
