"""Readers: files in, SpatialData out."""

from histodecon.io._read_slide import read_slide
from histodecon.io._read_st import read_st
from histodecon.io._read_visium import read_visium

__all__ = ["read_slide", "read_st", "read_visium"]
