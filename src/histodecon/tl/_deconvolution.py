"""What a deconvolution method is: a frozen card, what it is given, and what it returns."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError, closest_names, find_cards, import_optional
from histodecon._core._registry import card_named

if TYPE_CHECKING:
    import pandas as pd
    from scipy import sparse


@dataclass(frozen=True)
class DeconvolutionTask:
    """Counts of spots and cells over the same genes, checked: nothing is empty, whole numbers, unique names.

    Parameters
    ----------
    counts
        Counts of the spots, shape (n, G).
    barcodes
        Names of the spots.
    genes
        Names of the genes.
    libraries
        Slide of each spot, shape (n,).
    cell_types
        Names of the K types.
    reference
        Counts of the cells, shape (m, G); no rows where ``signatures`` were given.
    labels
        Type of each cell, shape (m,).
    batches
        Batch of each cell, shape (m,).
    signatures
        Mean counts of a cell, genes × types, where they were given.
    random_state
        Seed.
    device
        ``"auto"``, or a name that torch knows.
    show_progress_bar
        Show a progress bar.
    """

    counts: sparse.csr_matrix
    barcodes: pd.Index
    genes: pd.Index
    libraries: NDArray[np.object_]
    cell_types: tuple[str, ...]
    reference: sparse.csr_matrix
    labels: NDArray[np.object_]
    batches: NDArray[np.object_]
    signatures: pd.DataFrame | None
    random_state: int
    device: str
    show_progress_bar: bool


@dataclass(frozen=True)
class DeconvolutionResult:
    """What a method found.

    Parameters
    ----------
    abundance
        The table to learn from, shape (n, K).
    statistics
        More tables of the same shape, such as ``mean``, ``q05``, ``sd``.
    signatures
        Mean counts of a cell of each type, genes × types, where the method has them.
    history
        Loss of each epoch of each training, by its name.
    """

    abundance: NDArray[np.float64]
    statistics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    signatures: pd.DataFrame | None = None
    history: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class DeconvolutionCard:
    """One entry of the registry.

    Parameters
    ----------
    name
        What users type.
    summary
        One sentence.
    run
        The function, of a task and the options.
    kind
        ``"abundance"`` or ``"proportion"``.
    takes_signatures
        Whether signatures will do in place of cells.
    packages
        Optional packages that it imports, whose versions are recorded.
    defaults
        Its options.
    choices
        Accepted values of options that are texts.
    citation
        What to cite.
    """

    name: str
    summary: str
    run: Callable[[DeconvolutionTask, Mapping[str, Any]], DeconvolutionResult]
    kind: str
    takes_signatures: bool
    packages: tuple[str, ...]
    defaults: Mapping[str, Any]
    citation: str
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("defaults", "choices"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def require_packages(self) -> None:
        """Say how to install what is absent, before anything else is done.

        Raises
        ------
        MissingDependencyError
            An optional package is not installed.
        """
        for name in self.packages:
            if importlib.util.find_spec(name) is None:
                import_optional(name)

    def options(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in defaults.

        Parameters
        ----------
        changed
            What a user set.

        Returns
        -------
        Every option with its value.

        Raises
        ------
        InputError
            An option is unknown or its value makes no sense.
        """
        for name, value in changed.items():
            if name not in self.defaults:
                msg = f"The method {self.name!r} has no option {name!r}"
                known = ", ".join(f"{key}={default!r}" for key, default in self.defaults.items())
                fix = closest_names(name, self.defaults) or "leave it out"
                raise InputError(msg, where=f"it has: {known}", fix=fix, code="BI-72")
            self._check_value(name, value)
        return {**self.defaults, **changed}

    def _check_value(self, name: str, value: Any) -> None:
        default = self.defaults[name]
        if name in self.choices:
            wanted, good = f"one of {', '.join(self.choices[name])}", value in self.choices[name]
        elif isinstance(default, bool):
            wanted, good = "True or False", isinstance(value, bool)
        elif isinstance(default, float):
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            wanted, good = "a number from 0 on", number and np.isfinite(value) and value >= 0
        else:  # whole numbers; None means that the method decides
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            wanted, good = "a whole number from 1 on", (whole and value >= 1) or (value is None and default is None)
        if not good:
            msg = f"{name} must be {wanted}, got {value!r}"
            raise InputError(msg, fix=f"its default is {default!r}", code="BI-72")


_REGISTRY: dict[str, DeconvolutionCard] = {}


def deconvolution_methods() -> dict[str, DeconvolutionCard]:
    """Return all cards: one file of ``deconvolution`` each.

    Returns
    -------
    From name to card.
    """
    from histodecon.tl import deconvolution

    return find_cards(_REGISTRY, deconvolution)


def get_deconvolution_method(name: str) -> DeconvolutionCard:
    """Look a method up.

    Parameters
    ----------
    name
        Its name.

    Returns
    -------
    The card.

    Raises
    ------
    InputError
        There is none of this name.
    """
    listing = "histodecon.tl.list_deconvolution_methods"
    return card_named(deconvolution_methods(), name, what="deconvolution method", listing=listing)
