"""A drawn H&E slide with spots, counts and the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from histodecon._core import InputError, Key, ResolutionError, doc, set_uns_branch, table_of

if TYPE_CHECKING:
    from spatialdata import SpatialData

PITCH_UM = 100.0
SPOT_UM = 65.0
MARGIN_UM = 110.0
TRUTH = "true_abundance"


@doc
def toy_slide(
    *,
    n_patients: int = 1,
    n_rows: int = 10,
    n_cols: int = 10,
    mpp: float = 1.0,
    nuclei: bool = False,
    random_state: int = 0,
) -> SpatialData:
    """Draw H&E slides of a breast tumor with Visium spots, counts and the true cells of every spot.

    Nests of cancer cells lie in a stroma of collagen fibers with capillaries, fat and lymphoid aggregates. The size,
    shape, chromatin and density of the nuclei depend on the cell type, and so do cytoplasm and ground; colors follow the
    law of Beer and Lambert with dyes, lamp and camera noise of their own for each patient. The truth is counted from the
    nuclei that were drawn, so a picture can be read back.

    Parameters
    ----------
    n_patients
        Number of patients, one slide each: ``toy_1``, ``toy_2``, … of patients ``P1``, ``P2``, … A patient's slide does
        not depend on how many others are drawn.
    n_rows, n_cols
        Rows of spots, and spots in a row, before those outside the tissue are left out as Space Ranger does.
    %(mpp)s
        Images are drawn at this scale.
    nuclei
        Also give the outlines of all nuclei that were drawn, as shapes ``{library_id}_nuclei`` with their true type in the column
        ``cell_type``. Nothing else depends on it.
    %(random_state)s

    Returns
    -------
    SpatialData with, for each slide, the image ``{library_id}_image`` (uint8) and the circles ``{library_id}_spots``,
    and the table ``"table"`` (spots × 60 genes):

    - ``X``: counts, whole numbers, sparse; ``varm["signatures"]``: mean counts of one cell of each type;
    - ``obs``: ``library_id``, ``patient``, ``in_tissue`` (always 1), ``array_row``, ``array_col``;
    - ``obsm["spatial"]``: centers, x then y, full-resolution pixels; 100 µm to each of six neighbors;
    - ``obsm["true_abundance"]``: nuclei whose center lies in the spot, 65 µm wide, cells per spot, six cell types;
    - ``uns["histodecon"]["toy"]``: the planted pair and the seed.

    Raises
    ------
    InputError
        There would be no patient, or fewer than 4 spots a side, or ``random_state`` is not a whole number from 0 on.
    ResolutionError
        ``mpp`` is not between 0.2 and 2: nuclei would need too much memory or vanish.

    Notes
    -----
    Planted colocalization: T-cells and B-cells meet in lymphoid aggregates (B-cells toward the middle, T-cells toward the
    rim) and so attract each other; both keep out of the nests, so T-cells and Cancer Epithelial avoid each other.
    Nuclei start from a lattice whose sites are taken evenly rather than at random, therefore the cells of a spot
    scatter less than Poisson around the density there.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    >>> adata = sdata["table"]
    >>> [str(name) for name in adata.uns["histodecon"]["toy"]["attracted"]]
    ['T-cells', 'B-cells']
    >>> adata.obsm["true_abundance"].shape[1]
    6
    """
    from histodecon.datasets._toy_nuclei import nuclei_shapes
    from histodecon.io._assemble import assemble

    _check(n_patients, n_rows, n_cols, mpp, random_state)
    drawn = [_section(patient, n_rows, n_cols, float(mpp), random_state) for patient in range(1, n_patients + 1)]
    sdata = assemble([section for section, _ in drawn], kinds={TRUTH: "abundance"})
    _annotate(table_of(sdata), random_state)
    for section, cells in drawn if nuclei else []:
        outlines = nuclei_shapes(cells, float(mpp), section.library_id)
        sdata.shapes[section.library_id + Key.element.NUCLEI] = outlines
    return sdata


def _check(n_patients: int, n_rows: int, n_cols: int, mpp: float, random_state: int) -> None:
    if n_patients < 1 or min(n_rows, n_cols) < 4:
        msg = "A toy slide needs a patient and at least 4 rows of 4 spots"
        where = f"n_patients={n_patients}, n_rows={n_rows}, n_cols={n_cols}"
        raise InputError(
            msg, where=where, why="smaller ones have no room for regions", fix="`toy_slide()`", code="BI-31"
        )
    if not isinstance(random_state, (int, np.integer)) or random_state < 0:
        msg = f"random_state={random_state!r} is no seed"
        raise InputError(msg, fix="use a whole number from 0 on, such as `random_state=0`")
    if not 0.2 <= mpp <= 2:
        msg = f"mpp={mpp} µm per pixel cannot be drawn"
        raise ResolutionError(
            msg, why="nuclei are 6 to 12 µm wide", fix="use 0.2 to 2, such as `mpp=0.5`", code="BI-15"
        )


def _section(patient: int, n_rows: int, n_cols: int, mpp: float, random_state: int) -> tuple[Any, Any]:
    from histodecon.datasets._toy_cells import place_cells
    from histodecon.datasets._toy_counts import draw_counts, signatures
    from histodecon.datasets._toy_paint import paint
    from histodecon.datasets._toy_plan import draw_plan
    from histodecon.datasets._toy_stain import develop, draw_stain
    from histodecon.io._assemble import Section

    seeds = np.random.SeedSequence([random_state, patient]).spawn(4)
    tissue_rng, paint_rng, stain_rng, count_rng = (np.random.default_rng(seed) for seed in seeds)
    spots = _lattice(n_rows, n_cols)
    width, height = spots[["x", "y"]].max() + MARGIN_UM
    plan = draw_plan(tissue_rng, height, width, margin_um=0.6 * MARGIN_UM)
    cells = place_cells(tissue_rng, plan)
    spots = spots[plan.holds(spots[["x", "y"]].to_numpy())]
    shape = (int(np.ceil(height / mpp)), int(np.ceil(width / mpp)))
    image = develop(count_rng, paint(paint_rng, plan, cells, shape, mpp), draw_stain(stain_rng))
    truth = _count_nuclei(spots, cells.xy, cells.kind)
    section = Section(
        library_id=f"toy_{patient}",
        image=image,
        counts=draw_counts(count_rng, truth.to_numpy()),
        obs_names=list(spots.index),
        var_names=list(signatures().index),
        xy=spots[["x", "y"]].to_numpy() / mpp,
        mpp=mpp,
        mpp_source="drawn",
        spot_diameter_um=SPOT_UM,
        obs={
            Key.obs.PATIENT: f"P{patient}",
            "in_tissue": np.ones(len(spots), int),
            "array_row": spots["array_row"].to_numpy(),
            "array_col": spots["array_col"].to_numpy(),
        },
        tables={TRUTH: truth},
    )
    return section, cells


def _lattice(n_rows: int, n_cols: int) -> pd.DataFrame:
    """Spots of a Visium array: odd rows shifted by half a pitch; x and y in µm, barcodes as index."""
    row, column = (index.ravel() for index in np.indices((n_rows, n_cols)))
    array_col = 2 * column + row % 2
    return pd.DataFrame(
        {
            "array_row": row,
            "array_col": array_col,
            "x": MARGIN_UM + array_col * PITCH_UM / 2,
            "y": MARGIN_UM + row * PITCH_UM * np.sqrt(3) / 2,
        },
        index=[_barcode(int(r), int(c)) for r, c in zip(row, array_col, strict=True)],
    )


def _barcode(row: int, column: int) -> str:
    """Sixteen letters that no other spot of the array has: an odd factor permutes the 4**16 words."""
    word = (row * 4096 + column + 1) * 0x9E3779B1 % 4**16
    return "".join("ACGT"[word >> 2 * place & 3] for place in range(16)) + "-1"


def _count_nuclei(spots: pd.DataFrame, xy: np.ndarray, kind: np.ndarray) -> pd.DataFrame:
    from histodecon.datasets._toy_plan import CELL_TYPES

    members = cKDTree(xy).query_ball_point(spots[["x", "y"]].to_numpy(), SPOT_UM / 2)
    counts = np.stack([np.bincount(kind[inside], minlength=len(CELL_TYPES)) for inside in members])
    return pd.DataFrame(counts.astype(np.float64), index=spots.index, columns=list(CELL_TYPES))


def _annotate(adata: Any, random_state: int) -> None:
    from histodecon._core import safe_columns
    from histodecon.datasets._toy_counts import signatures

    table = signatures()
    adata.varm["signatures"] = table.set_axis(safe_columns(list(table.columns)), axis=1).loc[adata.var_names]
    record = {
        "attracted": np.array(["T-cells", "B-cells"], dtype=object),
        "avoiding": np.array(["T-cells", "Cancer Epithelial"], dtype=object),
        "random_state": int(random_state),
    }
    set_uns_branch(adata, "toy", record)
