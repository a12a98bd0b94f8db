"""Which axis of an array is y, x and color."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from histodecon._core import ImageError, first_names

COLOR_NAMES = (("r", "g", "b", "a"), ("red", "green", "blue", "alpha"))


@dataclass(frozen=True)
class Layout:
    """Axes of an image array.

    Parameters
    ----------
    ndim
        Number of axes.
    y, x, color
        Their positions; ``color`` is None for a grey image. Every other axis has length 1.
    """

    ndim: int
    y: int
    x: int
    color: int | None

    def index(self, y0: int, y1: int, x0: int, x1: int) -> tuple[slice | int, ...]:
        """Index that cuts a box out of the array; the axes that remain keep their order.

        Parameters
        ----------
        y0, y1, x0, x1
            The box.

        Returns
        -------
        The index.
        """
        cut: list[slice | int] = [0] * self.ndim
        cut[self.y], cut[self.x] = slice(y0, y1), slice(x0, x1)
        if self.color is not None:
            cut[self.color] = slice(None)
        return tuple(cut)

    @property
    def order(self) -> tuple[int, ...]:
        """How to transpose what :meth:`index` cuts into (y, x, color)."""
        wanted = [self.y, self.x] + ([] if self.color is None else [self.color])
        kept = sorted(wanted)
        return tuple(kept.index(axis) for axis in wanted)


def layout_of(shape: Sequence[int], dims: Sequence[str] | None = None) -> Layout:
    """Find the axes of an image array.

    Parameters
    ----------
    shape
        Its shape.
    dims
        Name of each axis where known: ``"y"``, ``"x"``, and ``"c"`` or ``"s"``.

    Returns
    -------
    The layout.

    Raises
    ------
    ImageError
        The axes cannot be told apart, or another axis is longer than 1.
    """
    return _named(shape, [name.lower() for name in dims]) if dims is not None else _guessed(shape)


def _named(shape: Sequence[int], dims: Sequence[str]) -> Layout:
    color = next((dims.index(name) for name in ("c", "s") if name in dims), None)
    known = len(dims) == len(shape) and dims.count("y") == 1 and dims.count("x") == 1
    other = [n for name, n in zip(dims, shape, strict=True) if name not in {"y", "x", "c", "s"}] if known else []
    if not known or any(n != 1 for n in other) or ("c" in dims and "s" in dims and shape[dims.index("s")] != 1):
        msg = "The image has axes that are not y, x and color"
        raise ImageError(
            msg,
            where=f"axes {tuple(dims)}, shape {tuple(shape)}",
            fix="hand in one plane, for example `image[0]`",
            code="BI-24",
        )
    return Layout(len(shape), dims.index("y"), dims.index("x"), color)


def _guessed(shape: Sequence[int]) -> Layout:
    lead = 0
    while len(shape) - lead > 3 and shape[lead] == 1:
        lead += 1
    rest = tuple(shape[lead:])
    if len(rest) == 2:
        return Layout(len(shape), lead, lead + 1, None)
    if len(rest) == 3:
        first, last = rest[0] in {3, 4}, rest[2] in {3, 4}
        if last and not first:
            return Layout(len(shape), lead, lead + 1, lead + 2)
        if first and not last:
            return Layout(len(shape), lead + 1, lead + 2, lead)
        if rest[2] == 1:
            return Layout(len(shape), lead, lead + 1, lead + 2)
    msg = "It cannot be told which axis of the image is color"
    raise ImageError(
        msg,
        where=f"shape {tuple(shape)}",
        why="exactly one of the first and the last axis must have length 3 (RGB) or 4 (RGBA)",
        fix='transpose to (height, width, 3), or name the axes: `images.open_image(image, dims=("y", "x", "c"))`',
        code="BI-24",
    )


def color_order(names: Sequence[object]) -> list[int]:
    """Positions of red, green, blue (and alpha) among named channels.

    Parameters
    ----------
    names
        Names of the channels; numbers mean that the order is R, G, B already.

    Returns
    -------
    Positions, in the order R, G, B, A.

    Raises
    ------
    ImageError
        The names are those of another kind of image.
    """
    low = [str(name).lower() for name in names]
    for known in COLOR_NAMES:
        if set(known[:3]) <= set(low) <= set(known):
            return [low.index(name) for name in known if name in low]
    if len(low) in {1, 3, 4} and all(name.isdigit() for name in low):
        return list(range(len(low)))
    msg = "The channels of the image are not red, green and blue"
    raise ImageError(
        msg,
        where=f"{len(low)} channels: {first_names([str(name) for name in names], 4)}",
        why="H&E is a color photograph; a fluorescence image cannot stand for it",
        fix='name another image with `image_key=`, or rename the channels to "r", "g", "b"',
        code="BI-30",
    )
