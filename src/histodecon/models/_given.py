"""What a fit is given beside its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histodecon._core import KINDS, InputError
from histodecon.models._checks import checked_targets, checked_types, encoded_groups
from histodecon.models._genes import GeneCounts, checked_genes
from histodecon.models._learners import Learner, get_learner
from histodecon.models._records import EncoderRecord, check_records
from histodecon.models._transforms import TRANSFORMS, block_stretch, fit_scale, forward_target
from histodecon.models._weights import checked_weights

if TYPE_CHECKING:
    from histodecon.models._regressor import AbundanceRegressor


@dataclass(frozen=True)
class Given:
    """What a fit is given beside its inputs, checked.

    Parameters
    ----------
    learner
        Not fitted.
    Y, transformed
        Targets as given and on the scale they are learned on, shape (n, K); NaN where the learner looks at none.
    codes, names
        Group of each row as a number, and the names of the groups.
    records
        Encoders of the columns.
    types
        Names of the cell types.
    kind
        Of the targets.
    counts
        How much each target counts, shape (n, K), or None.
    stretch
        Factors on the scales of the columns, shape (d,).
    genes, bags
        As in :meth:`histodecon.models.AbundanceRegressor.fit`; None where the learner does not read them.
    """

    learner: Learner
    Y: NDArray[np.float64]
    transformed: NDArray[np.float64]
    codes: NDArray[np.intp]
    names: list[str]
    records: tuple[EncoderRecord, ...]
    types: tuple[str, ...]
    kind: str
    counts: NDArray[np.float64] | None
    stretch: NDArray[np.float64]
    genes: GeneCounts | None = None
    bags: NDArray[np.intp] | None = None

    @property
    def target_scale(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Center and scale of the targets as they are learned."""
        n_types = self.transformed.shape[1]
        return (np.zeros(n_types), np.ones(n_types)) if self.learner.absolute else fit_scale(self.transformed)

    @property
    def own_weights(self) -> dict[str, NDArray[np.float64]]:
        """Weights for ``Learner.fit``; learners that take none need not know of them."""
        return {} if self.counts is None else {"weights": self.counts}


def gather(
    model: AbundanceRegressor,
    shape: tuple[int, int],
    y: ArrayLike | None,
    *,
    groups: ArrayLike | None = None,
    encoders: Sequence[EncoderRecord] | None = None,
    cell_types: Sequence[str] | None = None,
    kind: str = "abundance",
    weights: ArrayLike | None = None,
    genes: GeneCounts | None = None,
    bags: ArrayLike | None = None,
) -> Given:
    """Check what a fit is given beside inputs of a shape.

    Parameters
    ----------
    model
        The regressor that is to be fitted.
    shape
        Of the inputs.
    y, groups, encoders, cell_types, kind, weights, genes, bags
        As in :meth:`histodecon.models.AbundanceRegressor.fit`.

    Returns
    -------
    The same, checked.

    Raises
    ------
    InputError
        Something does not fit, or is not there.
    TargetError
        Targets are negative or not finite.
    """
    if model.transform not in TRANSFORMS or kind not in KINDS:
        msg = f"Unknown transform {model.transform!r} or kind {kind!r}"
        fix = '`transform="none"`, `kind="abundance"`'
        raise InputError(msg, where=f"transforms {TRANSFORMS}, kinds {KINDS}", fix=fix, code="BI-72")
    learner = get_learner(model.learner).build(model.params)
    if learner.absolute and model.transform != "none":
        msg = f"The learner {model.learner!r} learns targets as they are"
        raise InputError(msg, where=f"transform={model.transform!r}", fix='`transform="none"`', code="BI-72")
    own = None
    if learner.reads_genes:
        own = checked_genes(genes, shape[0], model.learner, signatures=learner.reads_signatures)
    Y = _unread(shape[0], cell_types, own) if own and not learner.reads_targets else checked_targets(y, shape[0])
    types = checked_types(cell_types if learner.reads_targets or own is None else _types(cell_types, own), Y.shape[1])
    if own is not None and learner.reads_signatures:
        own.signatures_of(types)
    codes, names = encoded_groups(groups, shape[0])
    records = tuple(encoders) if encoders else (EncoderRecord("X", "unknown", shape[1]),)
    check_records(records, shape[1])
    counts = None if weights is None else checked_weights(weights, Y.shape)
    if counts is not None and not learner.takes_weights:
        msg = f"The learner {model.learner!r} takes no weights"
        raise InputError(msg, fix="leave `weights` out, or use the learner `ridge` or `mlp`", code="BI-72")
    stretch = block_stretch([record.width for record in records], model.block_scaling)
    learner.blocks = tuple(record.width for record in records)
    learned = Y if not learner.reads_targets else forward_target(Y, model.transform)
    parts = _bags(bags, shape[0], model.learner) if learner.reads_bags else None
    return Given(learner, Y, learned, codes, names, records, types, kind, counts, stretch, own, parts)


def _types(cell_types: Sequence[str] | None, genes: GeneCounts) -> Sequence[str]:
    return genes.cell_types if cell_types is None else cell_types


def _unread(n_rows: int, cell_types: Sequence[str] | None, genes: GeneCounts) -> NDArray[np.float64]:
    return np.full((n_rows, len(_types(cell_types, genes))), np.nan)


def _bags(bags: ArrayLike | None, n_rows: int, learner: str) -> NDArray[np.intp]:
    if bags is None:
        msg = f"The learner {learner!r} learns from rows that are parts of spots, and the spots are not told"
        raise InputError(msg, fix="`bags=`, the number of the spot of each row, -1 for none", code="BI-124")
    codes = np.asarray(bags)
    if codes.shape != (n_rows,) or codes.dtype.kind not in "iu":
        msg = f"bags must be {n_rows} whole numbers, got shape {codes.shape} of {codes.dtype}"
        raise InputError(msg, fix="`pandas.factorize(names)[0]` makes them of names", code="BI-64")
    return codes.astype(np.intp)
