"""Checks that several tools share."""

from __future__ import annotations

from histodecon._core import NamingError, is_safe_key, safe_key


def require_safe_key(key: str, argument: str) -> None:
    """Refuse a key that some file format would not keep.

    Parameters
    ----------
    key
        What the user wants a result to be called.
    argument
        Name of the argument it came from.

    Raises
    ------
    NamingError
        The key holds other characters than letters, digits, ``_``, ``.`` and ``-``.
    """
    if not is_safe_key(key):
        msg = f"{argument}={key!r} cannot be stored"
        raise NamingError(
            msg,
            why="only letters, digits, '_', '.' and '-' are kept by h5ad, zarr and SpatialData",
            fix=f'use `{argument}="{safe_key(key)}"`',
            code="BI-67",
        )
