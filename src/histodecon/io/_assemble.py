"""From sections as arrays to one SpatialData with one table: the shape that every reader ends in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from histodecon._core import (
    AlignmentError,
    InputError,
    Key,
    NamingError,
    first_names,
    is_safe_key,
    safe_key,
    set_uns_branch,
    write_table,
)
from histodecon.images import open_image
from histodecon.io._elements import image_element, spot_shapes

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

THUMBNAIL_PX = 1000
"""Longest side of the picture kept in ``uns["spatial"]`` for squidpy and our plots."""

INSTANCE_KEY = "spot_id"
REGION_KEY = "region"


@dataclass(frozen=True)
class Section:
    """One slide with its spots, as arrays.

    Parameters
    ----------
    library_id
        Name of the slide.
    image
        uint8 (height, width, 3): an array, or a dask array that is left on disk.
    counts
        Integer matrix (n_spots, n_genes).
    obs_names
        Barcodes, unique within the slide.
    var_names
        Gene names.
    xy
        float (n_spots, 2), centres of the spots, x then y, full-resolution pixels.
    mpp
        µm per pixel.
    mpp_source
        Where ``mpp`` came from.
    spot_diameter_um
        Diameter of a spot.
    obs
        More columns, one row a spot.
    tables
        Cell-type tables by ``obsm`` key, index = ``obs_names``.
    image_scale
        Image pixels per full-resolution pixel; less than 1 when only a small picture is there.
    pictures
        Small pictures for ``uns["spatial"]`` by name, each with its scale; one is made of the image when ``"hires"`` is absent.
    scalefactors
        More entries of ``uns["spatial"][library]["scalefactors"]``.
    metadata
        Entries of ``uns["spatial"][library]["metadata"]``.
    var
        More columns about the genes, index = ``var_names``.
    square_axes
        For bins instead of spots: the two sides of a bin as vectors, shape (2, 2), full-resolution pixels.
    notes
        More entries of ``uns["histodecon"]["slides"][library]``.
    """

    library_id: str
    image: Any
    counts: Any
    obs_names: Sequence[str]
    var_names: Sequence[str]
    xy: np.ndarray
    mpp: float
    mpp_source: str
    spot_diameter_um: float
    obs: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    image_scale: float = 1.0
    pictures: Mapping[str, tuple[np.ndarray, float]] = field(default_factory=dict)
    scalefactors: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    var: pd.DataFrame | None = None
    square_axes: np.ndarray | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def assemble(sections: Sequence[Section], *, kinds: Mapping[str, str] | None = None) -> SpatialData:
    """Build one SpatialData from sections.

    Parameters
    ----------
    sections
        At least one; library ids differ.
    kinds
        Kind (``"abundance"`` or ``"proportion"``) of each key of ``Section.tables``.

    Returns
    -------
    SpatialData with, for each slide, the image ``{library}_image``, the spots ``{library}_spots`` and a coordinate
    system of its name whose unit is the full-resolution pixel; and one table ``"table"``. Barcodes get ``-{library}``
    when there are several slides.

    Raises
    ------
    NamingError
        A library id holds other characters than letters, digits, ``_``, ``.`` and ``-``.
    AlignmentError
        Library ids or barcodes are not unique.
    """
    from spatialdata import SpatialData

    libraries = [section.library_id for section in sections]
    unsafe = [library for library in libraries if not is_safe_key(library)]
    if unsafe:
        msg = "Some library ids cannot name elements of a SpatialData"
        why = "letters, digits, '_', '.' and '-' are kept by every format"
        raise NamingError(msg, where=first_names(unsafe), why=why, fix=f"use {safe_key(unsafe[0])!r}", code="BI-67")
    if not sections or len(set(libraries)) != len(libraries):
        msg = "Sections need library ids that differ"
        raise AlignmentError(msg, where=first_names(libraries), code="BI-05")
    images, shapes = {}, {}
    for section in sections:
        images[section.library_id + Key.element.IMAGE] = image_element(section)
        shapes[section.library_id + Key.element.SPOTS] = spot_shapes(section)
    table = _table(sections, kinds or {})
    return SpatialData(images=images, shapes=shapes, tables={Key.element.TABLE: table})


def _table(sections: Sequence[Section], kinds: Mapping[str, str]) -> AnnData:
    import anndata as ad
    from spatialdata.models import TableModel

    parts = [_part(section, several=len(sections) > 1) for section in sections]
    adata = ad.concat(parts, join="outer", fill_value=0, merge="same") if len(parts) > 1 else parts[0]
    adata.X = sp.csr_matrix(adata.X)
    adata.var = _joined_var(adata.var_names, [part.var for part in parts])
    for column in (Key.obs.LIBRARY, Key.obs.PATIENT, REGION_KEY):
        if column in adata.obs:
            adata.obs[column] = adata.obs[column].astype("category")
    adata.uns[Key.uns.SPATIAL] = {section.library_id: _squidpy_record(section) for section in sections}
    set_uns_branch(adata, Key.uns.SLIDES, {section.library_id: _slide_record(section) for section in sections})
    for key in sorted({key for section in sections for key in section.tables}):
        joined = pd.concat(
            [
                section.tables[key].set_axis(part.obs_names)
                for section, part in zip(sections, parts, strict=True)
                if key in section.tables
            ]
        )
        write_table(adata, key, joined.reindex(adata.obs_names), kind=kinds.get(key, "abundance"))
    return TableModel.parse(
        adata,
        region=[section.library_id + Key.element.SPOTS for section in sections],
        region_key=REGION_KEY,
        instance_key=INSTANCE_KEY,
    )


def _part(section: Section, *, several: bool) -> AnnData:
    import anndata as ad

    n = len(section.obs_names)
    if len(set(section.obs_names)) != n or n != len(section.xy) or n != section.counts.shape[0]:
        msg = f"Slide {section.library_id!r}: barcodes, positions and counts do not agree"
        where = f"{n} barcodes ({len(set(section.obs_names))} distinct), {len(section.xy)} positions, {section.counts.shape[0]} rows"
        raise AlignmentError(msg, where=where, code="BI-04")
    if n == 0:
        msg = f"Slide {section.library_id!r} has 0 spots"
        raise InputError(msg, code="BI-31")
    names = [f"{name}-{section.library_id}" for name in section.obs_names] if several else list(section.obs_names)
    obs = pd.DataFrame(dict(section.obs), index=pd.Index(names, dtype=object))
    obs[Key.obs.LIBRARY] = section.library_id
    obs[REGION_KEY] = section.library_id + Key.element.SPOTS
    obs[INSTANCE_KEY] = np.arange(n)
    counts = sp.csr_matrix(section.counts).astype(np.float32)
    var = pd.DataFrame(index=pd.Index(section.var_names, dtype=object)) if section.var is None else section.var.copy()
    adata = ad.AnnData(X=counts, obs=obs, var=var)
    adata.obsm[Key.obsm.SPATIAL] = np.asarray(section.xy, dtype=np.float64)
    return adata


def _joined_var(genes: pd.Index, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Columns about genes; a gene takes them from the first slide that has it."""
    joined = pd.concat(tables)
    joined = joined[~joined.index.duplicated()].reindex(genes)
    for column in joined:
        if joined[column].dtype == object:
            joined[column] = joined[column].fillna("").astype(str)
    return joined


def _slide_record(section: Section) -> dict[str, Any]:
    height, width = section.image.shape[:2]
    return {
        "mpp": float(section.mpp),
        "mpp_source": section.mpp_source,
        "width_px": round(width / section.image_scale),
        "height_px": round(height / section.image_scale),
        "image_mpp": float(section.mpp / section.image_scale),
        "spot_diameter_um": float(section.spot_diameter_um),
        **section.notes,
    }


def _squidpy_record(section: Section) -> dict[str, Any]:
    pictures = dict(section.pictures)
    if "hires" not in pictures:
        picture, factor = shrink(section.image, THUMBNAIL_PX)
        pictures["hires"] = (picture, factor * section.image_scale)
    record: dict[str, Any] = {
        "images": {name: picture for name, (picture, _) in pictures.items()},
        "scalefactors": {
            "spot_diameter_fullres": float(section.spot_diameter_um / section.mpp),
            **section.scalefactors,
            **{f"tissue_{name}_scalef": float(factor) for name, (_, factor) in pictures.items()},
        },
    }
    if section.metadata:
        record["metadata"] = dict(section.metadata)
    return record


def shrink(image: Any, longest: int) -> tuple[np.ndarray, float]:
    """Make a small picture of an image by averaging.

    Parameters
    ----------
    image
        uint8 (height, width, 3), an array or a dask array.
    longest
        Its longest side afterwards, at most.

    Returns
    -------
    uint8 picture, and its scale: picture pixel = full-resolution pixel × scale.
    """
    from PIL import Image

    if not isinstance(image, np.ndarray):
        return open_image(image).thumbnail(longest)
    height, width = image.shape[:2]
    factor = min(1.0, longest / max(height, width))
    if factor == 1.0:
        return np.ascontiguousarray(image), 1.0
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX, reducing_gap=2.0)), factor
