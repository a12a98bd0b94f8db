"""The card of a learner: what the registry holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from histodecon._core._registry import with_defaults

if TYPE_CHECKING:
    from histodecon.models._learners import Learner

LISTING = "histodecon.models.list_learners"


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
        of = f"the learner {self.name!r}"
        return self.cls(**with_defaults(params, self.defaults, of=of, listing=LISTING))
