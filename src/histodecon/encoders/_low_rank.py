"""Low-rank layers: what was tuned beside a frozen weight, added to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from histodecon._core import ModelMismatchError

if TYPE_CHECKING:
    import torch

PARALLEL = "module."
_FACTOR = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])\.(?P<adapter>[^.]+)\.weight")
_FROZEN = ".base_layer."


def merge_low_rank(state: Mapping[str, torch.Tensor], scale: float, *, name: str) -> dict[str, torch.Tensor]:
    """Add pairs of low-rank factors to the weights they were tuned beside, as the package peft names them.

    Parameters
    ----------
    state
        Tensors by name: ``x.base_layer.weight`` of shape (out, in), ``x.lora_A.<adapter>.weight`` (r, in) and
        ``x.lora_B.<adapter>.weight`` (out, r), among others that pass through.
    scale
        Factor of the product, alpha / r.
    name
        Name of the encoder, for errors.

    Returns
    -------
    The tensors under the names of a network without low-rank layers; ``module.`` of a parallel training is taken off.

    Raises
    ------
    ModelMismatchError
        A factor has no partner or no weight, the shapes do not fit, or there are several adapters.

    References
    ----------
    Hu et al. 2022, LoRA: low-rank adaptation of large language models, arXiv:2106.09685.
    """
    merged: dict[str, torch.Tensor] = {}
    factors: dict[str, dict[str, torch.Tensor]] = {}
    adapters = set()
    for key, value in state.items():
        own = key.removeprefix(PARALLEL)
        found = _FACTOR.fullmatch(own)
        if found is None:
            merged[own.replace(_FROZEN, ".")] = value
            continue
        adapters.add(found["adapter"])
        factors.setdefault(found["layer"], {})[found["side"]] = value
    faults = [f"{len(adapters)} adapters: {', '.join(sorted(adapters))}"] if len(adapters) > 1 else []
    for layer, pair in factors.items():
        weight = merged.get(f"{layer}.weight")
        if set(pair) != {"A", "B"} or weight is None:
            faults.append(f"{layer} has no {'weight' if weight is None else 'second factor'}")
        elif (pair["B"].shape[0], *pair["A"].shape[1:]) != weight.shape or pair["B"].shape[1:] != pair["A"].shape[:1]:
            faults.append(f"{layer}: {tuple(pair['B'].shape)} by {tuple(pair['A'].shape)} onto {tuple(weight.shape)}")
        elif not faults:
            merged[f"{layer}.weight"] = weight + scale * (pair["B"] @ pair["A"])
    if faults:
        msg = f"The low-rank layers in the weights of {name!r} cannot be merged"
        where = f"{len(faults)} faults in {len(factors)} layers: {'; '.join(faults[:3])}"
        why = "an encoder with some of its layers untuned answers with other numbers"
        fix = "hand in the whole file as its authors give it away"
        raise ModelMismatchError(msg, where=where, why=why, fix=fix, code="BI-84")
    return merged
