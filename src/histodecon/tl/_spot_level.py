"""Rows that are nuclei, seen as the spots they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodecon._core import (
    InputError,
    Key,
    first_names,
    obs_column,
    read_embedding,
    write_embedding,
    write_table,
)
from histodecon.models._bags import Bags
from histodecon.tl._parts_of_spots import named_spots
from histodecon.tl._training_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from histodecon.models import Learner
    from histodecon.tl._folds import Fold


def read_bags(adata: AnnData, learner: Learner, bag_key: str) -> NDArray[np.intp] | None:
    """Number the spots of nuclei, for learners that read them.

    Parameters
    ----------
    adata
        Table of nuclei.
    learner
        The learner.
    bag_key
        Column of ``obs`` with the spot of each nucleus.

    Returns
    -------
    Number of the spot of each row, -1 for none, shape (n_obs,); None where the learner does not ask.

    Raises
    ------
    MissingKeyError
        The column is absent.
    InputError
        No row names a spot.
    """
    return _numbers(adata, bag_key) if learner.reads_bags else None


def _numbers(adata: AnnData, bag_key: str) -> NDArray[np.intp]:
    names = named_spots(adata, bag_key)
    known, codes = np.unique(names.astype(str), return_inverse=True)
    return np.where(names == "", -1, codes - int(known[0] == "")).astype(np.intp)


def refuse_intervals(learner: Learner, name: str, *, calibrate: bool) -> None:
    """Refuse to calibrate what has no truth.

    Parameters
    ----------
    learner
        The learner.
    name
        Its name.
    calibrate
        Whether that was asked for.

    Raises
    ------
    InputError
        It was, and rows are parts of what was measured.
    """
    if calibrate and learner.reads_bags:
        msg = f"The learner {name!r} cannot be calibrated"
        why = "intervals need the truth of each row, and only sums over nuclei were measured"
        fix = "leave `calibrate` out; `histodecon.tl.cross_validate` scores its sums"
        raise InputError(msg, why=why, fix=fix, code="BI-124")


def nuclei_beside_spots(
    adata: AnnData,
    learners: Mapping[str, Learner],
    bag_key: str,
    *,
    use_rep: Sequence[str],
    targets: str,
    groupby: str,
) -> tuple[NDArray[np.bool_], AnnData | None]:
    """Prepare a comparison in which learners of nuclei take part.

    Parameters
    ----------
    adata
        Table of nuclei, or of spots.
    learners
        Those compared, by name.
    bag_key
        Column of ``obs`` with the spot of each nucleus.
    use_rep
        Keys of embeddings.
    targets
        Key of the targets.
    groupby
        Column of ``obs`` with the independent unit.

    Returns
    -------
    Rows that lie in a spot, shape (n_obs,), all of them where no learner reads nuclei; and the spots as a table of their own, with the mean
    embedding of their nuclei, None where no learner is given it.

    Raises
    ------
    MissingKeyError
        The column, an embedding or the targets are absent.
    InputError
        No row names a spot, nuclei of a spot differ in target or group, or a learner of spots reads more than an embedding.
    """
    of_nuclei = [name for name, one in learners.items() if one.reads_bags]
    if not of_nuclei:
        return np.ones(adata.n_obs, dtype=bool), None
    odd = [name for name, one in learners.items() if not one.reads_bags and (one.n_rings or one.reads_genes)]
    if odd:
        msg = f"{first_names(odd)} cannot be compared with {first_names(of_nuclei)} in one call"
        where = "they read neighbors or genes, which the spots of a table of nuclei do not bring"
        why = "learners of spots are given the mean embedding of the nuclei of each spot here"
        fix = "compare them in a call with the table of spots"
        raise InputError(msg, where=where, why=why, fix=fix, code="BI-124")
    codes = _numbers(adata, bag_key)
    if len(of_nuclei) == len(learners):
        return codes >= 0, None
    data = read_training_data(adata, None, targets)
    bags = Bags.of(np.where(data.measured, codes, -1))
    return codes >= 0, _table_of(adata, bags, data, bag_key, use_rep=use_rep, targets=targets, groupby=groupby)


def _table_of(
    adata: AnnData, bags: Bags, data: TrainingData, bag_key: str, *, use_rep: Sequence[str], targets: str, groupby: str
) -> AnnData:
    """Spots in the order of their names, as :class:`SpotLevel` has them."""
    import anndata as ad

    kept = [name for name in dict.fromkeys((groupby, Key.obs.LIBRARY)) if name in adata.obs]
    obs = pd.DataFrame({name: bags.values(obs_column(adata, name)) for name in kept})
    spots = ad.AnnData(obs=obs.set_axis(bags.values(named_spots(adata, bag_key)).astype(str)))
    values = pd.DataFrame(bags.values(data.Y), index=spots.obs_names, columns=list(data.cell_types))
    write_table(spots, targets, values, kind=data.kind)
    for key in use_rep:
        X, record = read_embedding(adata, key)
        write_embedding(spots, key, bags.means(X).astype(np.float32), record)
    return spots


@dataclass(frozen=True)
class SpotLevel:
    """The spots of a table of nuclei.

    Parameters
    ----------
    bags
        Which nuclei they hold.
    data
        Mean embedding of the nuclei of each spot, and its targets.
    labels, slides
        Group and slide of each spot.
    folds
        The folds, in spots.
    """

    bags: Bags
    data: TrainingData
    labels: NDArray
    slides: NDArray
    folds: Sequence[Fold]

    @classmethod
    def of(
        cls, codes: NDArray[np.intp], data: TrainingData, labels: NDArray, slides: NDArray, folds: Sequence[Fold]
    ) -> SpotLevel:
        """Gather the nuclei of each spot that was measured.

        Parameters
        ----------
        codes
            Number of the spot of each nucleus, -1 for none.
        data, labels, slides, folds
            Of the nuclei.

        Returns
        -------
        The spots.
        """
        bags = Bags.of(np.where(data.measured, codes, -1))
        place = np.full(len(codes), -1)
        place[bags.rows] = np.repeat(np.arange(len(bags.size)), bags.size)
        X, Y = bags.means(data.X).astype(np.float32), bags.values(data.Y)
        own = replace(data, X=X, Y=Y, measured=np.ones(len(Y), dtype=bool), sd=None)
        moved = [replace(fold, train=_spots(place, fold.train), test=_spots(place, fold.test)) for fold in folds]
        return cls(bags, own, bags.values(labels), bags.values(slides), moved)


def _spots(place: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    found = np.unique(place[rows])
    return found[found >= 0]
