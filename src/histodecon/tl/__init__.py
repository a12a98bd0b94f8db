"""From embedding to abundance to map."""

from histodecon._core._lazy import lazy_attributes

__all__ = ["colocalization", "cross_validate", "evaluate", "predict_abundance", "set_targets", "train_regressor"]

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"_{name}" for name in __all__})
