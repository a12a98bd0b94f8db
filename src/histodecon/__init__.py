"""Cell-type abundance from an H&E image, inside AnnData and SpatialData.

image ──► tiles ──► embedding ──► abundance ──► map

"""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from histodecon._core._errors import (
    AlignmentError,
    DroppedSpotsWarning,
    FallbackWarning,
    GatedError,
    GeometryError,
    HistodeconError,
    HistodeconWarning,
    HubError,
    ImageError,
    IncompleteStoreError,
    InputError,
    IntegrityError,
    LockedError,
    MissingDependencyError,
    MissingKeyError,
    ModelError,
    ModelMismatchError,
    ModelVersionError,
    NamingError,
    OfflineError,
    ResolutionError,
    ResolutionWarning,
    ResourceError,
    StoreError,
    TargetError,
    UndefinedMetricWarning,
    UnsafeFileError,
)
from histodecon._core._journey_table import journey_table as _journey_table
from histodecon._core._lazy import lazy_attributes as _lazy_attributes

if TYPE_CHECKING:
    from histodecon import datasets, encoders, get, images, io, models, pl, pp, stats, tl
    from histodecon.io import concat, verify, write
    from histodecon.models import AbundanceRegressor
    from histodecon.pl import report

__version__ = _version("histodecon")
__doc__ = (__doc__ or "") + _journey_table()

__all__ = [
    "AlignmentError",
    "DroppedSpotsWarning",
    "FallbackWarning",
    "GatedError",
    "GeometryError",
    "HistodeconError",
    "HistodeconWarning",
    "HubError",
    "ImageError",
    "IncompleteStoreError",
    "InputError",
    "IntegrityError",
    "LockedError",
    "MissingDependencyError",
    "MissingKeyError",
    "ModelError",
    "ModelMismatchError",
    "ModelVersionError",
    "NamingError",
    "OfflineError",
    "ResolutionError",
    "ResolutionWarning",
    "ResourceError",
    "StoreError",
    "TargetError",
    "UndefinedMetricWarning",
    "UnsafeFileError",
]

_ROOMS = ("io", "datasets", "pp", "tl", "pl", "get", "images", "encoders", "models", "stats")
__getattr__, __dir__ = _lazy_attributes(
    __name__,
    {room: room for room in _ROOMS}
    | {"AbundanceRegressor": "models", "report": "pl"}
    | dict.fromkeys(("concat", "verify", "write"), "io"),
)
