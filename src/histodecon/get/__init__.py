"""Results as tables of their own."""

from histodecon.get._abundance import abundance
from histodecon.get._composition import composition
from histodecon.get._signatures import signatures

__all__ = ["abundance", "composition", "signatures"]
