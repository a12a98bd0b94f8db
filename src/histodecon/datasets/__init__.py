"""Data to learn on: a drawn slide, and her2st."""

from histodecon.datasets._her2st import her2st
from histodecon.datasets._toy_slide import toy_slide

__all__ = ["her2st", "toy_slide"]
