"""Leaving every patient out once, to learn how far a regressor can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from histodecon._core import InputError, as_2d_float, first_names
from histodecon.models._checks import encoded_groups
from histodecon.models._conformal import ConformalIntervals
from histodecon.models._fit_fold import among
from histodecon.models._fit_folds import fit_folds
from histodecon.models._reliability import ReliabilityCard

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from histodecon.models._genes import GeneCounts
    from histodecon.models._regressor import AbundanceRegressor

Rows = NDArray[np.intp]


def calibrate(
    model: AbundanceRegressor,
    X: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike,
    *,
    weights: Callable[[Rows], ArrayLike] | None = None,
    neighbors: Sequence[csr_matrix] | None = None,
    genes: GeneCounts | None = None,
    n_jobs: int = 1,
) -> AbundanceRegressor:
    """Fit the learner of a regressor once more for each group, without that group, and keep what its errors tell.

    Parameters
    ----------
    model
        A fitted regressor; it gets ``calibration_`` (:class:`ConformalIntervals`) and ``reliability_``
        (:class:`ReliabilityCard`). What it predicts does not change.
    X
        Embeddings it was trained on, shape (n, d).
    y
        Abundances it was trained on, shape (n, K).
    groups
        Independent unit of each row (the patient), two or more, shape (n,).
    weights
        Function of training rows that returns how much their targets count.
    neighbors
        For learners that read neighbors, as in :meth:`AbundanceRegressor.fit`.
    genes
        For learners that learn from genes, as in :meth:`AbundanceRegressor.fit`.
    n_jobs
        Processes, see :func:`fit_folds`.

    Returns
    -------
    The regressor.

    Raises
    ------
    InputError
        There are fewer than two groups.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import AbundanceRegressor, calibrate
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(120, 4)).astype("float32")
    >>> Y = np.clip(3 + X[:, :2] + 0.5 * rng.normal(size=(120, 2)), 0, None)
    >>> patient = np.arange(120) % 4
    >>> model = AbundanceRegressor("ridge").fit(X, Y, groups=patient, cell_types=["T cell", "B cell"])
    >>> print(calibrate(model, X, Y, patient).reliability_)  # doctest: +ELLIPSIS
    Reliability in 4 groups left out, 120 spots
    ...
    """
    from tqdm.auto import tqdm

    X, Y = as_2d_float(X, "X"), np.asarray(y, dtype=np.float64)
    codes, names = encoded_groups(groups, len(X))
    require_groups(names)
    held_out = np.full(Y.shape, np.nan)
    training = [np.flatnonzero(codes != code) for code in range(len(names))]
    quiet = clone(model).set_params(show_progress_bar=False)
    with tqdm(total=len(names), desc="calibration", disable=not model.show_progress_bar) as bar:
        folds = fit_folds(
            quiet,
            X,
            Y,
            training,
            groups=codes,
            encoders=model.encoders_,
            cell_types=model.cell_types_,
            kind=model.kind_,
            weights=weights,
            neighbors=neighbors,
            genes=genes,
            n_jobs=n_jobs,
            on_fold=lambda *_: bar.update(),
        )
    for code, fold in enumerate(folds):
        rows = np.flatnonzero(codes == code)
        rings = {} if neighbors is None else {"neighbors": [among(ring, rows) for ring in neighbors]}
        held_out[rows] = fold.predict(X[rows], **rings)
    truth = Y
    if "proportion" in (model.transform, model.learner_.kind):
        total = Y.sum(axis=1, keepdims=True)
        truth = np.divide(Y, total, out=np.full(Y.shape, np.nan), where=total > 0)
    model.calibration_ = ConformalIntervals.fit(truth, held_out, codes, kind=model.kind_)
    model.reliability_ = ReliabilityCard.fit(truth, held_out, codes, cell_types=model.cell_types_)
    return model


def require_groups(names: Sequence[str]) -> None:
    """Refuse a calibration without groups to leave out.

    Parameters
    ----------
    names
        The groups.

    Raises
    ------
    InputError
        There are fewer than two.
    """
    if len(set(names)) < 2:
        msg = f"Calibration needs two groups with targets, found {len(set(names))}"
        raise InputError(
            msg,
            where=first_names(names),
            why="how far a model errs on a new patient is seen on patients that it was not trained on",
            fix="train on more patients, or name what is independent with `groupby=`; `calibrate=False` goes without",
            code="BI-68",
        )
