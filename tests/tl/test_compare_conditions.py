"""Conditions: planted differences, exact p, samples of several slides, and designs that cannot be tested."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon._core import write_table

NAMES = ["T/NK", "B", "Cancer"]


def build(slides: int = 8, *, strength: float = 1.0) -> ad.AnnData:
    """In the second half of the slides the second type follows the first."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(8), np.arange(8)), axis=-1).reshape(-1, 2) * 100.0
    parts = []
    for i in range(slides):
        x = rng.normal(size=(64, 3))
        x[:, 1] += strength * (i >= slides // 2) * x[:, 0]
        parts.append(x + 5)
    n = 64 * slides
    names = [f"s{i}" for i in range(slides)]
    obs = pd.DataFrame({"library_id": np.repeat(names, 64)}, index=[f"b{i}" for i in range(n)])
    obs["patient"] = np.repeat([f"p{i // 2}" for i in range(slides)], 64)
    obs["arm"] = np.repeat(["drug" if i >= slides // 2 else "control" for i in range(slides)], 64)
    adata = ad.AnnData(np.zeros((n, 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = np.tile(grid, (slides, 1))
    table = pd.DataFrame(np.concatenate(parts), index=adata.obs_names, columns=NAMES)
    write_table(adata, "predicted_abundance", table, kind="abundance")
    hd.tl.colocalization(adata, mpp=1.0, length_um=60)
    return adata


def test_a_planted_difference_comes_first_with_its_exact_p() -> None:
    adata = build()
    found = hd.tl.compare_conditions(adata, "arm")
    best = found[found["first"] != found["second"]].iloc[0]
    assert (best["first"], best["second"]) == ("T/NK", "B")
    r = np.array([adata.uns["colocalization"]["libraries"][f"s{i}"]["R"][0, 1] for i in range(8)])
    assert best["effect"] == pytest.approx(r[4:].mean() - r[:4].mean())
    assert (best["mean_first_group"], best["mean_second_group"]) == pytest.approx((r[:4].mean(), r[4:].mean()))
    ways = [r[list(c)].mean() - np.delete(r, list(c)).mean() for c in combinations(range(8), 4)]
    assert best["p"] == pytest.approx(np.mean(np.abs(ways) >= abs(best["effect"]) - 1e-12)) == pytest.approx(2 / 70)
    assert best["q"] == pytest.approx(3 * 2 / 70)
    stored = adata.uns["colocalization_difference"]
    assert stored["exact"]
    assert list(stored["groups"]) == ["control", "drug"]
    np.testing.assert_array_equal(stored["p"], found["p"])


def test_random_permutations_come_close_and_groups_can_be_turned() -> None:
    adata = build()
    exact = hd.tl.compare_conditions(adata, "arm").set_index(["first", "second"])
    drawn = hd.tl.compare_conditions(adata, "arm", groups=("drug", "control"), permutations=60).set_index(
        ["first", "second"]
    )
    assert not adata.uns["colocalization_difference"]["exact"]
    np.testing.assert_allclose(drawn["effect"], -exact.loc[drawn.index, "effect"])
    np.testing.assert_allclose(drawn["p"], exact.loc[drawn.index, "p"], atol=0.2)


def test_slides_of_one_patient_are_one_sample() -> None:
    adata = build()
    found = hd.tl.compare_conditions(adata, "arm", groupby="patient")
    assert (found["n_first_group"] == 2).all()
    assert found["p"].min() == pytest.approx(2 / 6)


def test_a_type_missing_on_a_slide_is_left_out_there() -> None:
    adata = build()
    adata.obsm["predicted_abundance"].iloc[:64, 1] = 1.0
    with pytest.warns(hd.UndefinedMetricWarning):
        hd.tl.colocalization(adata, mpp=1.0, length_um=60)
    found = hd.tl.compare_conditions(adata, "arm").set_index(["first", "second"])
    assert found.loc[("T/NK", "B"), "n_first_group"] == 3
    assert found.loc[("T/NK", "Cancer"), "n_first_group"] == 4
    assert np.isfinite(found["p"]).all()


def test_the_record_survives_files(tmp_path: Path) -> None:
    adata = build(4)
    hd.tl.compare_conditions(adata, "arm")
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad").uns["colocalization_difference"]
    assert list(back["first"]) == list(adata.uns["colocalization_difference"]["first"])


def _mix(adata: ad.AnnData) -> None:
    adata.obs["patient"] = np.tile(["p", "q"], 256)


@pytest.mark.parametrize(
    ("spoil", "options", "error", "match"),
    [
        (None, {"condition": "arms"}, hd.MissingKeyError, "arms"),
        (None, {"condition": "patient"}, hd.InputError, "does not tell two groups apart.*'p0'"),
        (None, {"groups": ("drug", "placebo")}, hd.InputError, "are not there"),
        (_mix, {"groupby": "patient"}, hd.InputError, "BI-36.*2 samples"),
        (None, {"condition": "library_id", "groups": ("s0", "s1")}, hd.InputError, "Fewer than 2 samples"),
        (None, {"key": "other"}, hd.MissingKeyError, "other"),
        (None, {"permutations": 0}, hd.InputError, "no p"),
    ],
)
def test_refusals_leave_the_adata_unchanged(
    spoil: object, options: dict[str, object], error: type[Exception], match: str
) -> None:
    adata = build()
    if callable(spoil):
        spoil(adata)
    before = state_of(adata)
    with pytest.raises(error, match=match):
        hd.tl.compare_conditions(adata, **{"condition": "arm", **options})  # type: ignore[arg-type]
    assert state_of(adata) == before
