"""What many fits of one learner share: sums over the parts that no fold divides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from histodecon.models._transforms import fit_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from histodecon.models._learners import FitContext

MAX_PARTS = 40


@dataclass(frozen=True)
class ManyFits:
    """Many training sets of one learner.

    Parameters
    ----------
    X
        Inputs of all rows, not standardized, shape (n, d).
    rows
        Training rows of each fit.
    targets
        Transformed targets of the rows of each fit, not standardized.
    groups
        Group of each of the rows of each fit, numbered from 0.
    weights
        How much each target counts, for each fit; None where all count alike.
    context
        Seed, device, progress bar.
    stretch
        Factors on the scales of the inputs, shape (d,).
    """

    X: NDArray[np.float32]
    rows: Sequence[NDArray[np.intp]]
    targets: Sequence[NDArray[np.float64]]
    groups: Sequence[NDArray[np.intp]]
    weights: Sequence[NDArray[np.float64]] | None
    context: FitContext
    stretch: NDArray[np.float64] | float = 1.0

    @cached_property
    def part_of(self) -> NDArray[np.intp]:
        """Part of each row, shape (n,): rows of a part share their group in every fit; -1 for rows in no fit."""
        keys = np.full((len(self.rows), len(self.X)), -1, dtype=np.intp)
        for key, rows, groups in zip(keys, self.rows, self.groups, strict=True):
            key[rows] = groups
        _, codes = np.unique(keys, axis=1, return_inverse=True)
        codes = codes.reshape(-1)
        codes[(keys < 0).all(axis=0)] = -1
        _, parts = np.unique(codes, return_inverse=True)
        return np.asarray(parts.reshape(-1) - int((codes < 0).any()), dtype=np.intp)

    @property
    def few_parts(self) -> bool:
        """Whether sums of parts are worth keeping."""
        return bool(self.part_of.max() < MAX_PARTS)

    def parts(self, fit: int) -> NDArray[np.intp]:
        """List the parts of a fit.

        Parameters
        ----------
        fit
            Its number.

        Returns
        -------
        Their numbers.
        """
        return np.unique(self.part_of[self.rows[fit]])

    @cached_property
    def moments(self) -> tuple[NDArray, NDArray, NDArray]:
        """Rows of each part (p,), mean of its inputs (p, d), and their squared deviations from it, summed (p, d)."""
        labels = range(int(self.part_of.max()) + 1)
        sizes, means = np.empty(len(labels)), np.empty((len(labels), self.X.shape[1]))
        squares = np.empty_like(means)
        for part in labels:
            own = self.X[self.part_of == part]
            sizes[part], means[part] = len(own), own.mean(axis=0, dtype=np.float64)
            squares[part] = own.var(axis=0, dtype=np.float64) * len(own)
        return sizes, means, squares

    @cached_property
    def bounds(self) -> tuple[NDArray, NDArray]:
        """Smallest and largest input of each part, shapes (p, d)."""
        parts = [self.X[self.part_of == part] for part in range(int(self.part_of.max()) + 1)]
        return np.array([own.min(axis=0) for own in parts]), np.array([own.max(axis=0) for own in parts])

    def pooled(self, parts: NDArray[np.intp]) -> tuple[float, NDArray, NDArray]:
        """Pool parts.

        Parameters
        ----------
        parts
            Their numbers.

        Returns
        -------
        Rows, mean of the inputs (d,), summed squared deviations from it (d,).
        """
        sizes, means, squares = (values[parts] for values in self.moments)
        mean = sizes @ means / sizes.sum()
        return float(sizes.sum()), mean, squares.sum(axis=0) + sizes @ (means - mean) ** 2

    def input_scale(self, fit: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Center and scale of the inputs of a fit, as ``fit_scale`` gives them.

        Parameters
        ----------
        fit
            Its number.

        Returns
        -------
        Shapes (d,) and (d,).
        """
        if not self.few_parts:
            center, scale = fit_scale(self.X[self.rows[fit]])
            return center, scale * self.stretch
        size, center, squares = self.pooled(self.parts(fit))
        scale = np.sqrt(squares / size)
        rounding = 10 * np.finfo(self.X.dtype).eps * np.abs(center)
        scale[scale <= np.maximum(rounding, np.finfo(np.float32).tiny)] = 1.0
        return center, scale * self.stretch

    def standardized(self, fit: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
        """Inputs, targets and weights of a fit, as a single one is given them.

        Parameters
        ----------
        fit
            Its number.

        Returns
        -------
        Shapes (m, d), (m, K) and (m, K) or None.
        """
        center, scale = self.input_scale(fit)
        X = np.subtract(self.X[self.rows[fit]], center, dtype=np.float64)
        X /= scale
        target_center, target_scale = fit_scale(self.targets[fit])
        targets = (self.targets[fit] - target_center) / target_scale
        return X, targets, None if self.weights is None else self.weights[fit]
