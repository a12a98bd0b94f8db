"""Nuclei of an H&E image: hematoxylin, a local threshold, a watershed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError
from histodecon.images._slide_image import SlideImage

FindNuclei = Callable[[NDArray[np.uint8], float], NDArray[np.integer]]

WORK_MPP = 0.5
"""Finer images are shrunk to this before nuclei are looked for."""

BLOCK_PX, MARGIN_UM = 1024, 25.0
SMOOTH_UM, AROUND_UM = 0.8, 12.0
LEAST_CONTRAST = 0.04
"""Optical density by which a nucleus is darker than its surroundings at least."""

DOME_UM, DOME_WEIGHT = 2.4, 1.5
"""Scale of the domes of darkness that tell nuclei of a clump apart, and how much they count beside its outline."""

APART_UM = 2.8
"""Two nuclei of one clump have their middles at least so far apart."""

AREA_UM2 = (12.0, 400.0)


def segment_nuclei(image: SlideImage, mpp: float, *, find: FindNuclei | None = None) -> list[NDArray[np.float64]]:
    """Outline the nuclei of a slide, block by block.

    Parameters
    ----------
    image
        The image.
    mpp
        µm per pixel of the image.
    find
        What finds nuclei: a function of a block, uint8 (h, w, 3), and its µm per pixel, that returns labels (h, w), whole numbers,
        0 where there is no nucleus. Default: dark spots of hematoxylin; crowded, pale or blurred nuclei are merged, cut or missed.

    Returns
    -------
    One outline a nucleus, float64 (k, 2), x then y in pixels of the image, closed. A nucleus that lies on the border of two
    blocks is found once.

    Raises
    ------
    InputError
        ``find`` returns something else than labels of the block.

    Examples
    --------
    >>> import histodecon as hd
    >>> from histodecon.images import open_image, segment_nuclei
    >>> sdata = hd.datasets.toy_slide(n_rows=4, n_cols=4, nuclei=True)
    >>> outlines = segment_nuclei(open_image(sdata["toy_1_image"]), mpp=1.0)
    >>> 0.5 < len(outlines) / len(sdata["toy_1_nuclei"]) < 1.5
    True
    """
    finder = find_dark_nuclei if find is None else find
    grow = max(WORK_MPP / mpp, 1.0)
    step, margin = round(BLOCK_PX * grow), int(np.ceil(MARGIN_UM / mpp))
    found: list[NDArray[np.float64]] = []
    for y0 in range(0, image.height, step):
        for x0 in range(0, image.width, step):
            width, height = min(step, image.width - x0), min(step, image.height - y0)
            block = image.read(x0 - margin, y0 - margin, width + 2 * margin, height + 2 * margin)
            small, (sy, sx) = _shrunk(block, grow)
            if small.min() > _GLASS:
                continue
            labels = _checked(finder(small, mpp * grow), small.shape[:2])
            for _, outline in label_outlines(labels):
                outline = outline * [sx, sy] + [x0 - margin, y0 - margin]
                x, y = (outline.min(axis=0) + outline.max(axis=0)) / 2
                if x0 <= x < x0 + width and y0 <= y < y0 + height:
                    found.append(outline)
    return found


_GLASS = 200


def _shrunk(block: NDArray[np.uint8], grow: float) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Shrink by averaging; and how much, along y and x."""
    if grow == 1:
        return block, (1.0, 1.0)
    from PIL import Image

    height, width = block.shape[:2]
    size = (max(1, round(width / grow)), max(1, round(height / grow)))
    small = np.asarray(Image.fromarray(block).resize(size, Image.Resampling.BOX))
    return small, (height / size[1], width / size[0])


def _checked(labels: NDArray, shape: tuple[int, ...]) -> NDArray[np.integer]:
    labels = np.asarray(labels)
    if labels.shape != shape or not np.issubdtype(labels.dtype, np.integer):
        msg = "The function that finds nuclei must return labels of the block"
        where = f"it returned {labels.dtype} of shape {labels.shape} for a block of shape {shape}"
        raise InputError(msg, where=where, fix="whole numbers, 0 where there is no nucleus")
    return labels


def label_outlines(labels: NDArray[np.integer]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Outline every label; of one in several pieces, the largest.

    Parameters
    ----------
    labels
        Whole numbers (h, w), 0 is ground.

    Yields
    ------
    The label and its outline (k, 2), x then y, where pixel i covers i to i + 1.
    """
    from skimage.measure import find_contours, regionprops

    for region in regionprops(labels):
        contours = find_contours(np.pad(region.image, 1).astype(np.float32), 0.5)
        if not contours:
            continue
        y, x = max(contours, key=len).T
        if len(x) >= 4:
            yield int(region.label), np.stack([x + region.bbox[1] - 0.5, y + region.bbox[0] - 0.5], axis=1)


def find_dark_nuclei(block: NDArray[np.uint8], mpp: float) -> NDArray[np.int32]:
    """Find nuclei as dark spots of hematoxylin.

    Hematoxylin is unmixed after Ruifrok and Johnston, a nucleus is darker than what lies around it (12 µm) and than most of the
    tissue, and clumps are cut where they are narrow.

    Parameters
    ----------
    block
        uint8 (h, w, 3).
    mpp
        µm per pixel.

    Returns
    -------
    Labels, int32 (h, w).

    Notes
    -----
    It knows nothing of cells: crowded, pale or blurred nuclei are merged, cut or missed, and pigment passes for a nucleus.
    """
    from scipy import ndimage
    from skimage.color import hed_from_rgb
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    density = -np.log10(np.maximum(block, 1).astype(np.float32) / 255.0)
    blue = (density @ hed_from_rgb[:, 0].astype(np.float32)).astype(np.float32)
    dark = ndimage.gaussian_filter(blue, SMOOTH_UM / mpp)
    tissue = density[..., 1] > 0.1
    side = 2 * round(1.2 * AROUND_UM / mpp) + 1
    total, weight = (
        ndimage.uniform_filter(ndimage.uniform_filter(layer.astype(np.float32), side), side)
        for layer in (np.where(tissue, dark, 0), tissue)
    )
    around = total / np.maximum(weight, 0.05)
    floor, surely = _levels(dark[tissue]) if tissue.sum() > _FEW else (np.inf, np.inf)
    mask = dark > np.clip(around + LEAST_CONTRAST, floor, surely)
    mask = ndimage.binary_fill_holes(ndimage.binary_opening(mask, iterations=max(1, round(0.5 / mpp))))
    depth = ndimage.distance_transform_edt(mask).astype(np.float32) * mpp
    dome = -ndimage.gaussian_laplace(dark, DOME_UM / mpp) * (DOME_UM / mpp) ** 2
    depth = ndimage.gaussian_filter(depth, 0.7 / mpp) / DOME_UM + DOME_WEIGHT * dome / max(
        surely - floor, LEAST_CONTRAST
    )
    peaks = peak_local_max(
        depth, min_distance=max(1, round(APART_UM / mpp)), labels=mask.astype(np.int32), exclude_border=False
    )
    seeds = np.zeros(mask.shape, dtype=np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-depth, seeds, mask=mask).astype(np.int32)
    area = np.bincount(labels.ravel()) * mpp**2
    labels[~((area >= AREA_UM2[0]) & (area <= AREA_UM2[1]))[labels]] = 0
    return labels


_FEW = 100


def _levels(values: NDArray[np.float32]) -> tuple[float, float]:
    """Darkness below which nothing is a nucleus, and above which everything is."""
    from skimage.filters import threshold_otsu

    low, high = np.quantile(values, (0.005, 0.995))
    middle = float(threshold_otsu(np.clip(values, low, high)))
    return 0.85 * middle, 1.25 * middle
