"""Readers: files in, SpatialData out; the safe way to disk; and files for other programs."""

from histodecon.io._concat import concat
from histodecon.io._read_geojson import read_geojson
from histodecon.io._read_slide import read_slide
from histodecon.io._read_st import read_st
from histodecon.io._read_visium import read_visium
from histodecon.io._verify import verify
from histodecon.io._write import write
from histodecon.io._write_geojson import write_geojson

__all__ = ["concat", "read_geojson", "read_slide", "read_st", "read_visium", "verify", "write", "write_geojson"]
