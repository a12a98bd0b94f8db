"""Neighbors of a fold are those among its training rows."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from histodecon.models._fit_fold import among


def test_neighbors_outside_are_left_out_and_the_rest_counts_more() -> None:
    ring = csr_matrix(np.array([[0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5], [1.0, 0, 0, 0], [0, 0, 0, 0]]))
    inside = among(ring, np.array([3, 0, 2])).toarray()
    np.testing.assert_array_equal(inside, [[0, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(among(ring, np.arange(4)).toarray(), ring.toarray())
