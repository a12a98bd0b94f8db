"""What ``tl.colocalization`` checks, warns of and records."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from histodecon import stats
from histodecon._core import (
    GeometryError,
    HistodeconWarning,
    InputError,
    UndefinedMetricWarning,
    closest_names,
    first_names,
)
from histodecon.tl._checks import require_safe_key
from histodecon.tl._slides import Slide

NULLS = {
    "shuffled": "values permuted over spots; exact mean and variance",
    "shuffled_one": "values of one type permuted over spots, the other in place; exact variance, the larger of both directions",
    "smooth": "independent types, each as smooth in space as it is; fitted variance, t test with the effective number of spots",
}
_CHOICES = {"null": tuple(NULLS), "positions": ("spatial", "array"), "precision": ("float64", "float32")}
_FEW_NEIGHBORS = 0.1
_ALL_NEIGHBORS = 0.5


def check_options(
    length_um: float | None, method: str, permutations: int, key_added: str, *, local: bool, pairs: Any, **choices: str
) -> None:
    """Refuse options that mean nothing, before anything is read.

    Parameters
    ----------
    length_um, method, permutations, key_added, local, pairs
        Arguments of ``tl.colocalization``.
    choices
        Those that have a fixed set of values.

    Raises
    ------
    InputError
        An option is out of range, or two exclude each other.
    NamingError
        ``key_added`` cannot be stored.
    """
    require_safe_key(key_added, "key_added")
    if length_um is not None and not (np.isfinite(length_um) and length_um > 0):
        msg = f"length_um={length_um} is not a positive number"
        raise InputError(msg, why="it is the width of the neighborhood in µm", fix="use `length_um=100`", code="BI-95")
    if method not in stats.MORAN_METHODS or permutations < 0:
        msg = f"method={method!r}, permutations={permutations} cannot be used"
        where = f"methods are {', '.join(stats.MORAN_METHODS)}"
        raise InputError(msg, where=where, fix='use `method="auto"` and `permutations=0` or more', code="BI-95")
    for name, value in choices.items():
        if value not in _CHOICES[name]:
            msg = f"{name}={value!r} is unknown"
            raise InputError(msg, fix=f"use one of {first_names(_CHOICES[name])}", code="BI-95")
    if choices["null"] == "smooth" and permutations:
        msg = f'null="smooth" and permutations={permutations} exclude each other'
        why = "shuffled values are not smooth"
        raise InputError(msg, why=why, fix="leave one of them out", code="BI-95")
    if local and pairs is None:
        msg = "local=True needs to know for which pairs"
        fix = 'name them with `pairs=[("T-cells", "B-cells")]`'
        raise InputError(msg, why="every pair is a column over all spots", fix=fix, code="BI-95")


def find_pairs(pairs: Sequence[tuple[str, str]] | None, names: pd.Index) -> np.ndarray | None:
    """Number the pairs a user named.

    Parameters
    ----------
    pairs
        Names, two each; None for all pairs.
    names
        Cell types of the table.

    Returns
    -------
    Numbers of the columns, int (pairs, 2), or None.

    Raises
    ------
    InputError
        A name is unknown, or an entry is no pair.
    """
    if pairs is None:
        return None
    found = [tuple(pair) if not isinstance(pair, str) else (pair,) for pair in pairs]
    odd = [pair for pair in found if len(pair) != 2]
    if odd or not found:
        msg = f"pairs={first_names(odd)} are no pairs of names" if odd else "pairs is empty"
        raise InputError(msg, fix='write `pairs=[("T-cells", "B-cells")]`', code="BI-104")
    unknown = [name for pair in found for name in pair if name not in names]
    if unknown:
        msg = f"Unknown cell types in pairs: {first_names(unknown)}"
        hint = closest_names(unknown[0], [str(name) for name in names], n=3)
        raise InputError(msg, where=f"known: {first_names(names, 8)}", fix=hint or "use one of these", code="BI-104")
    return np.array([[names.get_loc(a), names.get_loc(b)] for a, b in found], dtype=np.int64)


def only_pairs(result: stats.MoranResult, pairs: np.ndarray | None) -> stats.MoranResult:
    """Keep the tests of chosen pairs; R of the others stays.

    Parameters
    ----------
    result
        Map of all pairs.
    pairs
        Numbers of the types, int (pairs, 2); None keeps all.

    Returns
    -------
    The map, with q over the tests that are left.
    """
    if pairs is None:
        return result
    kept = np.zeros(result.p.shape, dtype=bool)
    kept[tuple(pairs.T)] = kept[tuple(pairs.T[::-1])] = True
    p = np.where(kept, result.p, np.nan)
    return replace(result, p=p, q=stats.family_wise_q(p, same=True))


def require_lattice(slides: list[Slide], method: str) -> None:
    """Refuse a method that needs a lattice where there is none.

    Parameters
    ----------
    slides
        The slides.
    method
        How weights are summed.

    Raises
    ------
    GeometryError
        Some slide is no lattice.
    """
    if method not in {"lattice", "fft"}:
        return
    off = [slide.library for slide in slides if not stats.on_lattice(slide.um)]
    if off:
        msg = f"method={method!r} needs spots on a lattice along the axes of the image"
        where = f"{len(off)} of {len(slides)} slides have none: {first_names(off)}"
        fix = '`method="auto"` finds the fastest way for every slide'
        raise GeometryError(msg, where=where, fix=fix, code="BI-95")


def pitch_of(slides: list[Slide]) -> float:
    """Pitch of the spots of all slides.

    Parameters
    ----------
    slides
        The slides.

    Returns
    -------
    Median over slides, µm.

    Raises
    ------
    InputError
        No slide has two spots.
    """
    pitches = np.array([stats.nearest_neighbor_pitch(slide.um) for slide in slides])
    if np.isnan(pitches).all():
        msg = "No slide has two spots: the pitch is unknown"
        raise InputError(msg, fix="give `length_um=100`", code="BI-32")
    return round(float(np.nanmedian(pitches)), 6)


def warn_results(results: Mapping[str, stats.MoranResult], names: pd.Index) -> None:
    """Tell where R is undefined and where the length scale does not fit.

    Parameters
    ----------
    results
        Map of each slide.
    names
        Cell types.
    """
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
        warnings.warn(
            f"[HD-BI-99] Moran's R or its p is undefined (NaN): {text}.", UndefinedMetricWarning, stacklevel=3
        )
    if odd:
        length = next(iter(results.values())).length
        code = "[HD-BI-92]" if "effective neighbors" in odd[0] else "[HD-BI-93]"
        text = f"{code} length_um={length:g} does not fit: {'; '.join(odd[:5])}."
        warnings.warn(text, HistodeconWarning, stacklevel=3)


def map_record(result: stats.MoranResult) -> dict[str, Any]:
    """Lay out a map as it is stored.

    Parameters
    ----------
    result
        The map.

    Returns
    -------
    Arrays, numbers and text.
    """
    record = {
        "R": result.r,
        "z": result.z,
        "p": result.p,
        "q": result.q,
        "n": result.n,
        "neighbors": result.neighbors,
        "method": result.method,
        "reason": result.reason,
    }
    return record if result.effective_n is None else {**record, "effective_n": result.effective_n}


def across_record(results: Sequence[stats.MoranResult], pairs: np.ndarray | None) -> dict[str, Any]:
    """Summarize slides as observations, as it is stored.

    Parameters
    ----------
    results
        Map of each slide.
    pairs
        Pairs that are tested; None for all.

    Returns
    -------
    Arrays of the random-effects summary.
    """
    found = stats.across_slides(results)
    p, q = found.p, found.q
    if pairs is not None:
        kept = np.zeros(p.shape, dtype=bool)
        kept[tuple(pairs.T)] = kept[tuple(pairs.T[::-1])] = True
        p = np.where(kept, p, np.nan)
        q = stats.family_wise_q(p, same=True)
    return {
        "R": found.r,
        "lower": found.lower,
        "upper": found.upper,
        "p": p,
        "q": q,
        "tau": found.tau,
        "n_slides": found.slides,
    }
