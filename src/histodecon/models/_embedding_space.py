"""What an encoder makes of training spots: the shape of its columns and the directions along which spots vary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

KNOTS = 5
"""Quantiles of each column, the smallest and the largest value among them."""

MAX_COMPONENTS = 64
_SHARES = np.linspace(0, 1, KNOTS)
_NORMAL = ndtri(np.clip(_SHARES, 0.5 / KNOTS, 1 - 0.5 / KNOTS))


class EmbeddingSpace:
    """Distances from training spots in the embedding of one encoder.

    A piecewise linear map takes the quantiles of every column in training to those of a normal distribution: features that
    many spots have not at all and some have strongly, as those of networks often are, weigh too much in any distance
    otherwise.

    Parameters
    ----------
    knots
        Quantiles of each column, shape (5, d).
    components
        Directions along which mapped training spots vary most, orthonormal, shape (d, m).
    variances
        Mean square along them, shape (m,).

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import EmbeddingSpace
    >>> space = EmbeddingSpace.fit(np.random.default_rng(0).normal(size=(200, 10)))
    >>> space
    EmbeddingSpace(10 columns, 6 directions)
    >>> near, far = space.distances(np.array([[0.1] * 10, [9.0] * 10]))
    >>> bool((far > near).all())
    True
    """

    def __init__(
        self, knots: NDArray[np.float64], components: NDArray[np.float64], variances: NDArray[np.float64]
    ) -> None:
        self.knots, self.components, self.variances = knots, components, variances

    def __repr__(self) -> str:
        return f"EmbeddingSpace({self.width} columns, {len(self.variances)} directions)"

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.knots.shape[1]

    @staticmethod
    def shapes(width: int, m: int) -> dict[str, tuple[int, ...]]:
        """Declare the arrays.

        Parameters
        ----------
        width
            Number of columns.
        m
            Number of directions.

        Returns
        -------
        Shapes by name.
        """
        return {"knots": (KNOTS, width), "components": (width, m), "variances": (m,)}

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the arrays.

        Returns
        -------
        ``knots``, ``components``, ``variances``.
        """
        return {"knots": self.knots, "components": self.components, "variances": self.variances}

    @classmethod
    def fit(cls, X: NDArray[np.float64]) -> EmbeddingSpace:
        """Learn the map and the directions.

        Parameters
        ----------
        X
            Training spots, shape (n, d).

        Returns
        -------
        The space, of at most 64 directions and 0.6 times the smaller of n and d.
        """
        from sklearn.utils.extmath import randomized_svd

        knots = np.quantile(X, _SHARES, axis=0)
        Z = normal_scores(knots, X)
        m = max(1, min(MAX_COMPONENTS, int(0.6 * min(Z.shape))))
        _, lengths, directions = randomized_svd(Z, m, n_iter=4, random_state=0)
        variances = lengths**2 / len(Z)
        keep = variances > 1e-9 * float(variances.max())
        return cls(knots, directions[keep].T.copy(), variances[keep])

    def distances(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Measure how far spots are from the middle of the training spots.

        Parameters
        ----------
        X
            Shape (n, d).

        Returns
        -------
        Shape (n, 2): along the directions, in units of the variance there; outside of them.
        """
        Z = normal_scores(self.knots, X)
        along = Z @ self.components
        total = (Z**2).sum(axis=1)
        rest = total - (along**2).sum(axis=1)
        return np.stack([(along**2 / self.variances).sum(axis=1), np.where(rest > 1e-9 * total, rest, 0)], axis=1)


def normal_scores(knots: NDArray[np.float64], X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map the quantiles of each column to those of a normal distribution.

    Parameters
    ----------
    knots
        Quantiles in training, shape (5, d).
    X
        Values, shape (n, d).

    Returns
    -------
    Shape (n, d). Ties in training are at the middle of their ranks; beyond the ends the map goes on with its mean slope; a
    column that was constant gives 0.
    """
    out = np.zeros(X.shape)
    low, high = knots[0], knots[-1]
    spread = high - low
    slope = (_NORMAL[-1] - _NORMAL[0]) / np.where(spread > 0, spread, 1)
    for j in np.flatnonzero(spread > 1e-6 * (np.abs(low) + np.abs(high))):
        column, own = X[:, j], knots[:, j]
        first, last = np.searchsorted(own, own, side="left"), np.searchsorted(own, own, side="right") - 1
        single = np.r_[True, own[1:] > own[:-1]]
        out[:, j] = np.interp(column, own[single], (_NORMAL[first] + _NORMAL[last])[single] / 2)
        out[:, j] += slope[j] * (np.minimum(column - low[j], 0) + np.maximum(column - high[j], 0))
    return out
