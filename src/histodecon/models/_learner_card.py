"""The card of a learner: what the registry holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from histodecon._core import InputError, closest_names

if TYPE_CHECKING:
    from histodecon.models._learners import Learner


@dataclass(frozen=True)
class LearnerCard:
    """One entry of the registry.

    Parameters
    ----------
    name
        What users type.
    summary
        One sentence.
    cls
        The class that learns.
    defaults
        Its parameters.
    citation
        Where the method comes from.
    """

    name: str
    summary: str
    cls: type[Learner]
    defaults: Mapping[str, Any]
    citation: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "defaults", MappingProxyType(dict(self.defaults)))

    def build(self, params: Mapping[str, Any] | None = None) -> Learner:
        """Make an unfitted learner.

        Parameters
        ----------
        params
            What differs from the defaults.

        Returns
        -------
        The learner.

        Raises
        ------
        InputError
            A parameter is unknown or makes no sense.
        """
        params = dict(params or {})
        unknown = [name for name in params if name not in self.defaults]
        if unknown:
            msg = f"Unknown parameter {unknown[0]!r} of the learner {self.name!r}"
            known = ", ".join(self.defaults) or "none"
            raise InputError(msg, where=f"it has: {known}", fix=closest(unknown[0], self.defaults), code="BI-72")
        return self.cls(**{**self.defaults, **params})


def closest(name: str, known: Mapping[str, Any]) -> str:
    """Say what was probably meant.

    Parameters
    ----------
    name
        What was typed.
    known
        What there is.

    Returns
    -------
    The closest names, or where to find all.
    """
    return closest_names(name, known) or "`histodecon.models.list_learners()` shows all"
