"""Imports that need care: optional packages, and timm beside a torch without compiled vision operators."""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import Any

from histodecon._core._errors import MissingDependencyError

EXTRAS = {
    "cell2location": "cell2location",
    "scvi": "cell2location",
    "distributed": "distributed",
    "openslide": "slide",
    "transformers": "transformers",
}

_libraries: list[Any] = []  # a torch.library.Library takes its definitions back when it is collected


def import_optional(name: str) -> ModuleType:
    """Import a package of an extra, or say how to install it.

    Parameters
    ----------
    name
        Name of the module.

    Returns
    -------
    The module.

    Raises
    ------
    MissingDependencyError
        The package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        extra = EXTRAS.get(name.partition(".")[0])
        fix = f'`pip install "histodecon[{extra}]"`' if extra else f"`pip install {name}`"
        msg = f"{name} cannot be imported ({error})"
        raise MissingDependencyError(msg, fix=fix, code="FI-37") from error


@functools.cache
def import_timm() -> ModuleType:
    """Import timm, also where torchvision's compiled operators do not load beside a CPU-only torch.

    Returns
    -------
    The module. torchvision's Python code wants the schemas of ``nms`` and ``qnms`` to exist at import; they are declared
    (never implemented) only where torchvision's own library did not declare them.
    """
    declare_vision_operators()
    return importlib.import_module("timm")


@functools.cache
def declare_vision_operators() -> None:
    """Declare the operator schemas that torchvision's Python code looks up, where its binary cannot."""
    import torch

    try:
        import torchvision  # noqa: F401 a whole torchvision needs nothing
    except (ImportError, RuntimeError) as error:
        if "torchvision::" not in str(error):
            return  # torchvision is absent: timm says so itself
    else:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)
