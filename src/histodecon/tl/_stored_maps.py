"""Maps that ``tl.colocalization`` stored, read back and matched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import AlignmentError, MissingKeyError, first_names, safe_key

if TYPE_CHECKING:
    from anndata import AnnData

_SAME = ("length_um", "include_self", "library_key")


@dataclass(frozen=True)
class StoredMaps:
    """Maps of R of one table.

    Parameters
    ----------
    key
        Name in ``uns``.
    names
        Cell types, in the order of the maps.
    pooled
        Map over all slides.
    libraries
        From slide to its map.
    spots
        From slide to the number of spots.
    params
        How the maps were made.
    """

    key: str
    names: list[str]
    pooled: np.ndarray
    libraries: dict[str, np.ndarray]
    spots: dict[str, int]
    params: Mapping[str, Any]

    def ordered(self, names: list[str]) -> StoredMaps:
        """Bring the maps to another order of the same types.

        Parameters
        ----------
        names
            The order.

        Returns
        -------
        The maps in that order.
        """
        at = [self.names.index(name) for name in names]
        libraries = {library: r[np.ix_(at, at)] for library, r in self.libraries.items()}
        return StoredMaps(self.key, list(names), self.pooled[np.ix_(at, at)], libraries, self.spots, self.params)


def read_maps(adata: AnnData, key: str) -> StoredMaps:
    """Read what ``tl.colocalization`` stored.

    Parameters
    ----------
    adata
        Where to read.
    key
        Name in ``uns``.

    Returns
    -------
    The maps.

    Raises
    ------
    MissingKeyError
        There are none of this name.
    """
    record = adata.uns.get(key)
    if not (isinstance(record, Mapping) and "pooled" in record):
        present = [name for name, value in adata.uns.items() if isinstance(value, Mapping) and "pooled" in value]
        msg = f"uns[{key!r}] holds no colocalization map"
        fix = f'`histodecon.tl.colocalization(adata, abundance, key_added="{safe_key(key)}")`'
        raise MissingKeyError(msg, where=f"maps present: {first_names(present)}", fix=fix, code="BI-104")
    slides = list(record["libraries"].values())
    return StoredMaps(
        key,
        [str(name) for name in record["names"]],
        np.asarray(record["pooled"]["R"], dtype=float),
        {str(one["library_id"]): np.asarray(one["R"], dtype=float) for one in slides},
        {str(one["library_id"]): int(one["n"]) for one in slides},
        record["params"],
    )


def matched(first: StoredMaps, second: StoredMaps) -> StoredMaps:
    """Bring the second maps to the order of the first.

    Parameters
    ----------
    first, second
        The maps.

    Returns
    -------
    The second maps, types in the order of the first.

    Raises
    ------
    AlignmentError
        They name other cell types or slides, or were made with other lengths.
    """
    where = f"uns[{first.key!r}] and uns[{second.key!r}]"
    odd = set(first.names) ^ set(second.names)
    if odd:
        msg = f"{where} do not name the same cell types"
        raise AlignmentError(
            msg,
            where=first_names(sorted(odd)),
            why="maps are compared type by type",
            fix="make both from tables with the same columns",
            code="BI-102",
        )
    slides = set(first.libraries) ^ set(second.libraries)
    params = [name for name in _SAME if first.params[name] != second.params[name]]
    if slides or params:
        named = ", ".join(f"{name}: {first.params[name]} and {second.params[name]}" for name in params)
        msg = f"{where} are not of the same slides, or not made alike"
        raise AlignmentError(
            msg,
            where=named or first_names(sorted(slides)),
            why="R depends on both",
            fix="make both with one call each of `histodecon.tl.colocalization(adata, abundance, length_um=100)`",
            code="BI-102",
        )
    return second.ordered(first.names)
