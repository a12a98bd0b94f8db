"""Embeddings that another tool made."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from histodecon._core import (
    AlignmentError,
    DroppedSpotsWarning,
    InputError,
    Key,
    copy_of,
    doc,
    first_names,
    is_safe_key,
    is_spatialdata,
    iter_libraries,
    require_spots,
    require_unique_names,
    safe_key,
    table_of,
    uns_branch,
    write_embedding,
)
from histodecon.pp._assemble_imported import assemble, facts_of
from histodecon.pp._imported import read_imported
from histodecon.pp._imported_recipe import PREFIX, encoder_of, recipe_of, record_of
from histodecon.pp._place_tiles import Wish, absent_spots, place

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    Source: TypeAlias = str | os.PathLike[str] | pd.DataFrame | np.ndarray | AnnData | SpatialData


@doc
def set_embedding(
    data: AnnData | SpatialData,
    values: Source | Mapping[str, Source],
    *,
    encoder: str | None = None,
    tool: str | None = None,
    values_key: str | None = None,
    match: Literal["auto", "barcode", "coordinates"] = "auto",
    tile_um: float | None = None,
    max_distance_um: float | None = None,
    mpp: float | Mapping[str, float] | None = None,
    missing: Literal["error", "drop"] = "error",
    assume_aligned: bool = False,
    key_added: str | None = None,
    overwrite: bool = False,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Take embeddings that another tool made.

    Rows are matched by barcode or by coordinates, never by position unless you insist. The record says that nobody has seen
    how they were made: ``verified`` is False.

    Parameters
    ----------
    %(data)s
    values
        One of these, or a dict from library id to these:

        - an HDF5 file (``.h5``) of TRIDENT, CLAM or HEST;
        - a SpatialData, its ``.zarr``, or the name of a table of ``data``: tables of LazySlide and sopa, and others whose
          rows annotate shapes;
        - an AnnData or its ``.h5ad``, rows named by barcode, or with centers of tiles in ``obsm["spatial"]``;
        - a DataFrame whose index are barcodes, or a csv, tsv or parquet file whose first column holds them;
        - a key of ``obsm`` of this table;
        - an array or a ``.npy`` file, with ``assume_aligned=True``.
    encoder
        Name of the encoder; not needed where the source names it. A registered one
        (:func:`histodecon.encoders.list_encoders`) brings its license, and must be as wide as its card says.
    tool
        Name of the tool, where the source does not tell.
    values_key
        Which table of a SpatialData, or which key of ``obsm`` of an AnnData; its ``X`` without it.
    match
        ``"auto"`` takes barcodes where there are some, else coordinates, and refuses barcodes that coordinates contradict and
        coordinates that the stated scale contradicts; ``"barcode"`` and ``"coordinates"`` trust one of them alone.
    tile_um
        What a tile shows, in µm, where the source does not tell.
    max_distance_um
        Largest distance from a spot to the center of its tile. By default a spot takes the tile that it lies in, of several
        the one with the nearest center.
    mpp
        µm per full-resolution pixel, for all slides or a dict from library id; default as recorded, else as in
        :func:`histodecon.pp.tile_spots`.
    missing
        What to do with spots that no embedding belongs to: ``"error"``, or ``"drop"``, which needs ``copy=True``: the copy
        lacks them.
    assume_aligned
        Take the rows by position: as many as there are spots, in the same order.
    key_added
        Key of ``obsm``, default ``X_`` and the name of the encoder.
    overwrite
        Also replace an entry of ``obsm`` that was not imported.
    %(table_key)s
    %(library_key)s
    %(copy)s

    Returns
    -------
    None, or the changed copy. Written are

    - ``obsm["X_<name>"]``: float32 (n_obs, dim);
    - ``uns["histodecon"]["embeddings"]["X_<name>"]``: ``encoder``, ``fingerprint``, ``recipe`` (JSON: what the fingerprint is
      taken of), ``verified`` (False), ``tool``, ``matched`` (``"barcode"``, ``"coordinates"``, ``"position"`` for each slide),
      ``n_tiles`` (rows that were used), ``width``, ``dtype``, ``license``, ``commercial``, ``sources`` (a digest for each
      slide), ``version``; matched by coordinates also ``max_distance_px``; where the size of tiles is stated in pixels also
      ``mpp``, µm in one of them, for each slide.

    Raises
    ------
    MissingKeyError
        There is no such key, table, slide or file.
    AlignmentError
        Barcodes stand twice or none is common, spots have no embedding, or there is nothing to match by.
    InputError
        The encoder is unknown or of another width, embeddings are not finite, do not vary or are not numbers, a file cannot
        be read, or a key is taken.
    GeometryError
        x and y are exchanged, or barcodes agree and places do not.
    ResolutionError
        Coordinates are those of another image, or the size of a tile or pixel is needed and unknown.
    UnsafeFileError
        Opening the file could run code.

    Warns
    -----
    DroppedSpotsWarning
        Spots without an embedding were left out of the copy.

    Notes
    -----
    What *unverified* means: encoder, weights, normalization and image are what the source or you say. The fingerprint covers
    just that: tool, encoder, width, and the size of a tile (in pixels with the magnification, or ``tile_um``). Embeddings
    imported alike share it, so a model that was trained on some predicts from others; it begins with ``"imported-"`` and
    never equals that of :func:`histodecon.pp.embed_tiles`, not even for the same encoder.

    Coordinates are pixels of the image that ``obsm["spatial"]`` belongs to. TRIDENT [1]_ writes ``features`` and ``coords``,
    upper-left corners at level 0, with the size of a patch as attributes of ``coords``. HEST [2]_ writes ``embeddings``,
    ``barcodes`` and ``coords``, upper-left corners in full-resolution pixels, without sizes. LazySlide [3]_ writes a table
    ``{model}_tiles`` whose rows are squares of the shapes ``tiles``, and ``attrs["tile_spec"]``. sopa [4]_ writes a table
    ``{model}_embeddings`` with centers in pixels of the level that was read, and ``embedding_config`` in ``uns``.

    References
    ----------
    .. [1] https://github.com/mahmoodlab/TRIDENT, ``trident/wsi_objects/WSI.py``, ``trident/IO.py``.
    .. [2] https://github.com/mahmoodlab/HEST, ``src/hest/bench/benchmark.py``; https://github.com/mahmoodlab/HEST/issues/52.
    .. [3] https://github.com/rendeirolab/wsidata, ``wsidata/io/_elems.py``, ``wsidata/_model/tile.py``.
    .. [4] https://github.com/gustaveroussy/sopa, ``sopa/patches/infer.py``.

    Examples
    --------
    >>> import histodecon as hd
    >>> import numpy as np
    >>> import pandas as pd
    >>> adata = hd.datasets.toy_slide(n_rows=6, n_cols=6)["table"]
    >>> vectors = np.random.default_rng(0).normal(size=(adata.n_obs, 8))
    >>> frame = pd.DataFrame(vectors, index=adata.obs_names)
    >>> hd.pp.set_embedding(adata, frame.sample(frac=1, random_state=0), encoder="own_net")
    >>> np.allclose(adata.obsm["X_own_net"], vectors)
    True
    >>> adata.uns["histodecon"]["embeddings"]["X_own_net"]["verified"]
    False
    """
    adata = table_of(data, table_key)
    require_spots(adata)
    require_unique_names(adata)
    _check_options(match, missing, tile_um, max_distance_um, copy=copy)
    parts = _parts(values, dict(iter_libraries(adata, library_key)), adata.n_obs)
    found = [read_imported(source, data=data, adata=adata, values_key=values_key) for source, _, _ in parts]
    name, card = encoder_of(found, encoder)
    recipe = recipe_of(found, name, tool=tool, tile_um=tile_um)
    key = _key(adata, key_added or Key.obsm.EMBEDDING_PREFIX + name, values, overwrite=overwrite)
    wish = Wish(match, tile_um, max_distance_um, mpp, assume_aligned)
    placed = [place(adata, part[1], part[2], one, wish) for part, one in zip(parts, found, strict=True)]
    absent = absent_spots(adata, placed, missing)
    matrix = assemble(adata, found, placed, absent)
    slides = [safe_key(library) if library else "all" for _, library, _ in parts]
    record = record_of(recipe, card) | facts_of(slides, found, placed)
    if not copy:
        write_embedding(adata, key, matrix, record)
        return None
    out = copy_of(data, table_key)
    table = table_of(out, table_key)
    if absent.any():
        table, out = _without(out, table, absent)
    write_embedding(table, key, matrix[~absent], record)
    return out


def _check_options(
    match: str, missing: str, tile_um: float | None, max_distance_um: float | None, *, copy: bool
) -> None:
    if match not in {"auto", "barcode", "coordinates"} or missing not in {"error", "drop"}:
        msg = f"Unknown option match={match!r} or missing={missing!r}"
        fix = 'match is "auto", "barcode" or "coordinates"; missing is "error" or "drop"'
        raise InputError(msg, fix=fix, code="BI-72")
    for option, size in {"tile_um": tile_um, "max_distance_um": max_distance_um}.items():
        if size is not None and not 0 < size < np.inf:
            msg = f"`{option}` must be a number above 0, not {size!r}"
            raise InputError(msg, fix=f"`{option}=112`", code="BI-72")
    if missing == "drop" and not copy:
        msg = '`missing="drop"` needs `copy=True`'
        why = "a function does not take rows out of the table that it is given"
        raise InputError(msg, why=why, fix='`adata = set_embedding(..., copy=True, missing="drop")`', code="BI-72")


def _parts(values: Any, libraries: Mapping[str, np.ndarray], n_obs: int) -> list[tuple[Any, str | None, np.ndarray]]:
    """Source, slide and rows of the table; no slide where one source is for several."""
    if not isinstance(values, Mapping):
        library = next(iter(libraries)) if len(libraries) == 1 else None
        return [(values, library, np.arange(n_obs))]
    unknown = [library for library in values if library not in libraries]
    if unknown:
        msg = f"`values` names slides that are not there: {first_names(unknown)}"
        raise InputError(msg, where=f"slides: {first_names(libraries, 8)}", fix="check the spelling", code="BI-104")
    lacking = [library for library in libraries if library not in values]
    if lacking:
        msg = f"`values` has nothing for some slides: {first_names(lacking)}"
        fix = "hand in all of them, or take the slide out of the table first"
        raise AlignmentError(msg, where=f"{len(lacking)} of {len(libraries)}", fix=fix, code="BI-09")
    return [(values[library], library, rows) for library, rows in libraries.items()]


def _key(adata: AnnData, key: str, values: Any, *, overwrite: bool) -> str:
    if not is_safe_key(key):
        msg = f"The key {key!r} cannot be stored"
        raise InputError(msg, fix="use letters, digits, '_', '.' and '-' only", code="BI-67")
    record = uns_branch(adata, Key.uns.EMBEDDINGS).get(key, {})
    imported = str(record.get("fingerprint", "")).startswith(PREFIX)
    itself = isinstance(values, str) and values == key and not record
    if key in adata.obsm and not (imported or itself or overwrite):
        what = "was embedded here" if record else "was not written by this function"
        msg = f"obsm[{key!r}] exists and {what}"
        fix = f"choose another key, `key_added='{key}_imported'`, or replace it: `overwrite=True`"
        raise InputError(msg, why="what it holds would be lost", fix=fix, code="BI-53")
    return key


def _without(out: Any, table: AnnData, absent: np.ndarray) -> tuple[AnnData, Any]:
    """Take spots out of a copy, and say so."""
    text = f"{int(absent.sum())} of {table.n_obs} spots have no embedding and are left out"
    names = first_names(table.obs_names[absent])
    warnings.warn(f"[HD-BI-09] {text}: {names}.", DroppedSpotsWarning, stacklevel=3)
    smaller = table[~absent].copy()
    if not is_spatialdata(out):
        return smaller, smaller
    key = next(name for name, value in out.tables.items() if value is table)
    del out.tables[key]
    out.tables[key] = smaller
    return smaller, out
