"""Rows that are nuclei, seen as the spots they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import InputError
from histodecon.models._bags import Bags
from histodecon.tl._parts_of_spots import named_spots

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from histodecon.models import Learner
    from histodecon.tl._folds import Fold
    from histodecon.tl._training_data import TrainingData


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
    if not learner.reads_bags:
        return None
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
