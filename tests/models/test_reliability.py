"""The card: numbers from groups left out, verdicts by the rules of the documentation, text, parts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, t

import histodecon as hd
from histodecon.models import ReliabilityCard

TYPES = ("good", "so-so", "noise", "constant")


def held_out(seed: int = 0, n_groups: int = 5, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.gamma(2, 2, size=(n_groups * n, 4))
    truth[:, 3] = 0.0
    noise = rng.gamma(2, 2, size=truth.shape)
    predicted = truth * [0.9, 0.3, 0.0, 0.0] + noise * [0.1, 0.7, 1.0, 0.1]
    return truth, predicted, np.repeat(np.arange(n_groups), n)


def card(**kwargs: int) -> ReliabilityCard:
    return ReliabilityCard.fit(*held_out(**kwargs), cell_types=TYPES)


def test_numbers_are_those_of_groups_left_out() -> None:
    truth, predicted, groups = held_out()
    table = card().to_frame()
    each = [pearsonr(truth[groups == g, 1], predicted[groups == g, 1])[0] for g in range(5)]
    assert table.loc["so-so", "cc"] == pytest.approx(np.mean(each))
    z = np.arctanh(each)
    half = t.ppf(0.975, 4) * max(z.std(ddof=1) / np.sqrt(5), np.sqrt(5 / 57) / 5)
    low, high = np.tanh([z.mean() - half, z.mean() + half])
    assert table.loc["so-so", ["cc_low", "cc_high"]].tolist() == pytest.approx([low, high])
    np.testing.assert_allclose(table["l1"], np.abs(truth - predicted).mean(axis=0))
    assert table["n_spots"].tolist() == [300] * 4
    assert table["n_groups"].tolist() == [5, 5, 5, 0]
    assert (abs(table["coverage"][:3] - 0.9) < 0.06).all()


def test_verdicts() -> None:
    table = card().to_frame()
    assert table["verdict"].tolist() == ["trust", "caution", "do not use", "do not use"]
    assert "below 0.4" in table.loc["so-so", "reason"]
    assert "below 0.2" in table.loc["noise", "reason"]
    assert "does not vary" in table.loc["constant", "reason"]
    assert not table.loc["good", "reason"]


def judged(cc: list[float], coverage: float = 0.9) -> tuple[str, str]:
    numbers = np.array(cc)[:, None]
    one = ReliabilityCard(numbers, np.array([coverage]), np.ones(1), np.full(len(cc), 100.0), cell_types=["a"])
    return tuple(one.to_frame().loc["a", ["verdict", "reason"]])


@pytest.mark.parametrize(
    ("cc", "coverage", "verdict", "words"),
    [
        ([0.6, 0.7, 0.65], 0.9, "trust", ""),
        ([0.6, 0.7], 0.9, "caution", "only 2 groups"),
        ([0.9], 0.9, "caution", "only 1 group;"),
        ([0.05, 0.9, 0.9], 0.9, "caution", "may be as low as"),
        ([0.6, 0.7, 0.65], 0.75, "caution", "90% intervals held 75%"),
        ([0.35, 0.36, 0.35, 0.36, 0.35, 0.36, 0.35], 0.9, "caution", "CC 0.35 is below 0.4"),
        ([0.1, 0.2, 0.15], 0.9, "do not use", "CC 0.15 is below 0.2"),
        ([-0.9, -0.8, -0.9], 0.9, "do not use", "below 0.2"),
        ([np.nan, np.nan], 0.9, "do not use", "does not vary"),
        ([np.nan, 0.6, 0.7, 0.65], 0.9, "trust", ""),
    ],
)
def test_rules(cc: list[float], coverage: float, verdict: str, words: str) -> None:
    found, reason = judged(cc, coverage)
    assert found == verdict
    assert words in reason
    assert bool(reason) == (verdict != "trust")


def test_groups_that_agree_by_luck_do_not_make_certainty() -> None:
    cc = np.array([[0.5], [0.5], [0.5]])
    small = ReliabilityCard(cc, np.array([0.9]), np.ones(1), np.full(3, 8.0), cell_types=["a"]).to_frame().iloc[0]
    assert small["cc_low"] < 0
    assert small["verdict"] == "caution"


def test_text_and_html_say_it() -> None:
    one = card()
    text = str(one)
    assert text.startswith("Reliability in 5 groups left out, 300 spots")
    assert all(name in text for name in TYPES)
    assert "do not use: CC" in text
    assert repr(one) == "ReliabilityCard(4 types: 1 trust, 1 caution, 2 do not use)"
    one.cell_types = ("<b>", *TYPES[1:])
    html = one._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<td><b></td>" not in html


def test_parts_bring_it_back() -> None:
    one = card()
    assert all(np.isfinite(array).all() for array in one.arrays().values())
    back = ReliabilityCard.from_parts(one.facts(), one.arrays())
    assert str(back) == str(one)
    np.testing.assert_array_equal(back.cc, one.cc)


@pytest.mark.parametrize("fault", ["missing", "shape", "range", "types"])
def test_damaged_parts_are_refused(fault: str) -> None:
    one = card()
    facts, arrays = one.facts(), one.arrays()
    if fault == "missing":
        del arrays["l1"]
    elif fault == "shape":
        arrays["coverage"] = arrays["coverage"][1:]
    elif fault == "range":
        arrays["cc"] = arrays["cc"] + 2
    else:
        facts["cell_types"] = facts["cell_types"][1:]
    with pytest.raises(hd.IntegrityError, match="BI-82"):
        ReliabilityCard.from_parts(facts, arrays)
