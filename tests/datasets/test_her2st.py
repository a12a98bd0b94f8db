"""her2st from a folder and from a stand-in for its repository."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import histodecon as hd
from histodecon import AlignmentError, InputError, IntegrityError, OfflineError
from histodecon._core import read_table, table_kind
from histodecon.datasets import _fetch, _her2st

TYPES = ["B-cells", "CAFs", "Plasma Cells"]
IMAGES = {"B4": "data/ST-imgs/B/B4/BT10737_D2_HE.jpg", "C2": "data/ST-imgs/C/C2/5714_HE_BT_C2.jpg"}


def upstream() -> dict[str, bytes]:
    """Small files in the layout of the repository."""
    rng = np.random.default_rng(0)
    out, tables = {}, {}
    for section in IMAGES:
        places = pd.DataFrame([(x, y, 100.0 * x, 100.0 * y, 1) for x in range(1, 6) for y in range(1, 5)])
        places.columns = ["x", "y", "pixel_x", "pixel_y", "selected"]
        ids = [f"{x}x{y}" for x, y in places[["x", "y"]].to_numpy()][1:]  # one spot without counts
        counts = pd.DataFrame(rng.integers(0, 9, (19, 3)), index=ids, columns=["g1", "g2", f"g_{section}"])
        out[f"data/ST-cnts/{section}.tsv.gz"] = counts.to_csv(sep="\t").encode()
        out[f"data/ST-spotfiles/{section}_selection.tsv"] = places.to_csv(sep="\t", index=False).encode()
        picture = io.BytesIO()
        PIL.Image.new("RGB", (600, 500), (200, 120, 190)).save(picture, "JPEG")
        out[IMAGES[section]] = picture.getvalue()
        tables[section] = pd.DataFrame(rng.dirichlet([1, 1, 1], 19), index=ids, columns=TYPES).sample(
            frac=1, random_state=1
        )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for section, table in tables.items():
            opened.writestr(f"major/{section}-proportion.tsv", table.to_csv(sep="\t"))
    return {**out, "res/ST-deconv/props/major.zip": archive.getvalue()}


@pytest.fixture
def repository(monkeypatch, tmp_path):
    """The published files, their hashes, an empty cache, and a list of what was asked for."""
    content, asked = upstream(), []
    monkeypatch.setattr(_her2st, "manifest", lambda: {path: _fetch.blob_sha1(value) for path, value in content.items()})
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("HISTODECON_SHARED", raising=False)

    def download(url: str, target: Path, *, show_progress_bar: bool) -> None:
        asked.append(url)
        assert url.startswith(_her2st.ADDRESS)
        target.write_bytes(content[url.removeprefix(_her2st.ADDRESS)])

    monkeypatch.setattr(_fetch, "download", download)
    return content, asked


def test_download_join_and_cache(repository):
    content, asked = repository
    sdata = hd.datasets.her2st(["B4", "C2"])
    assert len(asked) == len(content) == 7
    adata = sdata["table"]
    assert adata.n_obs == 38
    assert adata.obs["patient"].tolist() == ["B"] * 19 + ["C"] * 19
    assert set(sdata.images) == {"B4_image", "C2_image"}
    assert {record["n_without_counts"] for record in adata.uns["histodecon"]["slides"].values()} == {1}
    assert table_kind(adata, "stereoscope") == "proportion"
    table = read_table(adata, "stereoscope")
    assert list(table.columns) == TYPES
    with zipfile.ZipFile(io.BytesIO(content["res/ST-deconv/props/major.zip"])) as archive:
        for section in ("B4", "C2"):
            expected = pd.read_csv(archive.open(f"major/{section}-proportion.tsv"), sep="\t", index_col=0)
            expected.index += f"-{section}"
            pd.testing.assert_frame_equal(table.loc[expected.index], expected, check_names=False)
    hd.datasets.her2st("B4")
    assert len(asked) == 7


def test_one_section_without_proportions(repository):
    adata = hd.datasets.her2st("C2", proportions=None)["table"]
    assert adata.obs_names[0] == "1x2"
    assert not any("props" in url for url in repository[1])
    assert "stereoscope" not in adata.obsm


@pytest.mark.parametrize("layout", ["upstream", "short"])
@pytest.mark.parametrize("how", ["folder", "environment"])
def test_a_folder_needs_no_network(repository, tmp_path, monkeypatch, layout, how):
    content, asked = repository
    folder = tmp_path / "her2st"
    for part, value in content.items():
        path = folder / (part if layout == "upstream" else _her2st._short(part).replace("*", "anything"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
    if how == "environment":
        monkeypatch.setenv("HISTODECON_SHARED", str(tmp_path))
    sdata = hd.datasets.her2st(["B4", "C2"], folder=folder if how == "folder" else None)
    assert sdata["table"].n_obs == 38
    assert asked == []


def test_what_a_given_folder_lacks_is_named(repository, tmp_path):
    with pytest.raises(InputError, match=r"BI-02.*counts/B4\.tsv\.gz.*data/ST-cnts/B4\.tsv\.gz"):
        hd.datasets.her2st("B4", folder=tmp_path)
    assert repository[1] == []


def test_what_the_shared_folder_lacks_is_downloaded(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("HISTODECON_SHARED", str(tmp_path))
    assert hd.datasets.her2st("B4")["table"].n_obs == 19
    assert len(repository[1]) == 4


def test_wrong_bytes_and_no_network(repository, monkeypatch):
    content, _ = repository
    right = dict(content)
    content["data/ST-cnts/B4.tsv.gz"] += b"1"
    monkeypatch.setattr(_her2st, "manifest", lambda: {path: _fetch.blob_sha1(value) for path, value in right.items()})
    with pytest.raises(IntegrityError, match=r"FI-22.*counts/B4\.tsv\.gz"):
        hd.datasets.her2st("B4")

    def unplugged(url: str, target: Path, *, show_progress_bar: bool) -> None:
        raise ConnectionError(url)

    monkeypatch.setattr(_fetch, "download", unplugged)
    with pytest.raises(OfflineError, match=r"FI-24.*counts/B4\.tsv\.gz.*HISTODECON_SHARED"):
        hd.datasets.her2st("B4")


def test_spots_without_proportions_are_named(repository, monkeypatch):
    original = _her2st._proportions
    monkeypatch.setattr(_her2st, "_proportions", lambda *args: original(*args).drop(index=["1x2", "2x2"]))
    with pytest.raises(AlignmentError, match=r"BI-09.*2 of 19: '1x2', '2x2'"):
        hd.datasets.her2st("B4")


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"sections": "Z9"}, r"'Z9'"),
        ({"sections": "b4"}, r"did you mean 'B4'"),
        ({"sections": []}, "No section"),
        ({"sections": ["B4", "B4"]}, "twice"),
        ({"sections": "B4", "proportions": "mayor"}, "'mayor'"),
    ],
)
def test_unknown_names(kwargs, match):
    with pytest.raises(InputError, match=match):
        hd.datasets.her2st(**kwargs)


def test_manifest_is_whole():
    manifest = _her2st.manifest()
    assert sum("ST-cnts" in path for path in manifest) == 36
    assert sum("ST-imgs" in path for path in manifest) == 36
    assert sum("ST-spotfiles" in path for path in manifest) == 36
    assert sum("props" in path for path in manifest) == 3
    assert all(len(sha1) == 40 and set(sha1) <= set("0123456789abcdef") for sha1 in manifest.values())


def test_real_files_have_the_published_hashes(shared_data):
    folder = shared_data / "her2st"
    for part in (
        "data/ST-cnts/B4.tsv.gz",
        "data/ST-spotfiles/C2_selection.tsv",
        "res/ST-deconv/props/major.zip",
        IMAGES["B4"],
    ):
        path = _her2st._in_folder(folder, part)
        assert _fetch.blob_sha1(path.read_bytes()) == _her2st.manifest()[part]


def test_real_sections(shared_data):
    adata = hd.datasets.her2st(["B4", "C2"], folder=shared_data / "her2st")["table"]
    assert adata.obs.groupby("patient", observed=True).size().to_dict() == {"B": 283, "C": 187}
    table = read_table(adata, "stereoscope")
    assert table.shape == (470, 8)
    assert "Plasma Cells" in table
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-3)
