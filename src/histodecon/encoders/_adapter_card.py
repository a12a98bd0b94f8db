"""The card of an adapter: what the registry holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from histodecon._core import InputError, is_safe_key
from histodecon._core._registry import with_defaults

if TYPE_CHECKING:
    from histodecon.encoders._adapters import Adapter

LISTING = "histodecon.encoders.list_adapters"


@dataclass(frozen=True)
class AdapterCard:
    """One entry of the registry of adapters.

    Parameters
    ----------
    name
        What users type; the adapted embedding is stored as ``obsm["X_<encoder>_<name>"]``.
    summary
        One sentence.
    cls
        The class that learns.
    defaults
        Its parameters.
    citation
        Where the method comes from.

    Raises
    ------
    InputError
        The name cannot be part of a key, the class lacks a method, or a default cannot be kept in a file.
    """

    name: str
    summary: str
    cls: type[Adapter]
    defaults: Mapping[str, Any]
    citation: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "defaults", MappingProxyType(dict(self.defaults)))
        for field, why, fix in _wrong_fields(self):
            msg = f"The card of the adapter {self.name!r} makes no sense"
            raise InputError(msg, where=f"`{field}={getattr(self, field)!r}`", why=why, fix=fix, code="BI-72")

    def build(self, params: Mapping[str, Any] | None = None) -> Adapter:
        """Make an unfitted adapter.

        Parameters
        ----------
        params
            What differs from the defaults.

        Returns
        -------
        The adapter.

        Raises
        ------
        InputError
            A parameter is unknown or makes no sense.
        """
        of = f"the adapter {self.name!r}"
        return self.cls(**with_defaults(params, self.defaults, of=of, listing=LISTING))


def _wrong_fields(card: AdapterCard) -> Iterator[tuple[str, str, str]]:
    """Fields that cannot be, why, and what can."""
    from histodecon.encoders._adapters import Adapter

    if not isinstance(card.name, str) or not is_safe_key(card.name):
        yield "name", "it becomes part of a key of `obsm`", "use letters, digits, '_', '.' and '-' only"
    whole = isinstance(card.cls, type) and issubclass(card.cls, Adapter)
    lacking = sorted(getattr(card.cls, "__abstractmethods__", frozenset[str]())) if whole else []
    if not whole or lacking:
        what = f" with {', '.join(lacking)}" if lacking else ""
        yield "cls", "it is what learns", f"give a subclass of `histodecon.encoders.Adapter`{what}"
    try:
        json.dumps(dict(card.defaults), allow_nan=False)
    except (TypeError, ValueError):
        yield "defaults", "parameters are kept in the file of an adapter", "use texts and finite numbers"
