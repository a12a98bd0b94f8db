"""The drawn nuclei as shapes, with their true types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon.datasets._toy_plan import CELL_TYPES

if TYPE_CHECKING:
    from histodecon.datasets._toy_cells import Cells

CORNERS = 16


def nuclei_shapes(cells: Cells, mpp: float, library: str) -> Any:
    """Make the outlines of drawn nuclei.

    Parameters
    ----------
    cells
        Where they were drawn.
    mpp
        µm per pixel.
    library
        Name of the slide, and of its coordinate system.

    Returns
    -------
    Shapes element: ellipses with 16 corners in full-resolution pixels, index 0 … n-1, and a column ``cell_type``.
    """
    import geopandas as gpd
    import pandas as pd
    import shapely
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    u, v = cells.long[:, None] * np.cos(turn), cells.short[:, None] * np.sin(turn)
    cosine, sine = np.cos(cells.angle)[:, None], np.sin(cells.angle)[:, None]
    corners = cells.xy[:, None] + np.stack([cosine * u - sine * v, sine * u + cosine * v], axis=-1)
    types = pd.Categorical.from_codes(cells.kind, categories=list(CELL_TYPES))
    frame = gpd.GeoDataFrame({"cell_type": types}, geometry=shapely.polygons(corners / mpp))
    return ShapesModel.parse(frame, transformations={library: Identity()})
