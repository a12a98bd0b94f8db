"""Show ``ArrayLike`` and ``NDArray[float64]`` by name: evaluated annotations are unions of private protocols."""

import types
import typing

import numpy as np
from numpy.typing import ArrayLike
from sphinx_autodoc_typehints import format_annotation

ARRAY_LIKE = set(typing.get_args(ArrayLike))


def formatter(annotation, config) -> str | None:
    """Spell the types of numpy as source code does; None leaves an annotation to the extension."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = set(typing.get_args(annotation))
        if members >= ARRAY_LIKE:
            rest = [format_annotation(one, config) for one in typing.get_args(annotation) if one not in ARRAY_LIKE]
            return " | ".join([":py:data:`~numpy.typing.ArrayLike`", *rest])
    if typing.get_origin(annotation) is np.ndarray:
        _, dtype = typing.get_args(annotation)
        inner = typing.get_args(dtype)
        plain = not inner or isinstance(inner[0], typing.TypeVar) or inner[0] is typing.Any
        array = ":py:data:`~numpy.typing.NDArray`"
        return array if plain else rf"{array}\ \[{format_annotation(inner[0], config)}]"
    return None
