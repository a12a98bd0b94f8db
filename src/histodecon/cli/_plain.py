"""Values as JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def plain_value(value: Any) -> Any:
    """Turn a value into what JSON can hold; what is not a number becomes null.

    Parameters
    ----------
    value
        Numbers, text, arrays, DataFrames (a list of rows), mappings, sequences, paths.

    Returns
    -------
    Only dict, list, str, int, float, bool and None; every float is finite.
    """
    import numpy as np
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return [plain_value(row) for row in value.to_dict("records")]
    if isinstance(value, Mapping):
        return {str(key): plain_value(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray, pd.Series, pd.Index)):
        return [plain_value(one) for one in (value.tolist() if hasattr(value, "tolist") else value)]
    if isinstance(value, np.generic):
        return plain_value(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.as_posix() if isinstance(value, PurePath) else str(value)
