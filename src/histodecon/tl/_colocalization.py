"""Which cell types share places, and which avoid each other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon._core import (
    GeometryError,
    HistodeconWarning,
    InputError,
    Key,
    UndefinedMetricWarning,
    doc,
    first_names,
    note_where_results_go,
    read_table,
    require_spots,
    safe_key,
    table_kind,
    table_of,
)
from histodecon.tl._checks import require_safe_key
from histodecon.tl._slides import Slide, slides_of

if TYPE_CHECKING:
    from anndata import AnnData

NULL = "values permuted over spots; exact mean and variance"
_FEW_NEIGHBORS = 0.1
_ALL_NEIGHBORS = 0.5


@doc
def colocalization(
    adata: AnnData,
    abundance: str = Key.obsm.PREDICTED,
    *,
    length_um: float | None = None,
    include_self: bool = True,
    mpp: float | Mapping[str, float] | None = None,
    method: Literal["auto", "blocks", "lattice", "fft", "near"] = "auto",
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
    mpp
        µm per full-resolution pixel, one number or a dict from library id. Default: what ``pp.tile_spots`` or
        the reader recorded.
    method
        How the weights are summed, see :func:`histodecon.stats.morans_r`; all are exact. ``"auto"`` picks the fastest for each
        slide; ``"blocks"`` is the plain reference.
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
        A coordinate is missing, all spots of a slide stand on one position, or ``method`` needs a lattice and there is
        none.
    InputError
        ``length_um`` is not positive, slides cannot be told apart, or no spot has a value.

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
    - ``pooled``: ``R``, ``z``, ``p``, ``q``, each (n_types, n_types), and ``n``; slides weighted by their spots;
    - ``libraries``: the same for each slide, with ``library_id``, ``mpp``, ``neighbors`` (mean weight a spot gives to
      the others), ``method``, ``n_left_out`` (spots without a value) and
      ``reason`` where a map is undefined;
    - ``params``: ``abundance``, ``kind``, ``length_um``, ``length_from``, ``include_self``, ``method``,
      ``permutations``, ``random_state``, ``library_key``, ``null``.

    R_ab = Σᵢⱼ wᵢⱼ (xᵢₐ - x̄ₐ)(xⱼᵦ - x̄ᵦ) / √(Σ(xₐ - x̄ₐ)² Σ(xᵦ - x̄ᵦ)²), w = n/W · exp(-d²/2l²), W the sum of the weights, no
    cutoff. p is two-sided, so avoidance counts as attraction does; q is Benjamini-Hochberg over the pairs of different
    types, the diagonal apart. The null puts values on spots at random: it does not know that each type is smooth
    by itself, so small p are common on tissue and R itself is the effect size.

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
    _check_options(length_um, method, permutations, key_added)
    table = read_table(adata, abundance)
    slides = slides_of(adata, table, abundance, library_key, mpp)
    length = float(length_um) if length_um is not None else _pitch(slides)
    _require_lattice(slides, method)
    results = {
        slide.library: stats.morans_r(
            slide.values,
            slide.um,
            length,
            include_self=include_self,
            permutations=permutations,
            random_state=random_state,
            method=method,
        )
        for slide in slides
    }
    _warn_results(results, table.columns)
    record = {
        "names": table.columns.to_numpy(dtype=object),
        "pooled": _maps(stats.pool_morans_r(list(results.values()))),
        "libraries": {
            safe_key(slide.library): {
                **_maps(results[slide.library]),
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
            "null": NULL,
        },
    }
    target = adata.copy() if copy else adata
    note_where_results_go(target)
    target.uns[key_added] = record
    return target if copy else None


def _check_options(length_um: float | None, method: str, permutations: int, key_added: str) -> None:
    require_safe_key(key_added, "key_added")
    if length_um is not None and not (np.isfinite(length_um) and length_um > 0):
        msg = f"length_um={length_um} is not a positive number"
        raise InputError(msg, why="it is the width of the neighborhood in µm", fix="use `length_um=100`", code="BI-95")
    if method not in stats.MORAN_METHODS or permutations < 0:
        msg = f"method={method!r}, permutations={permutations} cannot be used"
        where = f"methods are {', '.join(stats.MORAN_METHODS)}"
        raise InputError(msg, where=where, fix='use `method="auto"` and `permutations=0` or more', code="BI-95")


def _require_lattice(slides: list[Slide], method: str) -> None:
    if method not in {"lattice", "fft"}:
        return
    off = [slide.library for slide in slides if not stats.on_lattice(slide.um)]
    if off:
        msg = f"method={method!r} needs spots on a lattice along the axes of the image"
        where = f"{len(off)} of {len(slides)} slides have none: {first_names(off)}"
        fix = '`method="auto"` finds the fastest way for every slide'
        raise GeometryError(msg, where=where, fix=fix, code="BI-95")


def _pitch(slides: list[Slide]) -> float:
    pitches = np.array([stats.nearest_neighbor_pitch(slide.um) for slide in slides])
    if np.isnan(pitches).all():
        msg = "No slide has two spots: the pitch is unknown"
        raise InputError(msg, fix="give `length_um=100`", code="BI-32")
    return round(float(np.nanmedian(pitches)), 6)


def _warn_results(results: Mapping[str, stats.MoranResult], names: pd.Index) -> None:
    undefined, odd = [], []
    for library, result in results.items():
        blank = np.isnan(result.r).all(axis=1)
        if result.reason:
            undefined.append(f"{library}: {result.reason}")
        elif blank.any():
            undefined.append(
                f"{library}: no variance in {int(blank.sum())} of {len(names)} ({first_names(names[blank])})"
            )
        if result.n > 1 and result.neighbors < _FEW_NEIGHBORS:
            odd.append(f"{library}: {result.neighbors:.2g} effective neighbors, so R is no more than the correlation")
        elif result.n > 4 and result.neighbors > _ALL_NEIGHBORS * (result.n - 1):
            share = result.neighbors / (result.n - 1)
            odd.append(f"{library}: the mean weight between two spots is {share:.2f}, so R tends to 0 for all pairs")
    if undefined:
        text = "; ".join(undefined[:5]) + (f"; and {len(undefined) - 5} more" if len(undefined) > 5 else "")
        warnings.warn(f"Moran's R or its p is undefined (NaN): {text}.", UndefinedMetricWarning, stacklevel=3)
    if odd:
        length = next(iter(results.values())).length
        warnings.warn(f"length_um={length:g} does not fit: {'; '.join(odd[:5])}.", HistodeconWarning, stacklevel=3)


def _maps(result: stats.MoranResult) -> dict[str, Any]:
    return {
        "R": result.r,
        "z": result.z,
        "p": result.p,
        "q": result.q,
        "n": result.n,
        "neighbors": result.neighbors,
        "method": result.method,
        "reason": result.reason,
    }
