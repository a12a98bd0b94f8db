"""Readers: files in, SpatialData out; and files for other programs."""

from histodecon.io._read_geojson import read_geojson
from histodecon.io._read_slide import read_slide
from histodecon.io._read_st import read_st
from histodecon.io._read_visium import read_visium
from histodecon.io._write_geojson import write_geojson

__all__ = ["read_geojson", "read_slide", "read_st", "read_visium", "write_geojson"]
