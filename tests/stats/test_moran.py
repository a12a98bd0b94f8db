"""Bivariate Moran's R: a slow double loop, invariances, limits, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from histodecon.stats import morans_r, pool_morans_r

Array = NDArray[np.float64]
TOLERANCE = 1e-12


def naive_r(x: Array, y: Array, coords: Array, length: float, *, include_self: bool = True) -> float:
    """One pair, term by term."""
    n = len(x)
    weights = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            if i != j or include_self:
                d2 = float(((coords[i] - coords[j]) ** 2).sum())
                weights[i][j] = float(np.exp(-d2 / (2 * length**2)))
    total = sum(sum(row) for row in weights)
    dx, dy = x - x.mean(), y - y.mean()
    top = 0.0
    for i in range(n):
        for j in range(n):
            top += n / total * weights[i][j] * dx[i] * dy[j]
    return top / float(np.sqrt((dx**2).sum() * (dy**2).sum()))


def sample(seed: int, n: int = 25, k: int = 3) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.gamma(0.7, size=(n, k)), rng.uniform(0, 6, (n, 2))


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("length", [0.3, 1.0, 8.0])
def test_equals_a_double_loop(length: float, include_self: bool) -> None:
    x, coords = sample(1)
    r = morans_r(x, coords, length, include_self=include_self, block_size=8).r
    for a in range(3):
        for b in range(3):
            expected = naive_r(x[:, a], x[:, b], coords, length, include_self=include_self)
            assert r[a, b] == pytest.approx(expected, abs=TOLERANCE)


def test_two_tables_equal_a_double_loop_and_need_not_be_symmetric() -> None:
    x, coords = sample(2, k=2)
    y, _ = sample(3, k=3)
    result = morans_r(x, coords, 1.0, y=y)
    assert result.r.shape == (2, 3)
    for a in range(2):
        for b in range(3):
            assert result.r[a, b] == pytest.approx(naive_r(x[:, a], y[:, b], coords, 1.0), abs=TOLERANCE)
    assert np.all(result.expected == 0)


seeds = st.integers(0, 10_000)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, angle=st.floats(0, 6.28), shift=st.floats(-1e6, 1e6), scale=st.floats(1e-3, 1e3))
def test_rigid_motion_and_scale_of_space_change_nothing(seed: int, angle: float, shift: float, scale: float) -> None:
    x, coords = sample(seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # 1e6 away, coordinates keep 1e-10 of a unit: that is what the input itself loses
    np.testing.assert_allclose(morans_r(x, coords + shift, 1.0).r, morans_r(x, coords, 1.0).r, atol=1e-9)
    np.testing.assert_allclose(morans_r(x, coords @ turn.T, 1.0).r, morans_r(x, coords, 1.0).r, atol=TOLERANCE)
    np.testing.assert_allclose(morans_r(x, coords * scale, scale).r, morans_r(x, coords, 1.0).r, atol=TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, slope=st.floats(1e-6, 1e6), offset=st.floats(-10, 10))
def test_order_of_spots_and_scale_of_values_change_nothing_and_a_minus_flips(
    seed: int, slope: float, offset: float
) -> None:
    x, coords = sample(seed)
    plain = morans_r(x, coords, 1.0)
    order = np.random.default_rng(seed).permutation(len(x))
    shuffled = morans_r(x[order], coords[order], 1.0)
    for field in ("r", "expected", "sd"):
        np.testing.assert_allclose(getattr(shuffled, field), getattr(plain, field), atol=TOLERANCE)
    scaled = x * slope + offset * slope
    np.testing.assert_allclose(morans_r(scaled, coords, 1.0).r, plain.r, atol=TOLERANCE)
    flipped = x.copy()
    flipped[:, 1] *= -1
    sign = np.array([1.0, -1.0, 1.0])
    np.testing.assert_allclose(morans_r(flipped, coords, 1.0).r, plain.r * np.outer(sign, sign), atol=TOLERANCE)


def test_tiny_and_huge_values_give_the_same_map() -> None:
    x, coords = sample(4)
    plain = morans_r(x, coords, 1.0).r
    for factor in (1e-200, 1e200):
        np.testing.assert_allclose(morans_r(x * factor, coords, 1.0).r, plain, atol=TOLERANCE)


def test_strict_floating_point_errors_elsewhere_change_nothing() -> None:
    rng = np.random.default_rng(4)
    x, coords = rng.gamma(0.1, size=(1500, 3)), rng.uniform(0, 500, (1500, 2))
    x[:, 2] = 0
    plain = morans_r(x, coords, 1.0, permutations=3)
    with np.errstate(all="raise"):
        strict = morans_r(x, coords, 1.0, permutations=3)
        pool_morans_r([strict, strict])
    np.testing.assert_array_equal(strict.p, plain.p)


def test_symmetric_to_the_last_bit() -> None:
    x, coords = sample(5)
    result = morans_r(x, coords, 1.0, permutations=19)
    for field in ("r", "expected", "sd", "z", "p", "q"):
        value = getattr(result, field)
        np.testing.assert_array_equal(value, value.T)


def test_limits_of_the_length_scale() -> None:
    x, coords = sample(6)
    np.testing.assert_allclose(morans_r(x, coords, 1e-3).r, np.corrcoef(x.T), atol=TOLERANCE)
    assert morans_r(x, coords, 1e-3).neighbors == 0.0
    far = morans_r(x, coords, 1e9)
    np.testing.assert_allclose(far.r, 0, atol=TOLERANCE)
    assert far.neighbors == pytest.approx(len(x) - 1)
    assert "same weight" in far.reason
    assert np.isnan(far.z).all()


def test_neighbors_on_a_hexagonal_lattice_at_one_pitch() -> None:
    rows, columns = np.divmod(np.arange(60 * 60), 60)
    coords = np.c_[columns + 0.5 * (rows % 2), rows * np.sqrt(3) / 2]
    x = np.random.default_rng(0).normal(size=(len(coords), 1))
    plane = 2 * np.pi / (np.sqrt(3) / 2) - 1  # Gaussian integral over the area of a spot, less the spot itself
    assert morans_r(x, coords, 1.0).neighbors == pytest.approx(plane, rel=0.05)


def test_constant_type_is_nan_in_its_row_and_column_only() -> None:
    x, coords = sample(7)
    x[:, 1] = 0.1
    result = morans_r(x, coords, 1.0, permutations=9)
    keep = np.ix_([0, 2], [0, 2])
    for field in ("r", "expected", "sd", "z", "p", "q"):
        value = getattr(result, field)
        assert np.isnan(value[1]).all()
        assert np.isnan(value[:, 1]).all()
        assert np.isfinite(value[keep]).all()
    np.testing.assert_allclose(result.r[keep], morans_r(x[:, [0, 2]], coords, 1.0).r, atol=TOLERANCE)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_spots_give_nan_with_a_reason(n: int) -> None:
    x, coords = sample(8, n=n)
    result = morans_r(x, coords, 1.0, permutations=9)
    assert np.isnan(result.z).all()
    assert np.isnan(result.p).all()
    assert f"{n} spots" in result.reason
    assert np.isfinite(result.r).all() == (n >= 2)


def test_one_position_for_all_spots_gives_nan_with_a_reason() -> None:
    x, _ = sample(9)
    result = morans_r(x, np.ones((25, 2)), 1.0)
    assert np.isnan(result.p).all()
    assert result.reason


def test_no_neighbors_and_no_self_gives_nan_with_a_reason() -> None:
    x, coords = sample(10)
    result = morans_r(x, coords, 1e-6, include_self=False)
    assert np.isnan(result.r).all()
    assert "every weight" in result.reason


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"length": 0.0}, "positive"),
        ({"length": -1.0}, "positive"),
        ({"length": np.nan}, "positive"),
        ({"permutations": -1}, "permutations"),
        ({"method": "fft"}, "method"),
        ({"y": np.zeros((3, 1))}, "same number of rows"),
        ({"coords": np.full((25, 2), np.nan)}, "coords has 50 values"),
        ({"x": np.full((25, 2), np.inf)}, "x has 50 values"),
        ({"x": np.zeros(25)}, "shape"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], match: str) -> None:
    x, coords = sample(11)
    arguments = {"x": x, "coords": coords, "length": 1.0, **change}
    with pytest.raises(ValueError, match=match):
        morans_r(**arguments)  # type: ignore[arg-type]


def test_planted_pairs_are_found_and_avoidance_is_significant() -> None:
    rng = np.random.default_rng(0)
    coords = np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0)), axis=-1).reshape(-1, 2)
    field = np.sin(coords[:, 0] / 2) * np.cos(coords[:, 1] / 2)
    noise = rng.normal(size=(225, 3)) * 0.3
    x = np.c_[field, field, -field] + noise
    result = morans_r(np.c_[x, rng.normal(size=225)], coords, 1.0)
    assert result.r[0, 1] > 0.5
    assert result.r[0, 2] < -0.5
    assert result.q[0, 1] < 1e-6
    assert result.q[0, 2] < 1e-6
    assert result.p[0, 3] > 0.01


def test_pooling_weighs_slides_by_spots_and_keeps_exact_moments() -> None:
    slides = [sample(12, n=20), sample(13, n=35)]
    results = [morans_r(x, coords, 1.0) for x, coords in slides]
    pooled = pool_morans_r(results)
    np.testing.assert_allclose(pooled.r, (20 * results[0].r + 35 * results[1].r) / 55, atol=TOLERANCE)
    sd = np.sqrt((20 * results[0].sd) ** 2 + (35 * results[1].sd) ** 2) / 55
    np.testing.assert_allclose(pooled.sd, sd, atol=TOLERANCE)
    assert pooled.n == 55
    assert pooled.length == 1.0
    alone = pool_morans_r(results[:1])
    np.testing.assert_allclose(alone.p, results[0].p, atol=TOLERANCE)
    np.testing.assert_allclose(alone.q, results[0].q, atol=TOLERANCE)


def test_pooling_leaves_a_slide_out_where_a_type_is_constant() -> None:
    (x, coords), (other, places) = sample(14), sample(15)
    other[:, 0] = 0
    results = [morans_r(x, coords, 1.0), morans_r(other, places, 2.0)]
    pooled = pool_morans_r(results)
    np.testing.assert_allclose(pooled.z[0], results[0].z[0], atol=TOLERANCE)
    assert np.isfinite(pooled.r).all()
    assert np.isnan(pooled.length)
    other[:] = 0
    assert "variance" in pool_morans_r([morans_r(other, places, 1.0)]).reason
    with pytest.raises(ValueError, match="nothing to pool"):
        pool_morans_r([])


@pytest.mark.parametrize("include_self", [True, False])
def test_shuffling_one_type_has_the_variance_of_all_its_orders(include_self: bool) -> None:
    from itertools import permutations

    x, coords = sample(16, n=6, k=2)
    found = morans_r(x, coords, 1.0, null="shuffled_one", include_self=include_self)
    each = [
        [
            morans_r(x[:, [a]], coords, 1.0, y=x[list(order)][:, [b]], include_self=include_self).r[0, 0]
            for order in every
        ]
        for every in [list(permutations(range(6)))]
        for a, b in ((0, 1), (1, 0))
    ]
    assert found.sd[0, 1] == pytest.approx(max(np.std(values) for values in each), abs=TOLERANCE)
    one_way = morans_r(x[:, :1], coords, 1.0, y=x[:, 1:], null="shuffled_one", include_self=include_self)
    assert one_way.sd[0, 0] == pytest.approx(np.std(each[0]), abs=TOLERANCE)
    plain = morans_r(x, coords, 1.0, include_self=include_self)
    np.testing.assert_array_equal(found.p.diagonal(), plain.p.diagonal())
