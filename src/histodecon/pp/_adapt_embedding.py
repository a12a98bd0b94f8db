"""Adapt an embedding to the genes of the spots that have some."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from histodecon._core import (
    FallbackWarning,
    InputError,
    Key,
    MissingKeyError,
    ModelMismatchError,
    closest_names,
    digest,
    doc,
    first_names,
    is_safe_key,
    obs_column,
    read_embedding,
    require_spots,
    require_unique_names,
    table_of,
    uns_branch,
    write_embedding,
)
from histodecon._core._counts import read_counts
from histodecon._core._neighbors import read_rings
from histodecon.encoders import EmbeddingAdapter, get_adapter
from histodecon.pp._nuclei_table import INSTANCE_KEY

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData

PASSED_ON = ("license", "commercial", "repo", "revision", "mpp", "sources", "dtype")
KEPT = ("key", "encoder", "fingerprint", "recipe", "license", "commercial", "repo", "revision")


@doc
def adapt_embedding(
    data: AnnData | SpatialData,
    *,
    use_rep: str,
    method: str = "seal",
    groupby: str | None = Key.obs.PATIENT,
    leave_out: str | Sequence[str] = (),
    layer: str | None = None,
    params: Mapping[str, Any] | None = None,
    n_genes: int = 500,
    adapter: EmbeddingAdapter | str | os.PathLike[str] | None = None,
    key_added: str | None = None,
    overwrite: bool = False,
    table_key: str = Key.element.TABLE,
    library_key: str = Key.obs.LIBRARY,
    device: str = "auto",
    random_state: int = 0,
    show_progress_bar: bool = True,
) -> EmbeddingAdapter:
    """Move an embedding so that genes, and with them cell types, become easier to read off it.

    A small adapter is trained on the spots that have counts, and applied to all spots; a slide without counts is only transformed.
    It starts as the identity and stays it where held-in patients show no gain.

    Parameters
    ----------
    %(data)s
    use_rep
        Key of ``obsm`` that holds one embedding, such as ``"X_uni"``.
    method
        Name of an adapter (:func:`histodecon.encoders.list_adapters`): ``"seal"`` trains against spatially smoothed genes,
        ``"batch_free"`` against genes from which the patient was taken out (extra ``cell2location``, which brings scvi-tools).
    groupby
        Column of ``obs`` with the independent unit, default ``"patient"``; groups that are held in decide how long to train. None:
        all spots are one unit.
    leave_out
        Groups that are not trained on: those that a model shall be tested on.
    layer
        Layer with the counts; ``X`` without it. Spots without any count are not trained on.
    params
        Parameters of the adapter that differ from its defaults.
    n_genes
        Genes to train against at most.
    adapter
        An adapter that was fitted before, or the path of its file: it is applied, and nothing is trained.
    key_added
        Key of ``obsm``, default ``use_rep`` and the method, such as ``"X_uni_seal"``.
    overwrite
        Also replace an entry of ``obsm`` that this function did not write.
    %(table_key)s
    %(library_key)s
    %(device)s
    %(random_state)s
    %(show_progress_bar)s

    Returns
    -------
    The adapter, which can be saved and applied to other slides. Written are

    - ``obsm["X_<encoder>_<method>"]``: float32, as wide as the embedding;
    - ``uns["histodecon"]["embeddings"]`` of this key: the record of the embedding with ``encoder`` and ``fingerprint`` of its own,
      ``adapter``, ``adapted_from``, ``adapter_sha256``, ``trained_epochs`` (0 for the identity) and ``recipe``.

    Raises
    ------
    MissingKeyError
        The embedding, the layer or the column is absent.
    InputError
        The method, a parameter or a group is unknown, a key is taken, no row has counts (nuclei have none of their own), or fewer
        than 16 spots are left to train on.
    TargetError
        Counts are not whole numbers from 0 on.
    ModelMismatchError
        A given adapter reads another embedding.
    MissingDependencyError
        A package that the method needs is not installed.

    Warns
    -----
    FallbackWarning
        Held-in groups showed no gain and the embedding stays as it is; or there is no column with patients.

    Notes
    -----
    The fingerprint covers the embedding's own and what the adapter learned: a model that was trained on the output of one adapter
    refuses that of another. Adapters that are the identity differ too, because they were made by training.

    Genes of a patient that a model is tested on must not be seen: hand his name in as ``leave_out``, or let
    :func:`histodecon.tl.cross_validate` do so for every fold with :func:`histodecon.pp.adapter`.

    Examples
    --------
    >>> import histodecon as hd
    >>> sdata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)
    >>> hd.pp.tile_spots(sdata)
    >>> hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    >>> adapter = hd.pp.adapt_embedding(
    ...     sdata,
    ...     use_rep="X_color_stats",
    ...     params={"max_epochs": 4, "min_gain": 0.0},
    ...     device="cpu",
    ...     show_progress_bar=False,
    ... )
    >>> sdata["table"].obsm["X_color_stats_seal"].shape[1]
    119
    """
    adata = table_of(data, table_key)
    require_spots(adata)
    require_unique_names(adata)
    if not isinstance(use_rep, str):
        msg = f"use_rep must name one embedding, got {use_rep!r}"
        raise InputError(msg, why="an adapter reads one embedding", fix='`use_rep="X_uni"`', code="BI-46")
    X, record = read_embedding(adata, use_rep)
    if adapter is None:
        get_adapter(method).build(params)  # a misspelled name or parameter answers before counts are read
    else:
        adapter = adapter if isinstance(adapter, EmbeddingAdapter) else EmbeddingAdapter.load(adapter)
        _require_same_source(adapter, record, use_rep)
        method = adapter.method
    key = _key(adata, key_added or f"{use_rep}_{method}", use_rep, overwrite=overwrite)
    if adapter is None:
        adapter = EmbeddingAdapter(method, params=params, n_genes=n_genes, random_state=random_state, device=device)
        _fit(adapter, adata, X, record, groupby, leave_out, layer, library_key, show_progress_bar=show_progress_bar)
    write_embedding(adata, key, adapter.transform(X), _record(adapter, record, use_rep))
    return adapter


def _fit(
    adapter: EmbeddingAdapter,
    adata: AnnData,
    X: NDArray[np.float32],
    record: Mapping[str, Any],
    groupby: str | None,
    leave_out: str | Sequence[str],
    layer: str | None,
    library_key: str,
    *,
    show_progress_bar: bool,
) -> None:
    labels = _labels(adata, groupby, leave_out)
    left = [leave_out] if isinstance(leave_out, str) else [str(name) for name in leave_out]
    if not adata.n_vars:
        _refuse_without_counts(adata, layer)
    counts = read_counts(adata, layer, "adata", "layer")
    counted = np.asarray(counts.sum(axis=1)).ravel() > 0
    if not counted.any():
        _refuse_without_counts(adata, layer)
    used = counted & ~np.isin(labels, left)
    if not used.any():
        msg = "No spot is left to train an adapter on"
        where = f"{adata.n_obs} spots, left out: {first_names(left) if left else 'none'}"
        raise InputError(msg, where=where, why="it learns from spots with counts", fix="leave fewer out", code="BI-31")
    ring = read_rings(adata, 1, among=used, library_key=library_key) if Key.obsm.SPATIAL in adata.obsm else None
    adapter.fit(
        X[used],
        counts[used],
        groups=labels[used],
        neighbors=None if ring is None else ring[0][used][:, used],
        gene_names=[str(name) for name in adata.var_names],
        source={name: record[name] for name in KEPT if isinstance(record.get(name), (str, bool))},
        show_progress_bar=show_progress_bar,
    )


def _refuse_without_counts(adata: AnnData, layer: str | None) -> NoReturn:
    """Say that no row has a count, and what to do where rows are nuclei."""
    place = "X" if layer is None else f"layers[{layer!r}]"
    msg = "No row has counts to train an adapter on"
    where = f"{adata.n_obs} rows x {adata.n_vars} genes in {place}"
    why = "it is trained against the genes of each row, and needs none only where `adapter=` applies one that is fitted"
    fix = '`layer="counts"` where they are in a layer'
    if INSTANCE_KEY in adata.obs:
        where += f"; rows are nuclei, as obs[{INSTANCE_KEY!r}] tells"
        why = "it is trained against the genes of each row, and what was measured are spots, not nuclei"
        fix = "learn from the embedding of the nuclei as it is; adapt that of the tiles in the table of spots"
    raise InputError(msg, where=where, why=why, fix=fix, code="BI-31")


def _labels(adata: AnnData, groupby: str | None, leave_out: str | Sequence[str]) -> NDArray:
    left = [leave_out] if isinstance(leave_out, str) else list(leave_out)
    if groupby is None or (groupby == Key.obs.PATIENT and groupby not in adata.obs and not left):
        if groupby is not None:
            text = f"obs[{groupby!r}] is absent: held-in spots instead of held-in patients decide how long to train."
            fix = f'Add `adata.obs["{groupby}"]`, name another column with `groupby=`, or say `groupby=None`.'
            warnings.warn(f"[HD-BI-37] {text} {fix}", FallbackWarning, stacklevel=4)
        if left:
            msg = "`leave_out` names groups, but there is no column with groups"
            raise InputError(msg, fix='`groupby="patient"`', code="BI-68")
        return np.zeros(adata.n_obs, dtype=int).astype(str)
    labels = obs_column(adata, groupby).astype(str)
    unknown = [name for name in map(str, left) if name not in set(labels.tolist())]
    if unknown:
        msg = f"`leave_out` names groups that are not in obs[{groupby!r}]: {first_names(unknown)}"
        fix = closest_names(unknown[0], sorted(set(labels.tolist()))) or "check the spelling"
        raise InputError(msg, where=f"groups: {first_names(sorted(set(labels.tolist())), 8)}", fix=fix, code="BI-68")
    return labels


def _key(adata: AnnData, key: str, use_rep: str, *, overwrite: bool) -> str:
    if not is_safe_key(key):
        msg = f"The key {key!r} cannot be stored"
        raise InputError(msg, fix="use letters, digits, '_', '.' and '-' only", code="BI-67")
    own = "adapter_sha256" in uns_branch(adata, Key.uns.EMBEDDINGS).get(key, {})
    if key == use_rep or (key in adata.obsm and not (own or overwrite)):
        msg = f"obsm[{key!r}] exists and was not written by this function"
        fix = f"choose another key, `key_added='{key}_2'`" + ("" if key == use_rep else ", or `overwrite=True`")
        raise InputError(msg, why="what it holds would be lost", fix=fix, code="BI-53")
    return key


def _require_same_source(adapter: EmbeddingAdapter, record: Mapping[str, Any], use_rep: str) -> None:
    if not hasattr(adapter, "source_"):
        msg = "The adapter is not fitted"
        raise MissingKeyError(msg, fix="leave `adapter=` out to train one", code="BI-87")
    wanted, given = str(adapter.source_["fingerprint"]), str(record["fingerprint"])
    if wanted != given:
        msg = f"The adapter was trained on another embedding than obsm[{use_rep!r}]"
        where = f"it reads {adapter.source_['encoder']} ({wanted[:16]}), this is {record['encoder']} ({given[:16]})"
        why = "the same width does not mean the same features"
        fix = "embed with the encoder, tile size and precision of the adapter"
        raise ModelMismatchError(msg, where=where, why=why, fix=fix, code="BI-45")


def _record(adapter: EmbeddingAdapter, record: Mapping[str, Any], use_rep: str) -> dict[str, Any]:
    from histodecon import __version__

    sha256 = adapter.sha256_
    recipe = {
        "adapter": adapter.method,
        "adapter_sha256": sha256,
        "adapted_from": record["fingerprint"],
        "adapted_recipe": record.get("recipe", ""),
    }
    return {
        **{name: record[name] for name in PASSED_ON if name in record},
        "encoder": f"{record['encoder']}_{adapter.method}",
        "fingerprint": digest(str(record["fingerprint"]), adapter.method, sha256),
        "recipe": json.dumps(recipe, sort_keys=True),
        "adapter": adapter.method,
        "adapter_sha256": sha256,
        "adapted_from": use_rep,
        "trained_epochs": int(adapter.history_["trained_epochs"]),
        "verified": record.get("verified", True),
        "version": __version__,
    }
