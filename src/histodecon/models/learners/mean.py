"""The mean of the training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon.models._learners import Arrays, FitContext, Learner, LearnerCard, Shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MeanLearner(Learner):
    """Predicts the training mean of every cell type everywhere: what any other learner has to beat."""

    floats = "float64"
    takes_weights = True
    seeded = False

    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> MeanLearner:
        """Learn; see :meth:`histodecon.models.Learner.fit`."""
        self.mean_ = Y.mean(axis=0) if weights is None else (weights * Y).sum(axis=0) / weights.sum(axis=0)
        return self

    def predict(self, X: NDArray) -> NDArray[np.float64]:
        """Predict; see :meth:`histodecon.models.Learner.predict`."""
        return np.repeat(self.mean_[None], len(X), axis=0)

    def shapes(self, n_inputs: int, n_outputs: int) -> Shapes:
        """Declare the arrays; see :meth:`histodecon.models.Learner.shapes`."""
        return {"mean": (n_outputs,)}

    def arrays(self) -> Arrays:
        """Return the fitted arrays."""
        return {"mean": self.mean_}

    def restore(self, arrays: Arrays) -> MeanLearner:
        """Take fitted arrays."""
        self.mean_ = arrays["mean"]
        return self


CARD = LearnerCard(
    name="mean",
    summary="The training mean everywhere; the floor of every comparison.",
    cls=MeanLearner,
    defaults={},
    citation="none",
)
