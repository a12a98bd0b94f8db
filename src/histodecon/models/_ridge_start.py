"""Where a network begins: as the ridge regression of its training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon.models.learners.ridge import choose_strength, fit_ridge, spectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RidgeStart:
    """Directions and readout that make a network a ridge regression.

    Parameters
    ----------
    X, Y
        Standardized inputs and targets, shapes (n, d) and (n, K).
    groups
        Group of each row; they choose the strength.
    channels
        Directions, half as many as hidden units.
    weights
        How much each target counts, or None.
    """

    def __init__(
        self, X: NDArray, Y: NDArray, groups: NDArray[np.intp], channels: int, weights: NDArray | None
    ) -> None:
        self.X, self.Y, self.channels = X, Y, channels
        self.weights = None if weights is None else weights.mean(axis=1)  # a start need not be exact for each type
        self.strength = choose_strength(X, Y, groups, weights)[0]
        self.axes = spectrum(X - X.mean(axis=0))[1][:, ::-1][:, :channels]

    def of(self, rows: NDArray[np.bool_]) -> tuple[NDArray, NDArray, NDArray]:
        """Fit the rows a network trains on; the directions of ridge come first, then the main axes of the inputs.

        Parameters
        ----------
        rows
            The rows, a mask of shape (n,).

        Returns
        -------
        Directions (d, channels), readout (channels, K), intercept (K,).
        """
        X, Y = self.X[rows], self.Y[rows]
        coefficients, intercept = fit_ridge(X, Y, self.strength, None if self.weights is None else self.weights[rows])
        center = X.mean(axis=0)
        left = np.linalg.svd(coefficients, full_matrices=False)[0]
        directions = np.linalg.qr(np.concatenate([left, self.axes], axis=1))[0][:, : self.channels]
        size = np.sqrt(((X - center) @ directions).var(axis=0).mean()) or 1.0
        return directions / size, directions.T @ coefficients * size, intercept
