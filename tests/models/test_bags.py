from __future__ import annotations

import numpy as np
import pytest

from histodecon._core import InputError
from histodecon.models._bags import Bags

CODES = np.array([4, -1, 2, 4, 2, 4, -1, 7])


def test_rows_stand_bag_by_bag() -> None:
    bags = Bags.of(CODES)
    assert bags.rows.tolist() == [2, 4, 0, 3, 5, 7]
    assert bags.first.tolist() == [0, 2, 5]
    assert bags.size.tolist() == [2, 3, 1]


def test_sums_and_means_are_those_of_a_plain_loop() -> None:
    X = np.random.default_rng(0).normal(size=(8, 3))
    bags = Bags.of(CODES)
    for one, code in enumerate((2, 4, 7)):
        np.testing.assert_allclose(bags.sums(X)[one], X[code == CODES].sum(axis=0))
        np.testing.assert_allclose(bags.means(X)[one], X[code == CODES].mean(axis=0))


def test_what_a_bag_shares_must_be_shared() -> None:
    bags = Bags.of(CODES)
    shared = np.where(CODES == 4, "x", "y").astype(object)
    assert bags.values(shared).tolist() == ["y", "x", "y"]
    targets = np.tile(CODES[:, None] * 1.0, 2)
    np.testing.assert_array_equal(bags.values(targets), [[2, 2], [4, 4], [7, 7]])
    targets[3, 1] = 9
    with pytest.raises(InputError, match=r"HD-BI-124.*1 of 3 spots"):
        bags.values(targets)


def test_no_bag_is_refused() -> None:
    with pytest.raises(InputError, match="No nucleus lies in a spot"):
        Bags.of(np.array([-1, -1]))
