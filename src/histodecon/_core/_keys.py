"""Every key that histodecon reads or writes, in one place."""

from __future__ import annotations

import re

_SAFE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")


class Key:
    """Names of the slots of the journey."""

    class obs:
        """Columns of ``obs``."""

        LIBRARY = "library_id"
        PATIENT = "patient"
        TISSUE_FRACTION = "tissue_fraction"
        IN_TISSUE_TILE = "in_tissue_tile"
        TILE_PADDING = "tile_padding"
        NOVELTY = "novelty"
        OUT_OF_DISTRIBUTION = "out_of_distribution"
        ANNOTATION = "annotation"
        PARENT = "parent_spot"
        SPOT = "spot"
        AREA = "area_um2"

    class obsm:
        """Keys of ``obsm``."""

        SPATIAL = "spatial"
        TARGETS = "cell_abundance"
        PREDICTED = "predicted_abundance"
        PREDICTED_LOWER = "predicted_abundance_lower"
        PREDICTED_UPPER = "predicted_abundance_upper"
        CROSS_VALIDATED = "crossval_abundance"
        CONSENSUS = "consensus_abundance"
        SUPER_RESOLVED = "superresolved_abundance"
        EMBEDDING_PREFIX = "X_"

    class varm:
        """Suffixes of keys of ``varm``; the key of the table stands before them."""

        SIGNATURES = "_signatures"

    class uns:
        """Keys of ``uns`` and, after ROOT, of ``uns["histodecon"]``."""

        ROOT = "histodecon"
        SPATIAL = "spatial"
        CROSS_VALIDATION = "cross_validation"
        EVALUATION = "abundance_evaluation"
        LEARNER_COMPARISON = "learner_comparison"
        COLOCALIZATION = "colocalization"
        AGREEMENT = "colocalization_agreement"
        DIFFERENCE = "colocalization_difference"
        # below uns["histodecon"]
        SLIDES = "slides"
        TILES = "tiles"
        EMBEDDINGS = "embeddings"
        TABLES = "tables"
        DECONVOLUTION = "deconvolution"
        REGRESSOR = "regressor"
        NUCLEI = "nuclei"

    class element:
        """Suffixes of SpatialData elements; the library id stands before them."""

        IMAGE = "_image"
        SPOTS = "_spots"
        TILES = "_tiles"
        NUCLEI = "_nuclei"
        TABLE = "table"
        NUCLEI_TABLE = "nuclei"


def is_safe_key(key: str) -> bool:
    """Tell whether a key survives h5ad, zarr and SpatialData.

    Parameters
    ----------
    key
        The key.

    Returns
    -------
    True when it starts with a letter or digit and holds only letters, digits, ``_``, ``.`` and ``-``.
    """
    return bool(_SAFE.match(key))


def safe_key(name: str) -> str:
    """Make a key of any text, so that it survives h5ad, zarr and SpatialData.

    Parameters
    ----------
    name
        Any text, for example a cell-type name or a library id.

    Returns
    -------
    The same text with every other character replaced by ``_``; texts that begin with another character get an ``x`` first.
    """
    key = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return key if key[:1].isalnum() else f"x{key}"
