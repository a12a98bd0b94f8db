"""Read a slide of legacy Spatial Transcriptomics."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, Key, doc, set_uns_branch, table_of, uns_branch
from histodecon.images import LEGACY_PITCH_UM
from histodecon.io._assemble import assemble
from histodecon.io._st_section import LEGACY_SPOT_UM, read_section

if TYPE_CHECKING:
    import pandas as pd
    from spatialdata import SpatialData


@doc
def read_st(
    counts: str | os.PathLike[str] | pd.DataFrame,
    spots: str | os.PathLike[str] | pd.DataFrame,
    image: Any,
    *,
    library_id: str,
    mpp: float | None = None,
    patient: str | None = None,
    pitch_um: float = LEGACY_PITCH_UM,
    spot_diameter_um: float = LEGACY_SPOT_UM,
    drop_unplaced: bool = False,
) -> SpatialData:
    """Read counts, spots and H&E image of a legacy ST slide, as her2st and STNet publish them.

    Parameters
    ----------
    counts
        Table of whole numbers, spots in rows, genes in columns, tab or comma separated, gzipped or not; or a DataFrame. The
        first column holds ids such as ``10x14``: the place of the spot in the array, x then y.
    spots
        Table of the spots, tab or comma separated; or a DataFrame. Either columns ``x``, ``y``, ``pixel_x``, ``pixel_y``, and
        ``selected`` where 0 means outside the tissue; or ids in the first column, then the pixels ``X``, ``Y``.
    image
        The full-resolution H&E image that the pixels refer to: what :func:`histodecon.images.open_image` opens.
    %(library_id)s
    mpp
        µm per pixel. Default: ``pitch_um`` over the pitch in pixels, which is fitted to the places in the array.
    patient
        Written to ``obs["patient"]``.
    pitch_um
        Distance between the centers of neighboring spots.
    spot_diameter_um
        Diameter of a spot.
    drop_unplaced
        Leave out spots that have counts and no position instead of refusing them.

    Returns
    -------
    SpatialData with the image ``{library_id}_image``, the circles ``{library_id}_spots`` and the table ``"table"``: ``X``
    counts (sparse), ``obsm["spatial"]`` float (n, 2), x then y, full-resolution pixels; ``obs["library_id"]``,
    ``obs["array_row"]``, ``obs["array_col"]``, ``obs["patient"]`` where given; ``uns["spatial"]`` with a small picture, for
    squidpy; ``uns["histodecon"]["slides"][library_id]`` with ``mpp``, ``mpp_source``, the size of the image and
    ``n_without_counts``, the selected spots without counts, which are not in the table. Rows are joined by id.

    Raises
    ------
    AlignmentError
        Spots with counts have no position, ids stand twice or are of another form, or x and y are exchanged in them.
    TargetError
        Counts are not whole numbers of 0 or more, or genes stand twice.
    GeometryError
        Spots have no pixels, or more than 1 %% of them lie outside the image.
    ResolutionError
        The spots lie on no grid and ``mpp`` is not given, or it contradicts the grid by a factor of 5.
    ImageError
        The image cannot be read as H&E.
    InputError
        A file is absent or lacks columns, or no spot is left.

    Warns
    -----
    DroppedSpotsWarning
        Spots with counts are left out because they are not selected, or because of ``drop_unplaced``.
    ResolutionWarning
        ``mpp`` differs by more than 5 %% from that of the grid.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import histodecon as hd
    >>> spots = pd.DataFrame([(x, y, 100 * x, 100 * y) for x in (1, 2, 3) for y in (1, 2, 3)])
    >>> spots.columns = ["x", "y", "pixel_x", "pixel_y"]
    >>> counts = pd.DataFrame({"CD3E": [2, 0], "KRT8": [1, 7]}, index=["2x2", "1x3"])
    >>> image = np.full((400, 400, 3), 230, dtype=np.uint8)
    >>> sdata = hd.io.read_st(counts, spots, image, library_id="A1", patient="A")
    >>> sdata["table"].obsm["spatial"].tolist()
    [[200.0, 200.0], [100.0, 300.0]]
    >>> round(sdata["table"].uns["histodecon"]["slides"]["A1"]["mpp"], 6)
    2.0
    """
    for name, value in (("pitch_um", pitch_um), ("spot_diameter_um", spot_diameter_um)):
        if not (np.isfinite(value) and value > 0):
            msg = f"`{name}` must be above 0, not {value}"
            raise InputError(msg, code="BI-15")
    section, n_without_counts = read_section(
        counts,
        spots,
        image,
        library_id=library_id,
        mpp=mpp,
        pitch_um=pitch_um,
        spot_diameter_um=spot_diameter_um,
        drop_unplaced=drop_unplaced,
        patient=patient,
    )
    sdata = assemble([section])
    note_without_counts(sdata, {library_id: n_without_counts})
    return sdata


def note_without_counts(sdata: SpatialData, missing: dict[str, int]) -> None:
    """Record how many selected spots of each slide have no counts.

    Parameters
    ----------
    sdata
        What was assembled; its record of slides is extended.
    missing
        Number by library id.
    """
    adata = table_of(sdata)
    slides = uns_branch(adata, Key.uns.SLIDES)
    set_uns_branch(
        adata, Key.uns.SLIDES, {name: {**record, "n_without_counts": missing[name]} for name, record in slides.items()}
    )
