"""Data to learn on: drawn slides with drawn cells, her2st and STNet."""

from histodecon.datasets._cell_type_hierarchy import cell_type_hierarchy
from histodecon.datasets._her2st import her2st
from histodecon.datasets._stnet import stnet
from histodecon.datasets._toy_reference import toy_reference
from histodecon.datasets._toy_slide import toy_slide

__all__ = ["cell_type_hierarchy", "her2st", "stnet", "toy_reference", "toy_slide"]
