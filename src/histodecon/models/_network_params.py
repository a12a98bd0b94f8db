"""Parameters that learners of networks share, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from histodecon._core import InputError

COMMON: dict[str, Any] = {
    "n_networks": 3,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "batch_size": 128,
    "max_epochs": 60,
    "patience": 15,
}
"""Parameters of every such learner, with usual defaults."""

RANGES: dict[str, tuple[float, float]] = {
    "n_networks": (1, 500),
    "learning_rate": (1e-8, 10.0),
    "weight_decay": (0.0, 100.0),
    "batch_size": (1, 1_000_000),
    "max_epochs": (1, 100_000),
    "patience": (1, 100_000),
    "hidden": (2, 65_536),
    "dropout": (0.0, 0.95),
    "input_dropout": (0.0, 0.95),
    "l1": (0.0, 1e6),
    "l2": (0.0, 1e6),
    "n_genes": (1, 100_000),
}

WHOLE = frozenset({"n_networks", "batch_size", "max_epochs", "patience", "hidden", "n_genes"})
"""Those that are whole numbers."""


def check_params(
    params: Mapping[str, Any],
    ranges: Mapping[str, tuple[float, float]],
    whole: frozenset[str],
    choices: Mapping[str, tuple[str, ...]],
) -> None:
    """Refuse parameters that make no sense.

    Parameters
    ----------
    params
        The parameters.
    ranges
        Lowest and highest value of each number.
    whole
        Which are whole numbers.
    choices
        Words that others may be.

    Raises
    ------
    InputError
        One is of another kind, or out of range.
    """
    for name, value in params.items():
        if name in choices:
            if not isinstance(value, str) or value not in choices[name]:
                msg = f"{name} must be one of {choices[name]}, got {value!r}"
                raise InputError(msg, fix=f"`params={{{name!r}: {choices[name][0]!r}}}`", code="BI-72")
            continue
        low, high = ranges[name]
        kind = (int, np.integer) if name in whole else (int, float, np.number)
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            msg = (
                f"{name} must be a {'whole number' if name in whole else 'number'} from {low} to {high}, got {value!r}"
            )
            raise InputError(msg, fix=f"leave {name!r} out of `params` for its default", code="BI-72")
