"""Intervals for the abundance in a spot of a new patient, from the errors on patients that were left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon._core import KINDS, InputError, IntegrityError
from histodecon.models._checks import encoded_groups
from histodecon.models._half_widths import BINS, LEVELS, half_widths
from histodecon.models._held_out import checked_pairs


class ConformalIntervals:
    """Split-conformal intervals of each cell type, calibrated on groups that were left out.

    The error of a spot is measured relative to the mean error of spots with about the same prediction, for abundances
    err more where there is more. The half-width is a quantile of these relative errors in which every patient counts
    alike. It is then widened by the factor that patients need who are left out of the calibration, too: each is
    covered with the quantile of the others, and the factor is the same quantile of what is missing. So the spread
    between patients enters, which spots alone do not show.

    Parameters
    ----------
    half_widths
        Half-width at each of ``LEVELS``, in units of the local error, shape (11, K).
    predicted
        Predictions, from low to high, at which the local error is known, shape (5, K).
    errors
        Mean error there, shape (5, K).
    facts
        ``target``: ``"abundance"`` or ``"proportion"``; ``n_rows``, ``n_groups`` of the calibration.

    Notes
    -----
    What is promised: if the new patient is drawn as those of the training were, and leaving one of them out changes the
    learner little (the jackknife of Barber et al. 2021), an interval holds the truth with the stated probability, taken
    over patients and over their spots, for each cell type by itself. Not promised: coverage in *this* patient, in a part
    of the tissue, or of all cell types at once. What holds for certain, whatever the data, needs at least
    ``coverage / (1 - coverage)`` patients (Lee, Barber and Willett 2023: 9 for 90 %) and intervals as wide as the largest error; with
    fewer patients the promise is one on average, and the reliability card tells the coverage that patients got who were
    left out.

    References
    ----------
    Dunn, Wasserman and Ramdas 2022, doi:10.1080/01621459.2022.2060112 (groups, not rows, are exchangeable); Lee, Barber and
    Willett 2023, arXiv:2306.06342; Lei et al. 2018, doi:10.1080/01621459.2017.1307116 (errors relative to a local one);
    Barber, Candès, Ramdas and Tibshirani 2021, doi:10.1214/20-AOS1965.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import ConformalIntervals
    >>> rng = np.random.default_rng(0)
    >>> predicted = rng.gamma(2, 2, size=(600, 1))
    >>> truth = np.clip(predicted + rng.normal(size=(600, 1)), 0, None)
    >>> intervals = ConformalIntervals.fit(truth, predicted, np.arange(600) % 6)
    >>> lower, upper = intervals.interval(predicted, coverage=0.8)
    >>> round(float(((lower <= truth) & (truth <= upper)).mean()), 1)
    0.8
    """

    kind = "split conformal over groups"

    def __init__(
        self,
        half_widths: NDArray[np.float64],
        predicted: NDArray[np.float64],
        errors: NDArray[np.float64],
        facts: Mapping[str, Any],
    ) -> None:
        self.half_widths, self.predicted, self.errors = half_widths, predicted, errors
        self.facts_ = dict(facts)

    def __repr__(self) -> str:
        rows, groups = self.facts_["n_rows"], self.facts_["n_groups"]
        return f"ConformalIntervals({self.half_widths.shape[1]} types, {rows} held-out spots of {groups} groups)"

    @classmethod
    def fit(
        cls, truth: ArrayLike, predicted: ArrayLike, groups: ArrayLike, *, kind: str = "abundance"
    ) -> ConformalIntervals:
        """Calibrate.

        Parameters
        ----------
        truth
            Targets of held-out spots, shape (n, K). Rows with NaN are left out.
        predicted
            What a model said of them that never saw their group, shape (n, K).
        groups
            Group of each row (the patient), shape (n,).
        kind
            ``"abundance"`` or ``"proportion"``; intervals of proportions end at 1.

        Returns
        -------
        The intervals.

        Raises
        ------
        InputError
            Shapes do not fit, there is no row, or the kind is unknown.
        """
        if kind not in KINDS:
            msg = f"Unknown kind {kind!r}"
            raise InputError(msg, where=f"kinds {KINDS}", code="BI-61")
        truth, predicted, kept = checked_pairs(truth, predicted)
        codes, names = encoded_groups(np.asarray(groups)[kept], len(truth))
        weights = 1 / np.bincount(codes)[codes]
        found = [half_widths(*pair, codes, weights) for pair in zip(truth.T, predicted.T, strict=True)]
        half, knots, errors = (np.stack(parts, axis=1) for parts in zip(*found, strict=True))
        return cls(half, knots, errors, {"target": kind, "n_rows": len(truth), "n_groups": len(names)})

    def interval(self, predicted: ArrayLike, coverage: float = 0.9) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper bounds.

        Parameters
        ----------
        predicted
            Predictions, shape (n, K); NaN stays NaN.
        coverage
            Share of spots that shall lie between, from 0.5 to 0.99.

        Returns
        -------
        Two arrays of shape (n, K): from 0, and to 1 where targets are proportions.

        Raises
        ------
        InputError
            Another share or number of cell types.
        """
        check_coverage(coverage)
        values = np.asarray(predicted, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self.half_widths.shape[1]:
            msg = f"Predictions must have {self.half_widths.shape[1]} cell types, got shape {values.shape}"
            raise InputError(msg, code="BI-64")
        half = np.empty_like(values)
        for k, column in enumerate(values.T):
            width = np.interp(coverage, LEVELS, self.half_widths[:, k])
            half[:, k] = width * np.interp(column, self.predicted[:, k], self.errors[:, k])
        half[np.isnan(values)] = np.nan
        highest = 1.0 if self.facts_["target"] == "proportion" else np.inf
        return np.clip(values - half, 0, highest), np.clip(values + half, 0, highest)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what a model file keeps as numbers.

        Returns
        -------
        Arrays by name, float64.
        """
        return {"half_widths": self.half_widths, "predicted": self.predicted, "errors": self.errors}

    def facts(self) -> dict[str, Any]:
        """Return what a model file keeps as words.

        Returns
        -------
        The facts, and the ``levels`` of the half-widths.
        """
        return {**self.facts_, "levels": list(LEVELS)}

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> ConformalIntervals:
        """Build the intervals from what a model file kept.

        Parameters
        ----------
        facts
            What :meth:`facts` gave.
        arrays
            What :meth:`arrays` gave.

        Returns
        -------
        The intervals; they give the same numbers to the last bit.

        Raises
        ------
        IntegrityError
            Arrays are absent, too many, of other shapes, or not in order.
        """
        try:
            kept = {"target": str(facts["target"])} | {name: int(facts[name]) for name in ("n_rows", "n_groups")}
            n_types = int(np.shape(arrays["half_widths"])[1])
            expected = {"half_widths": (len(LEVELS), n_types), "predicted": (BINS, n_types), "errors": (BINS, n_types)}
            sound = kept["target"] in KINDS and list(facts["levels"]) == list(LEVELS)
            sound = sound and {name: np.shape(array) for name, array in arrays.items()} == expected
            sound = sound and all(
                bool((np.diff(arrays[name], axis=0) >= 0).all()) for name in ("half_widths", "predicted")
            )
            sound = sound and bool((arrays["half_widths"] >= 0).all() and (arrays["errors"] >= 0).all())
        except (KeyError, TypeError, ValueError, IndexError) as error:
            msg = "The intervals of the model file cannot be read"
            raise IntegrityError(msg, where=repr(error), fix="get the file again", code="BI-82") from error
        if not sound:
            msg = "The intervals of the model file are not as declared"
            raise IntegrityError(msg, where=f"{n_types} types", fix="get the file again", code="BI-82")
        return cls(arrays["half_widths"], arrays["predicted"], arrays["errors"], kept)


def check_coverage(coverage: float) -> None:
    """Refuse a coverage that nothing is known about.

    Parameters
    ----------
    coverage
        Share of spots that shall lie in their intervals.

    Raises
    ------
    InputError
        It is not between 0.5 and 0.99.
    """
    if not isinstance(coverage, (int, float, np.number)) or not LEVELS[0] <= coverage <= LEVELS[-1]:
        msg = f"coverage must be from {LEVELS[0]} to {LEVELS[-1]}, got {coverage!r}"
        why = "errors beyond 99 % are too rare in any training set to be known"
        raise InputError(msg, why=why, fix="`coverage=0.9`", code="BI-91")


def held_out_coverage(
    truth: NDArray[np.float64], predicted: NDArray[np.float64], groups: ArrayLike, coverage: float
) -> NDArray[np.float64]:
    """Coverage of each group by intervals that were calibrated on the others.

    Parameters
    ----------
    truth, predicted
        Targets and predictions of held-out spots, shape (n, K), finite.
    groups
        Group of each row, two or more.
    coverage
        What the intervals aim at.

    Returns
    -------
    Shape (K,), all groups counting alike.
    """
    codes, names = encoded_groups(groups, len(truth))
    error, shares = np.abs(truth - predicted), np.empty((len(names), truth.shape[1]))
    for code in range(len(names)):
        mine = codes == code
        others = codes[~mine] - (codes[~mine] > code)
        weights = 1 / np.bincount(others)[others]
        for k in range(truth.shape[1]):
            told = (truth[~mine, k], predicted[~mine, k], others, weights, (coverage,))
            half, knots, local = half_widths(*told)
            allowed = half[0] * np.interp(predicted[mine, k], knots, local)
            shares[code, k] = (error[mine, k] <= allowed).mean()  # bounds end where targets do, so they change nothing
    return shares.mean(axis=0)
