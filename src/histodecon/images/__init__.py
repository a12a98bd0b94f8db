"""Images behind one face, tiles around spots, and how much of them is tissue.

A pure room: arrays in, arrays out.
"""

from __future__ import annotations

from histodecon.images._open_image import open_image
from histodecon.images._pitch import LEGACY_PITCH_UM as LEGACY_PITCH_UM
from histodecon.images._pitch import VISIUM_PITCH_UM as VISIUM_PITCH_UM
from histodecon.images._pitch import VISIUM_SPOT_UM as VISIUM_SPOT_UM
from histodecon.images._pitch import SpotPitch, lattice_pitch, spot_pitch
from histodecon.images._segment_nuclei import segment_nuclei
from histodecon.images._slide_image import SlideImage
from histodecon.images._tiles import iter_tiles, padding_fraction, tile_boxes, tile_order
from histodecon.images._tissue import tissue_fraction

__all__ = [
    "SlideImage",
    "SpotPitch",
    "iter_tiles",
    "lattice_pitch",
    "open_image",
    "padding_fraction",
    "segment_nuclei",
    "spot_pitch",
    "tile_boxes",
    "tile_order",
    "tissue_fraction",
]
