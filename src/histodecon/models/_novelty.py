"""How unlike the training spots a spot is, from its embedding alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon._core import InputError, IntegrityError, as_2d_float
from histodecon.models._checks import checked_inputs, encoded_groups
from histodecon.models._embedding_space import EmbeddingSpace
from histodecon.models._held_out import weighted_quantiles

FALSE_ALARM = 0.01
MAX_ROWS = 2000
MAX_FOLDS = 5
_AT_ONCE = 4096


class NoveltyScore:
    """Distance of a spot from the training spots in embedding space, in units of a limit of known false alarms.

    Every column is brought to a normal distribution by its quantiles in training. In the 64 directions along which the
    training spots vary most, the distance is in units of their spread along each (Mahalanobis); what lies outside these
    directions is added by its length. Each of the two parts is taken relative to its mean over held-out spots, the
    score is the root of their mean square, and of several encoders the one decides to which a spot is strangest.

    Parameters
    ----------
    spaces
        What each encoder makes of training spots, in order.
    scales
        Mean of the two parts of each over held-out spots, shape (encoders, 2); 0 where a part is always 0.
    limit
        The score that the share ``false_alarm`` of held-out spots exceeds.
    facts
        ``false_alarm``, ``held_out`` (``"groups"`` or ``"rows"``), ``n_rows``, ``n_groups``.

    References
    ----------
    Lee, Lee, Lee and Shin 2018, arXiv:1807.03888 (Mahalanobis distance of features); Tipping and Bishop 1999,
    doi:10.1111/1467-9868.00196 (the part outside the directions).

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import NoveltyScore
    >>> rng = np.random.default_rng(0)
    >>> train, strange = rng.normal(size=(300, 6)), 6 + rng.normal(size=(5, 6))
    >>> novelty = NoveltyScore.fit(train, groups=np.arange(300) % 4)
    >>> bool((novelty.score(strange) > 1).all()), bool((novelty.score(train) > 1).mean() < 0.02)
    (True, True)
    """

    kind = "quantile-normal Mahalanobis distance and residual"

    def __init__(
        self,
        spaces: Sequence[EmbeddingSpace],
        scales: NDArray[np.float64],
        limit: float,
        facts: Mapping[str, Any],
    ) -> None:
        self.spaces, self.scales, self.limit, self.facts_ = list(spaces), scales, float(limit), dict(facts)

    def __repr__(self) -> str:
        widths = "+".join(str(space.width) for space in self.spaces)
        held_out = f"{self.facts_['false_alarm']:.0%} of held-out {self.facts_['held_out']} exceed 1"
        return f"NoveltyScore({widths} columns, {self.facts_['n_rows']} spots; {held_out})"

    @classmethod
    def fit(
        cls,
        X: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        widths: Sequence[int] | None = None,
        false_alarm: float = FALSE_ALARM,
        random_state: int = 0,
    ) -> NoveltyScore:
        """Learn what training spots look like.

        Parameters
        ----------
        X
            Embeddings, shape (n, d).
        groups
            Independent unit of each row (the patient), shape (n,). With two or more, the limit is that of spots of groups
            left out, all groups counting alike; else that of rows left out.
        widths
            Columns of each encoder, in order; without it they are one encoder.
        false_alarm
            Share of held-out spots beyond the limit.
        random_state
            Seed for the rows that are taken where there are more than 2,000, as many of each group as can be.

        Returns
        -------
        The score.

        Raises
        ------
        InputError
            Shapes do not fit, values are not finite, or ``false_alarm`` is not between 0 and 1.
        """
        X = checked_inputs(X)
        codes, names = encoded_groups(groups, len(X))
        if not 0 < false_alarm < 1:
            msg = f"false_alarm must be above 0 and below 1, got {false_alarm!r}"
            raise InputError(msg, fix="`false_alarm=0.01`", code="BI-91")
        if len(X) < 2:
            msg = "What is usual cannot be learned from one row"
            raise InputError(msg, fix="give at least two spots", code="BI-31")
        widths = [X.shape[1]] if widths is None else [int(width) for width in widths]
        if sum(widths) != X.shape[1] or min(widths) < 1:
            msg = f"widths {list(widths)} do not add up to the {X.shape[1]} columns of X"
            raise InputError(msg, code="BI-44")
        rng = np.random.default_rng(random_state)
        rows = _even_rows(codes, rng)
        X, codes = X[rows].astype(np.float64), codes[rows]
        held_out = "groups" if codes.max() > 0 else "rows"
        folds = _folds(codes, rng)
        weights = 1 / np.bincount(codes)[codes]
        distances = np.empty((len(X), len(widths), 2))
        for fold in range(int(folds.max()) + 1):
            others = X[folds != fold] if (folds != fold).sum() > 1 else X
            distances[folds == fold] = _distances(_learn(others, widths), X[folds == fold])
        scales = np.average(distances, axis=0, weights=weights)
        scores = _combine(distances, scales)
        limit = float(weighted_quantiles(scores, weights, (1 - false_alarm,))[0])
        facts = {"false_alarm": false_alarm, "held_out": held_out, "n_rows": len(X), "n_groups": max(1, len(names))}
        return cls(_learn(X, widths), scales, max(limit, np.finfo(np.float64).tiny), facts)

    def score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score spots.

        Parameters
        ----------
        X
            Embeddings, columns as in training, shape (n, d).

        Returns
        -------
        Shape (n,), from 0; above 1 beyond the limit.

        Raises
        ------
        InputError
            The width is not that of training.
        """
        values = as_2d_float(X, "X")
        width = sum(space.width for space in self.spaces)
        if values.shape[1] != width:
            msg = f"X has {values.shape[1]} columns, the novelty score was learned from {width}"
            raise InputError(msg, code="BI-44")
        out = np.empty(len(values))
        for start in range(0, len(values), _AT_ONCE):
            block = values[start : start + _AT_ONCE].astype(np.float64)
            out[start : start + _AT_ONCE] = _combine(_distances(self.spaces, block), self.scales) / self.limit
        return out

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what a model file keeps as numbers.

        Returns
        -------
        Arrays by name, float64.
        """
        found = {"scales": self.scales, "limit": np.array([self.limit])}
        for i, space in enumerate(self.spaces):
            found |= {f"{name}.{i}": array for name, array in space.arrays().items()}
        return found

    def facts(self) -> dict[str, Any]:
        """Return what a model file keeps as words.

        Returns
        -------
        The facts, and the ``widths`` of the encoders.
        """
        return {**self.facts_, "widths": [space.width for space in self.spaces]}

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> NoveltyScore:
        """Build the score from what a model file kept.

        Parameters
        ----------
        facts
            What :meth:`facts` gave.
        arrays
            What :meth:`arrays` gave.

        Returns
        -------
        The score; it gives the same numbers to the last bit.

        Raises
        ------
        IntegrityError
            Arrays are absent, too many, or of other shapes.
        """
        try:
            kept = {name: facts[name] for name in ("false_alarm", "held_out", "n_rows", "n_groups")}
            widths = [int(width) for width in facts["widths"]]
            expected: dict[str, tuple[int, ...]] = {"scales": (len(widths), 2), "limit": (1,)}
            for i, width in enumerate(widths):
                m = int(np.shape(arrays[f"variances.{i}"])[0])
                shapes = EmbeddingSpace.shapes(width, m)
                expected |= {f"{name}.{i}": shape for name, shape in shapes.items()}
            sound = 0 < float(kept["false_alarm"]) < 1 and min(widths) > 0 and float(arrays["limit"][0]) > 0
            sound = sound and {name: np.shape(array) for name, array in arrays.items()} == expected
        except (KeyError, TypeError, ValueError, IndexError) as error:
            msg = "The novelty score of the model file cannot be read"
            raise IntegrityError(msg, where=repr(error), fix="get the file again", code="BI-82") from error
        if not sound:
            msg = "The novelty score of the model file is not as declared"
            raise IntegrityError(msg, where=f"widths {widths}", fix="get the file again", code="BI-82")
        spaces = [
            EmbeddingSpace(arrays[f"knots.{i}"], arrays[f"components.{i}"], arrays[f"variances.{i}"])
            for i in range(len(widths))
        ]
        return cls(spaces, arrays["scales"], float(arrays["limit"][0]), kept)


def _even_rows(codes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose at most MAX_ROWS rows, as many of each group as can be."""
    if len(codes) <= MAX_ROWS:
        return np.arange(len(codes))
    order = rng.permutation(len(codes))
    turn = np.empty(len(codes), dtype=np.intp)  # the how-manieth of its group a row is
    for code in range(int(codes.max()) + 1):
        mine = order[codes[order] == code]
        turn[mine] = np.arange(len(mine))
    return np.sort(order[np.argsort(turn[order], kind="stable")[:MAX_ROWS]])


def _folds(codes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Whole groups in at most MAX_FOLDS folds of about equal size; rows where there is one group."""
    if codes.max() == 0:
        return rng.permutation(len(codes)) % min(MAX_FOLDS, len(codes))
    sizes = np.bincount(codes)
    fold, filled = np.empty(len(sizes), dtype=np.intp), np.zeros(min(MAX_FOLDS, len(sizes)))
    for group in np.argsort(-sizes, kind="stable"):
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    return fold[codes]


def _blocks(X: NDArray[np.float64], widths: Sequence[int]) -> Iterator[NDArray[np.float64]]:
    return (X[:, start:stop] for start, stop in pairwise(np.cumsum([0, *widths])))


def _learn(X: NDArray[np.float64], widths: Sequence[int]) -> list[EmbeddingSpace]:
    return [EmbeddingSpace.fit(block) for block in _blocks(X, widths)]


def _distances(spaces: Sequence[EmbeddingSpace], X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance inside and outside of the directions of each encoder, shape (n, encoders, 2)."""
    blocks = _blocks(X, [space.width for space in spaces])
    return np.stack([space.distances(block) for space, block in zip(spaces, blocks, strict=True)], axis=1)


def _combine(distances: NDArray[np.float64], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    relative = np.divide(distances, scales, out=np.zeros_like(distances), where=scales > 0)
    return np.asarray(np.sqrt((relative**2).mean(axis=2)).max(axis=1))
