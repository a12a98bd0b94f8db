"""Counts of genes beside embeddings: known while a model learns, never needed to predict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError, digest, first_names

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class GeneCounts:
    """Counts of the rows of a training set, and what one cell of each type expresses.

    Parameters
    ----------
    counts
        Whole numbers from 0 on, dense or sparse by rows, shape (n, G).
    names
        Names of the genes, all different.
    signatures
        Mean counts of one cell of each type, shape (G, K); only some learners need them.
    cell_types
        Names of the columns of ``signatures``.

    Raises
    ------
    InputError
        Shapes do not fit, or numbers are negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from histodecon.models import GeneCounts
    >>> GeneCounts(np.array([[0, 3], [5, 1], [2, 2]]), ("CD3E", "MS4A1")).rows([0, 2]).counts.tolist()
    [[0, 3], [2, 2]]
    """

    counts: NDArray[Any] | csr_matrix
    names: tuple[str, ...]
    signatures: NDArray[np.float64] | None = None
    cell_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        object.__setattr__(self, "cell_types", tuple(map(str, self.cell_types)))
        if len(self.counts.shape) != 2 or self.counts.shape[1] != len(self.names):
            what = f"Counts must have shape (rows, {len(self.names)}), got {self.counts.shape}"
            raise InputError(what, fix="rows × genes: `GeneCounts(adata.X, adata.var_names)`", code="BI-64")
        if len(set(self.names)) < len(self.names):
            twice = "Some genes stand twice"
            names = [name for name, times in Counter(self.names).items() if times > 1]
            fix = "`adata.var_names_make_unique()` before"
            raise InputError(twice, where=f"{len(names)}: {first_names(names)}", fix=fix, code="BI-57")
        _refuse(self.counts.data if _is_sparse(self.counts) else self.counts, "counts")
        if self.signatures is None:
            return
        signatures = np.asarray(self.signatures, dtype=np.float64)
        object.__setattr__(self, "signatures", signatures)
        if signatures.shape != (len(self.names), len(self.cell_types)):
            what = f"Signatures must have shape ({len(self.names)}, {len(self.cell_types)}), got {signatures.shape}"
            raise InputError(what, fix="genes × cell types, in the order of their names", code="BI-64")
        _refuse(signatures, "signatures")

    def rows(self, rows: Any) -> GeneCounts:
        """Take some rows.

        Parameters
        ----------
        rows
            A mask or numbers.

        Returns
        -------
        Their counts.
        """
        return replace(self, counts=self.counts[np.asarray(rows)])

    def dense(self, genes: NDArray[np.intp]) -> NDArray[np.float32]:
        """Read some genes.

        Parameters
        ----------
        genes
            Their numbers.

        Returns
        -------
        Shape (n, len(genes)).
        """
        part = self.counts[:, genes]
        return np.asarray(part.toarray() if hasattr(part, "toarray") else part, dtype=np.float32)

    def totals(self) -> NDArray[np.float64]:
        """Sum the counts of each row.

        Returns
        -------
        Shape (n,).
        """
        return np.asarray(self.counts.sum(axis=1), dtype=np.float64).ravel()

    def signatures_of(self, cell_types: Sequence[str]) -> NDArray[np.float64]:
        """Read the signatures in the order of some cell types.

        Parameters
        ----------
        cell_types
            Names.

        Returns
        -------
        Shape (G, len(cell_types)).

        Raises
        ------
        InputError
            There are no signatures, or none of some type.
        """
        if self.signatures is None:
            raise _without_signatures()
        missing = [name for name in cell_types if name not in self.cell_types]
        if missing:
            what, where = "Some cell types have no signature", f"{len(missing)}: {first_names(missing)}"
            raise InputError(what, where=where, fix=f"there are {first_names(self.cell_types, 8)}", code="BI-123")
        return self.signatures[:, [self.cell_types.index(name) for name in cell_types]]

    def sha256(self) -> str:
        """Digest everything.

        Returns
        -------
        64 hexadecimal digits.
        """
        counts: Any = self.counts
        parts = (counts.indptr, counts.indices, counts.data) if _is_sparse(counts) else (np.asarray(counts),)
        own = "" if self.signatures is None else self.signatures
        return digest(*parts, own, repr((self.names, self.cell_types)))


def checked_genes(genes: GeneCounts | None, n_rows: int, learner: str, *, signatures: bool) -> GeneCounts:
    """Refuse to learn from genes that are not there.

    Parameters
    ----------
    genes
        What was given.
    n_rows
        Rows of the embeddings.
    learner
        Name of the learner, for the message.
    signatures
        Whether signatures are needed too.

    Returns
    -------
    The same.

    Raises
    ------
    InputError
        There are none, or of other rows, or no signatures.
    """
    if genes is None:
        what = f"The learner {learner!r} learns from counts of genes too, and there are none"
        fix = "`genes=GeneCounts(counts, names)`; `histodecon.tl` reads them from the table, `layer=`"
        raise InputError(what, why="they are needed to learn, not to predict", fix=fix, code="BI-123")
    if genes.counts.shape[0] != n_rows:
        what = f"Counts of {genes.counts.shape[0]} rows for embeddings of {n_rows}"
        raise InputError(what, fix="`genes.rows(rows)` takes the same rows of both", code="BI-64")
    if signatures and genes.signatures is None:
        raise _without_signatures()
    return genes


def most_variable(counts: NDArray[np.float32] | csr_matrix, n_genes: int) -> NDArray[np.intp]:
    """Choose the genes that vary most beyond what counting alone brings.

    Parameters
    ----------
    counts
        Shape (n, G).
    n_genes
        How many at most; genes that are never seen are not among them.

    Returns
    -------
    Their numbers, rising.

    Notes
    -----
    Counts are brought to the median total of a row. Genes are ordered by variance minus mean, over the square of the mean plus a
    small constant, which for a negative binomial is its overdispersion; the variance of a Poisson gene equals its mean.
    """
    totals = np.maximum(np.asarray(counts.sum(axis=1), dtype=np.float64).ravel(), 1.0)
    factors = np.median(totals) / totals
    if hasattr(counts, "multiply"):
        scaled = counts.multiply(factors[:, None]).tocsr()
        mean = np.asarray(scaled.mean(axis=0)).ravel()
        second = np.asarray(scaled.multiply(scaled).mean(axis=0)).ravel()
    else:
        scaled = counts * factors[:, None]
        mean, second = scaled.mean(axis=0), (scaled**2).mean(axis=0)
    excess = (second - mean**2 - mean) / (mean + 0.1)
    excess[mean <= 0] = -np.inf
    order = np.argsort(-excess, kind="stable")[: min(n_genes, int((mean > 0).sum()))]
    return np.sort(order)


def telling_genes(
    counts: NDArray[np.float32] | csr_matrix, signatures: NDArray[np.float64], n_genes: int
) -> NDArray[np.intp]:
    """Choose the genes that tell cell types apart most.

    Parameters
    ----------
    counts
        Shape (n, G).
    signatures
        Shape (G, K).
    n_genes
        How many at most; genes that are never seen are not among them.

    Returns
    -------
    Their numbers, rising.

    Notes
    -----
    Every signature is brought to the same total. Genes are ordered by the variance over the types of the square root of their
    expression, which has about the same noise whether a gene is strong or weak.
    """
    shares = signatures / np.maximum(signatures.sum(axis=0, keepdims=True), 1e-12)
    contrast = np.sqrt(shares).var(axis=1)
    contrast[np.asarray(counts.sum(axis=0)).ravel() <= 0] = -np.inf
    order = np.argsort(-contrast, kind="stable")[: min(n_genes, int(np.isfinite(contrast).sum()))]
    return np.sort(order)


def log_shares(counts: NDArray[np.float32], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring counts to 10,000 a row and take logarithms.

    Parameters
    ----------
    counts
        Shape (n, g).
    totals
        Sum over all genes of each row, shape (n,).

    Returns
    -------
    log(1 + share), shape (n, g).
    """
    return np.asarray(np.log1p(counts * (1e4 / np.maximum(totals, 1.0))[:, None]), dtype=np.float64)


def _without_signatures() -> InputError:
    what, why = "There are no signatures of cell types", "they say which type a gene speaks for"
    fix = "`signatures=`: genes × cell types, such as `histodecon.get.signatures(adata)` of a deconvolution"
    return InputError(what, why=why, fix=fix, code="BI-123")


def _is_sparse(counts: Any) -> bool:
    return hasattr(counts, "indptr")


def _refuse(values: Any, what: str) -> None:
    array = np.asarray(values)
    if array.size and not (np.isfinite(array).all() and array.min() >= 0):
        msg = f"Some {what} are negative or not finite"
        raise InputError(msg, fix="raw counts, not their logarithm", code="BI-55")
