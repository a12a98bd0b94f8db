"""From image to embedding."""

from histodecon._core._lazy import lazy_attributes

__all__ = ["embed_tiles", "tile_grid", "tile_spots"]

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"_{name}" for name in __all__})
