"""pl.training draws what a regressor remembers of its training."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import histodecon as hd
from histodecon.models import AbundanceRegressor

N = 90
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4)).astype(np.float32)
Y = np.clip(2 + X[:, :3] + RNG.normal(size=(N, 3)), 0, None)
QUICK = {"n_networks": 2, "max_epochs": 6, "hidden": 8}


def trained(learner: str, params: dict | None = None) -> AbundanceRegressor:
    return AbundanceRegressor(learner, params=params, device="cpu").fit(X, Y, groups=np.arange(N) % 3)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_every_network_has_its_losses_and_its_best_epoch() -> None:
    model = trained("mlp", {**QUICK, "start": "random"})
    ax = hd.pl.training(model, show=False)
    lines = [line.get_ydata() for line in ax.lines]
    for i in range(2):
        history = model.history_[f"network_{i}"]
        training, held_in, dot = lines[3 * i : 3 * i + 3]
        np.testing.assert_array_equal(training, history["training_loss"])
        np.testing.assert_array_equal(held_in, history["held_in_loss"])
        assert list(dot) == [min(history["held_in_loss"])]
        assert list(ax.lines[3 * i + 2].get_xdata()) == [model.training_["best_epochs"][i] + 1]
    assert "2 by epochs" in ax.get_legend().get_title().get_text()


def test_the_model_that_data_keep_is_drawn_alike() -> None:
    adata = hd.datasets.toy_slide(n_rows=8, n_cols=8)["table"]
    hd.tl.set_targets(adata, "true_abundance")
    adata.obsm["X_own"] = adata.obsm["true_abundance"].to_numpy()[:, :3] + 1.0
    with pytest.raises(hd.MissingKeyError, match="train_regressor"):
        hd.pl.training(adata, show=False)
    model = hd.tl.train_regressor(adata, use_rep="X_own", params=QUICK, show_progress_bar=False)
    one, two = (hd.pl.training(thing, show=False) for thing in (model, adata))
    for line, other in zip(one.lines, two.lines, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), other.get_ydata())


def test_ridge_shows_the_strengths_it_compared() -> None:
    model = trained("ridge")
    ax = hd.pl.training(model, show=False)
    curve, dot = ax.lines
    np.testing.assert_array_equal(curve.get_ydata(), model.history_["held_in_error"])
    assert dot.get_xdata() == [model.training_["strength"]]
    assert ax.get_xscale() == "log"


def test_members_of_an_ensemble_are_drawn_by_name() -> None:
    model = trained("ensemble", {"members": ["ridge", "mlp"], "params": {"mlp": QUICK}})
    assert "ridge_0" in hd.pl.training(model, show=False).get_title()
    assert hd.pl.training(model, member="mlp_0", show=False).get_xlabel() == "epoch"
    with pytest.raises(hd.InputError, match=r"BI-104.*mlp_0"):
        hd.pl.training(model, member="mlp", show=False)


def test_a_start_that_was_kept_has_no_dot() -> None:
    model = trained("mlp", QUICK)
    model.training_["best_epochs"] = [-1, 2]
    ax = hd.pl.training(model, show=False)
    assert len(ax.lines) == 5
    assert "1 kept its start" in ax.get_legend().get_title().get_text()


def test_without_held_in_rows_the_training_loss_has_the_dot() -> None:
    with pytest.warns(hd.HistodeconWarning):
        model = AbundanceRegressor("mlp", params=QUICK, device="cpu").fit(X[:4], Y[:4])
    ax = hd.pl.training(model, show=False)
    assert len(ax.lines) == 4
    assert ax.lines[1].get_xdata() == [6]


def test_given_axes_and_files(tmp_path: Path) -> None:
    given = plt.subplots()[1]
    assert hd.pl.training(trained("ridge"), ax=given, show=False) is given
    hd.pl.training(trained("ridge"), save=tmp_path / "loss.png", show=False)
    assert (tmp_path / "loss.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("thing", "match"),
    [
        (lambda: trained("mean"), "nothing was chosen"),
        (lambda: trained("ridge", {"strength": 1.0}), "nothing was chosen"),
        (lambda: AbundanceRegressor("mlp"), "has not been trained"),
        (lambda: "model.safetensors", "got str"),
    ],
)
def test_what_cannot_be_drawn_says_why(thing, match: str) -> None:
    with pytest.raises(hd.InputError, match=match):
        hd.pl.training(thing(), show=False)
