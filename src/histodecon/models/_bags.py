"""Bags: rows that are parts, nuclei, of what has a target, a spot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histodecon._core import InputError


@dataclass(frozen=True)
class Bags:
    """Rows in the order of their bags.

    Parameters
    ----------
    rows
        Rows that are in a bag, bag by bag, shape (m,).
    first
        Where each bag begins in ``rows``, shape (B,).
    size
        How many rows it has, shape (B,).
    """

    rows: NDArray[np.intp]
    first: NDArray[np.intp]
    size: NDArray[np.intp]

    @classmethod
    def of(cls, codes: NDArray[np.intp]) -> Bags:
        """Sort rows by their bags.

        Parameters
        ----------
        codes
            Number of the bag of each row, negative for none, shape (n,).

        Returns
        -------
        The bags, in the order of their numbers.

        Raises
        ------
        InputError
            No row is in a bag.
        """
        inside = np.flatnonzero(codes >= 0)
        if not len(inside):
            msg = "No nucleus lies in a spot"
            why, fix = "there is nothing to fit sums to", "check `obs` for the spot of each nucleus"
            raise InputError(msg, where=f"{len(codes)} nuclei", why=why, fix=fix, code="BI-124")
        rows = inside[np.argsort(codes[inside], kind="stable")]
        _, first, size = np.unique(codes[rows], return_index=True, return_counts=True)
        return cls(rows, first.astype(np.intp), size.astype(np.intp))

    def values(self, of_rows: NDArray) -> NDArray:
        """Take what all rows of a bag share.

        Parameters
        ----------
        of_rows
            A value or row of values for each row, shape (n, ...).

        Returns
        -------
        One for each bag, shape (B, ...).

        Raises
        ------
        InputError
            Rows of a bag differ.
        """
        own = of_rows[self.rows]
        shared = own[self.first]
        differs = own != np.repeat(shared, self.size, axis=0)
        if differs.any():
            bad = np.unique(np.repeat(np.arange(len(self.size)), self.size)[differs.reshape(len(own), -1).any(axis=1)])
            msg = "Nuclei of one spot have different targets or groups"
            where = f"{len(bad)} of {len(self.size)} spots"
            fix = "give each nucleus the target of its spot: `histodecon.tl.set_targets(nuclei, spots, by=...)`"
            raise InputError(msg, where=where, why="the target is that of the spot", fix=fix, code="BI-124")
        return shared

    def sums(self, of_rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over the rows of each bag.

        Parameters
        ----------
        of_rows
            Shape (n, K).

        Returns
        -------
        Shape (B, K).
        """
        return np.add.reduceat(of_rows[self.rows].astype(np.float64), self.first, axis=0)

    def means(self, of_rows: NDArray) -> NDArray[np.float64]:
        """Average over the rows of each bag.

        Parameters
        ----------
        of_rows
            Shape (n, d).

        Returns
        -------
        Shape (B, d).
        """
        return self.sums(of_rows) / self.size[:, None]
