"""Pictures."""

from histodecon._core._lazy import lazy_attributes

__all__ = ["abundance", "colocalization", "evaluation", "tiles"]

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"_{name}" for name in __all__})
