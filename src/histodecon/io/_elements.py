"""The image and the spots of a slide as elements of a SpatialData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from histodecon.io._assemble import Section


def image_element(section: Section) -> Any:
    """Make an image element that stands in the coordinate system of its slide, in full-resolution pixels.

    Parameters
    ----------
    section
        The slide.

    Returns
    -------
    The element, dims (c, y, x), in chunks of 1024 px or as it is chunked already; a scale leads to full-resolution pixels.
    """
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Identity, Scale

    image, grown = section.image, 1 / section.image_scale
    to_slide = Identity() if section.image_scale == 1 else Scale([grown, grown], axes=("x", "y"))
    lazy = not isinstance(image, np.ndarray)
    return Image2DModel.parse(
        image.transpose(2, 0, 1),
        dims=("c", "y", "x"),
        c_coords=["r", "g", "b"],
        transformations={section.library_id: to_slide},
        **({} if lazy else {"chunks": (3, 1024, 1024)}),
    )


def spot_shapes(section: Section) -> Any:
    """Make the circles of a slide's spots, or the squares of its bins.

    Parameters
    ----------
    section
        The slide.

    Returns
    -------
    Shapes element in full-resolution pixels, index 0 … n-1.
    """
    import geopandas as gpd
    import shapely
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    place: dict[str, Any] = {section.library_id: Identity()}
    xy = np.asarray(section.xy, dtype=float)
    if section.square_axes is None:
        radius = section.spot_diameter_um / section.mpp / 2
        return ShapesModel.parse(xy, geometry=0, radius=radius, transformations=place)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 @ section.square_axes
    squares = shapely.polygons(xy[:, None, :] + corners)
    return ShapesModel.parse(gpd.GeoDataFrame(geometry=squares), transformations=place)
