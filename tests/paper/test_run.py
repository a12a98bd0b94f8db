"""Every experiment on drawn slides, start to end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

if not (Path(__file__).parents[2] / "paper").is_dir():
    pytest.skip("not a checkout", allow_module_level=True)

from paper import run as command
from paper._bench import Bench
from paper._config import read_config
from paper.experiments import cost

ROOT = Path(__file__).parents[2]
TOML = """
title = "Drawn slides"
cache = "{cache}"
seeds = [0, 1]
learner = "mlp"
baselines = ["mean", "ridge"]
params = {{ max_epochs = 2, n_networks = 1, hidden = 16 }}
cross = [["one", "two"], ["one", "absent"]]
shown_types = ["T-cells", "B-cells"]
device = "cpu"

[cohorts.one]
dataset = "toy"
sections = ["toy_1", "toy_2"]
tile_um = 112
targets = "true_abundance"
n_rows = 6

[cohorts.two]
dataset = "toy"
sections = ["toy_1"]
tile_um = 112
targets = "true_abundance"
random_state = 7
n_rows = 6

[cohorts.absent]
dataset = "stnet"
folder = "$HISTODECON_NO_SUCH_VARIABLE"
tile_px = 224
targets_file = "nowhere.h5ad"

[encoders.color_stats]

[encoders.gated]
timm = "resnet18"
weights = "$HISTODECON_NO_SUCH_VARIABLE/weights.safetensors"

[encoder_sets]
color_stats = ["color_stats"]
both = ["color_stats", "gated"]
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path]:
    folder = tmp_path_factory.mktemp("paper")
    config = folder / "toy.toml"
    config.write_text(TOML.format(cache=(folder / "cache").as_posix()))
    with pytest.MonkeyPatch.context() as patch:  # a process for each task takes its time: one test has one
        patch.setattr(cost, "measured", lambda bench, _, arguments: cost.task(bench, **arguments))
        return command.run(config, command.EXPERIMENTS, folder / "out"), folder


def test_page_says_what_was_run_and_what_was_not(done):
    bench, folder = done
    page = (folder / "out.md").read_text()
    for title in ("Every patient left out once", "From one data set to another", "Colocalization maps", "Maps"):
        assert f"## {title}" in page
    assert "Not run" not in page
    assert {"absent", "gated"} <= set(bench.missing)
    gaps = page.split("## What was not there")[1]
    assert "the variable HISTODECON_NO_SUCH_VARIABLE is not set" in gaps
    assert "doi:10.17632/29ntw7sh4r" in gaps
    for name in re.findall(r"{figure} (\S+)", page):
        assert (folder / name).is_file(), name
    assert str(folder) not in page


def test_leave_one_out_scores_are_those_of_its_predictions(done):
    _, folder = done
    table = pd.read_csv(folder / "out" / "leave_one_out.csv")
    assert set(table["cohort"]) == {"one"}  # two has one patient, absent none
    assert set(table["encoders"]) == {"color_stats"}  # no row for weights that are not there
    assert len(table) == 2 * (2 + 2)  # two patients; two seeds of the network, one of each baseline
    assert table.loc[table["learner"] == "mean", "cc"].isna().all()
    assert table[["l1", "l1_shares"]].notna().all().all()


def test_transfer_only_where_both_are_there(done):
    _, folder = done
    table = pd.read_csv(folder / "out" / "cross_dataset.csv")
    assert set(table["test"]) == {"two"}
    assert len(table) == 4


def test_cost_of_every_task(done):
    _, folder = done
    table = pd.read_csv(folder / "out" / "cost.csv")
    assert {"leave-one-out", "training", "→ two"} == set(table["task"])
    assert (table["seconds"] > 0).all()


def test_cost_is_measured_in_a_process_of_its_own(done):
    bench, _ = done
    arguments = {"cohort": "one", "target": None, "encoders": "color_stats"}
    ballast = np.ones(60_000_000)  # 480 MB of ours are not the task's
    found = cost.measured(bench, bench.config_path, arguments)
    assert ballast.sum() > 0
    assert found["seconds"] > 0
    assert 0 <= found["beyond_mb"] < 200 < found["peak_mb"]


def test_finished_work_is_not_done_again(done, monkeypatch):
    bench, folder = done
    pages = {path.name: path.read_bytes() for path in (folder / "out").glob("*.csv")}

    def never(*_args, **_kwargs):
        msg = "done again"
        raise AssertionError(msg)

    for name in ("tl.cross_validate", "tl.train_regressor", "pp.embed_tiles"):
        monkeypatch.setattr(f"histodecon.{name}", never)
    command.run(bench.config_path, ("leave_one_out", "ablation", "cross_dataset", "cost"), folder / "out")
    assert {path.name: path.read_bytes() for path in (folder / "out").glob("*.csv")} == pages


def test_other_parameters_are_other_work(done):
    bench, folder = done
    units = {json.loads(path.read_text())["spec"]["what"] for path in bench.cache.glob("units/*/rows.json")}
    assert units == {"leave_one_out", "cross_dataset", "cost"}
    config = folder / "other.toml"
    config.write_text(bench.config_path.read_text().replace("max_epochs = 2", "max_epochs = 3"))
    other = Bench(read_config(config), folder / "out", config)
    with pytest.raises(LookupError):
        other.unit({"what": "leave_one_out", "params": dict(other.config.params)}, lambda: {}["computed anew"])


def test_agreement_is_that_of_the_maps(done):
    _, folder = done
    table = pd.read_csv(folder / "out" / "colocalization.csv")
    assert {"mean over slides", "pooled map"} <= set(table["map"])
    assert table["cosine_rows"].between(-1, 1).all()


@pytest.mark.parametrize("name", ["at_hand", "source"])
def test_configurations_are_read(name):
    config = read_config(ROOT / "paper" / "configs" / f"{name}.toml")
    import histodecon as hd

    known = set(hd.encoders.list_encoders().index)
    for encoder, entry in config.encoders.items():
        assert "timm" in entry or encoder in known
    assert {"her2st", "stnet"} == set(config.cohorts)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('targets = "true_abundance"\nn_rows', "n_rows", "either `targets`"),
        ("tile_um = 112", "", "either `tile_px`"),
        ('dataset = "toy"', 'dataset = "other"', "dataset is one of"),
        ('both = ["color_stats", "gated"]', 'both = ["uni"]', "not described.*uni"),
        ("seeds", "sheds", "unknown entries sheds"),
    ],
)
def test_mistakes_in_a_configuration(tmp_path, old, new, match):
    path = tmp_path / "bad.toml"
    path.write_text(TOML.format(cache="cache").replace(old, new, 1))
    with pytest.raises(ValueError, match=match):
        read_config(path)


def test_scores_by_hand():
    from paper._bench import scores

    truth = pd.DataFrame({"a": [1.0, 0.0, 3.0], "b": [1.0, 2.0, 1.0]}, index=list("xyz"))
    predicted = pd.DataFrame({"b": [1.0, 1.0, 1.0], "a": [1.0, 1.0, 2.0]}, index=list("xyz"))
    found = scores(truth, predicted)
    assert found["l1"] == pytest.approx((0 + 1 + 1 + 0 + 1 + 0) / 6)
    assert found["l1_shares"] == pytest.approx((0 + 2 * 0.5 + 2 * (3 / 4 - 2 / 3)) / 3)
    assert found["n_defined"] == 1
    assert found["cc"] == pytest.approx(np.corrcoef(truth["a"], predicted["a"])[0, 1])
