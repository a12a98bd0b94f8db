"""Agreement of maps: by hand, and on two published maps that score .88 or .64 by convention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from histodecon.stats import AGREEMENT_CONVENTIONS, agreement_table, map_agreement


@pytest.fixture(scope="module")
def published(shared_data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = shared_data / "hist2cell"
    first, second = (pd.read_csv(folder / f"moranR_{tool}.csv", index_col=0) for tool in ("Cell2location", "Hist2Cell"))
    return first, second


def square(pairs: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Lay pairs out as a map, joined by name; the diagonal is not published."""
    table = pairs.pivot_table(index="A", columns="B", values="R_val").reindex(index=names, columns=names).to_numpy()
    return np.where(np.isnan(table), table.T, table)


def test_published_maps_score_as_published(published: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    first, second = published
    names = sorted(set(first["A"]) | set(first["B"]))
    a, b = square(first, names), square(second, names)
    assert np.isfinite(a[np.triu_indices(80, k=1)]).all()
    scores = agreement_table(a, b)
    assert scores["cosine_pairs"] == pytest.approx(0.8773, abs=5e-5)
    assert scores["pearson_pairs"] == pytest.approx(0.7430, abs=5e-5)
    joined = first.merge(second, on=["A", "B"])
    assert scores["pearson_pairs"] == pytest.approx(np.corrcoef(joined["R_val_x"], joined["R_val_y"])[0, 1], abs=1e-12)
    assert scores["pearson_rows"] == pytest.approx(0.64, abs=5e-3)  # the same maps
    assert scores["cosine_rows"] < scores["cosine_pairs"]


def test_published_p_is_one_sided_with_one_sd_for_all_pairs(published: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for pairs in published:
        sd = pairs["R_val"] / pairs["R_z_score"]
        np.testing.assert_allclose(sd, 0.00369181, rtol=1e-5)
        np.testing.assert_allclose(norm.sf(pairs["R_z_score"]), pairs["R_p_val"], atol=1e-12)


def random_map(seed: int, k: int = 6) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(k, k))
    return values @ values.T / k


def test_rows_and_pairs_by_hand() -> None:
    a, b = random_map(0), random_map(1)
    off = ~np.eye(6, dtype=bool)
    rows = [np.corrcoef(a[i][off[i]], b[i][off[i]])[0, 1] for i in range(6)]
    assert map_agreement(a, b, metric="pearson") == pytest.approx(np.mean(rows), abs=1e-14)
    cosine = [a[i] @ b[i] / np.linalg.norm(a[i]) / np.linalg.norm(b[i]) for i in range(6)]
    assert map_agreement(a, b, diagonal=True) == pytest.approx(np.mean(cosine), abs=1e-14)
    upper = np.triu_indices(6, k=1)
    expected = np.corrcoef(a[upper], b[upper])[0, 1]
    assert map_agreement(a, b, metric="pearson", by="pairs") == pytest.approx(expected, abs=1e-14)


def test_rescaling_by_hand() -> None:
    a, b = random_map(2), random_map(3)
    unit = [m / np.sqrt(np.outer(m.diagonal(), m.diagonal())) for m in (a, b)]
    scores = agreement_table(a, b)
    assert scores["pearson_rows_self"] == pytest.approx(scores_of_rows(*unit), abs=1e-14)
    assert map_agreement(a, b, metric="pearson", rescale="minmax") == pytest.approx(scores["pearson_rows"], abs=1e-12)
    low = [np.where(np.eye(6) == 1, np.nan, m) for m in (a, b)]
    scaled = [(m - np.nanmin(m, axis=1)[:, None]) / (np.nanmax(m, axis=1) - np.nanmin(m, axis=1))[:, None] for m in low]
    left, right = (np.nan_to_num(m) for m in scaled)
    cosine = (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    assert scores["cosine_rows_minmax"] == pytest.approx(cosine.mean(), abs=1e-14)


def scores_of_rows(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean([np.corrcoef(a[i], b[i])[0, 1] for i in range(len(a))]))


def test_a_map_agrees_with_itself_and_conventions_differ() -> None:
    a = random_map(4)
    assert agreement_table(a, a) == pytest.approx(dict.fromkeys(AGREEMENT_CONVENTIONS, 1.0))
    assert len({round(score, 6) for score in agreement_table(a, random_map(5)).values()}) > 5


def test_a_constant_type_is_left_out_of_every_convention() -> None:
    a, b = random_map(6), random_map(7)
    wide = [np.pad(m, (0, 1), constant_values=np.nan) for m in (a, b)]
    assert agreement_table(*wide) == pytest.approx(agreement_table(a, b))
    assert np.isnan(map_agreement(np.full((3, 3), np.nan), np.eye(3)))


@pytest.mark.parametrize(
    ("a", "b", "options", "match"),
    [
        (np.eye(3), np.eye(4), {}, "square shape"),
        (np.arange(9.0).reshape(3, 3), np.eye(3), {}, "symmetric"),
        (np.eye(3), np.eye(3), {"metric": "kendall"}, "metric"),
        (np.eye(3), np.eye(3), {"by": "columns", "rescale": "z"}, "by must.*rescale must"),
        (np.eye(3), np.eye(3), {"by": "pairs", "diagonal": True}, "diagonal"),
    ],
)
def test_bad_input_is_refused(a: np.ndarray, b: np.ndarray, options: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        map_agreement(a, b, **options)  # type: ignore[arg-type]


def test_a_convention_is_what_its_name_says() -> None:
    for name, options in AGREEMENT_CONVENTIONS.items():
        metric, by, *rest = name.split("_")
        assert (options["metric"], options["by"]) == (metric, by)
        assert options.get("diagonal", False) is (rest in (["diagonal"], ["self"]))
        assert options.get("rescale", "none") == (rest[0] if rest and rest != ["diagonal"] else "none")
    a, b = random_map(0), random_map(1)
    assert agreement_table(a, b) == {name: map_agreement(a, b, **one) for name, one in AGREEMENT_CONVENTIONS.items()}
