"""Embed the tile of every spot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histodecon._core import (
    InputError,
    Key,
    copy_of,
    digest,
    doc,
    first_names,
    is_safe_key,
    require_client,
    require_spots,
    require_unique_names,
    table_of,
    uns_branch,
    write_embedding,
)
from histodecon.pp._load_encoders import load_encoders
from histodecon.pp._passes import ENCODER_FIELD, Pass, plan_passes, stated_field
from histodecon.pp._run_on_cluster import run_on_cluster
from histodecon.pp._run_passes import run_passes
from histodecon.pp._shard_cache import shard_cache
from histodecon.pp._tile_stream import (
    find_slides,
    require_same_field,
    require_same_images,
    scales_of_pixels,
)

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from distributed import Client
    from spatialdata import SpatialData

    from histodecon.encoders import Encoder, EncoderCard

    EncoderLike = str | EncoderCard | Encoder | Callable[[np.ndarray], Any]

DEAD_PART = 0.5
FIELDS = ("tile", ENCODER_FIELD)


@doc
def embed_tiles(
    data: AnnData | SpatialData,
    encoder: EncoderLike | Sequence[EncoderLike],
    *,
    image: Any = None,
    image_key: str | Mapping[str, str] | None = None,
    weights: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None,
    key_added: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    orientations: Literal[1, 8] = 1,
    field_of_view: Literal["tile", "encoder"] = "tile",
    cache_dir: str | os.PathLike[str] | bool | None = None,
    client: Client | None = None,
    overwrite: bool = False,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    show_progress_bar: bool = True,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Turn the tile of every spot into a vector.

    Tiles are those that :func:`histodecon.pp.tile_spots` laid out: cut from the full-resolution image, resampled once to the
    size that the encoder reads, and streamed, so that they are never all in memory.

    Parameters
    ----------
    %(data)s
    encoder
        Name of an encoder (:func:`histodecon.encoders.list_encoders`) or of any timm model; a card such as
        :func:`histodecon.encoders.timm_card` makes; an encoder that is loaded; or a function of uint8 tiles
        (n, side, side, 3) that returns (n, dim), whose attribute ``input_px`` says the side (224 without it). Or a list of
        these: the image is opened once for all of them.
    %(image)s
    %(image_key)s
    weights
        Path of a local weight file, or of a folder with one, for an encoder that is a network; or a dict from name to path.
    key_added
        Key of ``obsm``, default ``X_`` and the name of the encoder; a list for several encoders.
    batch_size
        Tiles encoded at once; default as the encoder takes it well.
    %(device)s
    precision
        What networks compute in: ``"float32"``, or ``"bfloat16"`` or ``"float16"`` where their cards allow it, see
        :func:`histodecon.encoders.load_encoder`. It is part of the recipe; the embedding is float32 always.
    orientations
        8: the embedding of a tile is the mean over its eight orientations (four turns, each also mirrored), which tissue does
        not tell apart, at eight times the cost. It is part of the recipe: a model refuses embeddings made the other way.
    field_of_view
        ``"tile"``: every encoder sees the tile that :func:`histodecon.pp.tile_spots` laid out. ``"encoder"``: each sees the
        tissue that it was trained to see in a tile (512 px at 0.5 µm for CONCH, 256 px for UNI, see
        :func:`histodecon.encoders.list_encoders`); those that do not say, the tile.
    cache_dir
        Folder where finished shards of 256 spots are kept while the run goes on. After a kill, a Ctrl-C or an error the same
        call finds them and goes on: at most the shards in flight are computed again, and the result is the same to the
        last bit. Default: a folder in the user's cache, for encoders that have weights, emptied when the result is there. A
        folder that is named is used for every encoder and kept. ``False``: nothing is kept.
    client
        Client of dask.distributed (extra ``distributed``): its workers share the shards of all slides among them, each loads
        an encoder once, and the work of a worker that dies goes to the others. This process keeps the shards. Images and
        local weights are read by the workers, under the same paths; an image in memory is sent to all of them.
    overwrite
        Also replace an entry of ``obsm`` that this function did not write, imported embeddings included.
    %(table_key)s
    %(library_key)s
    %(show_progress_bar)s
    %(copy)s

    Returns
    -------
    None, or the changed copy. Written are, for each encoder,

    - ``obsm["X_<name>"]``: float32 (n_obs, dim);
    - ``uns["histodecon"]["embeddings"]["X_<name>"]``: ``encoder``, ``fingerprint``, ``recipe`` (JSON: what the fingerprint is
      taken of), ``width``, ``zeros`` (whether it holds any), ``dtype``, ``license``, ``commercial``, ``repo``, ``revision``, ``sources`` (for each slide a digest of image,
      coordinates and tile size), ``version`` of histodecon; for tiles cut in pixels also ``mpp``, µm per pixel of each slide.

    Raises
    ------
    MissingKeyError
        :func:`histodecon.pp.tile_spots` was not run, or there are no coordinates or no image.
    InputError
        The encoder is unknown; it answers with NaN or the same for every spot; the image is not the one that was tiled;
        slides were tiled to different sizes; a key is taken.
    ResourceError
        There is not enough memory for a single tile; or the workers of a cluster died again and again.
    MissingDependencyError
        A package of an extra is not installed.
    UnsafeFileError
        A weight file could run code when opened.
    ModelMismatchError
        Weights do not fit the encoder.
    OfflineError
        Weights must be fetched and there is no network.
    StoreError
        The folder that was named cannot be written, or the disk is full; finished shards are intact.

    Warns
    -----
    HistodeconWarning
        Another process embeds the same slide; its result is waited for.
    FallbackWarning
        Shards cannot be kept in the user's cache; or fewer tiles fit into the memory at once.
    ResolutionWarning
        Tiles were cut in pixels, and those of one slide are more than 10 %% larger than those of another.

    Notes
    -----
    The fingerprint tells two embeddings apart that have the same width: it covers the recipe of the encoder with the digest of
    its weights, and the field of view, in µm or, where tiles were cut in pixels, in pixels. It does not depend on the scale
    of the slide: slides scanned at another µm per pixel and tiled to the same µm share it. For tiles cut in pixels a model
    also remembers their µm per pixel, and refuses slides that are more than 10 %% off.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.toy_slide(n_rows=6, n_cols=6)
    >>> hd.pp.tile_spots(sdata)
    >>> hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    >>> adata = sdata["table"]
    >>> adata.obsm["X_color_stats"].shape == (adata.n_obs, 119)
    True

    A function is an encoder, too:

    >>> def mean_color(tiles):
    ...     return tiles.mean(axis=(1, 2))
    >>> hd.pp.embed_tiles(sdata, mean_color, show_progress_bar=False)
    >>> adata.obsm["X_mean_color"].shape[1]
    3
    """
    if copy:
        data = copy_of(data, table_key)
    adata = table_of(data, table_key)
    require_spots(adata)
    require_unique_names(adata)
    if field_of_view not in FIELDS:
        msg = f"`field_of_view` is one of {', '.join(FIELDS)}, not {field_of_view!r}"
        raise InputError(msg, fix='`field_of_view="tile"`', code="BI-72")
    if batch_size is not None and (int(batch_size) != batch_size or batch_size < 1):
        msg = f"`batch_size` must be a whole number above 0, not {batch_size}"
        raise InputError(msg, fix="leave it out: `batch_size=None`", code="BI-72")
    if client is not None:
        require_client(client)
    slides = find_slides(data, adata, image=image, image_key=image_key, library_key=library_key)
    require_same_field(slides)
    scales = scales_of_pixels(slides)
    loaded = load_encoders(encoder, weights, {"device": device, "precision": precision, "orientations": orientations})
    keys = _keys(adata, loaded, key_added, overwrite=overwrite)
    require_same_images(slides)
    passes = plan_passes(slides, loaded, field_of_view)
    values = _embed(
        passes,
        loaded,
        adata.obs_names,
        cache_dir=cache_dir,
        batch_size=batch_size,
        client=client,
        show_progress_bar=show_progress_bar,
    )
    facts: dict[str, Any] = {"sources": {slide.key: slide.digest() for slide in slides}}
    for one, key, matrix in zip(loaded, keys, values, strict=True):
        field = stated_field(slides[0], one, field_of_view)
        in_pixels = {"mpp": scales} if scales and field.endswith("px") else {}
        write_embedding(adata, key, matrix, _record(one, field) | facts | in_pixels)
    return data if copy else None


def _keys(
    adata: AnnData, loaded: Sequence[Encoder], key_added: str | Sequence[str] | None, *, overwrite: bool
) -> list[str]:
    if key_added is None:
        keys = [Key.obsm.EMBEDDING_PREFIX + one.name for one in loaded]
    else:
        keys = [key_added] if isinstance(key_added, str) else list(key_added)
    if len(keys) != len(loaded) or len(set(keys)) != len(keys):
        msg = f"{len(loaded)} encoders need as many different keys"
        raise InputError(msg, where=f"keys: {first_names(keys, 8)}", fix='`key_added=["X_a", "X_b"]`', code="BI-53")
    unsafe = [key for key in keys if not is_safe_key(key)]
    if unsafe:
        msg = f"The key {unsafe[0]!r} cannot be stored"
        raise InputError(msg, fix="use letters, digits, '_', '.' and '-' only", code="BI-67")
    own = {key for key, record in uns_branch(adata, Key.uns.EMBEDDINGS).items() if record.get("verified", True)}
    foreign = [key for key in keys if key in adata.obsm and key not in own]
    if foreign and not overwrite:
        msg = f"obsm[{foreign[0]!r}] exists and was not written by this function"
        fix = f"choose another key, `key_added='{foreign[0]}_2'`, or replace it: `overwrite=True`"
        raise InputError(msg, why="what it holds would be lost", fix=fix, code="BI-53")
    return keys


def _embed(
    passes: Sequence[Pass],
    loaded: Sequence[Encoder],
    names: pd.Index,
    *,
    cache_dir: str | os.PathLike[str] | bool | None,
    batch_size: int | None,
    client: Client | None,
    show_progress_bar: bool,
) -> list[np.ndarray]:
    from tqdm.auto import tqdm

    what = f"Embed tiles ({', '.join(one.name for one in loaded)})"
    total = len(names) * len(loaded)
    with (
        tqdm(total=total, desc=what, unit="tile", disable=not show_progress_bar) as bar,
        shard_cache(passes, loaded, cache_dir=cache_dir) as cache,
    ):
        run = run_passes if client is None else partial(run_on_cluster, client=client)
        values = run(passes, loaded, cache, names, batch_size=batch_size, tick=bar.update)
        for one, matrix in zip(loaded, values, strict=True):
            _require_alive(one, matrix)
    return values


def _require_alive(encoder: Encoder, values: np.ndarray) -> None:
    constant = (values == values[:1]).all(axis=0)
    if len(values) > 1 and constant.mean() > DEAD_PART:
        msg = f"Encoder {encoder.name!r} answers alike for all {len(values)} spots"
        raise InputError(
            msg,
            where=f"{int(constant.sum())} of {encoder.dim} columns are constant",
            why="nothing can be learned from them: the encoder is dead, or all tiles are",
            fix="look at the tiles with `histodecon.pl.tiles(data)`",
            code="BI-43",
        )


def _record(encoder: Encoder, field: str) -> dict[str, Any]:
    from histodecon import __version__

    recipe = {**encoder.card.recipe(), "field_of_view": field}
    return {
        "encoder": encoder.name,
        "fingerprint": digest(encoder.fingerprint, field),
        "recipe": json.dumps(recipe, sort_keys=True),
        "license": encoder.card.license,
        "commercial": encoder.card.commercial,
        "dtype": recipe["dtype"],
        "version": __version__,
        **{name: value for name in ("repo", "revision") if (value := getattr(encoder.card, name))},
    }
