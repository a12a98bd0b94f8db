"""Centering and scaling of columns."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.stats import _columns
from histodecon.stats._columns import column_means, unit_columns


def test_product_of_unit_columns_is_their_correlation() -> None:
    values = np.random.default_rng(0).gamma(1, size=(40, 3))
    unit, flat = unit_columns(values)
    np.testing.assert_allclose(unit.T @ unit, np.corrcoef(values.T), atol=1e-14)
    assert not flat.any()


def test_entries_that_do_not_count_are_zero_and_change_nothing() -> None:
    values = np.random.default_rng(1).normal(size=(10, 2))
    valid = np.ones((10, 2), dtype=bool)
    valid[3, 0] = False
    spoiled = values.copy()
    spoiled[3, 0] = np.nan
    unit, _ = unit_columns(spoiled, valid)
    np.testing.assert_allclose(np.delete(unit[:, 0], 3), unit_columns(np.delete(values, 3, axis=0))[0][:, 0])
    assert unit[3, 0] == 0.0


def test_a_constant_that_is_no_binary_fraction_is_flat() -> None:
    unit, flat = unit_columns(np.full((7, 1), 0.1))
    assert flat.all()
    assert (unit == 0).all()


def test_small_variance_on_a_large_mean_is_kept() -> None:
    signal = np.sin(np.arange(50.0))
    unit, flat = unit_columns((1e6 + signal)[:, None])
    assert not flat.any()
    np.testing.assert_allclose(unit[:, 0], unit_columns(signal[:, None])[0][:, 0], atol=1e-9)


def test_mean_of_nothing_is_nan() -> None:
    assert np.isnan(column_means(np.ones((2, 1)), np.zeros((2, 1), dtype=bool)))[0]


def test_entries_that_count_and_all_of_them_give_the_same_columns() -> None:
    values = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32).astype(np.float64)
    values[:, 1] = 4.0
    all_of_them, flat = unit_columns(values)
    counted, flat_too = unit_columns(values, np.ones(values.shape, dtype=bool))
    np.testing.assert_allclose(all_of_them, counted, atol=1e-15)
    assert flat.tolist() == flat_too.tolist() == [False, True, False]
    assert (all_of_them[:, 1] == 0).all()
    assert all_of_them.dtype == np.float64


def test_ordinary_columns_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """In many parts, with a large mean; what leaves the range of floats takes the other one."""

    def never(_: np.ndarray) -> None:
        pytest.fail("the long way")

    monkeypatch.setattr(_columns, "_PART", 64)
    monkeypatch.setattr(_columns, "_scaled_unit_columns", never)
    values = np.random.default_rng(0).normal(size=(500, 3)) + np.array([0.0, 1e3, 1e6])
    unit, flat = _columns.unit_table(values)
    centered = values - values.mean(axis=0)
    np.testing.assert_allclose(unit, centered / np.linalg.norm(centered, axis=0), atol=1e-10)
    assert not flat.any()
    with pytest.raises(pytest.fail.Exception, match="long way"):
        _columns.unit_table(values * 1e-60)
