"""The journey for shells and workflow managers: ``histodecon --help``.

A thin room: every command opens a store, calls one function of the Python package, and keeps the store.
"""

from histodecon.cli._main import main

__all__ = ["main"]
