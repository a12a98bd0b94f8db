"""Results as AnnData of their own."""

from histodecon.get._abundance import abundance

__all__ = ["abundance"]
