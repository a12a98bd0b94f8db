"""An adapter with everything it needs to be applied elsewhere: scales, what it reads, what it learned."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import FallbackWarning, InputError, ModelMismatchError, digest
from histodecon.encoders._adapter_files import AdapterFiles
from histodecon.encoders._adapters import AdapterData, get_adapter
from histodecon.encoders._expression import choose_genes, log_expression, smooth, standardize

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

FEWEST_ROWS = 16
UNRECORDED: Mapping[str, Any] = {"encoder": "unknown", "fingerprint": "unrecorded"}


class EmbeddingAdapter(AdapterFiles):
    """Move embeddings so that genes, and with them cell types, become easier to read off them.

    Parameters
    ----------
    method
        Name of an adapter, see :func:`histodecon.encoders.list_adapters`.
    params
        Parameters of the adapter that differ from its defaults.
    n_genes
        Genes to train against at most: those that vary most beyond the noise of counting.
    random_state
        Seed.
    device
        ``"auto"`` (CUDA, then MPS, then CPU), or a name that torch knows.

    Attributes
    ----------
    adapter_
        The fitted :class:`histodecon.encoders.Adapter`.
    center_, scale_
        Mean and standard deviation of the training embeddings, shape (d,).
    genes_
        Names of the genes it was trained against.
    groups_
        Names of the groups it was trained on.
    history_
        ``epochs`` that were looked at, ``held_in_gain`` after each (what the correlation of the genes read on held-in groups gains on the
        embeddings as they were), ``trained_epochs``.
    source_
        Record of the embedding that it reads.
    n_features_in_
        Width of the embedding.

    Notes
    -----
    Only what is known before a test patient is seen enters: scales, genes and the number of epochs come from the rows of
    :meth:`fit`. Leave patients that shall be tested on out of them.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.encoders import EmbeddingAdapter
    >>> rng = np.random.default_rng(0)
    >>> X, counts = rng.normal(size=(40, 6)), rng.poisson(2.0, size=(40, 9))
    >>> adapter = EmbeddingAdapter("seal", params={"max_epochs": 2}, device="cpu")
    >>> adapter.fit(X, counts, groups=np.repeat(["A", "B"], 20)).transform(X).shape
    (40, 6)
    """

    def __init__(
        self,
        method: str = "seal",
        *,
        params: Mapping[str, Any] | None = None,
        n_genes: int = 500,
        random_state: int = 0,
        device: str = "auto",
    ) -> None:
        self.method, self.params, self.n_genes = method, params, n_genes
        self.random_state, self.device = random_state, device

    def fit(
        self,
        X: NDArray,
        counts: Any,
        *,
        groups: Any = None,
        neighbors: csr_matrix | None = None,
        gene_names: Sequence[str] | None = None,
        source: Mapping[str, Any] | None = None,
        show_progress_bar: bool = False,
    ) -> Self:
        """Learn from spots that have an embedding and counts.

        Parameters
        ----------
        X
            Embeddings, shape (n, d).
        counts
            Whole numbers, dense or sparse, shape (n, G).
        groups
            Independent unit of each row, such as the patient, shape (n,); one unit by default.
        neighbors
            Row by row the mean over the neighbors of a spot, shape (n, n), sparse; counts are not smoothed without.
        gene_names
            Names of the columns of ``counts``.
        source
            Record of the embedding, with ``encoder`` and ``fingerprint``.
        show_progress_bar
            Show a progress bar.

        Returns
        -------
        The adapter itself.

        Raises
        ------
        InputError
            The method or a parameter is unknown, rows do not match, values are not finite, or there are fewer than 16 rows or 2 genes.
        MissingDependencyError
            A package that the method needs is not installed.

        Warns
        -----
        FallbackWarning
            Genes of held-in groups became no easier to read: the adapter is the identity.
        """
        from scipy.sparse import csr_matrix

        adapter = get_adapter(self.method).build(self.params)
        X, counts = _finite(X), csr_matrix(counts)
        labels = np.zeros(len(X), dtype=np.intp) if groups is None else np.asarray(groups)
        _check_rows(X, counts, labels, self.n_genes)
        names, codes = np.unique(labels.astype(str), return_inverse=True)
        columns = choose_genes(counts, codes, self.n_genes)
        if len(columns) < 2:
            msg = f"Only {len(columns)} genes have a count"
            raise InputError(msg, why="there is nothing to train against", fix="hand in raw counts", code="BI-87")
        self.center_, self.scale_ = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
        self.scale_[self.scale_ < 1e-9] = 1.0
        expression = standardize(log_expression(smooth(counts, neighbors), columns), codes)
        data = AdapterData(self._standardized(X), counts[:, columns].toarray().astype(np.float32), expression, codes)
        self.adapter_ = adapter.fit(
            data, random_state=self.random_state, device=self.device, show_progress_bar=show_progress_bar
        )
        self.history_, self.source_ = adapter.history_, dict(source or UNRECORDED)
        self.genes_ = [str(gene_names[i]) if gene_names is not None else str(i) for i in columns]
        self.groups_, self.n_features_in_ = [str(name) for name in names], X.shape[1]
        if self.is_identity_:
            text = f"{self.method!r} did not make genes of held-in groups easier to read: the embedding stays as it is."
            warnings.warn(f"[HD-BI-130] {text}", FallbackWarning, stacklevel=2)
        return self

    @property
    def is_identity_(self) -> bool:
        """Whether embeddings stay as they are, because nothing helped on held-in groups."""
        return not self.history_["trained_epochs"]

    @property
    def sha256_(self) -> str:
        """Digest of its scales and fitted arrays, which are all that it does."""
        arrays = self.adapter_.arrays()
        parts: list[object] = [self.method, self.center_, self.scale_]
        for name in sorted(arrays):
            parts += [name, np.ascontiguousarray(arrays[name])]
        return digest(*parts)

    def transform(self, X: NDArray) -> NDArray[np.float32]:
        """Adapt embeddings; rows do not depend on each other, and no counts are needed.

        Parameters
        ----------
        X
            Embeddings of the same encoder, shape (n, d).

        Returns
        -------
        float32, shape (n, d); exactly ``X`` where the adapter is the identity.

        Raises
        ------
        InputError
            Values are not finite, or this adapter is not fitted.
        ModelMismatchError
            The width is another.
        """
        if not hasattr(self, "adapter_"):
            msg = "This adapter is not fitted"
            raise InputError(msg, fix="`adapter.fit(X, counts)`", code="BI-87")
        X = _finite(X)
        if X.shape[1] != self.n_features_in_:
            msg = f"The adapter reads {self.n_features_in_} columns, X has {X.shape[1]}"
            raise ModelMismatchError(msg, where=f"encoder {self.source_['encoder']}", fix="give the same", code="BI-44")
        if self.is_identity_:
            return X
        moved = self.adapter_.shift(self._standardized(X)) * self.scale_
        return (X + moved).astype(np.float32)

    def _standardized(self, X: NDArray) -> NDArray[np.float32]:
        return ((X - self.center_) / self.scale_).astype(np.float32)


def _finite(X: Any) -> NDArray[np.float32]:
    values = np.asarray(X)
    if values.ndim != 2 or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        msg = "Embeddings must be a finite matrix of numbers"
        raise InputError(msg, where=f"shape {values.shape}, dtype {values.dtype}", fix="embed again", code="BI-42")
    return np.ascontiguousarray(values, dtype=np.float32)


def _check_rows(X: NDArray, counts: csr_matrix, groups: NDArray, n_genes: int) -> None:
    if len(X) != counts.shape[0] or len(X) != len(groups):
        msg = "Embeddings, counts and groups have different numbers of rows"
        raise InputError(
            msg, where=f"{len(X)}, {counts.shape[0]} and {len(groups)}", fix="one row a spot", code="BI-09"
        )
    if len(X) < FEWEST_ROWS:
        msg = f"{len(X)} spots with an embedding and counts are too few to train an adapter"
        raise InputError(msg, fix=f"hand in at least {FEWEST_ROWS}", code="BI-31")
    if isinstance(n_genes, bool) or not isinstance(n_genes, (int, np.integer)) or n_genes < 2:
        msg = f"n_genes must be a whole number from 2 on, got {n_genes!r}"
        raise InputError(msg, fix="`n_genes=500`", code="BI-72")
