"""A regressor in the shape that LazySlide asks of models that predict from tile features."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from histodecon._core import InputError, as_2d_float

if TYPE_CHECKING:
    from histodecon.models._regressor import AbundanceRegressor

_OTHER_NAMES = {"phikon_v2": "phikonv2", "uni2h": "uni2"}


class LazySlideModel:
    """A regressor that LazySlide's ``feature_prediction`` takes.

    Parameters
    ----------
    model
        A fitted regressor.
    features_model_name
        What LazySlide calls the features it reads; by default LazySlide's name of the encoder, and None where there are
        several.

    Attributes
    ----------
    model
        The regressor.
    name
        Begins the key of the table that LazySlide writes.
    features_model_name
        Where LazySlide looks for features unless told.
    """

    def __init__(self, model: AbundanceRegressor, features_model_name: str | None = None) -> None:
        check_is_fitted(model, "learner_")
        if model.learner_.n_rings:
            msg = f"The learner {model.learner!r} reads neighbors, and LazySlide hands over tiles in batches"
            fix = "train the learner `mlp` or `ridge`, or use `histodecon.tl.predict_abundance`"
            raise InputError(msg, why="the neighbors of a tile may be in another batch", fix=fix, code="BI-121")
        self.model = model
        self.name = f"histodecon_{model.learner}"
        if features_model_name is None and len(model.encoders_) == 1:
            encoder = model.encoders_[0].name
            features_model_name = _OTHER_NAMES.get(encoder, encoder.replace("_", "-"))
        self.features_model_name = features_model_name

    def __repr__(self) -> str:
        return f"LazySlideModel({self.model!r}, features_model_name={self.features_model_name!r})"

    def predict(self, features: Any) -> dict[str, NDArray[np.float64]]:
        """Predict.

        Parameters
        ----------
        features
            Embeddings, columns as in training, shape (n, d): an array, or a tensor on any device.

        Returns
        -------
        From cell type to shape (n,), on the scale of the targets.

        Raises
        ------
        ModelMismatchError
            The width is not that of training.
        """
        if hasattr(features, "detach"):
            features = features.detach().float().cpu().numpy()
        with _as_trained():
            values = self.model.predict(as_2d_float(features, "features"))
        return {name: values[:, k] for k, name in enumerate(self.model.cell_types_)}

    def get_transform(self) -> Callable[..., Any] | None:
        """Tell how images are prepared.

        Returns
        -------
        None, for it sees no images.
        """
        return None

    def to(self, device: Any) -> Self:
        """Stay where it is: predictions are made on the CPU.

        Parameters
        ----------
        device
            Any.

        Returns
        -------
        The model itself.
        """
        return self

    def try_compile(self, **compile_kws: Any) -> None:
        """Do nothing: there is nothing to compile.

        Parameters
        ----------
        **compile_kws
            Any.
        """


def _as_trained() -> AbstractContextManager[Any]:
    """Keep a caller's mixed precision out of the network."""
    import sys

    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.autocast("cpu", enabled=False)
