"""Maps finer than the spots: predictions on small tiles, held to what was measured at the spots."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from histodecon._core import (
    AlignmentError,
    DroppedSpotsWarning,
    InputError,
    Key,
    doc,
    first_names,
    read_table,
    require_spots,
    require_unique_names,
    safe_key,
    table_kind,
    table_of,
    write_table,
)
from histodecon.stats import share_out
from histodecon.tl._checks import require_safe_key
from histodecon.tl._parents import Families, find_parents, smoothed

if TYPE_CHECKING:
    from anndata import AnnData

OUTSIDE = ("nan", "predicted")


@doc
def super_resolve(
    adata: AnnData,
    spots: AnnData,
    *,
    predicted: str = Key.obsm.PREDICTED,
    measured: str = Key.obsm.TARGETS,
    radius_um: float | None = None,
    smooth: bool = True,
    outside: Literal["nan", "predicted"] = "nan",
    mpp: float | Mapping[str, float] | None = None,
    library_key: str = Key.obs.LIBRARY,
    key_added: str = Key.obsm.SUPER_RESOLVED,
    copy: bool = False,
) -> AnnData | None:
    """Rescale the predictions of small tiles so that those of one spot add up to what was measured there.

    Parameters
    ----------
    adata
        Table of the tiles: :func:`histodecon.pp.tile_grid` with a spacing below that of the spots, embedded and predicted.
    spots
        Table of the spots of the same slides, in the same pixels.
    predicted
        Key of ``adata.obsm`` with the predictions of the tiles.
    measured
        Key of ``spots.obsm`` with the values to keep: targets, or a prediction at the spots.
    radius_um
        A tile belongs to the nearest spot of its slide, when that is no further from its center than this. Default: 0.75 times the
        pitch of the spots, so that each place among them has its spot. Half the diameter of a spot, 27.5 µm for Visium, leaves
        the tiles whose center lies in the spot itself.
    smooth
        Move the predictions first by the differences between measured and predicted values, interpolated between the spots, so
        that there are no steps from spot to spot. False only rescales.
    outside
        What tiles without a measured spot get: ``"nan"``, or with ``"predicted"`` their prediction, of abundances divided by
        the usual number of tiles of a spot.
    mpp
        µm per full-resolution pixel where neither table knows it, or a dict from library id.
    %(library_key)s
    %(key_added)s
    %(copy)s

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingKeyError
        A table is absent.
    AlignmentError
        The two tables name other cell types, or no slide is in both.
    InputError
        No tile belongs to a spot that was measured, a value is negative, or an option is unknown.
    ResolutionError
        The size of a pixel is unknown.

    Warns
    -----
    DroppedSpotsWarning
        Some measured spots have no tile: what was measured there is not on the map.

    Notes
    -----
    Writes ``obsm[key_added]``, a DataFrame (n_tiles, n_types) of the kind of ``measured``; ``obs["parent_spot"]``, the name of
    each tile's spot, empty without one; and its record in ``uns["histodecon"]["tables"][key_added]``. With another ``key_added``
    the column of ``obs`` begins with it.

    Abundances are cells per tile: over the tiles of a spot they sum to the cells of the spot. Proportions average to those of the
    spot and sum to 1 in each tile. See :func:`histodecon.stats.share_out`. The detail within a spot comes from the picture alone
    and was not measured; docs/results/super_resolution.md says what it is worth on real tissue.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    >>> spots = sdata["table"]
    >>> hd.pp.tile_spots(sdata)
    >>> hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    >>> hd.tl.set_targets(spots, "true_abundance")
    >>> model = hd.tl.train_regressor(spots, use_rep="X_color_stats", learner="ridge")
    >>> hd.pp.tile_grid(sdata, spacing_um=40, layout="square", table_key="fine")
    >>> hd.pp.embed_tiles(sdata, "color_stats", table_key="fine", show_progress_bar=False)
    >>> fine = sdata["fine"]
    >>> hd.tl.predict_abundance(fine, model)
    >>> hd.tl.super_resolve(fine, spots)
    >>> sums = fine.obsm["superresolved_abundance"].groupby(fine.obs["parent_spot"].to_numpy()).sum()
    >>> name = spots.obs_names[14]
    >>> bool(abs(sums.loc[name] - spots.obsm["cell_abundance"].loc[name]).max() < 1e-6)
    True
    """
    adata, spots = table_of(adata), table_of(spots)
    for table in (adata, spots):
        require_spots(table)
        require_unique_names(table)
    require_safe_key(key_added, "key_added")
    _check_options(outside, radius_um)
    values, kind = read_table(spots, measured), table_kind(spots, measured)
    guess = _in_order(read_table(adata, predicted), values, predicted, measured)
    _refuse_negative({f"obsm[{predicted!r}]": guess, f"spots.obsm[{measured!r}]": values})
    known = np.isfinite(values.to_numpy()).all(axis=1)
    families = find_parents(adata, spots, radius_um=radius_um, mpp=mpp, library_key=library_key)
    fine = _shared_out(families, guess.to_numpy(), values.to_numpy(), known, kind, smooth=smooth)
    has_value = np.isfinite(fine).all(axis=1)
    if not has_value.any():
        _none_belongs(families, known, measured)
    members = np.bincount(families.parent[has_value], minlength=len(values))
    if outside == "predicted":
        usual = 1.0 if kind == "proportion" else float(np.median(members[members > 0]))
        own = guess.to_numpy() / usual
        if kind == "proportion":
            own = own / np.maximum(own.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        fine = np.where(has_value[:, None], fine, own)
    lost = known & (members == 0)
    record: dict[str, Any] = {
        "source": f"super_resolve: {predicted}, {measured}",
        "radius_um": {safe_key(name): radius for name, radius in families.radius_um.items()},
        "smooth": smooth,
        "outside": outside,
        "n_parents": int((members > 0).sum()),
        "n_spots_without_tiles": int(lost.sum()),
        "n_outside": int((~has_value).sum()),
        "unit_is": "cells per tile" if kind == "abundance" else "proportion",
    }
    out = adata.copy() if copy else adata
    parents = np.where(families.parent >= 0, spots.obs_names.to_numpy(dtype=object)[families.parent], "")
    column = Key.obs.PARENT if key_added == Key.obsm.SUPER_RESOLVED else f"{key_added}_{Key.obs.PARENT}"
    table = pd.DataFrame(fine, index=adata.obs_names, columns=list(values.columns))
    write_table(out, key_added, table, kind=kind, record=record)
    out.obs[column] = pd.Categorical(parents)
    if lost.any():
        _warn_lost(spots, lost)
    return out if copy else None


def _shared_out(
    families: Families, guess: np.ndarray, values: np.ndarray, known: np.ndarray, kind: str, *, smooth: bool
) -> np.ndarray:
    start = smoothed(families, guess, values, known) if smooth else guess
    return share_out(start, values, families.parent, proportions=kind == "proportion")


def _check_options(outside: str, radius_um: float | None) -> None:
    if outside not in OUTSIDE:
        msg = f"`outside` is one of {', '.join(OUTSIDE)}, not {outside!r}"
        raise InputError(msg, fix='`outside="nan"`', code="BI-72")
    if radius_um is not None and not (np.isfinite(radius_um) and radius_um > 0):
        msg = f"`radius_um` must be above 0, not {radius_um}"
        raise InputError(msg, fix="leave it out: 0.75 times the pitch of the spots", code="BI-72")


def _in_order(guess: pd.DataFrame, values: pd.DataFrame, predicted: str, measured: str) -> pd.DataFrame:
    missing = [name for name in values if name not in guess]
    extra = [name for name in guess if name not in values]
    if missing or extra:
        msg = "The tiles and the spots name other cell types"
        where = f"only in spots.obsm[{measured!r}]: {first_names(missing)}; only in obsm[{predicted!r}]: {first_names(extra)}"
        fix = "predict with a model that was trained on these cell types"
        raise AlignmentError(msg, where=where, why="the tiles of a spot share out its cells type by type", fix=fix)
    return guess[list(values.columns)]


def _refuse_negative(tables: Mapping[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        bad = (table < 0).any(axis=1).to_numpy()
        if bad.any():
            msg = f"Some values of {name} are negative"
            where = f"{int(bad.sum())} of {len(table)} rows: {first_names(table.index[bad])}"
            raise InputError(msg, where=where, why="a share of them means nothing", fix="`.clip(lower=0)`")


def _none_belongs(families: Families, known: np.ndarray, measured: str) -> None:
    near = families.distance_um[np.isfinite(families.distance_um)]
    nearest = f"the nearest tile is {near.min():.0f} µm from its spot" if len(near) else "no tile has a spot"
    where = f"{nearest}; {int(known.sum())} of {len(known)} spots have a value in obsm[{measured!r}]"
    msg = "No tile belongs to a spot with a value"
    fix = "tiles and spots must be in the same full-resolution pixels; or widen `radius_um=`"
    raise InputError(msg, where=where, fix=fix)


def _warn_lost(spots: AnnData, lost: np.ndarray) -> None:
    warnings.warn(
        f"{int(lost.sum())} of {spots.n_obs} spots have no tile: {first_names(spots.obs_names[lost])}. What was measured "
        "there is not on the map; a finer `spacing_um=` or a lower `tissue_threshold=` of `pp.tile_grid` gives them tiles.",
        DroppedSpotsWarning,
        stacklevel=4,
    )
