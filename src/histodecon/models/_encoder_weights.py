"""Which encoder knows which cell type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.utils.validation import check_is_fitted

from histodecon._core import InputError

if TYPE_CHECKING:
    import pandas as pd

    from histodecon.models._regressor import AbundanceRegressor


def encoder_weights(model: AbundanceRegressor) -> pd.DataFrame:
    """Read how much each encoder counts for each cell type.

    Parameters
    ----------
    model
        A regressor whose learner is ``"fusion"``.

    Returns
    -------
    Mean weight over the training spots, cell types × encoders; rows sum to 1.

    Raises
    ------
    InputError
        The learner weighs no encoders.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import AbundanceRegressor, EncoderRecord, encoder_weights
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 6)).astype("float32")
    >>> both = [EncoderRecord("X_uni", "uni", 2), EncoderRecord("X_conch", "conch", 4)]
    >>> model = AbundanceRegressor("fusion", params={"n_networks": 1, "max_epochs": 2, "hidden": 8})
    >>> model = model.fit(X, 3 + np.abs(X[:, :2]), encoders=both, cell_types=["T cell", "B cell"])
    >>> encoder_weights(model).shape
    (2, 2)
    """
    import pandas as pd

    check_is_fitted(model, "learner_")
    weights = model.training_.get("encoder_weights")
    if weights is None:
        msg = f"The learner {model.learner!r} weighs no encoders"
        raise InputError(msg, fix='train with `learner="fusion"` on two embeddings or more', code="BI-72")
    return pd.DataFrame(weights, index=list(model.cell_types_), columns=[record.key for record in model.encoders_])
