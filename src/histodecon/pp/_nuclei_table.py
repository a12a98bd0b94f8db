"""Nuclei as a table and as shapes, in the form that the other steps read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from histodecon._core import ImageSource, InputError, Key, is_safe_key, safe_key, set_uns_branch, uns_branch
from histodecon.pp._nuclei_outlines import Outlines
from histodecon.pp._tiling import Tiling, write_tilings

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

INSTANCE_KEY = "nucleus_id"
REGION_KEY = "region"


@dataclass(frozen=True)
class SlideOfNuclei:
    """One slide with its nuclei.

    Parameters
    ----------
    library
        Its name.
    source
        Its image.
    outlines
        The nuclei.
    spots
        Name of the spot that each lies in, ``""`` without one, shape (n,).
    tiling
        Their crops.
    record
        What is kept about the slide.
    facts
        What is kept about its nuclei.
    picture
        What squidpy reads: ``images`` and ``scalefactors``.
    patient
        Patient where known.
    """

    library: str
    source: ImageSource
    outlines: Outlines
    spots: NDArray[np.object_]
    tiling: Tiling
    record: dict[str, Any]
    facts: dict[str, Any]
    picture: dict[str, Any]
    patient: str | None

    def element(self, nuclei_key: str) -> str:
        """Name the shapes that hold the nuclei.

        Parameters
        ----------
        nuclei_key
            Name of the table.

        Returns
        -------
        The name.
        """
        return self.outlines.element or f"{safe_key(self.library)}_{nuclei_key}"


def require_own_nuclei(data: Any, nuclei_key: str, table_key: str) -> None:
    """Refuse to replace a table that does not hold nuclei.

    Parameters
    ----------
    data
        SpatialData.
    nuclei_key
        Name of the table that will be written.
    table_key
        Name of the table of spots.

    Raises
    ------
    InputError
        There is such a table, or the name cannot be stored.
    """
    if not is_safe_key(nuclei_key):
        msg = f"A table cannot be called {nuclei_key!r}"
        raise InputError(msg, fix='`nuclei_key="nuclei"`', code="BI-67")
    taken = nuclei_key in data.tables and not uns_branch(data.tables[nuclei_key], Key.uns.NUCLEI)
    if taken or nuclei_key == table_key:
        msg = f"The table {nuclei_key!r} does not hold nuclei"
        raise InputError(msg, why="it would be lost", fix='another name: `nuclei_key="nuclei"`', code="BI-53")


def require_free_shapes(data: Any, slides: Sequence[SlideOfNuclei], nuclei_key: str) -> None:
    """Refuse to replace outlines that were not made with the table of nuclei.

    Parameters
    ----------
    data
        SpatialData.
    slides
        What will be written.
    nuclei_key
        Name of the table.

    Raises
    ------
    InputError
        There are such shapes.
    """
    old = uns_branch(data.tables[nuclei_key], Key.uns.NUCLEI) if nuclei_key in data.tables else {}
    made = {safe_key(slide.library) for slide in slides if old.get(safe_key(slide.library), {}).get("own_shapes")}
    new = [slide for slide in slides if slide.outlines.element is None and safe_key(slide.library) not in made]
    taken = [slide.element(nuclei_key) for slide in new if slide.element(nuclei_key) in data.shapes]
    if taken:
        msg = f"The SpatialData has shapes {taken[0]!r} already"
        fix = 'another name for the table: `nuclei_key="found"`; or take these nuclei: `nuclei="{library_id}_nuclei"`'
        raise InputError(msg, why="they would be lost", fix=fix, code="BI-53")


def nearest_spots(xy: NDArray, spots: NDArray, names: NDArray, radius: float) -> NDArray[np.object_]:
    """Find the spot that each nucleus lies in.

    Parameters
    ----------
    xy
        Centers of nuclei, shape (n, 2).
    spots
        Centers of spots, shape (m, 2), in the same unit.
    names
        Their names, shape (m,).
    radius
        Of a spot, in that unit.

    Returns
    -------
    Names, shape (n,); ``""`` for a nucleus in no spot. In spots that overlap, the nearer.
    """
    from scipy.spatial import cKDTree

    found = np.full(len(xy), "", dtype=object)
    if len(spots):
        distance, nearest = cKDTree(spots).query(xy)
        inside = distance <= radius
        found[inside] = np.asarray(names, dtype=object)[nearest[inside]]
    return found


def nuclei_table(slides: Sequence[SlideOfNuclei], nuclei_key: str) -> AnnData:
    """Make one table of the nuclei of all slides.

    Parameters
    ----------
    slides
        The slides.
    nuclei_key
        Name of the table.

    Returns
    -------
    The table, without genes, linked to the shapes of the nuclei.
    """
    import anndata as ad
    import scipy.sparse as sp
    from spatialdata.models import TableModel

    obs = pd.concat([_obs(slide, nuclei_key) for slide in slides])
    for column in (Key.obs.LIBRARY, REGION_KEY, Key.obs.PATIENT, Key.obs.SPOT):
        if column in obs:
            obs[column] = obs[column].astype("category")
    empty = sp.csr_matrix((len(obs), 0), dtype=np.float32)
    adata = ad.AnnData(X=empty, obs=obs, var=pd.DataFrame(index=pd.Index([], dtype=object)))
    adata.obsm[Key.obsm.SPATIAL] = np.concatenate([centers(slide.outlines.areas) for slide in slides])
    adata.uns[Key.uns.SPATIAL] = {slide.library: slide.picture for slide in slides}
    set_uns_branch(adata, Key.uns.SLIDES, {safe_key(slide.library): slide.record for slide in slides})
    set_uns_branch(adata, Key.uns.NUCLEI, {safe_key(slide.library): slide.facts for slide in slides})
    first = np.cumsum([0, *(len(slide.spots) for slide in slides)])
    rows = [np.arange(a, b) for a, b in pairwise(first)]
    write_tilings(adata, {slide.library: slide.tiling.at(own) for slide, own in zip(slides, rows, strict=True)})
    regions = [slide.element(nuclei_key) for slide in slides]
    return TableModel.parse(adata, region=regions, region_key=REGION_KEY, instance_key=INSTANCE_KEY)


def centers(areas: NDArray[np.object_]) -> NDArray[np.float64]:
    """Find the centroids of areas.

    Parameters
    ----------
    areas
        Shape (n,).

    Returns
    -------
    Shape (n, 2), x then y.
    """
    import shapely

    return np.asarray(shapely.get_coordinates(shapely.centroid(areas)))


def nuclei_element(slide: SlideOfNuclei) -> Any:
    """Make the shapes of a slide's nuclei.

    Parameters
    ----------
    slide
        The slide.

    Returns
    -------
    Shapes element in full-resolution pixels, index as in the instance column of the table.
    """
    import geopandas as gpd
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    frame = gpd.GeoDataFrame(geometry=slide.outlines.areas, index=slide.outlines.names)
    return ShapesModel.parse(frame, transformations={slide.source.coordinate_system or slide.library: Identity()})


def _obs(slide: SlideOfNuclei, nuclei_key: str) -> pd.DataFrame:
    import shapely

    mpp = float(slide.record["mpp"])
    names = [f"{name}-{slide.library}" for name in slide.outlines.names]
    obs = pd.DataFrame(index=pd.Index(names, dtype=object))
    obs[Key.obs.LIBRARY] = slide.library
    if slide.patient is not None:
        obs[Key.obs.PATIENT] = slide.patient
    obs[Key.obs.SPOT] = slide.spots
    obs[Key.obs.AREA] = shapely.area(slide.outlines.areas) * mpp**2
    obs[REGION_KEY] = slide.element(nuclei_key)
    obs[INSTANCE_KEY] = slide.outlines.names
    return obs
