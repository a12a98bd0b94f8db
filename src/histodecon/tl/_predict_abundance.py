"""Cell types of a slide from its embeddings alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from histodecon._core import (
    UNRECORDED,
    DroppedSpotsWarning,
    InputError,
    Key,
    MissingKeyError,
    digest,
    doc,
    first_names,
    require_spots,
    require_unique_names,
    table_of,
    uns_branch,
    write_table,
)
from histodecon._core._neighbors import check_pitch, read_rings
from histodecon.models import AbundanceRegressor, EncoderRecord
from histodecon.models._conformal import check_coverage
from histodecon.models._find_model import find_model
from histodecon.tl._checks import require_safe_key
from histodecon.tl._training_data import read_embeddings
from histodecon.tl._trust import Trust, warn_novel, write_trust

if TYPE_CHECKING:
    from anndata import AnnData

BACKGROUNDS = ("nan", "zero", "keep")


@doc
def predict_abundance(
    adata: AnnData,
    model: AbundanceRegressor | str | os.PathLike[str] | None = None,
    *,
    use_rep: str | Sequence[str] | None = None,
    background: Literal["nan", "zero", "keep"] = "nan",
    coverage: float = 0.9,
    key_added: str = Key.obsm.PREDICTED,
    representation_added: str | None = None,
    expression_added: str | None = None,
    library_key: str = Key.obs.LIBRARY,
    copy: bool = False,
) -> AnnData | None:
    """Predict cell-type abundances from embeddings.

    Parameters
    ----------
    %(adata)s
    model
        A regressor; the path of its file; or its name on the Hugging Face Hub, ``"owner/name@commit"``, which is fetched once. By
        default the one that ``train_regressor`` kept in this ``adata``.
    use_rep
        Key or keys of ``obsm``, in the order of training; by default those the model was trained on.
    background
        What to write for spots whose tile holds no tissue, ``obs["in_tissue_tile"]`` False: ``"nan"``, ``"zero"``, or with
        ``"keep"`` what the model makes of glass. Without this column every spot is predicted. Spots that are not kept are
        nobody's neighbors.
    coverage
        Share of spots whose truth shall lie between the bounds of a model that was trained with ``calibrate=True``, from 0.5
        to 0.99; see :class:`histodecon.models.ConformalIntervals` for what that promises.
    %(key_added)s
    representation_added
        Key of ``obsm`` for what the learner makes of the embeddings on its way, such as the joint embedding of ``"cuca"``.
    expression_added
        Key of ``obsm`` for predicted expression, of learners such as ``"cpnn"``.
    %(library_key)s Only models that read neighbors look at it.
    %(copy)s

    Returns
    -------
    None, or the copy.

    Raises
    ------
    MissingKeyError
        There is no model, an embedding is absent, or the record of its recipe was lost.
    ModelMismatchError
        The embeddings were made by another recipe, or stand in another order, than in training.
    IntegrityError
        The model file is damaged.
    ModelError
        A representation or expression is asked of a learner that has none.
    StoreError, HubError
        The model file is not there, or cannot be fetched.
    InputError
        Embeddings are not finite, ``background`` is unknown, or ``coverage`` is out of range.

    Warns
    -----
    DroppedSpotsWarning
        Some spots hold no tissue and got no prediction.
    HistodeconWarning
        More than half of the spots with tissue are unlike the spots of training.

    Notes
    -----
    Writes ``obsm[key_added]``, a DataFrame (n_obs, n_types) on the scale of the training targets, finite and not negative
    but for spots without tissue; rows of proportions sum to 1. Its record in ``uns["histodecon"]["tables"][key_added]`` holds ``kind``, ``unit``,
    ``model_sha256``, ``learner``, ``use_rep``, ``background``, ``n_background`` and ``n_out_of_distribution``.

    ``obs["novelty"]`` is the distance of each spot from the spots of training in embedding space, in units of the limit that
    1 % of held-out training spots exceed (:class:`histodecon.models.NoveltyScore`), and ``obs["out_of_distribution"]`` tells
    which are above 1: another stain, blur, another scale, no tissue. A calibrated model writes ``obsm[key_added + "_lower"]`` and
    ``"_upper"``, of the same form, NaN for spots without tissue unless they are kept. With another ``key_added`` the columns of
    ``obs`` begin with it. What an older model wrote there is taken away.

    ``obsm[representation_added]`` is float32 (n_obs, width). ``obsm[expression_added]`` is a DataFrame (n_obs, genes of the model) of
    expected counts in a spot of the training's median total, NaN where abundances are; its genes need not be in ``var``.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide().tables["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    >>> model = hd.tl.train_regressor(adata, use_rep="X_own", learner="ridge")
    >>> hd.tl.predict_abundance(adata, model)
    >>> adata.obsm["predicted_abundance"].shape == adata.obsm["cell_abundance"].shape
    True
    """
    adata = table_of(adata)
    require_spots(adata)
    require_unique_names(adata)
    require_safe_key(key_added, "key_added")
    if background not in BACKGROUNDS:
        msg = f"`background` is one of {', '.join(BACKGROUNDS)}, not {background!r}"
        raise InputError(msg, fix='`background="nan"`', code="BI-41")
    check_coverage(coverage)
    regressor = _find(adata, model)
    keys = [record.key for record in regressor.encoders_] if use_rep is None else use_rep
    X, records = read_embeddings(adata, keys)
    _require_records(regressor.encoders_, records)
    regressor.check_encoders(records)
    n_rings = regressor.learner_.n_rings
    if n_rings:
        check_pitch(adata, regressor.training_.get("pitch_um"), library_key)
    glass = _without_tissue(adata)
    read = np.ones(len(X), dtype=bool) if background == "keep" else ~glass
    values = regressor.predict(X, neighbors=read_rings(adata, n_rings, among=read, library_key=library_key))
    trust = Trust.of(regressor, X, values, read, coverage)
    if background != "keep":
        values[glass] = np.nan if background == "nan" else 0.0
    table = pd.DataFrame(values, index=adata.obs_names, columns=list(regressor.cell_types_))
    record = {
        "background": background,
        "n_background": int(glass.sum()),
        "model_sha256": digest(regressor.to_bytes()),
        "learner": regressor.learner,
        "use_rep": np.array([record.key for record in records], dtype=object),
        **trust.record(),
    }
    beside = _beside(
        regressor, X, adata, glass if background != "keep" else None, representation_added, expression_added
    )
    out = adata.copy() if copy else adata
    for name, found in beside.items():
        out.obsm[name] = found
    write_table(out, key_added, table, kind=regressor.kind_, record=record)
    write_trust(out, key_added, trust, table, kind=regressor.kind_)
    if background == "nan" and glass.any():
        _warn_background(adata, glass)
    warn_novel(adata, key_added, trust)
    return out if copy else None


def _beside(
    model: AbundanceRegressor,
    X: np.ndarray,
    adata: AnnData,
    glass: np.ndarray | None,
    representation: str | None,
    expression: str | None,
) -> dict[str, np.ndarray | pd.DataFrame]:
    """What else is asked of the model, by key of ``obsm``."""
    found: dict[str, np.ndarray | pd.DataFrame] = {}
    if representation is not None:
        require_safe_key(representation, "representation_added")
        found[representation] = model.represent(X).astype(np.float32)
    if expression is not None:
        require_safe_key(expression, "expression_added")
        values = model.express(X)
        if glass is not None:
            values[glass] = np.nan
        found[expression] = pd.DataFrame(values, index=adata.obs_names, columns=list(model.training_["genes"]))
    return found


def _without_tissue(adata: AnnData) -> np.ndarray:
    if Key.obs.IN_TISSUE_TILE not in adata.obs:
        return np.zeros(adata.n_obs, dtype=bool)
    return ~adata.obs[Key.obs.IN_TISSUE_TILE].to_numpy(dtype=bool)


def _warn_background(adata: AnnData, glass: np.ndarray) -> None:
    warnings.warn(
        f"[HD-BI-41] {int(glass.sum())} of {adata.n_obs} spots hold no tissue and got NaN: "
        f'{first_names(adata.obs_names[glass])}. obs["{Key.obs.IN_TISSUE_TILE}"] tells them apart; '
        '`background="keep"` predicts them all the same.',
        DroppedSpotsWarning,
        stacklevel=4,
    )


def _find(adata: AnnData, model: AbundanceRegressor | str | os.PathLike[str] | None) -> AbundanceRegressor:
    if model is not None:
        return find_model(model)
    stored = uns_branch(adata, Key.uns.REGRESSOR).get("model")
    if stored is None:
        msg = "There is no trained model"
        raise MissingKeyError(
            msg,
            where='neither `model=` nor uns["histodecon"]["regressor"]',
            why="`anndata.concat` leaves uns out unless told otherwise",
            fix="`histodecon.tl.train_regressor(adata, use_rep=...)`, or pass a regressor, its file or its name on the Hub",
            code="BI-88",
        )
    return AbundanceRegressor.from_bytes(np.asarray(stored, dtype=np.uint8).tobytes())


def _require_records(wanted: Sequence[EncoderRecord], given: Sequence[EncoderRecord]) -> None:
    """Tell a lost record from a wrong one."""
    known = {record.fingerprint for record in wanted} - {UNRECORDED}
    lost = [record.key for record in given if record.fingerprint == UNRECORDED]
    if known and lost and len(lost) > sum(record.fingerprint == UNRECORDED for record in wanted):
        msg = "It is not recorded how some embeddings were made"
        raise MissingKeyError(
            msg,
            where=f'uns["histodecon"]["embeddings"] lacks {first_names(lost)}',
            why="the model must see embeddings of the recipe it was trained on; `anndata.concat` leaves uns out",
            fix='`anndata.concat(..., uns_merge="same")`, or embed again with `histodecon.pp.embed_tiles`',
            code="BI-88",
        )
