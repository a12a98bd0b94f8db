"""Maps of truth and prediction: names, slides, conventions, and what cannot be compared."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of

import histodecon as hd
from histodecon import stats
from histodecon._core import read_table, write_table

NAMES = ["T-cells", "B/plasma", "Cancer", "CAFs", "Endothelial"]


@pytest.fixture
def adata() -> ad.AnnData:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2) * 100.0
    xy = np.tile(grid, (2, 1))
    obs = pd.DataFrame({"library_id": np.repeat(["s/1", "s2"], 81)}, index=[f"s{i}" for i in range(162)])
    adata = ad.AnnData(np.zeros((162, 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = xy
    field, other = np.sin(xy[:, 0] / 150), np.cos(xy[:, 1] / 150)
    values = np.c_[field, field + other, -field, other, 0 * field] + 3 + 0.3 * rng.normal(size=(162, 5))
    table = pd.DataFrame(values, index=adata.obs_names, columns=NAMES)
    write_table(adata, "cell_abundance", table, kind="abundance")
    write_table(adata, "predicted_abundance", (table + rng.normal(size=table.shape))[NAMES[::-1]], kind="abundance")
    hd.tl.colocalization(adata, "cell_abundance", mpp=1.0, key_added="measured")
    hd.tl.colocalization(adata, mpp=1.0)
    return adata


def test_scores_are_those_of_stats_with_types_matched_by_name(adata: ad.AnnData) -> None:
    found = hd.tl.compare_colocalization(adata, "measured", permutations=199)
    assert list(found.index) == ["s/1", "s2", "mean over slides", "pooled map"]
    for row, part in (("s/1", ("libraries", "s_1")), ("s2", ("libraries", "s2")), ("pooled map", ("pooled",))):
        a, b = adata.uns["measured"], adata.uns["colocalization"]
        for step in part:
            a, b = a[step], b[step]
        expected = stats.agreement_table(a["R"], b["R"][::-1, ::-1])
        for name, score in expected.items():
            assert found.loc[row, name] == pytest.approx(score, abs=1e-12)
        r, p = stats.mantel_test(a["R"], b["R"][::-1, ::-1], permutations=199)
        assert (found.loc[row, "pearson_pairs"], found.loc[row, "mantel_p"]) == pytest.approx((r, p))
    np.testing.assert_allclose(
        found.loc["mean over slides", "cosine_rows"], found.loc[["s/1", "s2"], "cosine_rows"].mean()
    )
    stored = adata.uns["colocalization_agreement"]
    np.testing.assert_array_equal(stored["scores"]["cosine_rows"], found["cosine_rows"])
    assert list(stored["rows"]) == list(found.index)


def test_a_map_and_itself_agree_wholly(adata: ad.AnnData) -> None:
    found = hd.tl.compare_colocalization(adata, "measured", "measured", permutations=0)
    np.testing.assert_allclose(found.drop(columns=["mantel_p", "n_types"]).to_numpy(), 1.0)
    assert found["mantel_p"].isna().all()
    assert (found["n_types"] == 5).all()


def test_other_numbers_of_spots_are_said(adata: ad.AnnData) -> None:
    adata.obsm["predicted_abundance"].iloc[:3] = np.nan
    with pytest.warns(hd.DroppedSpotsWarning):
        hd.tl.colocalization(adata, mpp=1.0)
    with pytest.warns(hd.HistodeconWarning, match="other spots of 1 slides: 's/1'") as caught:
        hd.tl.compare_colocalization(adata, "measured", permutations=0)
    assert caught[0].filename == __file__


def _rename(adata: ad.AnnData) -> None:
    table = read_table(adata, "predicted_abundance").rename(columns={"CAFs": "Fibroblasts"})
    write_table(adata, "predicted_abundance", table, kind="abundance")
    hd.tl.colocalization(adata, mpp=1.0)


def _stretch(adata: ad.AnnData) -> None:
    hd.tl.colocalization(adata, mpp=1.0, length_um=150)


def _merge(adata: ad.AnnData) -> None:
    adata.obs["one"] = np.repeat(["s/1", "third"], 81)
    hd.tl.colocalization(adata, mpp=1.0, library_key="one")


@pytest.mark.parametrize(
    ("spoil", "options", "error", "match"),
    [
        (_rename, {}, hd.AlignmentError, "BI-102.*'CAFs', 'Fibroblasts'"),
        (_stretch, {}, hd.AlignmentError, "BI-102.*length_um: 100.0 and 150.0"),
        (_merge, {}, hd.AlignmentError, "BI-102.*library_id and one"),
        (None, {"truth": "other"}, hd.MissingKeyError, "'other'.*maps present: 'measured', 'colocalization'"),
        (None, {"permutations": -1}, hd.InputError, "negative"),
        (None, {"key_added": "a/b"}, hd.NamingError, "a_b"),
    ],
)
def test_refusals_leave_the_adata_unchanged(
    adata: ad.AnnData, spoil: object, options: dict[str, object], error: type[Exception], match: str
) -> None:
    if callable(spoil):
        spoil(adata)
    before = state_of(adata)
    with pytest.raises(error, match=match):
        hd.tl.compare_colocalization(adata, **{"truth": "measured", **options})  # type: ignore[arg-type]
    assert state_of(adata) == before
