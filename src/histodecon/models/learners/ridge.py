"""Ridge regression in closed form, its strength chosen on training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import InputError
from histodecon.models._learners import Arrays, FitContext, Learner, LearnerCard, Shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from histodecon.models._many_fits import ManyFits

STRENGTHS = tuple(float(10**power) for power in np.arange(-3.0, 4.01, 0.25))
"""Candidates, in units of the number of columns: the spectrum of standardized inputs scales with it."""
MAX_FOLDS = 10
WIDE = 256
"""Columns from which on comparing a few strengths by sums of groups is cheaper than decomposing every fold."""


class RidgeLearner(Learner):
    """Linear least squares with an L2 penalty; one strength for all cell types.

    Weights are those of each cell type, one exact solution a type. Only the strength is chosen with one weight a row, their
    mean over types, so that the rows left out need one decomposition a fold, as without weights.
    """

    floats = "float64"
    takes_weights = True
    seeded = False

    def check(self) -> None:
        """Refuse strengths below 0."""
        strength = self.params["strength"]
        number = isinstance(strength, (int, float, np.number)) and not isinstance(strength, bool)
        if strength is not None and not (number and 0 < strength < np.inf):
            msg = f"strength must be a positive number or None, got {strength!r}"
            raise InputError(msg, fix="`None` lets held-in rows choose", code="BI-72")

    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> RidgeLearner:
        """Learn; see :meth:`histodecon.models.Learner.fit`."""
        strength, errors = self.params["strength"], np.empty(0)
        chosen_by = "given"
        if strength is None:
            strength, errors, chosen_by = choose_strength(X, Y, groups, weights)
        self.coefficients_, self.intercept_ = fit_ridge(X, Y, strength, weights)
        self.summary_ = {"strength": float(strength), "strength_chosen_by": chosen_by}
        seen = np.flatnonzero(np.isfinite(errors))
        curve = {"strengths": [STRENGTHS[i] for i in seen], "held_in_error": errors[seen].tolist()}
        self.history_ = curve if len(seen) else {}
        return self

    def fit_many(self, problem: ManyFits) -> list[Learner] | None:
        """Learn from many training sets that are made of few parts; see :meth:`histodecon.models.Learner.fit_many`."""
        from histodecon.models._ridge_folds import pooled_fits

        given, d = self.params["strength"], problem.X.shape[1]
        one_group = given is None and any(len(np.unique(groups)) < 2 for groups in problem.groups)
        if problem.weights is not None or one_group or not problem.few_parts:
            return None
        if any(len(rows) <= d for rows in problem.rows):  # there the other Gram matrix is the smaller one
            return None
        learners: list[Learner] = []
        for coefficients, strength, errors in pooled_fits(problem, STRENGTHS, given, _fold):
            learner = RidgeLearner(**self.params)
            learner.coefficients_, learner.intercept_ = coefficients, np.zeros(coefficients.shape[1])
            chosen_by = "given" if given is not None else "leave-one-group-out"
            learner.summary_ = {"strength": strength, "strength_chosen_by": chosen_by}
            learner.history_ = {"strengths": list(errors), "held_in_error": list(errors.values())} if errors else {}
            learners.append(learner)
        return learners

    def predict(self, X: NDArray) -> NDArray[np.float64]:
        """Predict; see :meth:`histodecon.models.Learner.predict`."""
        return X @ self.coefficients_ + self.intercept_

    def shapes(self, n_inputs: int, n_outputs: int) -> Shapes:
        """Declare the arrays; see :meth:`histodecon.models.Learner.shapes`."""
        return {"coefficients": (n_inputs, n_outputs), "intercept": (n_outputs,)}

    def arrays(self) -> Arrays:
        """Return the fitted arrays."""
        return {"coefficients": self.coefficients_, "intercept": self.intercept_}

    def restore(self, arrays: Arrays) -> RidgeLearner:
        """Take fitted arrays."""
        self.coefficients_, self.intercept_ = arrays["coefficients"], arrays["intercept"]
        return self


def spectrum(Z: NDArray) -> tuple[NDArray, NDArray]:
    """Eigenvalues and right singular directions of centered inputs, by the smaller of the two Gram matrices.

    Parameters
    ----------
    Z
        Centered inputs, shape (n, d).

    Returns
    -------
    Eigenvalues (r,) of ZᵀZ above rounding, and their directions (d, r).
    """
    n, d = Z.shape
    values, vectors = np.linalg.eigh(Z @ Z.T if n <= d else Z.T @ Z)
    keep = values > max(n, d) * np.finfo(np.float64).eps * max(float(values[-1]), np.finfo(np.float64).tiny)
    values, vectors = values[keep], vectors[:, keep]
    return values, (Z.T @ vectors) / np.sqrt(values) if n <= d else vectors


def solve(Z: NDArray, T: NDArray, strength: float) -> NDArray[np.float64]:
    """Solve by the smaller of the two Gram matrices.

    Parameters
    ----------
    Z
        Centered inputs, shape (n, d).
    T
        Centered targets, shape (n, K).
    strength
        Penalty in units of d.

    Returns
    -------
    Coefficients, shape (d, K).
    """
    from scipy.linalg import solve as solve_system

    n, d = Z.shape
    if n <= d:
        return Z.T @ solve_system(Z @ Z.T + strength * d * np.eye(n), T, assume_a="pos")
    return solve_system(Z.T @ Z + strength * d * np.eye(d), Z.T @ T, assume_a="pos")


def fit_ridge(
    X: NDArray, Y: NDArray, strength: float, weights: NDArray[np.float64] | None = None
) -> tuple[NDArray, NDArray]:
    """Solve with an intercept that is not penalized.

    Parameters
    ----------
    X
        Inputs, shape (n, d).
    Y
        Targets, shape (n, K).
    strength
        Penalty in units of d.
    weights
        How much each target counts, shape (n, K): every cell type has a system of its own. Or each row, shape (n,): all
        share one.

    Returns
    -------
    Coefficients (d, K) and intercepts (K,).
    """
    if weights is None or weights.ndim == 1:
        center, mean, Z, T = _centered(X, Y, weights)
        coefficients = solve(Z, T, strength)
        return coefficients, mean - center @ coefficients
    coefficients, intercept = np.empty((X.shape[1], Y.shape[1])), np.empty(Y.shape[1])
    for k, own in enumerate(weights.T):
        center, mean, Z, T = _centered(X, Y[:, k : k + 1], own)
        coefficients[:, k] = solve(Z, T, strength)[:, 0]
        intercept[k] = mean[0] - center @ coefficients[:, k]
    return coefficients, intercept


def _centered(X: NDArray, Y: NDArray, weights: NDArray[np.float64] | None) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Center of the inputs and of the targets, both centered; rows times the root of their weight where they have one."""
    if weights is None:
        center, mean = X.mean(axis=0), Y.mean(axis=0)
        return center, mean, X - center, Y - mean
    share = weights / weights.sum()
    center, mean = share @ X, share @ Y
    root = np.sqrt(weights)[:, None]
    return center, mean, root * (X - center), root * (Y - mean)


def choose_strength(
    X: NDArray, Y: NDArray, groups: NDArray[np.intp], weights: NDArray[np.float64] | None = None
) -> tuple[float, NDArray, str]:
    """Choose the strength by held-in squared error: groups left out in turn, or rows where there is one group.

    The strongest penalty within one standard error of the best is taken: held-in rows are more like the training rows
    than a new patient's will be.

    Parameters
    ----------
    X
        Training inputs, shape (n, d).
    Y
        Training targets, shape (n, K).
    groups
        Group of each row.
    weights
        How much each target counts, shape (n, K). The errors are weighted by them; the solutions that make the errors by their
        mean over cell types.

    Returns
    -------
    The strength, the mean squared held-in error of every candidate (NaN for those that were not looked at), and how it was
    chosen.

    References
    ----------
    Breiman, Friedman, Olshen and Stone 1984, Classification and Regression Trees, section 3.4.3.
    """
    if len(X) < 3:
        return 1.0, np.empty(0), "too few rows to choose"
    if len(np.unique(groups)) > 1:
        folds, how = _fold(groups), "leave-one-group-out"
        if weights is None and X.shape[1] >= WIDE and len(X) - np.bincount(folds).max() > X.shape[1]:
            from histodecon.models._ridge_folds import search_bundles

            chosen, means = search_bundles(X, Y, folds, STRENGTHS)
            return STRENGTHS[chosen], np.array([means.get(i, np.nan) for i in range(len(STRENGTHS))]), how
        errors = _leave_group_out(X, Y, folds, weights)
    else:
        errors, how = _leave_row_out(X, Y, weights), "leave-one-row-out"
    mean = errors.mean(axis=1)
    best = int(mean.argmin())
    within = mean <= mean[best] + errors[best].std() / np.sqrt(errors.shape[1])
    return STRENGTHS[int(np.flatnonzero(within).max())], mean, how


def _fold(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Groups themselves, or at most ten bundles of whole groups of about equal size."""
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) <= MAX_FOLDS:
        return codes
    fold, filled = np.empty(len(names), dtype=np.intp), np.zeros(MAX_FOLDS)
    for group in np.argsort(-sizes, kind="stable"):
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    return fold[codes]


def _mean_square(residual: NDArray, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    squares = residual**2 if weights is None else weights * residual**2
    return np.asarray(squares.mean(axis=1))


def _leave_group_out(
    X: NDArray, Y: NDArray, folds: NDArray[np.intp], weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Squared error of every row while its group is left out, shape (candidates, n)."""
    rows = None if weights is None else weights.mean(axis=1)
    errors = np.empty((len(STRENGTHS), len(X)))
    for fold in np.unique(folds):
        inside, out = folds != fold, folds == fold
        center, mean, Z, T = _centered(X[inside], Y[inside], None if rows is None else rows[inside])
        values, directions = spectrum(Z)
        projected = directions.T @ (Z.T @ T)
        own = None if weights is None else weights[out]
        seen = (X[out] - center) @ directions
        for i, strength in enumerate(STRENGTHS):
            residual = Y[out] - mean - seen @ (projected / (values + strength * X.shape[1])[:, None])
            errors[i, out] = _mean_square(residual, own)
    return errors


def _leave_row_out(X: NDArray, Y: NDArray, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Exact leave-one-out squared error of every row from the leverages, intercept included, shape (candidates, n)."""
    rows = np.ones(len(X)) if weights is None else weights.mean(axis=1)
    _, _, Z, T = _centered(X, Y, None if weights is None else rows)
    values, directions = spectrum(Z)
    U = (Z @ directions) / np.sqrt(values)
    projected = U.T @ T
    errors = np.empty((len(STRENGTHS), len(X)))
    for i, strength in enumerate(STRENGTHS):
        shrink = values / (values + strength * X.shape[1])
        leverage = (U**2) @ shrink + rows / rows.sum()
        residual = (T - U @ (shrink[:, None] * projected)) / np.maximum(1 - leverage, 1e-12)[:, None]
        errors[i] = _mean_square(residual, None if weights is None else weights / rows[:, None])
    return errors


CARD = LearnerCard(
    name="ridge",
    summary="Linear regression with an L2 penalty whose strength held-in groups (or rows) choose.",
    cls=RidgeLearner,
    defaults={"strength": None},
    citation="Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634",
)
