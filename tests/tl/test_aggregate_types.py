"""Rolling up conserves totals, does not care for order, and loses no cell unsaid."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_support import state_of
from toy_embeddings import cohort, truth_table

import histodecon as hd
from histodecon._core import read_table, table_record

LYMPHOID = {"B cell": "Lymphoid", "T cell": "Lymphoid", "CAFs MSC/iCAF-like": "CAFs"}


@pytest.fixture
def adata() -> ad.AnnData:
    adata = cohort()
    hd.tl.set_targets(adata, truth_table(adata), sd=truth_table(adata) / 3)
    return adata


def forms(folder: Path) -> list:
    table = pd.DataFrame(LYMPHOID.items(), columns=["fine", "coarse"])
    table.to_csv(folder / "map.csv", index=False)
    return [LYMPHOID, pd.Series(LYMPHOID), table, table.set_index("fine"), folder / "map.csv", str(folder / "map.csv")]


def test_abundances_add_and_errors_add_in_squares(adata, tmp_path: Path) -> None:
    truth = truth_table(adata)
    for mapping in forms(tmp_path):
        hd.tl.aggregate_types(adata, mapping)
        coarse = read_table(adata, "cell_abundance_coarse")
        assert list(coarse.columns) == ["Lymphoid", "CAFs"]
        np.testing.assert_allclose(coarse["Lymphoid"], truth["B cell"] + truth["T cell"])
        sd = read_table(adata, "cell_abundance_coarse_sd")
        np.testing.assert_allclose(sd["Lymphoid"], np.hypot(truth["B cell"], truth["T cell"]) / 3)
        np.testing.assert_allclose(sd["CAFs"], truth["CAFs MSC/iCAF-like"] / 3)
    record = table_record(adata, "cell_abundance_coarse")
    assert dict(zip(record["fine"], record["coarse"], strict=True)) == LYMPHOID
    assert record["kind"] == "abundance"


def test_quantiles_are_not_carried_over_and_missing_spots_stay_missing(adata) -> None:
    table = truth_table(adata)
    wide = [table.add_prefix(f"{name}cell_abundance_w_sf_") for name in ("means", "q05", "q95", "stds")]
    with pytest.warns(hd.DroppedSpotsWarning):
        hd.tl.set_targets(adata, pd.concat(wide, axis=1).iloc[5:])
    hd.tl.aggregate_types(adata, LYMPHOID)
    found = {key for key in adata.obsm if key.startswith("cell_abundance_coarse")}
    assert found == {"cell_abundance_coarse", "cell_abundance_coarse_mean", "cell_abundance_coarse_sd"}
    assert adata.obsm["cell_abundance_coarse"].isna().all(axis=1).to_numpy().tolist() == [True] * 5 + [False] * 85


def test_types_without_a_coarse_name_can_stay(adata) -> None:
    hd.tl.aggregate_types(adata, {"T cell": "Lymphoid"}, unmapped="keep", key_added="some")
    assert list(read_table(adata, "some").columns) == ["B cell", "CAFs MSC/iCAF-like", "Lymphoid"]


def test_a_kept_name_that_is_a_coarse_name_joins_it(adata) -> None:
    hd.tl.aggregate_types(adata, {"T cell": "B cell"}, unmapped="keep", key_added="some")
    truth = truth_table(adata)
    np.testing.assert_allclose(read_table(adata, "some")["B cell"], truth["B cell"] + truth["T cell"])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_totals_are_conserved_and_order_is_irrelevant(data: st.DataObject) -> None:
    k = data.draw(st.integers(1, 8))
    names = [f"type {i}" for i in range(k)]
    mapping = {name: data.draw(st.sampled_from(["x", "y", "z/1"])) for name in names}
    order = data.draw(st.permutations(names))
    share = data.draw(st.booleans())
    values = np.random.default_rng(data.draw(st.integers(0, 99))).gamma(1.0, 1.0, (6, k)) + 1e-6
    values = values / values.sum(axis=1, keepdims=True) if share else values + 1
    coarse = []
    for columns in (names, order):
        adata = ad.AnnData(obs=pd.DataFrame(index=list("abcdef")))
        table = pd.DataFrame(values, adata.obs_names, names)[columns]
        hd.tl.set_targets(adata, table, sd=table / 2, kind="proportion" if share else "abundance")
        hd.tl.aggregate_types(adata, dict(data.draw(st.permutations(list(mapping.items())))))
        coarse.append([read_table(adata, f"cell_abundance_coarse{part}") for part in ("", "_sd")])
        np.testing.assert_allclose(coarse[-1][0].sum(axis=1), values.sum(axis=1))
        np.testing.assert_allclose((coarse[-1][1] ** 2).sum(axis=1), (values**2).sum(axis=1) / 4)
        assert table_record(adata, "cell_abundance_coarse")["kind"] == ("proportion" if share else "abundance")
    for one, other in zip(*coarse, strict=True):
        pd.testing.assert_frame_equal(one, other[one.columns])


@pytest.mark.parametrize(
    ("mapping", "kwargs", "error", "words"),
    [
        ({"B cell": "x"}, {}, hd.InputError, "BI-64.*2 of 3: 'CAFs MSC/iCAF-like', 'T cell'"),
        ({**LYMPHOID, "B cell": "__x"}, {}, hd.NamingError, "BI-66"),
        ({**LYMPHOID, "B cell": "CAFs!", "T cell": "cafs?"}, {}, hd.NamingError, "BI-65"),
        (pd.DataFrame([["T cell", "a"], ["T cell", "b"]]), {}, hd.NamingError, "two coarse names.*'a' and 'b'"),
        (pd.DataFrame([["T cell", "a", "b"]]), {}, hd.InputError, "3 columns"),
        ("absent.csv", {}, hd.MissingKeyError, "absent.csv"),
        (LYMPHOID, {"key": "nowhere"}, hd.MissingKeyError, "nowhere"),
        (LYMPHOID, {"key_added": "a b"}, hd.NamingError, "BI-67"),
        (LYMPHOID, {"unmapped": "drop"}, hd.InputError, "BI-72"),
    ],
)
def test_bad_mappings_answer_and_change_nothing(adata, mapping, kwargs, error: type[Exception], words: str) -> None:
    before = state_of(adata)
    with pytest.raises(error, match=f"(?s){words}"):
        hd.tl.aggregate_types(adata, mapping, **kwargs)
    assert state_of(adata) == before


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_results_survive(adata, form: str, tmp_path: Path) -> None:
    hd.tl.aggregate_types(adata, LYMPHOID)
    getattr(adata, f"write_{form}")(tmp_path / "a")
    assert state_of(getattr(ad, f"read_{form}")(tmp_path / "a"), loose=True) == state_of(adata, loose=True)


def test_a_copy_leaves_the_original_alone(adata) -> None:
    before = state_of(adata)
    out = hd.tl.aggregate_types(adata, LYMPHOID, copy=True)
    assert "cell_abundance_coarse" in out.obsm
    assert state_of(adata) == before


@pytest.mark.parametrize("level", ["subset", "minor"])
def test_published_levels_of_her2st_roll_up_to_its_major_types(shared_data: Path, level: str) -> None:
    """Levels were estimated apart, so that sums are not the major level itself, but they are close to it."""
    tables = {}
    for name in (level, "major"):
        with zipfile.ZipFile(shared_data / "her2st" / "props" / f"{name}.zip") as archive:
            content = io.BytesIO(archive.read(f"{name}/B4-proportion.tsv"))
        tables[name] = pd.read_csv(content, sep="\t", index_col=0)
    adata = ad.AnnData(obs=pd.DataFrame(index=tables["major"].index))
    hd.tl.set_targets(adata, tables[level])
    hd.tl.aggregate_types(adata, hd.datasets.cell_type_hierarchy("her2st")[[level, "major"]])
    coarse = read_table(adata, "cell_abundance_coarse")
    assert set(coarse.columns) == set(tables["major"].columns)
    np.testing.assert_allclose(coarse.sum(axis=1), 1, atol=1e-5)
    assert table_record(adata, "cell_abundance_coarse")["kind"] == "proportion"
    assert np.corrcoef(coarse["Epithelial"], tables["major"]["Epithelial"])[0, 1] > 0.8
