"""Which cell types share places, and which avoid each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histodecon import stats
from histodecon._core import (
    Key,
    doc,
    note_where_results_go,
    read_table,
    require_spots,
    safe_key,
    table_kind,
    table_of,
)
from histodecon.tl._array_positions import array_positions
from histodecon.tl._colocalization_parts import (
    NULLS,
    across_record,
    check_options,
    find_pairs,
    map_record,
    only_pairs,
    pitch_of,
    require_lattice,
    warn_results,
)
from histodecon.tl._slides import Slide, slides_of

if TYPE_CHECKING:
    from anndata import AnnData

LOCAL = ("", "_p", "_q")


@doc
def colocalization(
    adata: AnnData,
    abundance: str = Key.obsm.PREDICTED,
    *,
    length_um: float | None = None,
    include_self: bool = True,
    null: Literal["shuffled", "shuffled_one", "smooth"] = "shuffled",
    pairs: Sequence[tuple[str, str]] | None = None,
    local: bool = False,
    positions: Literal["spatial", "array"] = "spatial",
    mpp: float | Mapping[str, float] | None = None,
    method: Literal["auto", "blocks", "lattice", "fft", "near"] = "auto",
    precision: Literal["float64", "float32"] = "float64",
    permutations: int = 0,
    random_state: int = 0,
    library_key: str = Key.obs.LIBRARY,
    key_added: str = Key.uns.COLOCALIZATION,
    copy: bool = False,
) -> AnnData | None:
    """Bivariate Moran's R between all pairs of cell types, within each slide and pooled over slides.

    Parameters
    ----------
    %(adata)s
    abundance
        Key of ``obsm`` with the abundance table.
    length_um
        Length scale l of the Gaussian weights, µm. Default: the pitch of the spots, that is the median distance of a
        spot to its nearest neighbor on a slide, and the median of that over slides; one length serves all slides.
    include_self
        Whether a spot is its own neighbor with weight 1, as in the source method. The cells of one spot then count
        as together.
    null
        What chance means. ``"shuffled"``: values without any order in space, which tissue never is: then small p are
        common, and R is the effect size. ``"shuffled_one"``: the same, while the other type of a pair stays as it is; stricter.
        ``"smooth"``: two types that are each as smooth in space as they are, but
        independent of each other.
    pairs
        Pairs of cell types to test; q is then over these. R is there for all. Default: all pairs.
    local
        Also write what every spot contributes to each of ``pairs``.
    positions
        ``"spatial"``: ``obsm["spatial"]``. ``"array"``: the lattice of ``obs["array_row"]`` and ``obs["array_col"]``, for slides
        whose registered positions are a fraction of a pixel off it: as good, and several times faster.
    mpp
        µm per full-resolution pixel, one number or a dict from library id. Default: what ``pp.tile_spots`` or
        the reader recorded.
    method
        How the weights are summed, see :func:`histodecon.stats.morans_r`; all are exact. ``"auto"`` picks the fastest for each
        slide; ``"blocks"`` is the plain reference.
    precision
        ``"float32"`` halves time and memory; R then differs by less than 1e-6.
    permutations
        0: p from the exact variance under permutation and the normal distribution. Else from this many shuffles
        within a slide; pooled p stay normal.
    %(random_state)s
    %(library_key)s
    %(key_added)s
    %(copy)s

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingKeyError
        The table or the coordinates are absent.
    ResolutionError
        The size of a pixel is unknown.
    GeometryError
        A coordinate is missing, all spots of a slide stand on one position, ``method`` needs a lattice and there is
        none, or ``positions="array"`` does not explain where the spots are.
    InputError
        An option is out of range, a cell type is unknown, slides cannot be told apart, or no spot has a value.

    Warns
    -----
    UndefinedMetricWarning
        A cell type has no variance on a slide, or a slide has too few spots: NaN.
    HistodeconWarning
        The length scale is far below the pitch (R is then no more than Pearson's correlation) or far above the
        extent of the slide (R is then 0 for all), or spots share a position.

    Notes
    -----
    Writes ``uns[key_added]``:

    - ``names``: the cell types, in the order of all maps;
    - ``pooled``: ``R``, ``z``, ``p``, ``q``, each (n_types, n_types), and ``n``; slides weighted by their spots: about these
      slides;
    - ``across_slides``, with two slides or more: ``R``, ``lower``, ``upper`` (95 %%), ``p``, ``q``, ``tau``, ``n_slides``: about
      slides in general, each slide one observation of a random-effects model
      (:func:`histodecon.stats.across_slides`). It holds for smooth types, too. Slides must be independent: sections of one
      patient are not;
    - ``libraries``: the same for each slide, with ``library_id``, ``mpp``, ``neighbors`` (mean weight a spot gives to
      the others), ``method``, ``n_left_out`` (spots without a value) and
      ``reason`` where a map is undefined, ``effective_n`` under the smooth null;
    - ``local``, on request: ``first`` and ``second``, the names of the pairs;
    - ``params``: ``abundance``, ``kind``, ``length_um``, ``length_from``, ``include_self``, ``method``,
      ``permutations``, ``random_state``, ``library_key``, ``null``, ``null_model``, ``positions``, ``precision``.

    With ``local``, ``obsm["local_" + key_added]`` holds the contributions, shape (n, pairs), in the order of ``pairs``; their mean
    over a slide is R. ``_p`` and ``_q`` stand beside it: two-sided, the values of the other spots permuted, q over the spots of
    a slide. NaN where a spot has no value.

    R_ab = Σᵢⱼ wᵢⱼ (xᵢₐ - x̄ₐ)(xⱼᵦ - x̄ᵦ) / √(Σ(xₐ - x̄ₐ)² Σ(xᵦ - x̄ᵦ)²), w = n/W · exp(-d²/2l²), W the sum of the weights, no
    cutoff. p is two-sided, so avoidance counts as attraction does; q is Benjamini-Hochberg over the pairs of different
    types, the diagonal apart. Three variances can stand behind p: both types permuted over the spots, one of them permuted, or
    both independent and smooth (``null``; the formulas are with :func:`histodecon.stats.morans_r`).

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide()["table"]
    >>> hd.tl.colocalization(adata, "true_abundance")
    >>> found = adata.uns["colocalization"]
    >>> names = list(found["names"])
    >>> bool(found["pooled"]["R"][names.index("T-cells"), names.index("B-cells")] > 0)
    True
    """
    adata = table_of(adata)
    require_spots(adata)
    check_options(
        length_um,
        method,
        permutations,
        key_added,
        local=local,
        pairs=pairs,
        null=null,
        positions=positions,
        precision=precision,
    )
    table = read_table(adata, abundance)
    chosen = find_pairs(pairs, table.columns)
    slides = slides_of(adata, table, abundance, library_key, mpp)
    if positions == "array":
        slides = [replace(one, um=array_positions(adata, one.rows, one.um, one.library)) for one in slides]
    length = float(length_um) if length_um is not None else pitch_of(slides)
    require_lattice(slides, method)
    results = {
        slide.library: stats.morans_r(
            slide.values,
            slide.um,
            length,
            include_self=include_self,
            null=null,
            permutations=permutations,
            random_state=random_state,
            method=method,
            precision=precision,
        )
        for slide in slides
    }
    warn_results(results, table.columns)
    maps = list(results.values())
    record: dict[str, Any] = {
        "names": table.columns.to_numpy(dtype=object),
        "pooled": map_record(only_pairs(stats.pool_morans_r(maps), chosen)),
        "libraries": {
            safe_key(slide.library): {
                **map_record(only_pairs(results[slide.library], chosen)),
                "library_id": slide.library,
                "mpp": slide.mpp,
                "n_left_out": slide.n_left_out,
            }
            for slide in slides
        },
        "params": {
            "abundance": abundance,
            "kind": table_kind(adata, abundance),
            "length_um": length,
            "length_from": "spot pitch" if length_um is None else "argument",
            "include_self": include_self,
            "method": method,
            "permutations": permutations,
            "random_state": random_state,
            "library_key": library_key,
            "null": null,
            "null_model": NULLS[null],
            "positions": positions,
            "precision": precision,
        },
    }
    if len(maps) > 1:
        record["across_slides"] = across_record(maps, chosen)
    layers = {}
    if local and chosen is not None:
        names = record["names"][chosen]
        record["local"] = {"first": names[:, 0], "second": names[:, 1]}
        layers = _local_layers(adata.n_obs, slides, chosen, length, include_self=include_self, method=method)
    target = adata.copy() if copy else adata
    note_where_results_go(target)
    for ending in LOCAL:  # those of an earlier call name other pairs
        target.obsm.pop(f"local_{key_added}{ending}", None)
        if layers:
            target.obsm[f"local_{key_added}{ending}"] = layers[ending]
    target.uns[key_added] = record
    return target if copy else None


def _local_layers(
    n_obs: int, slides: list[Slide], pairs: np.ndarray, length: float, *, include_self: bool, method: Any
) -> dict[str, np.ndarray]:
    layers = {ending: np.full((n_obs, len(pairs)), np.nan) for ending in LOCAL}
    for slide in slides:
        found = stats.local_morans_r(slide.values, slide.um, length, pairs, include_self=include_self, method=method)
        for ending, values in zip(LOCAL, (found.r, found.p, found.q), strict=True):
            layers[ending][slide.rows] = values
    return layers
