"""Which image belongs to a slide, and how its pixels relate to full-resolution pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core._containers import is_spatialdata, iter_libraries
from histodecon._core._errors import GeometryError, InputError, MissingKeyError, first_names
from histodecon._core._keys import Key
from histodecon._core._regions import spot_systems

if TYPE_CHECKING:
    from anndata import AnnData

SIZES = ("_full_image", "_hires_image", "_lowres_image")
BLANK_LOOKED_AT = 50_000_000
"""Values of the largest picture that is looked through."""


@dataclass(frozen=True)
class ImageSource:
    """An image of a slide, not opened yet: image pixel = full-resolution pixel × scale + offset.

    Parameters
    ----------
    image
        Path, array or image element.
    name
        Where it was found.
    scale
        Image pixels per full-resolution pixel.
    offset
        x and y of the full-resolution origin, in image pixels.
    coordinate_system
        Coordinate system of a SpatialData whose unit is the full-resolution pixel, where the image has one.
    """

    image: Any
    name: str
    scale: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    coordinate_system: str | None = None

    def to_pixels(self, xy: np.ndarray) -> np.ndarray:
        """Convert full-resolution to image coordinates.

        Parameters
        ----------
        xy
            Shape (n, 2).

        Returns
        -------
        Shape (n, 2).
        """
        return np.asarray(xy, dtype=np.float64) * self.scale + np.asarray(self.offset)

    def to_fullres(self, xy: np.ndarray) -> np.ndarray:
        """Convert image to full-resolution coordinates.

        Parameters
        ----------
        xy
            Shape (n, 2).

        Returns
        -------
        Shape (n, 2).
        """
        return (np.asarray(xy, dtype=np.float64) - np.asarray(self.offset)) / self.scale


def image_source(
    data: Any,
    adata: AnnData,
    library: str,
    *,
    image: Any = None,
    image_key: str | Mapping[str, str] | None = None,
    library_key: str = Key.obs.LIBRARY,
) -> ImageSource:
    """Find the image of a slide.

    Parameters
    ----------
    data
        SpatialData, or the table itself.
    adata
        Its table.
    library
        Name of the slide.
    image
        Path or array, or a dict from library id to these; taken as the full-resolution image.
    image_key
        Name of an image element, or a dict from library id to name.
    library_key
        Column of ``obs`` that tells slides apart.

    Returns
    -------
    In this order: ``image``; the element ``image_key``, else ``{library}_image``, else the only element whose name begins with
    the library id, else the only one in the coordinate system of its spots, else the only element when there is one slide; the
    picture ``hires`` of ``uns["spatial"]``, else ``lowres``. Where elements end in ``_full_image``, ``_hires_image`` and
    ``_lowres_image``, as spatialdata-io names them, the largest is taken. Small pictures of one color are passed over.

    Raises
    ------
    InputError
        Several elements fit, or one image was given for several slides.
    MissingKeyError
        There is no image.
    GeometryError
        The transformation of the element is not a scale and a shift.
    """
    slides = dict(iter_libraries(adata, library_key))
    if image is not None:
        return _given(image, library, len(slides))
    if is_spatialdata(data):
        systems = spot_systems(data, adata, slides.get(library, np.arange(0)))
        name = _element_name(data, library, image_key, len(slides), systems)
        if name is not None:
            return element_source(data, name, library, systems)
    if image_key is not None:
        msg = "`image_key` names an element of a SpatialData, and this is an AnnData"
        raise InputError(msg, fix="hand in the image itself with `image=`", code="BI-35")
    return _squidpy_picture(data, adata, library)


def _given(image: Any, library: str, n_slides: int) -> ImageSource:
    if isinstance(image, dict):
        if library not in image:
            msg = f"`image` holds no image of slide {library!r}"
            where = f"it holds {first_names(image)}"
            raise MissingKeyError(msg, where=where, fix=f"`image={{{library!r}: path, ...}}`", code="BI-35")
        return ImageSource(image[library], f"image[{library!r}]")
    if n_slides > 1:
        msg = f"One image was given for {n_slides} slides"
        raise InputError(msg, fix=f"hand in one for each: `image={{{library!r}: path, ...}}`", code="BI-36")
    return ImageSource(image, "image")


def _element_name(
    data: Any, library: str, image_key: str | Mapping[str, str] | None, n_slides: int, systems: Sequence[str]
) -> str | None:
    names = list(data.images)
    wanted = image_key.get(library) if isinstance(image_key, Mapping) else image_key
    if wanted is not None:
        if wanted not in names:
            msg = f"The SpatialData has no image {wanted!r}"
            raise MissingKeyError(msg, where=f"images present: {first_names(names, 8)}", code="BI-35")
        if n_slides > 1 and isinstance(image_key, str):
            msg = f"One image element was named for {n_slides} slides"
            fix = f"name one for each: `image_key={{{library!r}: {wanted!r}, ...}}`"
            raise InputError(msg, fix=fix, code="BI-36")
        return wanted
    if library + Key.element.IMAGE in names:
        return library + Key.element.IMAGE
    fitting = [name for name in names if name.startswith(f"{library}_")]
    fitting = fitting or [name for name in names if not _systems_of(data, name).isdisjoint(systems)]
    fitting = fitting or (names if n_slides == 1 else [])
    fitting = _largest(data, fitting) or fitting
    if len(fitting) > 1:
        msg = f"{len(fitting)} images could be that of slide {library!r}"
        fix = f"name the one of highest resolution: `image_key={fitting[0]!r}`"
        raise InputError(msg, where=first_names(fitting, 8), fix=fix, code="BI-35")
    return fitting[0] if fitting else None


def _systems_of(data: Any, name: str) -> set[str]:
    from spatialdata.transformations import get_transformation

    return set(get_transformation(data.images[name], get_all=True))


def _largest(data: Any, names: Sequence[str]) -> list[str]:
    """Of a picture that is there in several sizes, the largest that shows something."""
    ranked = [[name for name in names if name.endswith(suffix)] for suffix in SIZES]
    shown = [same for same in ranked if same and not (len(same) == 1 and _is_blank(data.images[same[0]]))]
    return next(iter(shown), [])


def _is_blank(picture: Any) -> bool:
    """Tell a small picture of one color, alpha aside; test data are often stripped to such."""
    pixels = getattr(picture, "data", picture) if hasattr(picture, "dims") else picture
    if not hasattr(pixels, "shape") or np.prod(pixels.shape) > BLANK_LOOKED_AT or len(pixels.shape) != 3:
        return False
    color = np.asarray(pixels[:3] if hasattr(picture, "dims") and picture.dims[0] == "c" else pixels[..., :3])
    return bool(color.size and color.min() == color.max())


def element_source(data: Any, name: str, library: str, systems: Sequence[str] = ()) -> ImageSource:
    """Find how an image element lies in the coordinate system of a slide.

    Parameters
    ----------
    data
        SpatialData.
    name
        Name of the element.
    library
        Name of the slide; its own coordinate system, else one of ``systems``, else ``"global"``, else the only one there is.
    systems
        Coordinate systems of its spots.

    Returns
    -------
    The image with its scale and shift.

    Raises
    ------
    InputError
        The coordinate system cannot be told.
    GeometryError
        The transformation is not a scale and a shift.
    """
    from spatialdata.transformations import get_transformation

    known = get_transformation(data.images[name], get_all=True)
    system = next((key for key in (library, *systems, "global") if key in known), None)
    if system is None:
        if len(known) != 1:
            msg = f"It cannot be told in which coordinate system the spots of slide {library!r} lie"
            where = f"image {name!r} is in {first_names(known)}"
            raise InputError(msg, where=where, fix=f"give the image a transformation to {library!r}", code="BI-17")
        system = next(iter(known))
    matrix = known[system].to_affine_matrix(input_axes=("x", "y"), output_axes=("x", "y"))
    (xx, xy, dx), (yx, yy, dy) = np.asarray(matrix)[:2].tolist()
    even = xx > 0 and np.allclose([yy, xy, yx], [xx, 0, 0], rtol=1e-3, atol=1e-6 * abs(xx))
    if not even:
        msg = f"The transformation of image {name!r} to {system!r} is not a scale and a shift"
        raise GeometryError(
            msg,
            where=f"x = {xx:.6g} · x + {xy:.6g} · y, y = {yx:.6g} · x + {yy:.6g} · y",
            why="a tile would not be a square of the image",
            fix="transform the image first, for example with `spatialdata.transform(...)`, or hand it in with `image=`",
            code="BI-17",
        )
    return ImageSource(data.images[name], f'images["{name}"]', 1 / xx, (-dx / xx, -dy / xx), system)


def _squidpy_picture(data: Any, adata: AnnData, library: str) -> ImageSource:
    record = adata.uns.get(Key.uns.SPATIAL, {}).get(library, {})
    pictures, factors = record.get("images", {}), record.get("scalefactors", {})
    sizes = [size for size in ("hires", "lowres") if size in pictures and f"tissue_{size}_scalef" in factors]
    sizes = [size for size in sizes if not _is_blank(pictures[size])] or sizes
    if sizes:
        name = f'uns["{Key.uns.SPATIAL}"]["{library}"]["images"]["{sizes[0]}"]'
        return ImageSource(pictures[sizes[0]], name, float(factors[f"tissue_{sizes[0]}_scalef"]))
    where = (
        f"images present: {first_names(data.images, 8)}"
        if is_spatialdata(data)
        else "the AnnData holds no picture of it"
    )
    msg = f"There is no image of slide {library!r}"
    fix = "hand it in with `image=`: a path, an array, or a dict from library id to these"
    raise MissingKeyError(msg, where=where, fix=fix, code="BI-106")
