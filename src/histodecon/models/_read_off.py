"""What else a regressor can read off embeddings, where its learner can."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from histodecon._core import ModelError
from histodecon.models._checks import checked_inputs
from histodecon.models._records import check_width


class ReadOff:
    """Representation and expression, beside abundances."""

    def represent(self, X: ArrayLike) -> NDArray[np.float64]:
        """Tell what the learner makes of embeddings on its way to the abundances.

        Parameters
        ----------
        X
            Embeddings, columns as in training, shape (n, d).

        Returns
        -------
        Shape (n, width).

        Raises
        ------
        ModelError
            The learner has no such thing.
        """
        return self._read_off(X, "represent")

    def express(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict expression from embeddings.

        Parameters
        ----------
        X
            Embeddings, columns as in training, shape (n, d).

        Returns
        -------
        Expected counts of the genes ``training_["genes"]`` in a spot of the training's median total, shape (n, G).

        Raises
        ------
        ModelError
            The learner knows of no genes.
        """
        return self._read_off(X, "express")

    def _read_off(self: Any, X: ArrayLike, what: str) -> NDArray[np.float64]:
        check_is_fitted(self, "learner_")
        X = checked_inputs(X)
        check_width(X, self.encoders_)
        found: NDArray[np.float64] | None = getattr(self.learner_, what)(self._inputs(X))
        if found is None:
            msg = f"The learner {self.learner!r} cannot {what}"
            raise ModelError(msg, fix="`histodecon.models.list_learners()` tells what each can", code="BI-72")
        return found
