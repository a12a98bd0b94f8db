"""From embedding to abundance: learners, their training, the regressor and its file.

A pure room: arrays in, arrays out.
"""

from typing import TYPE_CHECKING

from histodecon._core._lazy import lazy_attributes

if TYPE_CHECKING:
    from histodecon.models._calibrate import calibrate
    from histodecon.models._conformal import ConformalIntervals
    from histodecon.models._embedding_space import EmbeddingSpace
    from histodecon.models._encoder_weights import encoder_weights
    from histodecon.models._fit_context import FitContext
    from histodecon.models._fit_folds import fit_folds
    from histodecon.models._genes import GeneCounts
    from histodecon.models._lazyslide import LazySlideModel
    from histodecon.models._learners import (
        Learner,
        LearnerCard,
        get_learner,
        list_learners,
        register_learner,
    )
    from histodecon.models._losses import composite_loss
    from histodecon.models._migrate import migrate
    from histodecon.models._nnls import nnls_abundance
    from histodecon.models._novelty import NoveltyScore
    from histodecon.models._records import EncoderRecord
    from histodecon.models._regressor import AbundanceRegressor
    from histodecon.models._reliability import ReliabilityCard
    from histodecon.models._transforms import TRANSFORMS
    from histodecon.models._weights import posterior_weights

_WHERE = {
    "AbundanceRegressor": "_regressor",
    "ConformalIntervals": "_conformal",
    "EmbeddingSpace": "_embedding_space",
    "EncoderRecord": "_records",
    "FitContext": "_fit_context",
    "GeneCounts": "_genes",
    "LazySlideModel": "_lazyslide",
    "Learner": "_learners",
    "LearnerCard": "_learners",
    "NoveltyScore": "_novelty",
    "ReliabilityCard": "_reliability",
    "TRANSFORMS": "_transforms",
    "calibrate": "_calibrate",
    "composite_loss": "_losses",
    "encoder_weights": "_encoder_weights",
    "fit_folds": "_fit_folds",
    "get_learner": "_learners",
    "list_learners": "_learners",
    "migrate": "_migrate",
    "nnls_abundance": "_nnls",
    "posterior_weights": "_weights",
    "register_learner": "_learners",
}

__all__ = [
    "TRANSFORMS",
    "AbundanceRegressor",
    "ConformalIntervals",
    "EmbeddingSpace",
    "EncoderRecord",
    "FitContext",
    "GeneCounts",
    "LazySlideModel",
    "Learner",
    "LearnerCard",
    "NoveltyScore",
    "ReliabilityCard",
    "calibrate",
    "composite_loss",
    "encoder_weights",
    "fit_folds",
    "get_learner",
    "list_learners",
    "migrate",
    "nnls_abundance",
    "posterior_weights",
    "register_learner",
]

__getattr__, __dir__ = lazy_attributes(__name__, _WHERE)
