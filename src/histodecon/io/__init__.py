"""Readers: files in, SpatialData out."""

from histodecon._core._lazy import lazy_attributes

__all__ = ["read_slide", "read_st", "read_visium"]

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"_{name}" for name in __all__})
