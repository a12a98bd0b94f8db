"""The regressor: what a user trains, keeps and predicts with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from histodecon._core import KINDS, InputError
from histodecon.models._checks import (
    Given,
    checked_inputs,
    checked_targets,
    checked_types,
    encoded_groups,
    refuse_dead_encoders,
)
from histodecon.models._learners import FitContext, Learner, get_learner
from histodecon.models._model_files import ModelFiles
from histodecon.models._records import EncoderRecord, check_records, check_same_encoders, check_width
from histodecon.models._rings import widen
from histodecon.models._transforms import (
    TRANSFORMS,
    block_stretch,
    fit_scale,
    forward_target,
    inverse_target,
    to_proportions,
)
from histodecon.models._weights import checked_weights, weights_summary

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from histodecon.models._conformal import ConformalIntervals
    from histodecon.models._novelty import NoveltyScore
    from histodecon.models._reliability import ReliabilityCard


class AbundanceRegressor(ModelFiles, RegressorMixin, BaseEstimator):
    """Reads cell-type abundances from embeddings.

    Parameters
    ----------
    learner
        Name of a learner, see :func:`histodecon.models.list_learners`.
    params
        Parameters of the learner that differ from its defaults.
    transform
        Scale the targets are learned on: ``"none"``, ``"log1p"``, ``"sqrt"``, or ``"proportion"``, which makes every
        row sum to 1. Predictions come back on the scale of the targets, those of ``"proportion"`` as proportions.
    block_scaling
        Every column of ``X`` gets variance 1. With ``"none"`` an encoder then weighs as much as it is wide, with ``"width"``
        all encoders weigh the same, so that a wide one does not drown a narrow one; that helps where both are about as good.
    device
        ``"auto"`` (CUDA, then MPS, then CPU), or a name that torch knows; for training only.
    random_state
        Seed. The same seed gives the same numbers on a CPU.
    show_progress_bar
        Show a progress bar.

    Attributes
    ----------
    encoders_
        :class:`EncoderRecord` of each block of columns, in order.
    cell_types_
        Names of the cell types, in order.
    kind_
        ``"abundance"`` or ``"proportion"``.
    learner_
        The fitted learner.
    input_center_, input_scale_, target_center_, target_scale_
        Standardization of the inputs and of the transformed targets, fitted on the training rows.
    target_mean_
        Mean of the training targets as given.
    history_
        What the learner recorded while it learned: losses of every epoch, held-in errors.
    training_
        Number of rows and groups, seed, what the learner chose; ``weights`` where targets counted differently.
    n_features_in_
        Columns of the inputs.
    calibration_, novelty_, reliability_
        How far to trust it: :class:`ConformalIntervals`, :class:`NoveltyScore` and :class:`ReliabilityCard`, or None. Not
        made by :meth:`fit`, but by :func:`histodecon.tl.train_regressor`, or :func:`histodecon.models.calibrate`.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import AbundanceRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 4)).astype("float32")
    >>> Y = np.clip(3 + X[:, :2], 0, None)
    >>> model = AbundanceRegressor("ridge").fit(X, Y, cell_types=["T cell", "B cell"])
    >>> bool(np.abs(model.predict(X) - Y).mean() < 0.1)
    True
    """

    calibration_: ConformalIntervals | None = None
    novelty_: NoveltyScore | None = None
    reliability_: ReliabilityCard | None = None

    def __init__(
        self,
        learner: str = "mlp",
        *,
        params: Mapping[str, Any] | None = None,
        transform: str = "none",
        block_scaling: str = "none",
        device: str = "auto",
        random_state: int = 0,
        show_progress_bar: bool = False,
    ) -> None:
        self.learner = learner
        self.params = params
        self.transform = transform
        self.block_scaling = block_scaling
        self.device = device
        self.random_state = random_state
        self.show_progress_bar = show_progress_bar

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what is accepted: a matrix of targets that are not negative; inputs may be sparse."""
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output, tags.target_tags.multi_output = False, True
        tags.target_tags.positive_only = True
        tags.input_tags.sparse = True
        return tags

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        encoders: Sequence[EncoderRecord] | None = None,
        cell_types: Sequence[str] | None = None,
        kind: str = "abundance",
        weights: ArrayLike | None = None,
        neighbors: Sequence[csr_matrix] | None = None,
    ) -> AbundanceRegressor:
        """Learn.

        Parameters
        ----------
        X
            Embeddings, the encoders side by side, shape (n, d).
        y
            Abundances, shape (n, K), not negative.
        groups
            Independent unit of each row (the patient), shape (n,). Whatever is chosen is chosen on held-in groups;
            with one group, on held-in rows.
        encoders
            What the columns of ``X`` are; without it they are one block of unknown origin.
        cell_types
            Names of the columns of ``y``.
        kind
            ``"abundance"`` or ``"proportion"``; predictions of proportions sum to 1.
        weights
            How much each target counts, shape (n, K), or (n,) for rows that count alike for all types, positive; such as
            :func:`histodecon.models.posterior_weights` gives. They are divided by their mean over the rows.
        neighbors
            For learners that read the neighbors of a row: one sparse matrix of shape (n, n) a ring, whose rows sum to 1, or
            to 0 for a row without neighbors.

        Returns
        -------
        The regressor itself.

        Raises
        ------
        InputError
            Shapes do not fit, values are not finite, an encoder gives the same numbers everywhere, a parameter makes no
            sense, or the learner takes no weights.
        TargetError
            A target is negative or not finite.
        """
        X = checked_inputs(X)
        given = self._given(X.shape, y, groups, encoders, cell_types, kind, weights)
        refuse_dead_encoders(X, given.records)
        center, scale = fit_scale(X)
        self._set_scales((center, scale * given.stretch), fit_scale(given.transformed))
        context = FitContext(self.random_state, self.device, self.show_progress_bar)
        told = (
            {} if given.counts is None else {"weights": given.counts}
        )  # learners that take none need not know of them
        targets = (given.transformed - self.target_center_) / self.target_scale_
        inputs = widen(self._inputs(X), neighbors, given.learner.n_rings)
        return self._adopt(given.learner.fit(inputs, targets, given.codes, context, **told), given)

    def _given(
        self,
        shape: tuple[int, int],
        y: ArrayLike,
        groups: ArrayLike | None,
        encoders: Sequence[EncoderRecord] | None,
        cell_types: Sequence[str] | None,
        kind: str,
        weights: ArrayLike | None,
    ) -> Given:
        """Check what a fit is given beside its inputs of a shape."""
        Y = checked_targets(y, shape[0])
        codes, names = encoded_groups(groups, shape[0])
        if self.transform not in TRANSFORMS or kind not in KINDS:
            msg = f"Unknown transform {self.transform!r} or kind {kind!r}"
            raise InputError(msg, where=f"transforms {TRANSFORMS}, kinds {KINDS}", code="BI-72")
        learner = get_learner(self.learner).build(self.params)
        records = tuple(encoders) if encoders else (EncoderRecord("X", "unknown", shape[1]),)
        check_records(records, shape[1])
        types = checked_types(cell_types, Y.shape[1])
        counts = None if weights is None else checked_weights(weights, Y.shape)
        if counts is not None and not learner.takes_weights:
            msg = f"The learner {self.learner!r} takes no weights"
            raise InputError(msg, fix="leave `weights` out, or use the learner `ridge` or `mlp`", code="BI-72")
        stretch = block_stretch([record.width for record in records], self.block_scaling)
        return Given(learner, Y, forward_target(Y, self.transform), codes, names, records, types, kind, counts, stretch)

    def _set_scales(self, inputs: tuple[NDArray, NDArray], targets: tuple[NDArray, NDArray]) -> None:
        self.input_center_, self.input_scale_ = inputs
        self.target_center_, self.target_scale_ = targets

    def _adopt(self, learner: Learner, given: Given) -> AbundanceRegressor:
        """Take a fitted learner, and remember what it was given."""
        Y, counts, proportions = given.Y, given.counts, self.transform == "proportion"
        self.learner_, self.history_ = learner, learner.history_
        self.encoders_, self.cell_types_ = given.records, given.types
        self.kind_ = "proportion" if proportions else given.kind
        self.n_features_in_ = len(self.input_center_)
        self.target_mean_ = (given.transformed if proportions else Y).mean(axis=0)
        self.calibration_ = self.novelty_ = self.reliability_ = None
        constant = [name for name, flat in zip(given.types, np.ptp(Y, axis=0) == 0, strict=True) if flat]
        facts = {"n_rows": len(Y), "groups": given.names, "random_state": self.random_state, "constant_types": constant}
        weighted = {} if counts is None else {"weights": weights_summary(counts)}
        scaled = {} if self.block_scaling == "none" else {"block_scaling": self.block_scaling}
        self.training_ = {**facts, **learner.summary_, **weighted, **scaled}
        return self

    def predict(self, X: ArrayLike, *, neighbors: Sequence[csr_matrix] | None = None) -> NDArray[np.float64]:
        """Predict.

        Parameters
        ----------
        X
            Embeddings, columns as in training, shape (n, d).
        neighbors
            As in :meth:`fit`, for learners that read neighbors.

        Returns
        -------
        Shape (n, K), finite, not negative, on the scale of the targets; rows of proportions sum to 1.

        Raises
        ------
        ModelMismatchError
            The width is not that of training.
        InputError
            Some values are not finite, or the learner reads neighbors and there are none.
        """
        check_is_fitted(self, "learner_")
        X = checked_inputs(X)
        check_width(X, self.encoders_)
        inputs = widen(self._inputs(X), neighbors, self.learner_.n_rings)
        Y = self.learner_.predict(inputs) * self.target_scale_ + self.target_center_
        Y = inverse_target(Y, self.transform)
        return to_proportions(Y, self.target_mean_ / self.target_mean_.sum()) if self.kind_ == "proportion" else Y

    def check_encoders(self, records: Sequence[EncoderRecord]) -> None:
        """Refuse embeddings of other encoders than those of training.

        Parameters
        ----------
        records
            Encoders of the data, in order.

        Raises
        ------
        ModelMismatchError
            Number, width, order or recipe differ.
        """
        check_is_fitted(self, "learner_")
        check_same_encoders(self.encoders_, records)

    def _inputs(self, X: NDArray) -> NDArray[np.float64]:
        inputs = np.subtract(X, self.input_center_, dtype=np.float64)
        inputs /= self.input_scale_
        return inputs
