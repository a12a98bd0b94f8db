from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import histodecon as hd

ROOT = Path(__file__).parents[1]
PICTURES = ("slides.png", "tiles.png", "abundance.png", "scores.png", "colocalization.png")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Run the demo as `make demo` does, on small slides; what it printed and what it left."""
    out = tmp_path_factory.mktemp("demo") / "demo_output"
    command = [sys.executable, str(ROOT / "demo" / "run_demo.py"), "--quick", "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout, out


def test_it_shows_progress_and_a_summary(demo):
    text, out = demo
    steps = re.findall(r"^\[(\d+)/(\d+)\]", text, flags=re.M)
    assert [int(step) for step, _ in steps] == list(range(1, len(steps) + 1))
    assert {int(total) for _, total in steps} == {len(steps)}
    assert text.count("done in") == len(steps)
    assert "T-cells and B-cells" in text
    for path in out.iterdir():
        assert path.name in text, f"{path.name} is not listed"


def test_pictures_show_something(demo):
    for name in PICTURES:
        pixels = np.asarray(Image.open(demo[1] / name).convert("RGB"))
        assert min(pixels.shape[:2]) > 200, name
        assert pixels.std() > 10, name


def test_scores_are_of_every_patient_type_and_learner(demo):
    scores = pd.read_csv(demo[1] / "scores.csv")
    assert set(scores["patient"]) == {"P1", "P2", "P3", "mean"}
    assert set(scores["learner"]) == {"mlp", "ridge", "mean"}
    assert scores.groupby(["patient", "learner"]).size().eq(7).all()
    assert scores["l1"].notna().all()
    means = scores[(scores["patient"] == "mean") & (scores["cell_type"] == "mean")].set_index("learner")
    for learner in ("mlp", "ridge"):
        assert means.loc[learner, "cc"] >= 0.8
        assert means.loc[learner, "l1"] < 0.6 * means.loc["mean", "l1"]


def test_the_planted_pairs_are_found_on_the_held_out_patient(demo):
    found = dict(re.findall(r"^  (.+ and .+): drawn [+-][\d.]+, predicted ([+-][\d.]+)$", demo[0], flags=re.M))
    assert float(found["T-cells and B-cells"]) > 0.1
    assert float(found["T-cells and Cancer Epithelial"]) < -0.05


def test_the_model_predicts_what_the_table_holds(demo):
    held = ad.read_h5ad(demo[1] / "held_out_P3.h5ad")
    stored = held.obsm["predicted_abundance"].copy()
    del held.obsm["predicted_abundance"]
    hd.tl.predict_abundance(held, demo[1] / "model.safetensors")
    np.testing.assert_array_equal(held.obsm["predicted_abundance"].to_numpy(), stored.to_numpy())
    assert (held.obs["patient"] == "P3").all()


def test_the_cohort_can_be_read_again(demo):
    import spatialdata

    sdata = spatialdata.read_zarr(demo[1] / "cohort.zarr")
    assert set(sdata.images) == {"toy_1_image", "toy_2_image", "toy_3_image"}
    assert "X_color_stats" in sdata["table"].obsm
    assert "crossval_mlp" in sdata["table"].obsm
