"""A slide without spots as an image element, with its pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def slide_element(levels: Sequence[Any], library: str) -> Any:
    """Make an image element of the levels of a slide.

    Parameters
    ----------
    levels
        uint8 (height, width, 3), the largest first; dask arrays stay on disk.
    library
        Name of the slide and of the coordinate system, whose unit is the pixel of the first level.

    Returns
    -------
    DataArray with dims (c, y, x); a DataTree of these, ``scale0`` the largest, when there are several levels.
    """
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Identity, set_transformation

    if len(levels) == 1:
        return Image2DModel.parse(
            levels[0].transpose(2, 0, 1),
            dims=("c", "y", "x"),
            c_coords=["r", "g", "b"],
            transformations={library: Identity()},
            **({} if hasattr(levels[0], "compute") else {"chunks": (3, 1024, 1024)}),
        )
    from xarray import Dataset, DataTree

    height, width = levels[0].shape[:2]
    scales = {}
    for n, pixels in enumerate(levels):
        plane = Image2DModel.parse(pixels.transpose(2, 0, 1), dims=("c", "y", "x"), c_coords=["r", "g", "b"])
        rows, columns = pixels.shape[:2]
        middles = {"y": (np.arange(rows) + 0.5) * height / rows, "x": (np.arange(columns) + 0.5) * width / columns}
        scales[f"scale{n}"] = Dataset({"image": plane.assign_coords(middles)})
    tree = DataTree.from_dict(scales)
    set_transformation(tree, {library: Identity()}, set_all=True)
    return tree
