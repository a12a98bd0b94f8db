"""One wording for every shared parameter; docstrings take them with ``@doc`` and ``%(name)s``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import docrep

from histodecon._core._keys import Key

F = TypeVar("F", bound=Callable[..., object])

_PARAMETERS = {
    "adata": f"""\
adata
    Annotated data, one row a spot, with coordinates in ``obsm["{Key.obsm.SPATIAL}"]``.""",
    "data": """\
data
    :class:`~anndata.AnnData`, or :class:`~spatialdata.SpatialData` whose table is used.""",
    "table_key": """\
table_key
    Name of the table when ``data`` is a SpatialData; the only table is used when this name is absent.""",
    "library_key": f"""\
library_key
    Column of ``obs`` that tells slides apart. Nothing spatial ever mixes two slides. Without this column
    (default ``"{Key.obs.LIBRARY}"``) all spots are taken as one slide.""",
    "groupby": f"""\
groupby
    Column of ``obs`` with the independent unit, default ``"{Key.obs.PATIENT}"``.""",
    "image": """\
image
    The full-resolution H&E image where ``data`` does not hold it: a path, an array (height, width, 3),
    or a dict from library id to these. Default: the image element ``{library_id}_image`` of a SpatialData,
    else the image in ``uns["spatial"]``.""",
    "image_key": """\
image_key
    Name of the image element when a SpatialData holds several for one slide, or a dict from library id to name.""",
    "use_rep": """\
use_rep
    Key or keys of ``obsm`` that hold embeddings, such as ``"X_uni"`` or ``["X_conch", "X_uni"]``; the order is kept.""",
    "targets": f"""\
targets
    Key of ``obsm`` with the measured cell-type table, default ``"{Key.obsm.TARGETS}"``.""",
    "weights": """\
weights
    ``"posterior"`` lets targets count by their certainty, see :func:`histodecon.models.posterior_weights`: their standard
    deviations come from :func:`~histodecon.tl.deconvolve`, :func:`~histodecon.tl.set_targets` or
    :func:`~histodecon.tl.consensus_targets`, or from the 5 % and 95 % quantiles. By default all count alike.""",
    "layer": """\
layer
    Layer with raw counts, by default ``X``; only learners that learn from genes as well, such as ``"cuca"``, look at it.""",
    "signatures": """\
signatures
    Mean counts of one cell of each type, genes × cell types, for learners that need them, such as ``"cpnn"``. By default those
    that :func:`~histodecon.tl.deconvolve` left beside the targets.""",
    "key_added": """\
key_added
    Name under which the result is stored.""",
    "device": """\
device
    ``"auto"`` (CUDA, then MPS, then CPU), or a name that torch knows.""",
    "random_state": """\
random_state
    Seed. The same seed gives the same numbers on a CPU.""",
    "show_progress_bar": """\
show_progress_bar
    Show a progress bar.""",
    "copy": """\
copy
    Work on a copy and return it; the default changes ``adata`` in place and returns None.""",
    "ax": """\
ax
    Axes to draw on; a new figure is made when absent.""",
    "show": """\
show
    Show the figure; the default shows it when matplotlib is interactive and neither ``ax`` nor ``save`` is given.""",
    "save": """\
save
    Path to save the figure to.""",
    "library_id": """\
library_id
    Name of the slide.""",
    "mpp": """\
mpp
    µm per pixel of the full-resolution image.""",
}

_processor = docrep.DocstringProcessor(**_PARAMETERS)


def doc(function: F) -> F:
    """Fill ``%(name)s`` in a docstring with the shared wording.

    Parameters
    ----------
    function
        A function or class.

    Returns
    -------
    The same, documented.
    """
    function.__doc__ = _processor.dedent(function.__doc__ or "").rstrip() + "\n"
    return function
