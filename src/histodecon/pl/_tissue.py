"""A slide as background, spots as circles of their true size."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import (
    FallbackWarning,
    InputError,
    Key,
    coordinates,
    first_names,
    iter_libraries,
    slide_mpp,
)
from histodecon.pl._figure import MISSING

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.collections import EllipseCollection
    from matplotlib.colors import Colormap, Normalize

SPOT_OF_PITCH = 0.65  # 65 µm spots on a pitch of 100 µm, where the diameter is not recorded


@dataclass(frozen=True)
class Tissue:
    """What is needed to draw one slide; lengths in full-resolution pixels.

    Parameters
    ----------
    library
        Name of the slide.
    rows
        Its rows in the table.
    xy
        Centers of its spots, shape (n, 2).
    diameter
        Diameter of a spot.
    picture
        Small picture of the slide, or None.
    scale
        Picture pixels per full-resolution pixel.
    mpp
        µm per full-resolution pixel, or None.
    """

    library: str
    rows: np.ndarray
    xy: np.ndarray
    diameter: float
    picture: np.ndarray | None
    scale: float
    mpp: float | None


def find_tissue(adata: AnnData, library_id: str | None, library_key: str, *, with_picture: bool = True) -> Tissue:
    """Find the slide that a picture is about.

    Parameters
    ----------
    adata
        The table.
    library_id
        Name of the slide; the only one is taken.
    library_key
        Column of ``obs`` that tells slides apart.
    with_picture
        Look for the picture in ``uns["spatial"]``, and warn where there is none.

    Returns
    -------
    The slide.

    Raises
    ------
    InputError
        There are several slides and none was named, or the name is unknown.
    """
    libraries = dict(iter_libraries(adata, library_key))
    if library_id is None and len(libraries) > 1:
        msg = f"The table holds {len(libraries)} slides"
        fix = f"name one with `library_id={next(iter(libraries))!r}`"
        raise InputError(msg, where=first_names(libraries, 8), why="a picture shows one", fix=fix, code="BI-35")
    library = next(iter(libraries)) if library_id is None else library_id
    if library not in libraries:
        msg = f"Slide {library!r} is unknown"
        where = f"slides in obs[{library_key!r}]: {first_names(libraries, 8)}"
        raise InputError(msg, where=where, fix=f"use `library_id={next(iter(libraries))!r}`", code="BI-104")
    rows = libraries[library]
    xy = coordinates(adata)[rows]
    record = adata.uns.get(Key.uns.SPATIAL, {}).get(library, {})
    picture, scale = _picture(record, library) if with_picture else (None, 1.0)
    return Tissue(library, rows, xy, _diameter(record, xy), picture, scale, slide_mpp(adata, library))


def draw_tissue(ax: Axes, tissue: Tissue, *, opacity: float = 1.0) -> None:
    """Draw the picture of a slide, cut to its spots, with a scale bar; axes are full-resolution pixels.

    Parameters
    ----------
    ax
        The panel.
    tissue
        The slide.
    opacity
        Below 1 the picture fades to white.
    """
    if tissue.picture is not None:
        height, width = tissue.picture.shape[:2]
        ax.imshow(
            tissue.picture,
            extent=(0, width / tissue.scale, height / tissue.scale, 0),
            alpha=opacity,
            cmap="gray",
            interpolation="antialiased",
        )
    margin = 1.5 * tissue.diameter
    low, high = tissue.xy.min(axis=0) - margin, tissue.xy.max(axis=0) + margin
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(high[1], low[1])
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])


def draw_spots(
    ax: Axes, tissue: Tissue, values: np.ndarray, *, cmap: str | Colormap, norm: Normalize
) -> EllipseCollection:
    """Draw spots as circles of their true size; those without a value are gray rings.

    Parameters
    ----------
    ax
        The panel.
    tissue
        The slide.
    values
        One for each spot.
    cmap, norm
        Colors.

    Returns
    -------
    The spots, for a color bar.
    """
    from matplotlib.collections import EllipseCollection

    def circles(rows: np.ndarray, **style: Any) -> EllipseCollection:
        size = np.full(int(rows.sum()), tissue.diameter)
        spots = EllipseCollection(
            size, size, np.zeros_like(size), units="xy", offsets=tissue.xy[rows], offset_transform=ax.transData, **style
        )
        ax.add_collection(spots)
        return spots

    known = np.isfinite(values)
    if not known.all():
        circles(~known, facecolors="none", edgecolors=MISSING, linewidths=0.6)
    spots = circles(known, cmap=cmap, norm=norm, linewidths=0)
    spots.set_array(values[known])
    return spots


def draw_scale_bar(ax: Axes, tissue: Tissue) -> None:
    """Draw a bar of a round length of about a fifth of the panel, where µm per pixel are known.

    Parameters
    ----------
    ax
        The panel, drawn by :func:`draw_tissue`.
    tissue
        The slide.
    """
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    if tissue.mpp is None:
        return
    left, right = ax.get_xlim()
    fifth = (right - left) * tissue.mpp / 5
    power = 10.0 ** np.floor(np.log10(fifth))
    length = power * max(step for step in (1, 2, 5) if step * power <= fifth)
    label = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    bar = AnchoredSizeBar(
        ax.transData, length / tissue.mpp, label, "lower right", pad=0.3, sep=3, size_vertical=(right - left) / 150
    )
    bar.patch.set(alpha=0.8, linewidth=0)
    ax.add_artist(bar)


def _picture(record: Any, library: str) -> tuple[np.ndarray | None, float]:
    images, factors = record.get("images", {}), record.get("scalefactors", {})
    for name in ("hires", "lowres"):
        if name in images and f"tissue_{name}_scalef" in factors:
            return np.asarray(images[name]), float(factors[f"tissue_{name}_scalef"])
    warnings.warn(
        f'uns["spatial"][{library!r}] has no picture with its scale factor: spots are drawn on white.',
        FallbackWarning,
        stacklevel=4,
    )
    return None, 1.0


def _diameter(record: Any, xy: np.ndarray) -> float:
    from scipy.spatial import cKDTree

    recorded = record.get("scalefactors", {}).get("spot_diameter_fullres")
    if recorded is not None and float(recorded) > 0:
        return float(recorded)
    places = np.unique(xy, axis=0)
    if len(places) < 2:
        return 1.0
    return SPOT_OF_PITCH * float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))
