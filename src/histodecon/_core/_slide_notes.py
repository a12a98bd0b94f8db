"""What is known about the slides of a SpatialData that has no table yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from histodecon._core._keys import Key
from histodecon._core._tables import uns_branch


def slide_notes(data: Any) -> dict[str, Mapping[str, Any]]:
    """Collect the records of slides, as ``uns["histodecon"]["slides"]`` of a table holds them.

    Parameters
    ----------
    data
        SpatialData.

    Returns
    -------
    Record by library id: of its tables, and of ``attrs["histodecon"]["slides"]``, where readers leave them until there is a
    table. ``attrs`` are written to zarr with the rest.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for table in data.tables.values():
        found |= {str(library): record for library, record in uns_branch(table, Key.uns.SLIDES).items()}
    root = data.attrs.get(Key.uns.ROOT, {})
    noted = root.get(Key.uns.SLIDES, {}) if isinstance(root, Mapping) else {}
    return found | {str(library): record for library, record in noted.items() if isinstance(record, Mapping)}


def set_slide_notes(data: Any, notes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write records of slides into ``attrs["histodecon"]["slides"]``.

    Parameters
    ----------
    data
        SpatialData.
    notes
        Record by library id: str, number or bool by name.
    """
    root = data.attrs.get(Key.uns.ROOT, {})
    slides = {library: dict(record) for library, record in notes.items()}
    data.attrs[Key.uns.ROOT] = {**(root if isinstance(root, Mapping) else {}), Key.uns.SLIDES: slides}
