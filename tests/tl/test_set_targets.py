"""Targets are matched by barcode and name, whatever brings them, and nothing is written when they are not usable."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of
from toy_embeddings import TYPES, cohort, truth_table

import histodecon as hd
from histodecon._core import read_table, table_record


def test_rows_go_by_barcode_and_names_are_kept() -> None:
    adata = cohort()
    table = truth_table(adata)
    hd.tl.set_targets(adata, table.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(read_table(adata, "cell_abundance").to_numpy(), table.to_numpy())
    assert list(read_table(adata, "cell_abundance").columns) == TYPES
    assert list(adata.obsm["cell_abundance"].columns) == ["B_cell", "CAFs_MSC_iCAF-like", "T_cell"]
    assert table_record(adata, "cell_abundance")["kind"] == "abundance"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".tsv.gz"])
def test_files(suffix: str, tmp_path) -> None:
    adata = cohort()
    path = tmp_path / f"targets{suffix}"
    truth_table(adata).to_csv(path, sep="\t" if "tsv" in suffix else ",")
    hd.tl.set_targets(adata, path)
    np.testing.assert_allclose(read_table(adata, "cell_abundance").to_numpy(), adata.uns["truth"], rtol=1e-12)
    other = cohort()
    hd.tl.set_targets(other, str(path), key_added="mine")
    assert "mine" in other.obsm


def test_barcodes_that_look_like_numbers_are_read_from_a_file_as_text(tmp_path) -> None:
    adata = cohort(10)
    table = truth_table(adata)
    adata.obs_names = table.index = [f"00{i}" for i in range(10)]
    table.to_csv(tmp_path / "targets.csv")
    hd.tl.set_targets(adata, tmp_path / "targets.csv")
    assert np.isfinite(adata.obsm["cell_abundance"].to_numpy()).all()


def test_an_obsm_key_brings_its_kind_and_names() -> None:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata), kind="abundance")
    hd.tl.set_targets(adata, "cell_abundance", key_added="again")
    assert list(read_table(adata, "again").columns) == TYPES


def test_proportions_are_recognized() -> None:
    adata = cohort()
    table = truth_table(adata)
    hd.tl.set_targets(adata, table.div(table.sum(axis=1), axis=0))
    assert table_record(adata, "cell_abundance")["kind"] == "proportion"
    assert table_record(adata, "cell_abundance")["unit"] == "proportion"


def test_the_prefix_of_cell2location_is_taken_off() -> None:
    adata = cohort()
    for prefix in ("q05cell_abundance_w_sf_", "meanscell_abundance_w_sf_", "q05_cell_abundance_w_sf_q05_"):
        hd.tl.set_targets(adata, truth_table(adata).add_prefix(prefix))
        assert list(read_table(adata, "cell_abundance").columns) == TYPES


def test_spots_without_a_row_become_nan_and_are_counted() -> None:
    adata = cohort()
    with pytest.warns(hd.DroppedSpotsWarning, match="7 of 90"):
        hd.tl.set_targets(adata, truth_table(adata).iloc[7:])
    values = adata.obsm["cell_abundance"].to_numpy()
    assert np.isnan(values[:7]).all()
    assert np.isfinite(values[7:]).all()


def test_masked_rows_take_no_part_as_a_whole() -> None:
    adata = cohort()
    table = truth_table(adata)
    table.iloc[3, 1] = np.inf
    table.iloc[5, 0] = np.nan
    with pytest.warns(hd.DroppedSpotsWarning, match="2 of 90"):
        hd.tl.set_targets(adata, table, nan="mask")
    assert np.isnan(adata.obsm["cell_abundance"].to_numpy()[[3, 5]]).all()


def test_a_copy_leaves_the_original_alone() -> None:
    adata = cohort()
    before = state_of(adata)
    out = hd.tl.set_targets(adata, truth_table(adata), copy=True)
    assert state_of(adata) == before
    assert "cell_abundance" in out.obsm


def spoiled(change) -> pd.DataFrame:
    table = truth_table(cohort())
    return change(table)


def put(value: object):
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype(object)
        table.iloc[2, 1] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "kwargs", "error", "words"),
    [
        (put(-0.5), {}, hd.TargetError, "BI-59"),
        (put(np.nan), {}, hd.TargetError, "BI-60"),
        (put(np.inf), {}, hd.TargetError, "BI-60"),
        (put("many"), {}, hd.TargetError, "not numbers"),
        (lambda t: t.set_axis(range(len(t))), {}, hd.AlignmentError, "BI-08"),
        (lambda t: t.set_axis([f"x{i}" for i in range(len(t))]), {}, hd.AlignmentError, "'x0'.*'0x0'"),
        (lambda t: pd.concat([t, t.iloc[:2]]), {}, hd.AlignmentError, "BI-04"),
        (lambda t: t.set_axis(["a/b", "a_b", "c"], axis=1), {}, hd.NamingError, "BI-65"),
        (lambda t: t.set_axis(["", "b", "c"], axis=1), {}, hd.NamingError, "BI-66"),
        (lambda t: t, {"kind": "proportion"}, hd.TargetError, "BI-61"),
        (lambda t: t, {"kind": "share"}, hd.InputError, "BI-72"),
        (lambda t: t, {"nan": "drop"}, hd.InputError, "BI-72"),
        (lambda t: t, {"key_added": "a/b"}, hd.NamingError, "BI-67"),
        (lambda t: "absent.csv", {}, hd.MissingKeyError, "absent.csv"),
        (lambda t: t.to_numpy(), {}, hd.InputError, "ndarray"),
        (lambda t: "X_first", {}, hd.InputError, "BI-64"),
    ],
)
def test_bad_targets_answer_and_change_nothing(change, kwargs: dict, error: type[Exception], words: str) -> None:
    adata = cohort()
    before = state_of(adata)
    with pytest.raises(error, match=words):
        hd.tl.set_targets(adata, spoiled(change), **kwargs)
    assert state_of(adata) == before


def test_two_faults_are_told_together() -> None:
    table = truth_table(cohort())
    table.iloc[0, 0], table.iloc[1, 1] = -1, np.nan
    with pytest.raises(hd.TargetError, match=r"(?s)BI-60.*BI-59"):
        hd.tl.set_targets(cohort(), table)


def test_a_file_with_one_column_says_what_separates_columns(tmp_path) -> None:
    adata = cohort()
    truth_table(adata).to_csv(tmp_path / "targets.csv", sep="\t")
    with pytest.raises(hd.TargetError, match="tabs"):
        hd.tl.set_targets(adata, tmp_path / "targets.csv")


def test_rows_go_by_position_only_when_that_is_said_and_the_lengths_agree() -> None:
    adata = cohort()
    nameless = truth_table(adata).reset_index(drop=True)
    before = state_of(adata)
    with pytest.raises(hd.AlignmentError, match="BI-08"):
        hd.tl.set_targets(adata, nameless)
    with pytest.raises(hd.AlignmentError, match="BI-09"):
        hd.tl.set_targets(adata, nameless.iloc[1:], assume_aligned=True)
    assert state_of(adata) == before
    hd.tl.set_targets(adata, nameless, assume_aligned=True)
    np.testing.assert_array_equal(read_table(adata, "cell_abundance").to_numpy(), nameless.to_numpy())


# what tools write


def c2l(adata: ad.AnnData) -> dict[str, pd.DataFrame]:
    """Four tables in obsm, as cell2location's export_posterior leaves them."""
    mean = truth_table(adata)
    parts = {"means": mean, "stds": mean / 5 + 0.1, "q05": mean * 0.7, "q95": mean * 1.4}
    for name, part in parts.items():
        adata.obsm[f"{name}_cell_abundance_w_sf"] = part.add_prefix(f"{name}cell_abundance_w_sf_")
    return parts


@pytest.mark.parametrize("which", ["means", "q05"])
def test_cell2location_brings_its_statistics_along(which: str) -> None:
    adata = cohort()
    parts = c2l(adata)
    hd.tl.set_targets(adata, f"{which}_cell_abundance_w_sf")
    found = {
        name: read_table(adata, f"cell_abundance{name}").to_numpy() for name in ("", "_mean", "_sd", "_q05", "_q95")
    }
    np.testing.assert_allclose(found[""], parts[which])
    for name, part in (("_mean", "means"), ("_sd", "stds"), ("_q05", "q05"), ("_q95", "q95")):
        np.testing.assert_allclose(found[name], parts[part])
    record = table_record(adata, "cell_abundance")
    assert record["prefix"] == f"{which}cell_abundance_w_sf_"
    assert table_record(adata, "cell_abundance_sd")["of"] == "cell_abundance"


def test_statistics_follow_a_table_under_another_name_and_go_with_the_old_one() -> None:
    adata = cohort()
    c2l(adata)
    hd.tl.set_targets(adata, "q05_cell_abundance_w_sf", key_added="first")
    hd.tl.set_targets(adata, "first_mean")
    np.testing.assert_array_equal(adata.obsm["cell_abundance_sd"], adata.obsm["first_sd"])
    hd.tl.set_targets(adata, truth_table(adata))
    assert not [key for key in adata.obsm if key.startswith("cell_abundance_")]  # they were of another table
    assert "cell_abundance_sd" not in adata.uns["histodecon"]["tables"]
    assert "first_sd" in adata.obsm


def test_a_table_of_the_user_is_not_taken_for_an_old_companion() -> None:
    adata = cohort()
    adata.obsm["cell_abundance_sd"] = np.ones((adata.n_obs, 2))
    hd.tl.set_targets(adata, truth_table(adata))
    assert "cell_abundance_sd" in adata.obsm


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_everything_survives(form: str, tmp_path: Path) -> None:
    adata = cohort()
    c2l(adata)
    adata.obsm["q05_cell_abundance_w_sf"].iloc[:, 1] = 0.0
    hd.tl.set_targets(adata, "q05_cell_abundance_w_sf")
    assert list(table_record(adata, "cell_abundance")["constant_types"]) == [TYPES[1]]
    for key in [key for key in adata.obsm if key.endswith("w_sf")]:
        del adata.obsm[key]  # names with "/" are cell2location's own affair
    getattr(adata, f"write_{form}")(tmp_path / "a")
    back = getattr(ad, f"read_{form}")(tmp_path / "a")
    assert state_of(back, loose=True) == state_of(adata, loose=True)
    hd.tl.set_targets(back, "cell_abundance", key_added="again")
    np.testing.assert_array_equal(back.obsm["again_sd"], adata.obsm["cell_abundance_sd"])


def shuffled(adata: ad.AnnData, *, sums: Any = 1.0) -> pd.DataFrame:
    table = truth_table(adata)
    return (table.div(table.sum(axis=1), axis=0) * sums).sample(frac=1, random_state=1)


def test_weights_of_rctd_are_normalized_on_request_and_noticed_without() -> None:
    adata = cohort()
    weights = shuffled(adata).mul(np.random.default_rng(0).uniform(0.8, 1.1, adata.n_obs), axis=0)
    with pytest.warns(hd.HistodeconWarning, match="normalize=True"):
        hd.tl.set_targets(adata, weights)
    assert table_record(adata, "cell_abundance")["kind"] == "abundance"
    with pytest.raises(hd.TargetError, match=r"(?s)BI-61.*normalize=True"):
        hd.tl.set_targets(adata, weights, kind="proportion")
    hd.tl.set_targets(adata, weights, sd=weights * 0 + 0.1, normalize=True)
    assert table_record(adata, "cell_abundance")["kind"] == "proportion"
    np.testing.assert_allclose(adata.obsm["cell_abundance"], shuffled(adata).loc[adata.obs_names].to_numpy())
    expected = 0.1 / weights.loc[adata.obs_names].sum(axis=1)
    np.testing.assert_allclose(adata.obsm["cell_abundance_sd"].iloc[:, 0], expected)


def test_a_spot_without_anything_has_no_proportions() -> None:
    adata = cohort()
    table = truth_table(adata)
    table.iloc[4] = 0.0
    with pytest.raises(hd.TargetError, match="BI-61"):
        hd.tl.set_targets(adata, table, normalize=True)
    with pytest.warns(hd.DroppedSpotsWarning, match="1 of 90"):
        hd.tl.set_targets(adata, table, normalize=True, nan="mask")


@pytest.mark.parametrize("turned", [False, True])
def test_files_of_r(turned: bool, tmp_path: Path) -> None:
    # types × spots of the Bioconductor version of RCTD, and write.table, whose header is one short
    adata = cohort(10)
    adata.obs_names = [f"AAAC{'ACGTACGTAC'[i]}{i}-1" for i in range(10)]
    table = truth_table(adata)
    table.index = adata.obs_names
    if turned:
        table.T.to_csv(tmp_path / "a.csv")
        hd.tl.set_targets(adata, tmp_path / "a.csv")
    else:
        text = table.to_csv(sep="\t", header=False)
        (tmp_path / "a.tsv").write_text("\t".join(table.columns) + "\n" + text)
        hd.tl.set_targets(adata, tmp_path / "a.tsv")
    np.testing.assert_allclose(read_table(adata, "cell_abundance").to_numpy(), adata.uns["truth"])


@pytest.mark.parametrize("key", ["tangram_ct_pred", "proportions"])
def test_tables_of_tangram_and_destvi_in_obsm(key: str) -> None:
    adata = cohort()
    adata.obsm[key] = shuffled(adata, sums=0.01 if key.startswith("tangram") else 1.0).loc[adata.obs_names]
    hd.tl.set_targets(adata, key, normalize=True)
    np.testing.assert_allclose(adata.obsm["cell_abundance"].sum(axis=1), 1)


def test_tables_of_single_slides_go_in_as_a_dict(tmp_path: Path) -> None:
    adata = cohort(60)
    names = [f"{i % 5}x{i // 5 + 20}" for i in range(30)]
    adata.obs_names = [*(f"{name}-s1" for name in names), *(f"{name}-s2" for name in names)]
    adata.obs["library_id"] = ["s1"] * 30 + ["s2"] * 30
    table = truth_table(adata)
    one = table.iloc[:30].set_axis(names)
    two = table.iloc[30:58].set_axis(names[:28])[TYPES[::-1]]
    two.to_csv(tmp_path / "two.tsv", sep="\t")
    extra = pd.concat([one, one.iloc[:1].set_axis(["99x99"])])
    with pytest.warns(hd.DroppedSpotsWarning, match="2 of 60"):
        hd.tl.set_targets(adata, {"s1": extra, "s2": tmp_path / "two.tsv"})
    np.testing.assert_allclose(read_table(adata, "cell_abundance")[:58].to_numpy(), table[:58].to_numpy())
    record = table_record(adata, "cell_abundance")
    assert (record["n_spots"], record["n_missing"], record["n_extra"]) == (58, 2, 1)
    assert "slide" in record["layout"]
    before = state_of(adata)
    with pytest.raises(hd.InputError, match=r"(?s)s3.*'s1', 's2'"):
        hd.tl.set_targets(adata, {"s3": one})
    with pytest.raises(hd.AlignmentError, match="BI-64"):
        hd.tl.set_targets(adata, {"s1": one, "s2": two.iloc[:, :2]})
    assert state_of(adata) == before


def bad_sd(change) -> dict[str, Any]:
    return {"sd": change(truth_table(cohort()) * 0 + 1.0)}


@pytest.mark.parametrize(
    ("sd", "error", "words"),
    [
        (bad_sd(lambda t: -t), hd.TargetError, "BI-60.*sd"),
        (bad_sd(lambda t: t.iloc[1:]), hd.TargetError, "1 of 90"),
        (bad_sd(lambda t: t.iloc[:, 1:]), hd.AlignmentError, "BI-64"),
        (bad_sd(lambda t: t.assign(more=1.0)), hd.AlignmentError, "more"),
        (bad_sd(lambda t: t.set_axis(range(90))), hd.AlignmentError, "BI-08"),
        ({"sd": "nowhere"}, hd.MissingKeyError, "nowhere"),
        ({"normalize": True, "kind": "abundance"}, hd.InputError, "BI-72"),
    ],
)
def test_bad_uncertainties_answer_and_change_nothing(sd: dict, error: type[Exception], words: str) -> None:
    adata = cohort()
    before = state_of(adata)
    with pytest.raises(error, match=f"(?s){words}"):
        hd.tl.set_targets(adata, truth_table(adata), **sd)
    assert state_of(adata) == before


def test_all_sections_of_her2st(shared_data: Path) -> None:
    """Up to 3 selected spots of a section have no proportions: each is masked, none shifts."""
    parts, obs = {}, []
    with zipfile.ZipFile(shared_data / "her2st" / "props" / "major.zip") as archive:
        for path in sorted((shared_data / "her2st" / "spotfiles").glob("*_selection.tsv")):
            name = path.name[:2]
            places = pd.read_csv(path, sep="\t")
            places = places[places["selected"] == 1] if "selected" in places else places
            index = [f"{x}x{y}-{name}" for x, y in zip(places["x"], places["y"], strict=True)]
            obs.append(pd.DataFrame({"library_id": name}, index=index))
            with archive.open(f"major/{name}-proportion.tsv") as handle:
                parts[name] = pd.read_csv(handle, sep="\t", index_col=0)
    adata = ad.AnnData(obs=pd.concat(obs))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hd.tl.set_targets(adata, parts)
    values = adata.obsm["cell_abundance"]
    missing = values.isna().any(axis=1).groupby(adata.obs["library_id"].to_numpy()).sum()
    assert missing.max() == 3
    assert (missing > 0).sum() == 18  # of the 34 sections with a spot file
    assert f"{missing.sum()} of {adata.n_obs}" in str(caught[-1].message)
    assert table_record(adata, "cell_abundance")["kind"] == "proportion"
    own = values[adata.obs["library_id"] == "C4"].dropna()
    np.testing.assert_allclose(own, parts["C4"].loc[[name.removesuffix("-C4") for name in own.index]])


def test_the_page_on_targets_of_ones_own_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "howto_bring_your_targets.md"
    if not page.exists():
        pytest.skip("not a checkout")
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) >= 5
    assert "consensus_abundance_sd" in names["adata"].obsm
