"""Embed a crop around every nucleus."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histodecon._core import HistodeconError, InputError, Key, doc, is_spatialdata, raise_together
from histodecon.pp._embed_tiles import embed_tiles
from histodecon.pp._nuclei_crops import find_places, lay_crops
from histodecon.pp._nuclei_outlines import SEGMENT, of_slide
from histodecon.pp._nuclei_table import (
    SlideOfNuclei,
    nuclei_element,
    nuclei_table,
    require_free_shapes,
    require_own_nuclei,
)
from histodecon.pp._tile_size import TileSize

if TYPE_CHECKING:
    from distributed import Client
    from spatialdata import SpatialData

    from histodecon.pp._embed_tiles import EncoderLike

CROP_UM = 24.0


@doc
def embed_nuclei(
    data: SpatialData,
    encoder: EncoderLike | Sequence[EncoderLike],
    *,
    nuclei: Any = SEGMENT,
    size_um: float = CROP_UM,
    spot_um: float | None = None,
    only_in_spots: bool = False,
    mpp: float | Mapping[str, float] | None = None,
    image_key: str | Mapping[str, str] | None = None,
    weights: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    key_added: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    orientations: Literal[1, 8] = 1,
    cache_dir: str | os.PathLike[str] | bool | None = None,
    client: Client | None = None,
    table_key: str = Key.element.TABLE,
    nuclei_key: str = Key.element.NUCLEI_TABLE,
    library_key: str = Key.obs.LIBRARY,
    show_progress_bar: bool = True,
    copy: bool = False,
) -> SpatialData | None:
    """Turn a crop around every nucleus into a vector, in a table of its own.

    A crop is a small tile: square, of a physical size, centered on the nucleus, resampled once to the size that the encoder
    reads. More encoders follow with ``pp.embed_tiles(data, "uni", table_key="nuclei")``.

    Parameters
    ----------
    data
        :class:`~spatialdata.SpatialData` with H&E images, with or without spots.
    encoder
        As in :func:`histodecon.pp.embed_tiles`.
    nuclei
        Where the nuclei are:

        - name of shapes (polygons, or circles) or of labels; ``"{library_id}_nuclei"`` names those of each slide;
        - path of a GeoJSON file in full-resolution pixels; of cells that QuPath detected, their nuclei;
        - a GeoDataFrame of areas in full-resolution pixels;
        - ``"segment"``: dark spots of hematoxylin, see :func:`histodecon.images.segment_nuclei`;
        - a function of a block of the image, uint8 (h, w, 3), and its µm per pixel that returns labels (h, w): any other
          segmentation;
        - a dict from library id to one of these.
    size_um
        Side of a crop in µm.
    spot_um
        Diameter of a spot in µm. Default: what the reader recorded, else 65.
    only_in_spots
        Leave out nuclei that lie in no spot: enough to train, and faster.
    mpp
        µm per full-resolution pixel, for all slides or a dict from library id. Default: as in :func:`histodecon.pp.tile_spots`.
    %(image_key)s
    weights
        Local weight files, as in :func:`histodecon.pp.embed_tiles`.
    key_added
        Key of ``obsm`` of the new table, default ``X_`` and the name of the encoder; a list for several encoders.
    batch_size
        Crops encoded at once; default as the encoder takes it well.
    %(device)s
    precision, orientations, cache_dir, client
        As in :func:`histodecon.pp.embed_tiles`.
    table_key
        Name of the table of spots; it need not be there.
    nuclei_key
        Name of the new table. A table of this name that this function made before is replaced.
    %(library_key)s
    %(show_progress_bar)s
    copy
        Return a new SpatialData, which shares images; the default changes ``data`` in place and returns None.

    Returns
    -------
    None, or the changed copy. Written are

    - the table ``nuclei_key``, one row a nucleus, without genes: ``obsm["spatial"]``, centroids in full-resolution pixels;
      ``obs["library_id"]``, ``obs["spot"]`` (name of the spot whose circle holds the centroid, ``""`` without one),
      ``obs["area_um2"]``, and ``obs["patient"]`` where the spots or the reader know it;
      ``uns["histodecon"]["nuclei"][library]`` with ``source``, ``spot_um``, ``n_nuclei``, ``n_in_spots``
      and ``own_shapes``;
    - in it, what :func:`histodecon.pp.tile_spots` and :func:`histodecon.pp.embed_tiles` write: ``obsm["X_<name>"]``, float32
      (n_nuclei, dim), its record, and the crops in ``uns["histodecon"]["tiles"]``;
    - the shapes ``{library}_{nuclei_key}``, unless the nuclei are shapes already. The table annotates the one or the other, so
      viewers color nuclei by its columns.

    Raises
    ------
    InputError
        ``data`` is no SpatialData, there are no nuclei, a table or shapes of this name hold something else, or a size is not above 0.
    MissingKeyError
        There is no image, or there are no shapes or labels of this name.
    GeometryError
        Nuclei lie outside the image or in another coordinate system.
    ResolutionError
        The size of a pixel is unknown.
    StoreError
        A file cannot be read.

    Notes
    -----
    The circle of a spot decides, not its tile: what was measured there was captured within the circle (65 µm on Visium as
    Space Ranger draws it, 100 µm on legacy Spatial Transcriptomics), while a tile of 112 µm also shows the neighborhood.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.toy_slide(n_rows=4, n_cols=4, nuclei=True)
    >>> def mean_color(crops):
    ...     return crops.mean(axis=(1, 2))
    >>> hd.pp.embed_nuclei(sdata, mean_color, nuclei="toy_1_nuclei", show_progress_bar=False)
    >>> nuclei = sdata["nuclei"]
    >>> nuclei.n_obs == len(sdata["toy_1_nuclei"]), nuclei.obsm["X_mean_color"].shape[1]
    (True, 3)
    """
    if not is_spatialdata(data):
        msg = f"Nuclei are embedded in a SpatialData, not in {type(data).__name__}"
        why = "they get a table of their own, tied to their outlines"
        raise InputError(msg, why=why, fix="read the slide with a reader of `histodecon.io`", code="BI-35")
    crop = TileSize(size_um)
    if spot_um is not None and not (np.isfinite(spot_um) and spot_um > 0):
        msg = f"`spot_um` must be above 0, not {spot_um}"
        raise InputError(msg, fix="leave it out")
    require_own_nuclei(data, nuclei_key, table_key)
    found: list[SlideOfNuclei] = []
    faults: list[HistodeconError] = []
    places = find_places(data, image_key, table_key, library_key)
    how: dict[str, Any] = {"spot_um": spot_um, "mpp": mpp, "only_in_spots": only_in_spots}
    for place in places:
        try:
            given = of_slide(nuclei, place.library, len(places))
            found.append(lay_crops(data, place, given, crop, **how))
        except HistodeconError as fault:
            faults.append(fault)
    raise_together(faults)
    require_free_shapes(data, found, nuclei_key)
    work = _with_nuclei(data, found, nuclei_key)
    embed_tiles(
        work,
        encoder,
        image_key=image_key,
        weights=weights,
        key_added=key_added,
        batch_size=batch_size,
        device=device,
        precision=precision,
        orientations=orientations,
        cache_dir=cache_dir,
        client=client,
        table_key=nuclei_key,
        show_progress_bar=show_progress_bar,
    )
    if copy:
        return work
    for one in found:
        name = one.element(nuclei_key)
        if one.outlines.element is None:
            data.shapes.pop(name, None)
            data.shapes[name] = work.shapes[name]
    data.tables.pop(nuclei_key, None)
    data.tables[nuclei_key] = work.tables[nuclei_key]
    return None


def _with_nuclei(data: Any, slides: Sequence[SlideOfNuclei], nuclei_key: str) -> Any:
    """A SpatialData that shares everything with ``data`` but the nuclei."""
    kinds = ("images", "labels", "points", "shapes", "tables")
    elements = {kind: dict(getattr(data, kind)) for kind in kinds}
    for slide in slides:
        if slide.outlines.element is None:
            elements["shapes"][slide.element(nuclei_key)] = nuclei_element(slide)
    elements["tables"][nuclei_key] = nuclei_table(slides, nuclei_key)
    return type(data)(**elements, attrs=dict(data.attrs))
