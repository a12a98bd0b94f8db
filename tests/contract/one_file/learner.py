"""Partial least squares: a linear map through a few directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histodecon.models._learners import Arrays, FitContext, Learner, LearnerCard, Shapes


class PLSLearner(Learner):
    """Directions of the embeddings that go with the targets, ``n_components`` of them."""

    floats = "float64"  # of the arrays in the model file
    seeded = False

    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> PLSLearner:
        """Learn from standardized inputs and targets; ``groups`` tells the patient of each row."""
        from sklearn.cross_decomposition import PLSRegression

        most = min(self.params["n_components"], X.shape[1], len(X) - 1)
        fitted = PLSRegression(n_components=most, scale=False).fit(X, Y)
        self.coefficients_ = fitted.coef_.T
        self.intercept_ = fitted.predict(np.zeros((1, X.shape[1]))).ravel()
        return self

    def predict(self, X: NDArray) -> NDArray[np.float64]:
        """Predict, on the scale of the standardized targets."""
        return X @ self.coefficients_ + self.intercept_

    def shapes(self, n_inputs: int, n_outputs: int) -> Shapes:
        """Declare the arrays of the model file."""
        return {"coefficients": (n_inputs, n_outputs), "intercept": (n_outputs,)}

    def arrays(self) -> Arrays:
        """Return the fitted arrays."""
        return {"coefficients": self.coefficients_, "intercept": self.intercept_}

    def restore(self, arrays: Arrays) -> PLSLearner:
        """Take fitted arrays."""
        self.coefficients_, self.intercept_ = arrays["coefficients"], arrays["intercept"]
        return self


CARD = LearnerCard(
    name="pls",
    summary="Partial least squares.",
    cls=PLSLearner,
    defaults={"n_components": 5},
    citation="none",
)
