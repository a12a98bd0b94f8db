"""The journey as data: what each step reads, writes, and in which unit.

``_journey_table.py`` makes the table of ``histodecon.__doc__`` and of the documentation of it, and a contract test compares it with what
the functions really write.
"""

from __future__ import annotations

from dataclasses import dataclass

from histodecon._core._keys import Key


@dataclass(frozen=True)
class JourneyStep:
    """One row of the journey.

    Parameters
    ----------
    functions
        Public names, room first.
    reads
        Slots that are read.
    writes
        Slots that are written by default; ``{encoder}``, ``{library}`` stand for names.
    optional
        Slots that are written on request or for some inputs.
    form
        Shape and unit.
    """

    functions: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    optional: tuple[str, ...] = ()
    form: str = ""


_ROOT = f'uns["{Key.uns.ROOT}"]'

JOURNEY = (
    JourneyStep(
        ("io.read_visium", "io.read_st"),
        ("files",),
        (
            'images["{library}_image"]',
            'shapes["{library}_spots"]',
            f'obsm["{Key.obsm.SPATIAL}"]',
            f'obs["{Key.obs.LIBRARY}"]',
            f'uns["{Key.uns.SPATIAL}"]',
            f'{_ROOT}["{Key.uns.SLIDES}"]',
        ),
        (f'obs["{Key.obs.PATIENT}"]',),
        "float (n, 2), x then y, full-resolution pixels",
    ),
    JourneyStep(
        ("io.read_slide",),
        ("files",),
        ('images["{library}_image"]', f'attrs["{Key.uns.ROOT}"]["{Key.uns.SLIDES}"]'),
        (),
        "image in full-resolution pixels, mpp and its source; no table",
    ),
    JourneyStep(
        ("pp.tile_spots",),
        (f'obsm["{Key.obsm.SPATIAL}"]', "image"),
        (
            f'{_ROOT}["{Key.uns.TILES}"]',
            f'obs["{Key.obs.TISSUE_FRACTION}"]',
            f'obs["{Key.obs.IN_TISSUE_TILE}"]',
            f'obs["{Key.obs.TILE_PADDING}"]',
        ),
        ('shapes["{library}_tiles"]',),
        "per slide: mpp, its source, tile size in µm and pixels; fractions in [0, 1]; flags, no spot is dropped",
    ),
    JourneyStep(
        ("pp.tile_grid",),
        ("image", f'attrs["{Key.uns.ROOT}"]["{Key.uns.SLIDES}"]'),
        (
            'shapes["{library}_spots"]',
            'shapes["{library}_tiles"]',
            f'obsm["{Key.obsm.SPATIAL}"]',
            f'obs["{Key.obs.LIBRARY}"]',
            f'uns["{Key.uns.SPATIAL}"]',
            f'{_ROOT}["{Key.uns.SLIDES}"]',
            f'{_ROOT}["{Key.uns.TILES}"]',
            f'obs["{Key.obs.TISSUE_FRACTION}"]',
            f'obs["{Key.obs.IN_TISSUE_TILE}"]',
            f'obs["{Key.obs.TILE_PADDING}"]',
            'obs["array_row"]',
            'obs["array_col"]',
            'obs["in_tissue"]',
        ),
        (f'obs["{Key.obs.PATIENT}"]',),
        "a table of tiles on a grid, only where there is tissue, without genes: for slides without spots",
    ),
    JourneyStep(
        ("pp.embed_tiles",),
        (f'{_ROOT}["{Key.uns.TILES}"]', "image"),
        ('obsm["X_{encoder}"]', f'{_ROOT}["{Key.uns.EMBEDDINGS}"]'),
        (),
        "float32 (n, width)",
    ),
    JourneyStep(
        ("pp.set_embedding",),
        ("obsm, DataFrame, AnnData, SpatialData or file of another tool",),
        ('obsm["X_{encoder}"]', f'{_ROOT}["{Key.uns.EMBEDDINGS}"]'),
        (),
        "float32 (n, width), unverified",
    ),
    JourneyStep(
        ("pp.embed_nuclei",),
        ("image", 'shapes["{library}_nuclei"], labels, GeoJSON or a segmentation', 'shapes["{library}_spots"]'),
        (
            f'tables["{Key.element.NUCLEI_TABLE}"]',
            f'obsm["{Key.obsm.SPATIAL}"]',
            f'obs["{Key.obs.LIBRARY}"]',
            f'obs["{Key.obs.SPOT}"]',
            f'obs["{Key.obs.AREA}"]',
            f'{_ROOT}["{Key.uns.NUCLEI}"]',
            'obsm["X_{encoder}"]',
        ),
        ('shapes["{library}_nuclei"]', f'obs["{Key.obs.PATIENT}"]'),
        "a table of nuclei of its own, float32 (n_nuclei, width); the spot each lies in, area in µm²",
    ),
    JourneyStep(
        ("pp.adapt_embedding", "pp.adapter"),
        ('obsm["X_{encoder}"]', "counts in X or a layer", f'obs["{Key.obs.PATIENT}"]'),
        ('obsm["X_{encoder}_{method}"]', f'{_ROOT}["{Key.uns.EMBEDDINGS}"]'),
        (),
        "float32 (n, width), moved so that genes are easier to read; returns an EmbeddingAdapter",
    ),
    JourneyStep(
        ("pp.assign_regions",),
        (f'obsm["{Key.obsm.SPATIAL}"]', "annotated areas, such as io.read_geojson gives"),
        (f'obs["{Key.obs.ANNOTATION}"]',),
        (),
        "name of the region that the center of a spot lies in",
    ),
    JourneyStep(
        ("tl.deconvolve",),
        ("counts in X or a layer", "reference"),
        (
            f'obsm["{Key.obsm.TARGETS}"]',
            f'{_ROOT}["{Key.uns.TABLES}"]',
            f'{_ROOT}["{Key.uns.DECONVOLUTION}"]',
        ),
        (
            *(f'obsm["{Key.obsm.TARGETS}_{name}"]' for name in ("mean", "q05", "sd")),
            f'varm["{Key.obsm.TARGETS}{Key.varm.SIGNATURES}"]',
        ),
        "DataFrame (n, n_types), cells per spot or proportion; signatures (genes, n_types)",
    ),
    JourneyStep(
        ("tl.set_targets",),
        ("obsm, DataFrame or csv",),
        (f'obsm["{Key.obsm.TARGETS}"]', f'{_ROOT}["{Key.uns.TABLES}"]'),
        tuple(f'obsm["{Key.obsm.TARGETS}_{name}"]' for name in ("mean", "q05", "q95", "sd")),
        "DataFrame (n, n_types), cells per spot or proportion",
    ),
    JourneyStep(
        ("tl.aggregate_types",),
        (f'obsm["{Key.obsm.TARGETS}"]', "mapping of names"),
        (f'obsm["{Key.obsm.TARGETS}_coarse"]', f'{_ROOT}["{Key.uns.TABLES}"]'),
        tuple(f'obsm["{Key.obsm.TARGETS}_coarse_{name}"]' for name in ("mean", "sd")),
        "DataFrame (n, n_coarse_types), unit of the table",
    ),
    JourneyStep(
        ("tl.consensus_targets",),
        ("several tables of obsm",),
        (
            f'obsm["{Key.obsm.CONSENSUS}"]',
            f'obsm["{Key.obsm.CONSENSUS}_sd"]',
            f'{_ROOT}["{Key.uns.TABLES}"]',
        ),
        (),
        "DataFrame (n, n_types), mean and disagreement",
    ),
    JourneyStep(
        ("tl.train_regressor",),
        ('obsm["X_{encoder}"]', f'obsm["{Key.obsm.TARGETS}"]', f'obs["{Key.obs.PATIENT}"]'),
        (f'{_ROOT}["{Key.uns.REGRESSOR}"]',),
        (),
        "returns an AbundanceRegressor",
    ),
    JourneyStep(
        ("tl.predict_abundance",),
        ('obsm["X_{encoder}"]', f'{_ROOT}["{Key.uns.REGRESSOR}"]'),
        (
            f'obsm["{Key.obsm.PREDICTED}"]',
            f'obs["{Key.obs.NOVELTY}"]',
            f'obs["{Key.obs.OUT_OF_DISTRIBUTION}"]',
            f'{_ROOT}["{Key.uns.TABLES}"]',
        ),
        (f'obsm["{Key.obsm.PREDICTED_LOWER}"]', f'obsm["{Key.obsm.PREDICTED_UPPER}"]'),
        "DataFrame (n, n_types), unit of the targets; bounds of a calibrated model; novelty, above 1 out of distribution",
    ),
    JourneyStep(
        ("tl.super_resolve",),
        (f'obsm["{Key.obsm.PREDICTED}"] of small tiles', f'obsm["{Key.obsm.TARGETS}"] of spots'),
        (f'obsm["{Key.obsm.SUPER_RESOLVED}"]', f'obs["{Key.obs.PARENT}"]', f'{_ROOT}["{Key.uns.TABLES}"]'),
        (),
        "DataFrame (n_tiles, n_types): the tiles of a spot sum to its cells, or average to its proportions",
    ),
    JourneyStep(
        ("tl.sum_nuclei",),
        (f'obsm["{Key.obsm.PREDICTED}"] of nuclei', f'obs["{Key.obs.SPOT}"]'),
        (f'obsm["{Key.obsm.PREDICTED}"]', f'{_ROOT}["{Key.uns.TABLES}"]'),
        (),
        "of the spots: DataFrame (n, n_types), cells per spot, sums over their nuclei",
    ),
    JourneyStep(
        ("tl.cross_validate",),
        ('obsm["X_{encoder}"]', f'obsm["{Key.obsm.TARGETS}"]', f'obs["{Key.obs.PATIENT}"]'),
        (
            f'obsm["{Key.obsm.CROSS_VALIDATED}"]',
            f'uns["{Key.uns.CROSS_VALIDATION}"]',
            f'{_ROOT}["{Key.uns.TABLES}"]',
        ),
        (),
        "out-of-fold predictions, scores of each fold",
    ),
    JourneyStep(
        ("tl.compare_learners",),
        ('obsm["X_{encoder}"]', f'obsm["{Key.obsm.TARGETS}"]', f'obs["{Key.obs.PATIENT}"]'),
        (f'uns["{Key.uns.LEARNER_COMPARISON}"]',),
        (),
        "scores of learners and embeddings on the same patients left out, gains on a reference, time and memory",
    ),
    JourneyStep(
        ("tl.evaluate",),
        (f'obsm["{Key.obsm.TARGETS}"]', f'obsm["{Key.obsm.PREDICTED}"]'),
        (f'uns["{Key.uns.EVALUATION}"]',),
        (),
        "DataFrame: CC, L1 and more for each cell type",
    ),
    JourneyStep(
        ("tl.colocalization",),
        (f'obsm["{Key.obsm.PREDICTED}"]', f'obsm["{Key.obsm.SPATIAL}"]'),
        (f'uns["{Key.uns.COLOCALIZATION}"]',),
        tuple(f'obsm["local_{Key.uns.COLOCALIZATION}{name}"]' for name in ("", "_p", "_q")),
        "R, z, p, q (n_types, n_types) for each slide, pooled and across slides; on request spot by spot (n, pairs)",
    ),
    JourneyStep(
        ("tl.compare_colocalization",),
        (f'uns["{Key.uns.COLOCALIZATION}"]',),
        (f'uns["{Key.uns.AGREEMENT}"]',),
        (),
        "DataFrame: how alike two maps are, for each slide and pooled, in every convention",
    ),
    JourneyStep(
        ("tl.compare_conditions",),
        (f'uns["{Key.uns.COLOCALIZATION}"]', "obs"),
        (f'uns["{Key.uns.DIFFERENCE}"]',),
        (),
        "DataFrame: difference of R between two groups of samples, p and q of each pair",
    ),
    JourneyStep(
        ("pl.composition",),
        (f'obsm["{Key.obsm.PREDICTED}"]',),
        (f'uns["{Key.obsm.PREDICTED}_colors"]',),
        (),
        "one color a cell type, in the order of the columns, for all later pictures; of the table that is drawn",
    ),
    JourneyStep(
        ("get.abundance",),
        ("the tables above",),
        (),
        (),
        'a new AnnData, spots × cell types, layers "target", "predicted", "crossval", "lower", "upper"',
    ),
    JourneyStep(
        ("get.composition",),
        (f'obsm["{Key.obsm.PREDICTED}"]', f'obs["{Key.obs.ANNOTATION}"]'),
        (),
        (),
        "DataFrame: mean, sd and share of each cell type in each group of spots",
    ),
    JourneyStep(
        ("get.signatures",),
        (f'varm["{Key.obsm.TARGETS}{Key.varm.SIGNATURES}"]',),
        (),
        (),
        "DataFrame (genes, n_types), mean counts of a cell",
    ),
)
