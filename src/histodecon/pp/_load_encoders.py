"""Load the encoders that a user names, each with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from histodecon._core import InputError, first_names
from histodecon.encoders import Encoder, load_encoder


def load_encoders(encoder: Any, weights: Any, how: Mapping[str, Any]) -> list[Encoder]:
    """Load the encoders that are named.

    Parameters
    ----------
    encoder
        One, or a list, as in :func:`histodecon.pp.embed_tiles`.
    weights
        Path of a file for the only one, or a dict from name to path.
    how
        Device, precision and orientations.

    Returns
    -------
    The encoders, in order.

    Raises
    ------
    InputError
        None is named, or it cannot be told for which of them weights are.
    """
    wanted = list(encoder) if isinstance(encoder, (list, tuple)) else [encoder]
    if not wanted:
        msg = "No encoder is named"
        raise InputError(msg, fix='name one: `embed_tiles(data, "color_stats")`', code="BI-51")
    paths = dict(weights) if isinstance(weights, Mapping) else {}
    if weights is not None and not paths:
        if len(wanted) > 1:
            msg = f"One weight file was given for {len(wanted)} encoders"
            raise InputError(msg, fix="hand in one for each: `weights={name: path, ...}`", code="BI-85")
        return [load_encoder(wanted[0], weights=weights, **how)]
    names = [str(getattr(one, "name", one)) for one in wanted]
    unused = [name for name in paths if name not in names]
    if unused:
        msg = f"Weights were given for encoders that are not named: {first_names(unused)}"
        raise InputError(msg, where=f"named are {first_names(names)}", fix="check the spelling", code="BI-51")
    return [load_encoder(one, weights=paths.get(name), **how) for one, name in zip(wanted, names, strict=True)]
