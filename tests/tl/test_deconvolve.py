"""tl.deconvolve: what it writes, what it refuses before a long run, and that it never shifts a row."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tests_support import hash_of, state_of

import histodecon as hd
from histodecon.tl import _deconvolve
from histodecon.tl._deconvolution import DeconvolutionResult

HOW = {"labels_key": "cell_type", "method": "nnls"}
ENSEMBL = [f"ENSG{i:011d}" for i in range(60)]


@pytest.fixture(scope="module")
def slides() -> ad.AnnData:
    return hd.datasets.toy_slide(n_patients=2, n_rows=8, n_cols=8)["table"]


@pytest.fixture(scope="module")
def cells() -> ad.AnnData:
    return hd.datasets.toy_reference()


@pytest.fixture
def spots(slides: ad.AnnData) -> ad.AnnData:
    return slides.copy()


@pytest.fixture
def reference(cells: ad.AnnData) -> ad.AnnData:
    return cells.copy()


def table(adata: ad.AnnData, key: str = "cell_abundance") -> pd.DataFrame:
    return hd.get.abundance(adata, layers={"own": key}).to_df()


def frozen(adata: ad.AnnData) -> str:
    return state_of(adata) + hash_of(dict(adata.varm))


def test_it_finds_the_planted_cells_and_writes_what_the_notes_say(spots: ad.AnnData, reference: ad.AnnData) -> None:
    assert hd.tl.deconvolve(spots, reference, n_cells_per_location=9, **HOW) is None
    found, truth = table(spots), table(spots, "true_abundance")
    assert set(found) == set(truth)  # real names, the one with a slash among them
    for name in truth:
        assert np.corrcoef(found[name], truth[name])[0, 1] > 0.9, name
    means = found.sum(axis=1).groupby(spots.obs["library_id"].to_numpy()).mean()
    np.testing.assert_allclose(means, 9)
    record = spots.uns["histodecon"]["tables"]["cell_abundance"]
    assert (record["kind"], record["source"], record["n_spots"]) == ("abundance", "deconvolve: nnls", spots.n_obs)
    run = spots.uns["histodecon"]["deconvolution"]["cell_abundance"]
    assert run["options"] == {"n_cells_per_location": 9, "dispersion": 0.3}
    assert dict(zip(run["cell_types"], run["n_cells"], strict=True)) == dict.fromkeys(found, 50)
    assert list(run["libraries"]) == ["toy_1", "toy_2"]
    assert run["versions"] == {"histodecon": hd.__version__}
    assert (run["n_genes"], run["n_genes_left_out"], run["labels_key"]) == (60, 0, "cell_type")


def test_rows_and_genes_are_matched_by_name(slides: ad.AnnData, cells: ad.AnnData) -> None:
    plain, turned = slides.copy(), slides[::-1, ::-1].copy()
    hd.tl.deconvolve(plain, cells, **HOW)
    rng = np.random.default_rng(0)
    mixed = cells[rng.permutation(cells.n_obs), rng.permutation(cells.n_vars)].copy()
    hd.tl.deconvolve(turned, mixed, **HOW)
    np.testing.assert_allclose(table(turned).loc[plain.obs_names], table(plain), rtol=1e-5, atol=1e-8)


def test_slides_are_scaled_one_by_one_and_library_key_says_which(spots: ad.AnnData, reference: ad.AnnData) -> None:
    spots.X = spots.X.multiply(np.where(spots.obs["library_id"] == "toy_1", 5, 1)[:, None]).tocsr()
    spots.obs["section"] = spots.obs.pop("library_id").astype(str)
    hd.tl.deconvolve(spots, reference, library_key="section", n_cells_per_location=4, **HOW)
    np.testing.assert_allclose(table(spots).sum(axis=1).groupby(spots.obs["section"].to_numpy()).mean(), 4)


def test_a_spot_without_counts_keeps_its_row_and_is_nan(spots: ad.AnnData, reference: ad.AnnData) -> None:
    counts = spots.X.toarray()
    counts[[3, 40]] = 0
    spots.X = sparse.csr_matrix(counts)
    others = np.delete(np.arange(spots.n_obs), [3, 40])
    alone = spots[others].copy()
    with pytest.warns(hd.DroppedSpotsWarning, match=rf"BI-58.*2 of {spots.n_obs}.*{spots.obs_names[3]}"):
        hd.tl.deconvolve(spots, reference, **HOW)
    hd.tl.deconvolve(alone, reference, **HOW)
    found = table(spots)
    assert list(found.index) == list(spots.obs_names)
    assert found.iloc[[3, 40]].isna().all(axis=None)
    np.testing.assert_array_equal(found.iloc[others], table(alone))
    assert spots.uns["histodecon"]["tables"]["cell_abundance"]["n_spots"] == len(others)


def test_few_cells_and_cells_without_a_type_are_reported_and_left_out(spots: ad.AnnData, reference: ad.AnnData) -> None:
    keep = np.flatnonzero((reference.obs["cell_type"] != "B-cells") | (np.arange(reference.n_obs) < 40))
    reference = reference[keep].copy()
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(object)
    reference.obs.iloc[[0, 2], 0] = np.nan
    with pytest.warns(hd.HistodeconWarning) as told:
        hd.tl.deconvolve(spots, reference, **HOW)
    texts = " ".join(str(warning.message) for warning in told)
    assert "BI-109" in texts
    assert "'B-cells' (7)" in texts
    assert "2 cells of the reference have no type" in texts
    assert "B-cells" not in table(spots)
    with pytest.warns(hd.HistodeconWarning, match="no type"):
        hd.tl.deconvolve(spots, reference, min_cells=1, **HOW)
    assert "B-cells" in table(spots)


def test_counts_may_lie_in_layers(spots: ad.AnnData, reference: ad.AnnData) -> None:
    plain = spots.copy()
    hd.tl.deconvolve(plain, reference, **HOW)
    for adata in (spots, reference):
        adata.layers["raw"] = adata.X.copy()
        adata.X = None
    hd.tl.deconvolve(spots, reference, layer="raw", reference_layer="raw", **HOW)
    pd.testing.assert_frame_equal(table(spots), table(plain))


def test_signatures_are_kept_under_real_names_and_used_again(spots: ad.AnnData, reference: ad.AnnData) -> None:
    hd.tl.deconvolve(spots, reference, key_added="first", **HOW)
    signatures = hd.get.signatures(spots, "first")
    assert "CAFs MSC/iCAF-like" in signatures
    of_type = reference[(reference.obs["cell_type"] == "T-cells").to_numpy()].X.mean(axis=0)
    np.testing.assert_allclose(signatures["T-cells"], np.asarray(of_type).ravel(), rtol=1e-6)
    hd.tl.deconvolve(spots, signatures=signatures.iloc[::-1], method="nnls", key_added="second")
    pd.testing.assert_frame_equal(table(spots, "second"), table(spots, "first"))
    assert spots.uns["histodecon"]["deconvolution"]["second"]["signatures"] == "given"
    assert set(spots.uns["histodecon"]["deconvolution"]) == {"first", "second"}


def test_genes_can_be_chosen_and_the_others_have_no_signature(spots: ad.AnnData, reference: ad.AnnData) -> None:
    chosen = list(spots.var_names[:48])
    hd.tl.deconvolve(spots, reference, genes=chosen, **HOW)
    assert list(hd.get.signatures(spots).index) == chosen
    assert spots.varm["cell_abundance_signatures"].iloc[48:].isna().all(axis=None)


def test_copy_leaves_the_first_alone(spots: ad.AnnData, reference: ad.AnnData) -> None:
    before, of_cells = frozen(spots), frozen(reference)
    out = hd.tl.deconvolve(spots, reference, copy=True, **HOW)
    assert frozen(spots) == before
    assert frozen(reference) == of_cells
    assert "cell_abundance" in out.obsm


def test_a_spatialdata_will_do(reference: ad.AnnData) -> None:
    sdata = hd.datasets.toy_slide(n_rows=5, n_cols=5)
    hd.tl.deconvolve(sdata, reference, **HOW)
    assert "cell_abundance" in sdata["table"].obsm


def test_a_table_that_lives_in_a_file(spots: ad.AnnData, reference: ad.AnnData, tmp_path: Path) -> None:
    plain = spots.copy()
    hd.tl.deconvolve(plain, reference, **HOW)
    spots.write_h5ad(tmp_path / "spots.h5ad")
    backed = ad.read_h5ad(tmp_path / "spots.h5ad", backed="r")
    with pytest.warns(hd.HistodeconWarning, match="BI-33"):
        hd.tl.deconvolve(backed, reference, **HOW)
    pd.testing.assert_frame_equal(table(backed), table(plain))


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_it_survives_a_round_trip(spots: ad.AnnData, reference: ad.AnnData, suffix: str, tmp_path: Path) -> None:
    hd.tl.deconvolve(spots, reference, **HOW)
    getattr(spots, f"write_{suffix}")(tmp_path / "spots")
    back = getattr(ad, f"read_{suffix}")(tmp_path / "spots")
    assert state_of(back, loose=True) == state_of(spots, loose=True)
    pd.testing.assert_frame_equal(hd.get.signatures(back), hd.get.signatures(spots))


# what is refused


def with_entries(adata: ad.AnnData, value: float, n: int = 1) -> ad.AnnData:
    adata.X = adata.X.astype(np.float32)
    adata.X.data[:: max(1, adata.X.nnz // n)] += value
    return adata


def renamed(adata: ad.AnnData, names: list[str]) -> ad.AnnData:
    adata.var_names = names
    return adata


def twice(adata: ad.AnnData) -> ad.AnnData:
    return renamed(adata, ["EPCAM", "EPCAM", *adata.var_names[2:]])


def one_type(adata: ad.AnnData) -> ad.AnnData:
    return adata[(adata.obs["cell_type"] == "T-cells").to_numpy()].copy()


def normalized(adata: ad.AnnData) -> ad.AnnData:
    adata.layers["all of it"] = adata.X.copy()
    adata.X = adata.X.multiply(0.7).tocsr()
    return adata


def strange(table: pd.DataFrame, value: float) -> pd.DataFrame:
    table = table.astype(float).copy()
    table.iloc[1, 1] = value
    return table


Change = Callable[[Any], Any]
same: Change = lambda adata: adata  # noqa: E731 a name for what changes nothing
CASES: dict[str, tuple[Change, Change, dict[str, Any], type[Exception], str]] = {
    "1 % of the entries are no whole numbers": (
        lambda a: with_entries(a, 0.5, 30),
        same,
        {},
        hd.TargetError,
        r"BI-54.*3\d of \d+ entries of the adata, X, first \d+\.5 of .*layer=",
    ),
    "normalized, but a layer has counts": (normalized, same, {}, hd.TargetError, 'layer="all of it"'),
    "normalized reference": (same, normalized, {}, hd.TargetError, 'BI-54.*reference_layer="all of it"'),
    "negative": (lambda a: with_entries(a, -999.0), same, {}, hd.TargetError, r"BI-55.*1 negative, 0 not finite"),
    "NaN": (lambda a: with_entries(a, np.nan), same, {}, hd.TargetError, r"BI-55.*1 not finite"),
    "infinite": (same, lambda r: with_entries(r, np.inf), {}, hd.TargetError, r"BI-55.*reference"),
    "no gene in common": (
        same,
        lambda r: renamed(r, ENSEMBL),
        {},
        hd.TargetError,
        r"BI-56.*Only 0 genes.*60 symbols.*60 Ensembl ids.*both symbols",
    ),
    "a third of the genes": (
        same,
        lambda r: renamed(r, [*r.var_names[:20], *ENSEMBL[20:]]),
        {},
        hd.TargetError,
        r"BI-56.*Only 20 genes.*30 are needed",
    ),
    "genes stand twice": (twice, same, {}, hd.TargetError, r"BI-57.*adata.*EPCAM.*var_names_make_unique"),
    "genes of the reference stand twice": (same, twice, {}, hd.TargetError, "BI-57.*reference"),
    "no counts at all": (lambda a: with_x(a, a.X * 0), same, {}, hd.TargetError, "BI-58"),
    "one type": (same, one_type, {}, hd.TargetError, r"BI-109.*1 cell types.*'T-cells' \(50\)"),
    "all types too small": (same, same, {"min_cells": 51}, hd.TargetError, "BI-109.*0 cell types"),
    "unknown labels": (same, same, {"labels_key": "cel_type"}, hd.MissingKeyError, r"BI-37.*did you mean `cell_type`"),
    "labels not named": (same, same, {"labels_key": None}, hd.InputError, 'labels_key="cell_type"'),
    "changed places": (
        lambda a: hd.datasets.toy_reference(),
        lambda r: hd.datasets.toy_slide(n_rows=4, n_cols=4)["table"],
        {},
        hd.AlignmentError,
        "changed places",
    ),
    "no reference": (same, lambda r: None, {}, hd.InputError, "BI-35.*signatures="),
    "unknown layer": (same, same, {"layer": "cuonts"}, hd.MissingKeyError, "BI-87.*cuonts"),
    "unknown batch": (same, same, {"batch_key": "donor"}, hd.MissingKeyError, "BI-37.*donor"),
    "unknown slides": (same, same, {"library_key": "slide"}, hd.MissingKeyError, "BI-37.*slide"),
    "unknown method": (same, same, {"method": "cel2location"}, hd.InputError, "BI-51.*did you mean `cell2location`"),
    "unknown option": (same, same, {"dispersal": 1}, hd.InputError, "BI-72.*did you mean `dispersion`"),
    "option of another method": (same, same, {"detection_alpha": 20}, hd.InputError, "BI-72.*'nnls'.*detection_alpha"),
    "option below 0": (same, same, {"n_cells_per_location": -3}, hd.InputError, "BI-72.*number from 0"),
    "key with a slash": (same, same, {"key_added": "a/b"}, hd.NamingError, "BI-67"),
    "chosen genes that nobody has": (same, same, {"genes": ["A", "B"]}, hd.TargetError, "BI-56.*chosen"),
    "no spots": (lambda a: a[:0].copy(), same, {}, hd.InputError, "BI-31"),
    "a reserved name": (
        same,
        lambda r: with_type(r, "__T"),
        {},
        hd.NamingError,
        "BI-66",
    ),
}


def with_x(adata: ad.AnnData, X: Any) -> ad.AnnData:
    adata.X = X
    return adata


def with_type(adata: ad.AnnData, name: str) -> ad.AnnData:
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.rename_categories({"T-cells": name})
    return adata


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_words_and_nothing_changes(spots: ad.AnnData, reference: ad.AnnData, case: str) -> None:
    change, change_reference, arguments, error, match = CASES[case]
    spots, reference = change(spots), change_reference(reference)
    before = frozen(spots)
    with pytest.raises(error, match=match):
        hd.tl.deconvolve(spots, reference, **{**HOW, **arguments})
    assert frozen(spots) == before


def test_several_faults_are_told_together(spots: ad.AnnData, reference: ad.AnnData) -> None:
    with_entries(spots, 0.5, 30)
    with_entries(spots, -999.0)
    renamed(reference, ENSEMBL)
    with pytest.raises(hd.TargetError) as told:
        hd.tl.deconvolve(spots, reference, **HOW)
    for code in ("BI-54", "BI-55", "BI-56"):
        assert code in str(told.value)


def test_half_of_the_genes_is_enough_for_a_panel_and_min_genes_decides(
    spots: ad.AnnData, reference: ad.AnnData
) -> None:
    half = reference[:, :30].copy()
    hd.tl.deconvolve(spots, half, **HOW)
    assert spots.uns["histodecon"]["deconvolution"]["cell_abundance"]["n_genes"] == 30
    third = renamed(reference, [*reference.var_names[:20], *ENSEMBL[20:]])
    hd.tl.deconvolve(spots, third, min_genes=20, **HOW)
    with pytest.raises(hd.TargetError, match="BI-56"):
        hd.tl.deconvolve(spots, third, min_genes=21, **HOW)


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        (lambda a, r: (renamed(a, ENSEMBL), renamed(r, [f"{g}.7" for g in ENSEMBL])), r'str\.replace\(r"\\\.\\d\+\$"'),
        (lambda a, r: (renamed(a, [g.capitalize() for g in a.var_names]), r), r"str\.upper\(\)"),
    ],
    ids=["Ensembl versions", "mouse spelling"],
)
def test_the_text_says_what_to_type(spots: ad.AnnData, reference: ad.AnnData, change: Any, fix: str) -> None:
    spots, reference = change(spots, reference)
    with pytest.raises(hd.TargetError, match=f"BI-56.*{fix}"):
        hd.tl.deconvolve(spots, reference, **HOW)


def test_a_column_with_the_other_names_is_found(spots: ad.AnnData, reference: ad.AnnData) -> None:
    spots.var["symbol"] = list(spots.var_names)
    renamed(spots, ENSEMBL)
    with pytest.raises(hd.TargetError, match=r'BI-56.*`adata\.var_names = adata\.var\["symbol"\]'):
        hd.tl.deconvolve(spots, reference, **HOW)
    spots.var_names = spots.var["symbol"].astype(str)
    hd.tl.deconvolve(spots, reference, **HOW)


@pytest.mark.parametrize(
    ("signatures", "match"),
    [
        (lambda t: strange(t, -1), "BI-55"),
        (lambda t: strange(t, np.inf), "BI-55"),
        (lambda t: t.iloc[:, :1], "BI-109"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "BI-57"),
        (lambda t: t.to_numpy(), "BI-64"),
        (lambda t: t.set_axis(ENSEMBL), "BI-56"),
    ],
)
def test_signatures_are_checked_too(spots: ad.AnnData, reference: ad.AnnData, signatures: Change, match: str) -> None:
    hd.tl.deconvolve(spots, reference, **HOW)
    before = frozen(spots)
    with pytest.raises(hd.InputError, match=match):
        hd.tl.deconvolve(spots, signatures=signatures(hd.get.signatures(spots)), method="nnls")
    assert frozen(spots) == before


def test_a_method_that_needs_cells_says_so(spots: ad.AnnData, reference: ad.AnnData) -> None:
    hd.tl.deconvolve(spots, reference, **HOW)
    with pytest.raises(hd.InputError, match=r"BI-72.*needs the cells"):
        hd.tl.deconvolve(spots, signatures=hd.get.signatures(spots), method="stereoscope")


def test_an_absent_extra_is_named_before_anything_is_read(
    spots: ad.AnnData, reference: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cell2location", None)
    with pytest.raises(hd.MissingDependencyError, match=r'FI-37.*pip install "histodecon\[cell2location\]"'):
        hd.tl.deconvolve(with_entries(spots, 0.5), reference, labels_key="cell_type")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, hd.ModelError("broken")])
def test_what_stops_a_run_passes_through_and_leaves_no_trace(
    spots: ad.AnnData, reference: ad.AnnData, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name, kind, takes_signatures, packages, citation = "broken", "abundance", True, (), ""
        require_packages = staticmethod(lambda: None)
        options = staticmethod(dict)

        @staticmethod
        def run(task: Any, options: Any) -> DeconvolutionResult:
            raise error

    monkeypatch.setattr(_deconvolve, "get_deconvolution_method", lambda name: Broken)
    before = frozen(spots)
    with pytest.raises(error if isinstance(error, type) else type(error)):
        hd.tl.deconvolve(spots, reference, **HOW)
    assert frozen(spots) == before
