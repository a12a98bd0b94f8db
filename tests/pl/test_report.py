"""The report: one file, whole, escaped, the same twice."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests_support import state_of

import histodecon as hd

VOID = {"meta", "img", "br", "link"}


class Checker(HTMLParser):
    """Counts tags, and sees that every one is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(value) for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(path: Path) -> Checker:
    checker = Checker()
    checker.feed(path.read_text())
    assert not checker.open
    return checker


@pytest.fixture(scope="module")
def sdata() -> Any:
    sdata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6, mpp=1.0)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    adata = sdata["table"]
    hd.tl.set_targets(adata, "true_abundance")
    hd.tl.cross_validate(adata, use_rep="X_color_stats", learner="ridge", show_progress_bar=False)
    hd.tl.train_regressor(adata, use_rep="X_color_stats", learner="ridge", show_progress_bar=False)
    hd.tl.predict_abundance(adata)
    adata.obs["out_of_distribution"] = False  # two small patients look unlike each other
    hd.tl.evaluate(adata)
    hd.tl.colocalization(adata)
    return sdata


def test_everything_is_in_one_file_that_asks_nothing_of_the_network(sdata: Any, tmp_path: Path) -> None:
    before = state_of(sdata["table"])
    page = checked(hd.pl.report(sdata, tmp_path / "a.html"))
    assert state_of(sdata["table"]) == before
    assert page.tags.count("img") == 5  # two slides, what they are made of, scores, colocalization
    assert "script" not in page.tags
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in page.sources)
    assert [heading for heading in ("Slides", "Maps", "Scores", "Made with") if heading not in page.text] == []
    assert "No guard fired" in page.text


def test_the_same_twice(sdata: Any, tmp_path: Path) -> None:
    first, second = (hd.pl.report(sdata, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_numbers_are_those_of_the_tables(sdata: Any, tmp_path: Path) -> None:
    page = checked(hd.pl.report(sdata, tmp_path / "a.html"))
    table = hd.get.abundance(sdata["table"]).to_df(layer="predicted")
    first = (sdata["table"].obs["library_id"] == "toy_1").to_numpy()
    for name in table.columns:
        mean = f"{table.loc[first, name].mean():.3f}"
        assert f"{name}{mean}" in page.text


def test_guards_speak(sdata: Any, tmp_path: Path) -> None:
    adata = sdata["table"].copy()
    adata.obsm["predicted_abundance"].iloc[:5] = np.nan
    adata.uns["histodecon"]["embeddings"]["X_color_stats"] |= {"commercial": False, "license": "CC-BY-NC-ND-4.0"}
    adata.obs["out_of_distribution"] = (adata.obs["library_id"] == "toy_2").to_numpy()
    page = checked(hd.pl.report(adata, tmp_path / "a.html"))
    for text in ("5 of 68 spots have no predicted", "not for commercial use", "toy_2: 100%"):
        assert text in page.text
    assert "toy_1: " not in page.text


def test_names_are_text_and_not_html(tmp_path: Path) -> None:
    adata = hd.datasets.toy_slide(n_rows=5, n_cols=5, mpp=1.0)["table"]
    table = hd.get.abundance(adata, layers={"t": "true_abundance"}).to_df()
    table.columns = ["<script>alert(1)</script>", 'a "b" & c', *table.columns[2:]]
    hd.tl.set_targets(adata, table)
    path = hd.pl.report(adata, tmp_path / "a.html", title="<b>bold</b>")
    page = checked(path)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_parts_that_were_not_computed_are_left_out(tmp_path: Path) -> None:
    adata = hd.datasets.toy_slide(n_rows=5, n_cols=5, mpp=1.0)["table"]
    hd.tl.set_targets(adata, "true_abundance")
    page = checked(hd.pl.report(adata, tmp_path / "a.html", max_slides=0))
    assert "Scores" not in page.text
    assert "0 of 1 slides are drawn" in page.text


def test_bad_input_answers_and_writes_nothing(sdata: Any, tmp_path: Path) -> None:
    with pytest.raises(hd.InputError, match="A report ends in"):
        hd.pl.report(sdata, tmp_path / "a.pdf")
    with pytest.raises(hd.InputError, match="Unknown cell type"):
        hd.pl.report(sdata, tmp_path / "a.html", cell_types="T cell")
    with pytest.raises(hd.InputError, match="no cell types"):
        hd.pl.report(hd.datasets.toy_slide(n_rows=5, n_cols=5, mpp=1.0), tmp_path / "a.html")
    with pytest.raises(hd.StoreError):
        hd.pl.report(sdata, tmp_path / "absent" / "a.html")
    assert not list(tmp_path.iterdir())


BROWSER = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)


def browse(path: Path, folder: Path, *options: str) -> str:
    own = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"]
    run = subprocess.run(
        [str(BROWSER), *own, *options, path.as_uri()], capture_output=True, text=True, timeout=180, check=True
    )
    return run.stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_draws_it(sdata: Any, tmp_path: Path) -> None:
    from PIL import Image

    path = hd.pl.report(sdata, tmp_path / "a.html")
    read = browse(path, tmp_path, "--dump-dom")
    assert len(re.findall("<img", read)) == 5
    assert "Before you trust it" in read
    browse(path, tmp_path, "--window-size=1120,1600", f"--screenshot={tmp_path / 'a.png'}")
    shot = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    assert shot.shape == (1600, 1120, 3)
    band = shot[200:1600]
    assert (band.max(axis=2) - band.min(axis=2) > 60).mean() > 0.01, "maps are in color"
    assert (shot[:, -12:] == 255).all(), "nothing runs over the right edge"
