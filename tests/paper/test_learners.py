"""The comparison of learners: its runs on drawn slides, its page on planted scores."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

if not (Path(__file__).parents[2] / "paper").is_dir():
    pytest.skip("not a checkout", allow_module_level=True)

from paper import _nuclei, learners
from paper._learners_report import KEYS, goals, half_width, over_seeds, write_page
from paper._with_counts import signatures_of, with_counts

import histodecon as hd

SPLITS = {"C2, C3 → C4": (("toy_1",), ("toy_2",)), "C2, C3, C4 → B4": (("toy_2",), ("toy_1",))}


@pytest.fixture
def adata(monkeypatch):
    adata = hd.datasets.toy_slide(n_patients=2, n_rows=8, n_cols=8)["table"]
    hd.tl.set_targets(adata, "true_abundance")
    adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    monkeypatch.setattr(learners, "SPLITS", SPLITS)
    for module in (learners, _nuclei):
        monkeypatch.setattr(module, "ENCODERS", {"own": ["X_own"]})
    return adata


def test_runs_and_their_cache(adata, tmp_path, monkeypatch):
    monkeypatch.setattr(learners, "LEARNERS", ("mean", "ridge", "context", "cuca"))
    table, gained = learners.runs(adata, "true", ["own"], 2, tmp_path)
    assert len(table) == 2 * (1 + 1 + 2)  # no counts were named, so that cuca takes no part
    ridge = table[table["learner"] == "ridge"]
    assert (ridge["cc"] > 0.5).all()  # half of the types stand in the embedding
    assert (ridge["cc_shares"] != ridge["cc"]).all()
    assert list(gained["learner"]) == ["context"] * 2
    assert (gained["low"] < gained["high"]).all()
    monkeypatch.setattr(hd.tl, "train_regressor", None)
    again = learners.runs(adata, "true", ["own"], 2, tmp_path)
    pd.testing.assert_frame_equal(again[0], table)
    pd.testing.assert_frame_equal(again[1], gained)


def test_a_learner_is_scored_on_the_scale_it_answers_on(adata, tmp_path, monkeypatch):
    monkeypatch.setattr(learners, "LEARNERS", ("ridge", "cpnn"))
    monkeypatch.setattr(learners, "SPLITS", {"one": SPLITS["C2, C3 → C4"]})
    names = list(learners.real_names(adata, learners.OWN).columns)
    signatures = pd.DataFrame(np.eye(adata.n_vars, len(names)) + 0.1, adata.var_names, names)
    table, _ = learners.runs(adata, "true", ["own"], 1, tmp_path, signatures)
    cpnn = table[table["learner"] == "cpnn"].iloc[0]
    assert np.isnan(cpnn[["cc", "l1"]].to_numpy(dtype=float)).all()  # proportions, while targets are cells
    assert np.isfinite(cpnn[["cc_shares", "l1_shares"]].to_numpy(dtype=float)).all()


def test_gains_are_those_of_drawn_patches(adata):
    truth = learners.shares(learners.real_names(adata, learners.OWN))
    noise = np.random.default_rng(0).uniform(0.2, 1.8, (2, *truth.shape))
    found = {"ridge": [truth * noise[0]], "good": [truth, truth], "same": [truth * noise[0]]}
    gain = learners.gains(adata, found)
    assert gain["same"] == {"low": 0.0, "high": 0.0}
    r = hd.stats.pearson_per_type(truth, learners.shares(found["ridge"][0])).mean()
    assert gain["good"]["low"] < 1 - r < gain["good"]["high"]
    assert gain["good"]["low"] > 0


def test_counts_and_signatures_of_a_kept_deconvolution(adata, tmp_path):
    names = ["Cancer Epithelial", "Normal Epithelial", "Plasmablasts", "T-cells"]
    values = np.random.default_rng(1).uniform(size=(adata.n_vars, 4))
    reference = pd.DataFrame(values, adata.var_names, names)
    kept = adata[::-1].copy()
    hd.tl.deconvolve(kept, signatures=reference, method="nnls")
    kept.write_h5ad(tmp_path / "kept.h5ad")
    without = adata.copy()
    without.X = None
    own = with_counts(without, tmp_path / "kept.h5ad")
    assert (own.X != adata.X).sum() == 0
    assert list(own.obs_names) == list(adata.obs_names)
    assert set(own.obsm) == set(adata.obsm)
    pd.testing.assert_frame_equal(
        signatures_of(tmp_path / "kept.h5ad", names[::-1]), reference[names[::-1]], check_names=False, rtol=1e-5
    )
    joined = signatures_of(tmp_path / "kept.h5ad", ["T-cells", "Epithelial", "Plasma Cells"])
    np.testing.assert_allclose(joined["Epithelial"], values[:, :2].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(joined["Plasma Cells"], values[:, 2], rtol=1e-5)


def drawn_nuclei(adata: ad.AnnData) -> ad.AnnData:
    """As many nuclei as there are cells of a type in a spot, whose embedding shows the type; the first spot has none."""
    cells = adata.obsm["true_abundance"].to_numpy().round().astype(int)
    cells[0] = 0
    spot, kind = (np.repeat(index.ravel(), cells.ravel()) for index in np.indices(cells.shape))
    obs = adata.obs[["library_id", "patient"]].iloc[spot].reset_index(drop=True)
    obs.index = [f"n{i}" for i in range(len(spot))]
    obs["spot"] = adata.obs_names[spot]
    shown = np.eye(cells.shape[1])[kind] + np.random.default_rng(0).normal(0, 0.2, (len(kind), cells.shape[1]))
    return ad.AnnData(obs=obs, obsm={"X_own": shown.astype(np.float32)})


@pytest.mark.parametrize("kind", ["abundance", "proportion"])
def test_sums_over_nuclei_are_scored_on_spots(adata, kind, monkeypatch):
    nuclei, params = drawn_nuclei(adata), {"n_networks": 1, "max_epochs": 60}
    monkeypatch.setattr(hd.tl, "train_regressor", partial(hd.tl.train_regressor, params=params))
    if kind == "proportion":
        table = learners.shares(learners.real_names(adata, learners.OWN)).dropna()
        del adata.obsm[learners.OWN]
        hd.tl.set_targets(adata, table, kind="proportion")
    train, test = (learners.of_sections(adata, (name,)) for name in ("toy_2", "toy_1"))
    (row,), tables = learners.run_of_nuclei(train, test, nuclei, "own", 0)
    assert row["cc_shares"] > 0.9
    assert tables["predicted"].index.equals(test.obs_names)
    if kind == "abundance":
        assert row["cc"] > 0.9
        assert (tables["predicted"].iloc[0] == 0).all()
    else:
        assert row["cc"] == pytest.approx(row["cc_shares"])
        without = (nuclei.obs["spot"].value_counts().reindex(test.obs_names).isna()).to_numpy()
        assert without[0]
        assert tables["predicted"][without].isna().all(axis=None)
        np.testing.assert_allclose(tables["predicted"][~without].sum(axis=1), 1.0)


def test_the_mean_crop_of_a_spot(adata):
    nuclei = drawn_nuclei(adata)
    (test,) = (learners.of_sections(adata, ("toy_1",)),)
    out, keys = _nuclei.with_mean_crops(test, nuclei, "own")
    assert keys == ["X_own_crops"]
    found = out.obsm["X_own_crops"]
    expected = [nuclei.obsm["X_own"][(nuclei.obs["spot"] == name).to_numpy()] for name in test.obs_names]
    means = np.array([one.mean(axis=0) if len(one) else np.full(found.shape[1], np.nan) for one in expected])
    empty = np.isnan(means[:, 0])
    assert empty[0]
    np.testing.assert_allclose(found[~empty], means[~empty], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        found[empty], np.broadcast_to(means[~empty].mean(axis=0), found[empty].shape), rtol=1e-4, atol=1e-6
    )
    assert "X_own_crops" not in test.obsm


def planted() -> tuple[pd.DataFrame, pd.DataFrame]:
    cc = {"mean": np.nan, "ridge": 0.4, "mlp": 0.45, "context": 0.475, "graph_attention": 0.46, "ensemble": 0.38}
    cc |= {"cpnn": np.nan}
    rows = [
        {"targets": kind, "split": split, "encoders": "both", "learner": name, "seed": seed}
        | {"cc": value + 0.01 * seed, "cc_shares": 0.5 if name == "cpnn" else value, "l1": 0.1 + value}
        | {"l1_shares": 0.5, "seconds": 1.0}
        for kind in ("Stereoscope", "cell2location")
        for split in SPLITS
        for name, value in cc.items()
        for seed in range(1 if name in learners.FLOOR else 3)
    ]
    table = pd.DataFrame(rows)
    gained = table.loc[~table["learner"].isin(learners.FLOOR) & (table["seed"] == 0), KEYS].reset_index(drop=True)
    return table, gained.assign(low=np.where(gained["learner"] == "ensemble", -0.05, 0.01), high=0.02)


def test_goals_are_judged_by_the_scores():
    found = goals(over_seeds(*planted())).set_index("goal")
    own = found[found["split"] == "C2, C3 → C4"]
    assert own.loc["context 0.03 above mlp", "gain"].tolist() == pytest.approx([0.025, 0.025])
    assert set(own.loc["context 0.03 above mlp", "verdict"]) == {"missed"}
    assert found.loc["ensemble above ridge", "gain"].tolist() == pytest.approx([-0.01] * 4)
    assert set(found.loc["ensemble above ridge", "verdict"]) == {"missed"}


def test_interval_of_a_mean_over_seeds():
    values = pd.Series([0.1, 0.2, 0.4])
    assert half_width(values) == pytest.approx(4.302652729911275 * values.std() / np.sqrt(3))
    assert np.isnan(half_width(values[:1]))


def test_page(tmp_path):
    write_page(*planted(), tmp_path)
    page = (tmp_path / "learners.md").read_text()
    assert "cell2location" in page
    assert "- `context` against `mlp`, on the scale of the targets: Stereoscope, C2, C3 → C4 +0.025" in page
    assert "- `graph_attention` against `context`, on the scale of the targets: Stereoscope, C2, C3 → C4 -0.015" in page
    assert "- `cpnn`: proportions +0.100 beside ridge in the mean of 4 rows" in page
    assert "the whole interval above 0 in 4, below 0 in 0" in page
    assert "Highest CC of proportions: `cpnn` 4 (of 4 rows)" in page
    assert (tmp_path / "learners.png").is_file()
