"""The comparison of learners: its runs on drawn slides, its page on planted scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

if not (Path(__file__).parents[2] / "paper").is_dir():
    pytest.skip("not a checkout", allow_module_level=True)

from paper import learners
from paper._learners_report import goals, half_width, over_seeds, write_page

import histodecon as hd

SPLITS = {"C2, C3 → C4": (("toy_1",), ("toy_2",)), "C2, C3, C4 → B4": (("toy_2",), ("toy_1",))}


def test_runs_and_their_cache(tmp_path, monkeypatch):
    adata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)["table"]
    hd.tl.set_targets(adata, "true_abundance")
    adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    monkeypatch.setattr(learners, "SPLITS", SPLITS)
    monkeypatch.setattr(learners, "ENCODERS", {"own": ["X_own"]})
    monkeypatch.setattr(learners, "LEARNERS", ("mean", "ridge"))
    table = learners.runs(adata, "true", ["own"], 2, tmp_path)
    assert len(table) == 4
    ridge = table[table["learner"] == "ridge"]
    assert (ridge["cc"] > 0.5).all()  # half of the types stand in the embedding
    monkeypatch.setattr(hd.tl, "train_regressor", None)
    pd.testing.assert_frame_equal(learners.runs(adata, "true", ["own"], 2, tmp_path), table)


def planted() -> pd.DataFrame:
    cc = {"mean": np.nan, "ridge": 0.4, "mlp": 0.45, "context": 0.475, "ensemble": 0.38}
    rows = [
        {"targets": kind, "split": split, "encoders": "both", "learner": name, "seed": seed}
        | {"cc": value + 0.01 * seed, "l1": 0.1 + value, "l1_shares": 0.5, "seconds": 1.0}
        for kind in ("Stereoscope", "cell2location")
        for split in SPLITS
        for name, value in cc.items()
        for seed in range(3 if name in learners.SEEDED else 1)
    ]
    return pd.DataFrame(rows)


def test_goals_are_judged_by_the_scores():
    found = goals(over_seeds(planted())).set_index("goal")
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
    write_page(planted(), tmp_path)
    page = (tmp_path / "learners.md").read_text()
    assert "cell2location" in page
    assert "- `context` against `mlp`: Stereoscope, C2, C3 → C4 +0.025" in page
    assert (tmp_path / "learners.png").is_file()
