"""Keys, errors, parameter docs, tables and files that every room shares. Imports no room."""

from histodecon._core._cluster import require_client
from histodecon._core._containers import (
    coordinates,
    copy_of,
    is_spatialdata,
    iter_libraries,
    obs_column,
    require_spots,
    require_unique_names,
    slide_mpp,
    table_of,
)
from histodecon._core._device import one_thread, resolve_device
from histodecon._core._docs import doc
from histodecon._core._embeddings import UNRECORDED, as_2d_float, embedding_keys, read_embedding, write_embedding
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
    first_names,
    raise_together,
)
from histodecon._core._files import write_atomic
from histodecon._core._geojson import feature_area, read_features
from histodecon._core._image_sources import ImageSource, element_source, image_source
from histodecon._core._interruption import interruptible
from histodecon._core._keys import Key, is_safe_key, safe_key
from histodecon._core._lazy import lazy_attributes
from histodecon._core._locks import alone, locked, present
from histodecon._core._optional import declare_vision_operators, import_optional, import_timm
from histodecon._core._registry import add_card, cards_table, closest_names, find_cards
from histodecon._core._replace import remove, replacing, restore
from histodecon._core._results import note_where_results_go, note_zeros_or_edits
from histodecon._core._row_digests import ROWS, changed_rows, row_digests
from histodecon._core._shards import ShardStore
from histodecon._core._slide_notes import set_slide_notes, slide_notes
from histodecon._core._tables import (
    KINDS,
    UNITS,
    detect_kind,
    digest,
    read_table,
    safe_columns,
    set_uns_branch,
    table_keys,
    table_kind,
    table_record,
    uns_branch,
    write_table,
)
