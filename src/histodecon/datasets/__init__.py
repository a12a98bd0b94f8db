"""Data to learn on: a drawn slide, and her2st."""

from histodecon._core._lazy import lazy_attributes

__all__ = ["her2st", "toy_slide"]

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"_{name}" for name in __all__})
