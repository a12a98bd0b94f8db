"""Novelty: a stated share of false alarms on groups left out, power against what is strange."""

from __future__ import annotations

import numpy as np
import pytest

import histodecon as hd
from histodecon.models import NoveltyScore
from histodecon.models._novelty import MAX_ROWS, _even_rows, _folds


def patients(rng: np.random.Generator, n: int, *, rows: int = 60, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings in which patients differ."""
    mixing = np.random.default_rng(99).normal(size=(5, 24))
    groups = np.repeat(np.arange(n), rows)
    inner = rng.normal(size=(len(groups), 5)) + shift * rng.normal(size=(n, 5))[groups]
    return np.exp(0.3 * inner @ mixing) + 0.1 * rng.normal(size=(len(groups), 24)), groups


def test_false_alarms_on_patients_that_nobody_saw() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(12):
        X, groups = patients(rng, 12)
        novelty = NoveltyScore.fit(X, groups=groups, false_alarm=0.05)
        assert novelty.facts_["held_out"] == "groups"
        shares.append((novelty.score(patients(rng, 30)[0]) > 1).mean())
    assert 0.02 < np.mean(shares) < 0.09


def test_false_alarms_on_rows_where_there_is_one_group() -> None:
    rng = np.random.default_rng(0)
    X, _ = patients(rng, 1, rows=1500)
    novelty = NoveltyScore.fit(X[:1000], false_alarm=0.05)
    assert novelty.facts_["held_out"] == "rows"
    assert 0.03 < (novelty.score(X[1000:]) > 1).mean() < 0.08


def test_rows_would_promise_too_much_for_new_patients() -> None:
    rng = np.random.default_rng(0)
    X, groups = patients(rng, 6, shift=2.0)
    new = patients(rng, 30, shift=2.0)[0]
    by_rows, by_groups = NoveltyScore.fit(X), NoveltyScore.fit(X, groups=groups)
    assert (by_rows.score(new) > 1).mean() > 2 * (by_groups.score(new) > 1).mean()


@pytest.mark.parametrize("strange", ["far", "off the plane", "shuffled columns", "constant"])
def test_the_strange_is_found(strange: str) -> None:
    rng = np.random.default_rng(0)
    X, groups = patients(rng, 5, shift=0.3)
    usual = patients(rng, 5, shift=0.3)[0]
    odd = {
        "far": usual * 8,
        "off the plane": usual + rng.normal(size=usual.shape) * 3,
        "shuffled columns": usual[:, rng.permutation(24)],
        "constant": np.full((5, 24), 30.0),
    }[strange]
    novelty = NoveltyScore.fit(X, groups=groups)
    assert (novelty.score(odd) > 1).mean() > 0.9
    assert (novelty.score(usual) > 1).mean() < 0.1


def test_the_strangest_encoder_decides() -> None:
    rng = np.random.default_rng(0)
    X, groups = patients(rng, 5, shift=0.3)
    both = np.hstack([X, rng.normal(size=(len(X), 200))])
    odd = both.copy()
    odd[:, :24] *= 8
    novelty = NoveltyScore.fit(both, groups=groups, widths=[24, 200])
    assert (novelty.score(odd) > 1).all()
    np.testing.assert_allclose(novelty.score(odd[7:8]), novelty.score(odd)[7:8])


def test_many_rows_are_thinned_evenly() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [5000, 700, 100])
    rows = _even_rows(codes, rng)
    assert len(rows) == MAX_ROWS == len(set(rows))
    assert np.bincount(codes[rows]).tolist() == [1200, 700, 100]


def test_folds_keep_groups_whole() -> None:
    codes = np.repeat(np.arange(9), [30, 5, 5, 5, 20, 5, 5, 5, 5])
    folds = _folds(codes, np.random.default_rng(0))
    assert len(set(folds)) == 5
    assert all(len(set(folds[codes == code])) == 1 for code in range(9))


def test_same_seed_same_numbers_and_parts_bring_them_back() -> None:
    X, groups = patients(np.random.default_rng(0), 40)
    assert len(X) > MAX_ROWS
    one, other = (NoveltyScore.fit(X, groups=groups, widths=[10, 14], random_state=3) for _ in range(2))
    back = NoveltyScore.from_parts(one.facts(), one.arrays())
    np.testing.assert_array_equal(one.score(X), other.score(X))
    np.testing.assert_array_equal(one.score(X), back.score(X))
    assert back.facts() == one.facts()
    assert "10+14 columns, 2000 spots; 1% of held-out groups exceed 1" in repr(back)


@pytest.mark.parametrize("fault", ["missing", "shape", "limit", "widths", "extra", "share"])
def test_damaged_parts_are_refused(fault: str) -> None:
    X, groups = patients(np.random.default_rng(0), 3)
    novelty = NoveltyScore.fit(X, groups=groups)
    facts, arrays = novelty.facts(), {name: array.copy() for name, array in novelty.arrays().items()}
    if fault == "missing":
        del arrays["knots.0"]
    elif fault == "shape":
        arrays["components.0"] = arrays["components.0"].T
    elif fault == "limit":
        arrays["limit"][:] = 0
    elif fault == "widths":
        facts["widths"] = []
    elif fault == "extra":
        arrays["knots.1"] = np.zeros((5, 2))
    else:
        facts["false_alarm"] = "few"
    with pytest.raises(hd.IntegrityError, match="BI-82"):
        NoveltyScore.from_parts(facts, arrays)


def test_two_spots_and_one_column() -> None:
    novelty = NoveltyScore.fit(np.array([[0.0], [1.0]]))
    assert np.isfinite(novelty.score(np.array([[0.5], [100.0]]))).all()
    assert novelty.score(np.array([[100.0]])) > 1


@pytest.mark.parametrize(
    ("told", "code"),
    [({"false_alarm": 0.0}, "BI-91"), ({"widths": [3, 3]}, "BI-44"), ({"groups": [0, 1]}, "BI-68")],
)
def test_bad_input_is_refused(told: dict, code: str) -> None:
    with pytest.raises(hd.InputError, match=code):
        NoveltyScore.fit(np.random.default_rng(0).normal(size=(9, 4)), **told)
    with pytest.raises(hd.InputError, match="BI-31"):
        NoveltyScore.fit(np.zeros((1, 4)))
    with pytest.raises(hd.InputError, match="BI-44"):
        NoveltyScore.fit(np.random.default_rng(0).normal(size=(9, 4))).score(np.zeros((2, 3)))
