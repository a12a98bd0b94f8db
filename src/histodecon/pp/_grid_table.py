"""Places of a grid as a table and as circles, in the form that readers of spots make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from histodecon._core import InputError, Key, is_safe_key, set_uns_branch, uns_branch
from histodecon.images._grid import Grid
from histodecon.pp._tiling import Tiling, write_tilings

if TYPE_CHECKING:
    from anndata import AnnData

INSTANCE_KEY = "spot_id"
REGION_KEY = "region"
LAYOUT = "layout"


@dataclass(frozen=True)
class GriddedSlide:
    """One slide with the places that have tissue.

    Parameters
    ----------
    library
        Its name.
    grid
        The places.
    tiling
        Their tiles.
    record
        What is kept about the slide.
    picture
        Small picture.
    picture_scale
        Its pixels per full-resolution pixel.
    patient
        Patient where known.
    """

    library: str
    grid: Grid
    tiling: Tiling
    record: dict[str, Any]
    picture: np.ndarray
    picture_scale: float
    patient: str | None


def require_own(data: Any, table_key: str, libraries: Iterable[str], suffix: str) -> None:
    """Refuse to replace what was not made of a grid.

    Parameters
    ----------
    data
        SpatialData.
    table_key
        Name of the table that will be written.
    libraries
        Slides.
    suffix
        What stands between the name of a slide and the suffix of its elements.

    Raises
    ------
    InputError
        A table or shapes of this name exist and are not of a grid, or the name cannot be stored.
    """
    if not is_safe_key(table_key):
        msg = f"A table cannot be called {table_key!r}"
        raise InputError(msg, fix='`table_key="grid"`', code="BI-67")
    fix = 'give the grid a name of its own: `table_key="grid"`, and name it in the steps that follow'
    if table_key in data.tables:
        slides = uns_branch(data.tables[table_key], Key.uns.SLIDES)
        if not slides or not all(LAYOUT in record for record in slides.values()):
            msg = f"The SpatialData has a table {table_key!r} that was not made of a grid"
            where = f"{data.tables[table_key].n_obs} rows"
            raise InputError(msg, where=where, why="it would be lost", fix=fix, code="BI-53")
        return
    taken = [library + suffix + Key.element.SPOTS for library in libraries]
    taken = [name for name in taken if name in data.shapes]
    if taken:
        msg = f"The SpatialData has shapes {taken[0]!r} already"
        raise InputError(msg, why="they would be lost", fix=fix, code="BI-53")


def grid_table(slides: Sequence[GriddedSlide], suffix: str) -> AnnData:
    """Make one table of the places of all slides.

    Parameters
    ----------
    slides
        The slides.
    suffix
        As in :func:`require_own`.

    Returns
    -------
    The table, without genes, linked to the circles.
    """
    import anndata as ad
    from spatialdata.models import TableModel

    obs = pd.concat([_obs(slide, suffix) for slide in slides])
    for column in (Key.obs.LIBRARY, REGION_KEY, Key.obs.PATIENT):
        if column in obs:
            obs[column] = obs[column].astype("category")
    empty = sp.csr_matrix((len(obs), 0), dtype=np.float32)
    adata = ad.AnnData(X=empty, obs=obs, var=pd.DataFrame(index=pd.Index([], dtype=object)))
    adata.obsm[Key.obsm.SPATIAL] = np.concatenate([slide.grid.xy for slide in slides])
    adata.uns[Key.uns.SPATIAL] = {slide.library: _squidpy_record(slide) for slide in slides}
    set_uns_branch(adata, Key.uns.SLIDES, {slide.library: slide.record for slide in slides})
    first = np.cumsum([0, *(len(slide.grid.xy) for slide in slides)])
    placed = {
        slide.library: slide.tiling.at(np.arange(a, b)) for slide, (a, b) in zip(slides, pairwise(first), strict=True)
    }
    write_tilings(adata, placed)
    regions = [slide.library + suffix + Key.element.SPOTS for slide in slides]
    return TableModel.parse(adata, region=regions, region_key=REGION_KEY, instance_key=INSTANCE_KEY)


def place_circles(slide: GriddedSlide) -> Any:
    """Make the circles of a slide's places.

    Parameters
    ----------
    slide
        The slide.

    Returns
    -------
    Shapes element in full-resolution pixels, index 0 … n-1.
    """
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    radius = slide.record["spot_diameter_um"] / slide.record["mpp"] / 2
    system = slide.tiling.source.coordinate_system or slide.library
    return ShapesModel.parse(slide.grid.xy, geometry=0, radius=radius, transformations={system: Identity()})


def _obs(slide: GriddedSlide, suffix: str) -> pd.DataFrame:
    row, column = slide.grid.row, slide.grid.column
    names = [f"r{r:04d}c{c:04d}-{slide.library}" for r, c in zip(row.tolist(), column.tolist(), strict=True)]
    obs = pd.DataFrame(index=pd.Index(names, dtype=object))
    obs[Key.obs.LIBRARY] = slide.library
    obs["array_row"], obs["array_col"], obs["in_tissue"] = row, column, 1
    if slide.patient is not None:
        obs[Key.obs.PATIENT] = slide.patient
    obs[REGION_KEY] = slide.library + suffix + Key.element.SPOTS
    obs[INSTANCE_KEY] = np.arange(len(names))
    return obs


def _squidpy_record(slide: GriddedSlide) -> dict[str, Any]:
    diameter = float(slide.record["spot_diameter_um"] / slide.record["mpp"])
    factors = {"tissue_hires_scalef": float(slide.picture_scale), "spot_diameter_fullres": diameter}
    return {"images": {"hires": slide.picture}, "scalefactors": factors}
