"""Teaching a regressor to read cell types out of embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from histodecon._core import Key, digest, doc, set_uns_branch, table_of
from histodecon._core._neighbors import pitch_um, read_rings
from histodecon.models import AbundanceRegressor, NoveltyScore, get_learner
from histodecon.models import calibrate as calibrate_model
from histodecon.models._calibrate import require_groups
from histodecon.tl._gene_counts import read_gene_counts
from histodecon.tl._spot_level import read_bags, refuse_intervals
from histodecon.tl._training_data import TrainingData, data_of_genes, read_training_data, training_groups

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix


@doc
def train_regressor(
    adata: AnnData,
    *,
    use_rep: str | Sequence[str],
    targets: str = Key.obsm.TARGETS,
    learner: str = "mlp",
    groupby: str | None = Key.obs.PATIENT,
    library_key: str = Key.obs.LIBRARY,
    params: Mapping[str, Any] | None = None,
    transform: str = "none",
    block_scaling: Literal["none", "width"] = "none",
    weights: Literal["posterior"] | None = None,
    layer: str | None = None,
    signatures: pd.DataFrame | None = None,
    bag_key: str = Key.obs.SPOT,
    calibrate: bool = False,
    device: str = "auto",
    random_state: int = 0,
    show_progress_bar: bool = True,
) -> AbundanceRegressor:
    """Learn to read cell-type abundances out of embeddings.

    Spots whose targets are NaN take no part, not as neighbors either. Everything that is chosen, such as when training stops or how strong a
    penalty is, is chosen on held-in groups of ``groupby``, with a single group on held-in spots.

    Parameters
    ----------
    %(adata)s
    %(use_rep)s
    %(targets)s
    learner
        Name of a learner: ``"ensemble"``, ``"context"``, ``"mlp"``, ``"ridge"``, ``"mean"``, or what else
        :func:`histodecon.models.list_learners` shows. The first two look at the spots around a spot as well. ``"cpnn_abundance"``
        needs no targets, but counts and signatures.
    %(groupby)s
        ``None`` takes all spots as one unit.
    %(library_key)s Only learners that read neighbors, such as ``"context"``, look at it.
    params
        Parameters of the learner that differ from its defaults.
    transform
        Scale the targets are learned on: ``"none"``, ``"log1p"``, ``"sqrt"`` or ``"proportion"``.
    block_scaling
        With several embeddings: ``"none"`` lets each weigh as much as it is wide, ``"width"`` all the same.
    %(weights)s
    %(layer)s
    %(signatures)s
    bag_key
        For learners of nuclei: column of ``obs`` with the spot of each nucleus, ``""`` for none.
    calibrate
        Learn, too, how far the model errs on patients that it never saw: predictions then come with intervals, and
        ``model.reliability_`` tells which cell types to trust. The learner is trained once more for each group of ``groupby``,
        without that group, so it takes about as many times longer as there are groups.
    %(device)s
    %(random_state)s
    %(show_progress_bar)s

    Returns
    -------
    The regressor; its ``save`` writes one safetensors file.

    Raises
    ------
    MissingKeyError
        An embedding, the targets, their standard deviations or the column is absent.
    InputError
        An embedding is not finite or the same everywhere, a learner or parameter is unknown, too few spots have targets, or
        ``calibrate`` finds fewer than two groups.
    TargetError
        Targets are negative, or a spot has only some of them.
    ModelError
        Training diverged at once.

    Warns
    -----
    FallbackWarning
        There is no column ``"patient"``, or training diverged and an earlier epoch was kept.

    Notes
    -----
    Writes ``uns["histodecon"]["regressor"]``: ``model`` (the model file as bytes), its ``sha256``, and in words
    ``learner``, ``weights``, ``calibrated``, ``kind``, ``cell_types``, ``encoders``, ``use_rep``, ``licenses``, ``commercial`` and ``n_spots``, so that
    ``predict_abundance(adata)`` needs nothing else.

    What training spots look like is kept with every model (:class:`histodecon.models.NoveltyScore`, seconds at most), so that
    predictions say which spots are unlike them.

    References
    ----------
    Sun, Zhu and Qiu 2025, arXiv:2507.07013.

    Examples
    --------
    >>> import histodecon as hd
    >>> adata = hd.datasets.toy_slide().tables["table"]
    >>> hd.tl.set_targets(adata, "true_abundance")
    >>> adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    >>> model = hd.tl.train_regressor(adata, use_rep="X_own", learner="ridge")
    >>> hd.tl.predict_abundance(adata)
    """
    adata = table_of(adata)
    asked = get_learner(learner).build(params)
    genes = read_gene_counts(adata, asked, layer=layer, signatures=signatures, targets=targets)
    if asked.reads_targets or genes is None or targets in adata.obsm:
        data = read_training_data(adata, use_rep, targets, weights)
    else:
        data = data_of_genes(adata, use_rep, genes)
    bags = read_bags(adata, asked, bag_key)
    refuse_intervals(asked, learner, calibrate=calibrate)
    groups = training_groups(adata, groupby)
    rows = data.measured
    if calibrate:
        require_groups([] if groups is None else np.unique(groups[rows].astype(str)).tolist())
    model = AbundanceRegressor(
        learner,
        params=params,
        transform=transform,
        block_scaling=block_scaling,
        device=device,
        random_state=random_state,
        show_progress_bar=show_progress_bar,
    )
    neighbors = _rings_of(adata, rows, asked.n_rings, library_key)
    model.fit(
        data.X[rows],
        data.Y[rows] if asked.reads_targets else None,
        groups=None if groups is None else groups[rows],
        encoders=data.records,
        cell_types=data.cell_types,
        kind=data.kind,
        weights=data.weights(rows, transform),
        neighbors=neighbors,
        genes=None if genes is None else genes.rows(rows),
        bags=None if bags is None else bags[rows],
    )
    model.training_["data_sha256"] = data.sha256()
    if neighbors is not None:
        model.training_["pitch_um"] = pitch_um(adata, library_key)
    _learn_trust(model, data, groups, neighbors, genes, calibrate=calibrate)
    content = model.to_bytes()
    set_uns_branch(adata, Key.uns.REGRESSOR, _record(model, content) | {"weights": weights or ""})
    return model


def _rings_of(adata: AnnData, rows: NDArray, n_rings: int, library_key: str) -> list[csr_matrix] | None:
    """Neighbors of spots with targets, among themselves."""
    rings = read_rings(adata, n_rings, among=rows, library_key=library_key)
    return None if rings is None else [ring[rows][:, rows] for ring in rings]


def _learn_trust(
    model: AbundanceRegressor,
    data: TrainingData,
    groups: NDArray | None,
    neighbors: Any,
    genes: Any,
    *,
    calibrate: bool,
) -> None:
    rows = np.flatnonzero(data.measured)
    labels = None if groups is None else groups[rows].astype(str)
    if calibrate and labels is not None:

        def weights(some: NDArray) -> Any:
            return data.weights(rows[some], model.transform)

        own = None if data.sd is None else weights
        known = None if genes is None else genes.rows(rows)
        calibrate_model(model, data.X[rows], data.Y[rows], labels, weights=own, neighbors=neighbors, genes=known)
    widths = [record.width for record in data.records]
    model.novelty_ = NoveltyScore.fit(data.X[rows], groups=labels, widths=widths, random_state=model.random_state)


def _record(model: AbundanceRegressor, content: bytes) -> dict[str, Any]:
    encoders = model.encoders_
    return {
        "model": np.frombuffer(content, dtype=np.uint8).copy(),
        "sha256": digest(content),
        "learner": model.learner,
        "calibrated": model.calibration_ is not None,
        "kind": model.kind_,
        "cell_types": np.array(model.cell_types_, dtype=object),
        "encoders": np.array([record.name for record in encoders], dtype=object),
        "use_rep": np.array([record.key for record in encoders], dtype=object),
        "licenses": np.array([record.license for record in encoders], dtype=object),
        "commercial": all(record.commercial for record in encoders),
        "n_spots": int(model.training_["n_rows"]),
    }
