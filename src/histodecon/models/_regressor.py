"""The regressor: what a user trains, keeps and predicts with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from histodecon.models._checks import checked_inputs, refuse_dead_encoders
from histodecon.models._given import Given, gather
from histodecon.models._learners import FitContext, Learner
from histodecon.models._model_files import ModelFiles
from histodecon.models._read_off import ReadOff
from histodecon.models._records import EncoderRecord, check_same_encoders, check_width
from histodecon.models._rings import checked_rings, widen
from histodecon.models._transforms import fit_scale, inverse_target, to_proportions
from histodecon.models._weights import weights_summary

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from histodecon.models._conformal import ConformalIntervals
    from histodecon.models._genes import GeneCounts
    from histodecon.models._novelty import NoveltyScore
    from histodecon.models._reliability import ReliabilityCard


class AbundanceRegressor(ReadOff, ModelFiles, RegressorMixin, BaseEstimator):
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
        y: ArrayLike | None,
        *,
        groups: ArrayLike | None = None,
        encoders: Sequence[EncoderRecord] | None = None,
        cell_types: Sequence[str] | None = None,
        kind: str = "abundance",
        weights: ArrayLike | None = None,
        neighbors: Sequence[csr_matrix] | None = None,
        genes: GeneCounts | None = None,
        bags: ArrayLike | None = None,
    ) -> AbundanceRegressor:
        """Learn.

        Parameters
        ----------
        X
            Embeddings, the encoders side by side, shape (n, d).
        y
            Abundances, shape (n, K), not negative; None for learners that learn from genes alone.
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
        genes
            For learners that learn from genes as well: counts of these rows, and signatures where they are needed.
        bags
            For learners whose rows are nuclei: number of the spot of each row, -1 for none, shape (n,); ``y`` then is that of
            the spot, and what is predicted for its nuclei sums up to it.

        Returns
        -------
        The regressor itself.

        Raises
        ------
        InputError
            Shapes do not fit, values are not finite, an encoder gives the same numbers everywhere, a parameter makes no
            sense, the learner takes no weights, or lacks genes, bags or neighbors.
        TargetError
            A target is negative or not finite.
        """
        X = checked_inputs(X)
        facts: dict[str, Any] = {"groups": groups, "encoders": encoders, "cell_types": cell_types, "kind": kind}
        given = gather(self, X.shape, y, **facts, weights=weights, genes=genes, bags=bags)
        refuse_dead_encoders(X, given.records)
        center, scale = fit_scale(X)
        self._set_scales((center, scale * given.stretch), given.target_scale)
        learner, rings = given.learner, checked_rings(neighbors, len(X), given.learner.n_rings)
        graph = rings[0] if learner.reads_graph else None
        how = (self.random_state, self.device, self.show_progress_bar)
        context = FitContext(*how, genes=given.genes, cell_types=given.types, bags=given.bags, graph=graph)
        targets = (given.transformed - self.target_center_) / self.target_scale_
        inputs = self._inputs(X) if learner.reads_graph else widen(self._inputs(X), rings)
        self._adopt(learner.fit(inputs, targets, given.codes, context, **given.own_weights), given)
        if not learner.reads_targets:
            self.target_mean_ = self.predict(X, neighbors=neighbors).mean(axis=0)
        return self

    def _set_scales(self, inputs: tuple[NDArray, NDArray], targets: tuple[NDArray, NDArray]) -> None:
        self.input_center_, self.input_scale_ = inputs
        self.target_center_, self.target_scale_ = targets

    def _adopt(self, learner: Learner, given: Given) -> AbundanceRegressor:
        """Take a fitted learner, and remember what it was given."""
        Y, counts, proportions = given.Y, given.counts, self.transform == "proportion"
        self.learner_, self.history_ = learner, learner.history_
        self.encoders_, self.cell_types_ = given.records, given.types
        self.kind_ = learner.kind or ("proportion" if proportions else given.kind)
        self.n_features_in_ = len(self.input_center_)
        self.target_mean_ = (given.transformed if proportions else Y).mean(axis=0)
        self.calibration_ = self.novelty_ = self.reliability_ = None
        flat = np.ptp(Y, axis=0) == 0 if learner.reads_targets else np.zeros(len(given.types), dtype=bool)
        constant = [name for name, one in zip(given.types, flat, strict=True) if one]
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
        rings = checked_rings(neighbors, len(X), self.learner_.n_rings)
        if self.learner_.reads_graph:
            Y = self.learner_.predict(self._inputs(X), graph=rings[0])  # type: ignore[call-arg]
        else:
            Y = self.learner_.predict(widen(self._inputs(X), rings))
        Y = Y * self.target_scale_ + self.target_center_
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
