"""From embedding to abundance: learners, their training, the regressor and its file.

A pure room: arrays in, arrays out.
"""

from histodecon._core._lazy import lazy_attributes

_WHERE = {
    "AbundanceRegressor": "_regressor",
    "composite_loss": "_losses",
    "EncoderRecord": "_records",
    "FitContext": "_learners",
    "get_learner": "_learners",
    "Learner": "_learners",
    "LearnerCard": "_learners",
    "list_learners": "_learners",
    "register_learner": "_learners",
    "TRANSFORMS": "_transforms",
}

__all__ = [
    "TRANSFORMS",
    "AbundanceRegressor",
    "EncoderRecord",
    "FitContext",
    "Learner",
    "LearnerCard",
    "composite_loss",
    "get_learner",
    "list_learners",
    "register_learner",
]
__all__.sort()

__getattr__, __dir__ = lazy_attributes(__name__, _WHERE)
