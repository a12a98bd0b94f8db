"""From image to embedding."""

from histodecon.pp._adapt_embedding import adapt_embedding
from histodecon.pp._adapter import adapter
from histodecon.pp._assign_regions import assign_regions
from histodecon.pp._embed_nuclei import embed_nuclei
from histodecon.pp._embed_tiles import embed_tiles
from histodecon.pp._set_embedding import set_embedding
from histodecon.pp._tile_grid import tile_grid
from histodecon.pp._tile_spots import tile_spots

__all__ = [
    "adapt_embedding",
    "adapter",
    "assign_regions",
    "embed_nuclei",
    "embed_tiles",
    "set_embedding",
    "tile_grid",
    "tile_spots",
]
