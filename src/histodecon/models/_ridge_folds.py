"""Ridge for all folds at once: Gram matrices of parts, pooled for each fold and for each group left out within it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from histodecon.models._many_fits import ManyFits
from histodecon.models._ridge_sums import Sums, downdated, pool, sums_of

SAFE = 1e5
"""Largest ratio of the largest eigenvalue to the penalty at which systems are solved in float32 while strengths are compared."""
COARSE = 4
POWER_STEPS = 8

Pieces = list[tuple[NDArray[np.float32], NDArray[np.float64]]]
Searched = tuple[int, dict[int, float]]


class InnerFolds:
    """Held-in errors of one fold: bundles of its parts left out in turn.

    Inputs are on one scale for all folds; the scale of the fold's own training rows stands in the penalty, which gives the same
    predictions: with inputs divided by s, the penalty is that on inputs times s squared.

    Parameters
    ----------
    fold
        Sums over the training rows.
    bundles
        Inputs (float32) and targets of each bundle, in pieces, and sums over its rows.
    penalty
        Of strength 1, shape (d,).
    target_scale
        Shape (K,).
    """

    def __init__(
        self,
        fold: Sums,
        bundles: Sequence[tuple[Pieces, Sums]],
        penalty: NDArray[np.float64],
        target_scale: NDArray[np.float64],
    ) -> None:
        self.penalty, self.target_scale = penalty, target_scale
        self.bundles = [(pieces, *_without(fold, own)) for pieces, own in bundles]
        self.fold, self.own = fold, [own for _, own in bundles]
        self.largest = _largest(self.bundles[0][1])
        self.buffer = np.empty_like(self.bundles[0][1])

    def errors(self, strength: float) -> NDArray[np.float64]:
        """Compute held-in errors.

        Parameters
        ----------
        strength
            The penalty, in units of that of strength 1.

        Returns
        -------
        Squared error of every training row, mean over cell types of variance 1.
        """
        safe = self.largest <= SAFE * strength * self.penalty.min()
        parts = []
        for (pieces, gram, cross, mean, target_mean), own in zip(self.bundles, self.own, strict=True):
            wanted = cross / self.target_scale
            coefficients = self._solved_fast(gram, wanted, strength) if safe else None
            if coefficients is None:
                exact = self.fold.gram - own.gram
                _apart(exact, self.fold, own)
                coefficients = solve_penalized(exact, wanted, strength * self.penalty)
            offset = target_mean / self.target_scale - mean @ coefficients
            for X, Y in pieces:
                residual = Y / self.target_scale - offset - X @ coefficients.astype(np.float32)
                parts.append(np.einsum("ij,ij->i", residual, residual) / residual.shape[1])
        return np.concatenate(parts)

    def _solved_fast(self, gram: NDArray, cross: NDArray, strength: float) -> NDArray | None:
        np.copyto(self.buffer, gram)
        self.buffer[np.diag_indices_from(self.buffer)] += (strength * self.penalty).astype(np.float32)
        try:
            factor = cho_factor(self.buffer.T, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            return None
        return np.asarray(cho_solve(factor, cross.astype(np.float32), check_finite=False), dtype=np.float64)


def solve_penalized(gram: NDArray, cross: NDArray, penalty: NDArray) -> NDArray[np.float64]:
    """Solve a ridge system whose penalty differs between columns; the matrix is overwritten.

    Parameters
    ----------
    gram
        Shape (d, d), symmetric.
    cross
        Shape (d, K).
    penalty
        Shape (d,).

    Returns
    -------
    Coefficients, shape (d, K).
    """
    gram[np.diag_indices_from(gram)] += penalty
    factor = cho_factor(gram.T, lower=True, overwrite_a=True, check_finite=False)
    return np.asarray(cho_solve(factor, cross, check_finite=False))


def _without(fold: Sums, own: Sums) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Gram matrix (float32), cross products and means of a fold without some of its rows."""
    size = fold.size - own.size
    mean = (fold.size * fold.mean - own.size * own.mean) / size
    target_mean = (fold.size * fold.target_mean - own.size * own.target_mean) / size
    gram = np.subtract(fold.gram, own.gram, dtype=np.float32, casting="same_kind")
    _apart(gram, fold, own)
    weight = own.size * fold.size / size
    cross = fold.cross - own.cross - np.outer(weight * (own.mean - fold.mean), own.target_mean - fold.target_mean)
    return gram, cross, mean, target_mean


def _apart(gram: NDArray, fold: Sums, own: Sums) -> None:
    """Take off, in place, what the distance of two means adds."""
    apart = own.mean - fold.mean
    weight = own.size * fold.size / (fold.size - own.size)
    gram -= np.outer((weight * apart).astype(gram.dtype), apart.astype(gram.dtype))


def _largest(gram: NDArray) -> float:
    """Largest eigenvalue, about."""
    vector = np.ones(len(gram), dtype=gram.dtype)
    size = 0.0
    for _ in range(POWER_STEPS):
        vector = gram @ (vector / np.linalg.norm(vector))
        size = float(np.linalg.norm(vector))
        if size == 0:
            break
    return size


def search(errors_at: Callable[[int], NDArray], n: int, hint: Searched | None = None) -> Searched:
    """Find the largest candidate within one standard error of the best, computing few: errors fall, then rise.

    Parameters
    ----------
    errors_at
        Errors of every row for a candidate.
    n
        How many candidates there are.
    hint
        What a similar search found: it is looked there first. Without, every fourth candidate is looked at.

    Returns
    -------
    The candidate, and the mean error of every one that was computed.
    """
    means: dict[int, float] = {}
    spread: dict[int, float] = {}

    def mean(i: int) -> float:
        if i not in means:
            errors = errors_at(i)
            means[i], spread[i] = float(errors.mean()), float(errors.std() / np.sqrt(len(errors)))
        return means[i]

    first = list(range(0, n, COARSE)) if hint is None else [min(hint[1], key=hint[1].__getitem__)]
    best = min(first, key=mean)
    while True:
        lowest = min([i for i in (best - 1, best, best + 1) if 0 <= i < n], key=mean)
        if lowest == best:
            break
        best = lowest
    limit = means[best] + spread[best]
    chosen = max(best, hint[0]) if hint else max(i for i, value in means.items() if value <= limit)
    while mean(chosen) > limit:
        chosen -= 1
    while chosen + 1 < n and mean(chosen + 1) <= limit:
        chosen += 1
    return chosen, dict(sorted(means.items()))


def search_bundles(X: NDArray, Y: NDArray, bundle_of: NDArray[np.intp], strengths: Sequence[float]) -> Searched:
    """Choose a strength by leaving bundles of rows out in turn, from sums over each of them.

    Parameters
    ----------
    X, Y
        Standardized inputs (n, d) and targets (n, K).
    bundle_of
        Bundle of each row, shape (n,).
    strengths
        Candidates, in units of d.

    Returns
    -------
    As :func:`search`: the candidate, and the mean error of every one that was computed.
    """
    center, scale, bundles = np.zeros(X.shape[1]), np.ones(X.shape[1]), []
    for number in np.unique(bundle_of):
        own = bundle_of == number
        bundles.append(([(X[own].astype(np.float32), Y[own])], sums_of(X[own], Y[own], center, scale)))
    fold = pool([sums for _, sums in bundles])
    inner = InnerFolds(fold, bundles, np.full(X.shape[1], float(X.shape[1])), np.ones(Y.shape[1]))
    return search(lambda i: inner.errors(strengths[i]), len(strengths))


def pooled_fits(problem: ManyFits, strengths: Sequence[float], given: float | None, bundle: Any) -> list[Any]:
    """Fit ridge to every training set.

    Parameters
    ----------
    problem
        The fits; every one has two groups or more.
    strengths
        Candidates.
    given
        A strength that needs no choice.
    bundle
        Function of group codes that gives the fold of each row, as in a single fit.

    Returns
    -------
    For each fit coefficients on standardized inputs and targets (d, K), strength, and the errors of the candidates
    computed.
    """
    from histodecon.models._transforms import fit_scale

    parts = np.unique(problem.part_of[problem.part_of >= 0])
    size, center, squares = problem.pooled(parts)
    common = np.sqrt(squares / size)
    common[common <= np.finfo(np.float32).tiny] = 1.0
    Y = np.zeros((len(problem.X), problem.targets[0].shape[1]))
    for rows, targets in zip(problem.rows, problem.targets, strict=True):
        Y[rows] = targets
    pieces, sums = {}, {}
    for part in parts:
        X, own = problem.X[problem.part_of == part], Y[problem.part_of == part]
        sums[part] = sums_of(X, own, center, common)
        if given is None:
            X -= center.astype(np.float32)
            X /= common.astype(np.float32)
            pieces[part] = (X, own)
    fitted, hint = [], None
    total = pool(list(sums.values()))
    for fit in range(len(problem.rows)):
        fold = _sums_of_fold(total, sums, set(problem.parts(fit)))
        stretch = problem.input_scale(fit)[1] / common
        target_scale = fit_scale(problem.targets[fit])[1]
        penalty = len(common) * stretch**2
        strength, errors = given, {}
        if strength is None:
            own_parts = problem.part_of[problem.rows[fit]]
            fold_of = bundle(problem.groups[fit])
            members = [np.unique(own_parts[fold_of == number]) for number in np.unique(fold_of)]
            bundles = [([pieces[part] for part in of], pool([sums[part] for part in of])) for of in members]
            inner = InnerFolds(fold, bundles, penalty, target_scale)
            hint = search(lambda i, inner=inner: inner.errors(strengths[i]), len(strengths), hint)  # type: ignore[misc]
            strength, errors = strengths[hint[0]], {strengths[i]: value for i, value in hint[1].items()}
            del inner
        shared = any(fold is one for one in (total, *sums.values()))
        gram = fold.gram.copy() if shared else fold.gram
        coefficients = solve_penalized(gram, fold.cross / target_scale, strength * penalty)
        fitted.append((np.ascontiguousarray(coefficients * stretch[:, None]), float(strength), errors))
    return fitted


def _sums_of_fold(total: Sums, sums: dict[int, Sums], inside: set[int]) -> Sums:
    """Sums over the parts of a fold: all without the others where these are few."""
    gone = [own for part, own in sums.items() if part not in inside]
    if not gone:
        return total
    fold = downdated(total, pool(gone)) if len(gone) < len(inside) else None
    return pool([sums[part] for part in sums if part in inside]) if fold is None else fold
