"""Rows of sources, put together into one embedding of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, digest, first_names
from histodecon.pp._imported import Imported
from histodecon.pp._place_tiles import Placed

if TYPE_CHECKING:
    from anndata import AnnData

DEAD_PART = 0.5


def assemble(adata: AnnData, found: Sequence[Imported], placed: Sequence[Placed], absent: np.ndarray) -> np.ndarray:
    """Put the rows of all sources into the order of the table.

    Parameters
    ----------
    adata
        The table.
    found
        The sources.
    placed
        Which of their rows belong to which spots.
    absent
        Spots without a row, bool (n_obs,).

    Returns
    -------
    float32 (n_obs, width); rows of absent spots are NaN.

    Raises
    ------
    InputError
        Some values of other rows are not finite, or most columns are constant.
    """
    out = np.full((adata.n_obs, found[0].values.shape[1]), np.nan, dtype=np.float32)
    for one, at in zip(found, placed, strict=True):
        has = at.picked >= 0
        out[at.rows[has]] = one.values[at.picked[has]]
    bad = ~np.isfinite(out).all(axis=1) & ~absent
    if bad.any():
        msg = "Some embeddings are not finite"
        where = f"{int(bad.sum())} of {adata.n_obs} spots: {first_names(adata.obs_names[bad])}"
        fix = "embed these tiles again in float32: half precision overflows in some encoders"
        raise InputError(msg, where=where, why="one such value spoils every prediction", fix=fix, code="BI-42")
    there = out[~absent]
    constant = (there == there[:1]).all(axis=0)
    if len(there) > 1 and constant.mean() > DEAD_PART:
        msg = f"The embeddings are alike for all {len(there)} spots"
        where = f"{int(constant.sum())} of {len(constant)} columns are constant"
        why, fix = "nothing can be learned from them", "look at the tool that made them, and at the size of its tiles"
        raise InputError(msg, where=where, why=why, fix=fix, code="BI-43")
    return out


def facts_of(slides: Sequence[str], found: Sequence[Imported], placed: Sequence[Placed]) -> dict[str, Any]:
    """Collect what the record says of the slides.

    Parameters
    ----------
    slides
        Their keys.
    found, placed
        Their sources, and how these were matched.

    Returns
    -------
    ``matched``, ``n_tiles``, ``sources``, and ``max_distance_px`` and ``mpp`` where known.
    """
    used = [np.unique(at.picked[at.picked >= 0]) for at in placed]
    facts: dict[str, Any] = {
        "matched": {slide: at.matched for slide, at in zip(slides, placed, strict=True)},
        "n_tiles": sum(len(rows) for rows in used),
        "sources": {slide: digest(one.values) for slide, one in zip(slides, found, strict=True)},
    }
    far = [float(at.distance[at.picked >= 0].max()) for at in placed if at.distance is not None]
    scales = {slide: at.tile_mpp for slide, at in zip(slides, placed, strict=True) if at.tile_mpp}
    return facts | ({"max_distance_px": max(far)} if far else {}) | ({"mpp": scales} if scales else {})
