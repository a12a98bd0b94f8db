"""What CONTRIBUTING says about adding things is true: one file in the right folder, and it is there."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import histodecon as hd
from histodecon.encoders import _adapters, adapters, cards
from histodecon.encoders import _registry as encoder_registry
from histodecon.models import _learners, learners
from histodecon.tl import _deconvolution, deconvolution

FILES = Path(__file__).parent / "one_file"
LISTINGS = (
    hd.encoders.list_encoders,
    hd.encoders.list_adapters,
    hd.models.list_learners,
    hd.tl.list_deconvolution_methods,
)


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """An example is taken out again: what was listed before is listed after."""
    before = [list(listing().index) for listing in LISTINGS]
    yield
    assert [list(listing().index) for listing in LISTINGS] == before


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put a file into a folder of the package, as far as Python can tell, and take it out again."""
    names: list[str] = []

    def add(folder: ModuleType, name: str, registry: ModuleType) -> None:
        assert name not in {path.stem for path in Path(folder.__path__[0]).glob("*.py")}
        shutil.copy(FILES / f"{name}.py", tmp_path / f"{name}_example.py")
        monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
        monkeypatch.setattr(registry, "_REGISTRY", {})
        names.append(f"{folder.__name__}.{name}_example")

    yield add
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def small() -> Any:
    sdata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)
    hd.pp.tile_spots(sdata)
    hd.tl.set_targets(sdata["table"], "true_abundance")
    return sdata


def test_an_encoder(added: Callable[..., None], small: Any) -> None:
    added(cards, "encoder", encoder_registry)
    assert hd.encoders.list_encoders().loc["mean_color", "dim"] == 6
    hd.pp.embed_tiles(small, "mean_color", show_progress_bar=False)
    found = small["table"].obsm["X_mean_color"]
    assert found.shape == (small["table"].n_obs, 6)
    assert 0 < found.min() <= found.max() <= 1


def test_an_adapter(added: Callable[..., None], small: Any, tmp_path: Path) -> None:
    added(adapters, "adapter", _adapters)
    assert "gene_directions" in hd.encoders.list_adapters().index
    hd.pp.embed_tiles(small, "color_stats", show_progress_bar=False)
    adata, new = small["table"].copy(), small["table"].copy()
    how = {"use_rep": "X_color_stats", "method": "gene_directions", "show_progress_bar": False}
    adapter = hd.pp.adapt_embedding(adata, **how, params={"min_gain": -1.0})
    moved = adata.obsm["X_color_stats_gene_directions"]
    assert np.abs(moved - adata.obsm["X_color_stats"]).max() > 0.01
    assert adata.uns["histodecon"]["embeddings"]["X_color_stats_gene_directions"]["adapter"] == "gene_directions"
    new.X = None  # a slide without counts is only transformed
    hd.pp.adapt_embedding(new, use_rep="X_color_stats", adapter=adapter.save(tmp_path / "a.safetensors"))
    np.testing.assert_array_equal(new.obsm["X_color_stats_gene_directions"], moved)
    with pytest.warns(hd.FallbackWarning, match="BI-130"):
        hd.pp.adapt_embedding(adata, **how, params={"min_gain": 1.0})
    np.testing.assert_array_equal(adata.obsm["X_color_stats_gene_directions"], adata.obsm["X_color_stats"])
    hd.tl.set_targets(adata, "true_abundance")
    step = hd.pp.adapter("X_color_stats", method="gene_directions", params={"min_gain": -1.0})
    scores = hd.tl.cross_validate(adata, use_rep=step, learner="ridge", baselines=(), show_progress_bar=False)
    assert scores["fold"].tolist() == ["P1", "P2", "mean"]


def test_a_learner(added: Callable[..., None], small: Any, tmp_path: Path) -> None:
    added(learners, "learner", _learners)
    assert "pls" in hd.models.list_learners().index
    adata = small["table"].copy()
    adata.obsm["X_own"] = adata.obsm["cell_abundance"].to_numpy()[:, :4] + 1.0
    how = {"use_rep": "X_own", "learner": "pls", "params": {"n_components": 4}}
    scores = hd.tl.cross_validate(adata, **how, show_progress_bar=False)
    assert len(scores)
    model = hd.tl.train_regressor(adata, **how)
    model.save(tmp_path / "m.safetensors")
    hd.tl.predict_abundance(adata, tmp_path / "m.safetensors")
    first = adata.uns["histodecon"]["tables"]["predicted_abundance"]["columns"][:4]
    for name in first:
        r = np.corrcoef(adata.obsm["predicted_abundance"][name], adata.obsm["cell_abundance"][name])[0, 1]
        assert r > 0.95


def test_a_deconvolution(added: Callable[..., None], small: Any) -> None:
    added(deconvolution, "deconvolution", _deconvolution)
    assert "resemblance" in hd.tl.list_deconvolution_methods().index
    adata = small["table"].copy()
    hd.tl.deconvolve(adata, hd.datasets.toy_reference(), labels_key="cell_type", method="resemblance")
    table = adata.obsm["cell_abundance"]
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-6)
    truth = adata.obsm["true_abundance"]
    common = [name for name in table if name in truth]
    assert np.mean([np.corrcoef(table[name], truth[name])[0, 1] for name in common]) > 0.4


def test_a_reader(small: Any, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("histodecon.io._read_npz", FILES / "reader.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    adata = small["table"][(small["table"].obs["library_id"] == "toy_1").to_numpy()]
    path = tmp_path / "slide.npz"
    np.savez(
        path,
        counts=adata.X.toarray(),
        genes=adata.var_names.to_numpy(str),
        barcodes=adata.obs_names.to_numpy(str),
        x=adata.obsm["spatial"][:, 0],
        y=adata.obsm["spatial"][:, 1],
        image=np.moveaxis(np.asarray(small["toy_1_image"].values), 0, 2),
        mpp=1.0,
    )
    sdata = module.read_npz(path, library_id="mine")
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    assert sdata["table"].obsm["X_color_stats"].shape == (adata.n_obs, 119)


@pytest.mark.parametrize("name", ["encoder", "adapter", "learner", "deconvolution", "reader"])
def test_contributing_names_the_file(name: str) -> None:
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    assert f"tests/contract/one_file/{name}.py" in text
