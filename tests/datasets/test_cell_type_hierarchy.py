"""The levels of a published annotation fit each other and the data they are of."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import histodecon as hd


@pytest.mark.parametrize(("name", "sizes"), [("wu2021", (49, 29, 9)), ("her2st", (41, 22, 8))])
def test_every_type_has_one_parent(name: str, sizes: tuple[int, ...]) -> None:
    levels = hd.datasets.cell_type_hierarchy(name)
    assert tuple(levels[level].nunique() for level in ("subset", "minor", "major")) == sizes
    assert levels["subset"].is_unique
    assert levels[["minor", "major"]].dropna().drop_duplicates()["minor"].is_unique
    assert levels["minor"].isna().sum() == 1  # T cells with IFIT1


def test_major_types_of_the_reference_are_those_of_her2st() -> None:
    wu, her = (hd.datasets.cell_type_hierarchy(name) for name in ("wu2021", "her2st"))
    assert set(wu["her2st"]) == set(her["major"])
    pairs = dict(wu[["major", "her2st"]].drop_duplicates().itertuples(index=False, name=None))
    assert {name: other for name, other in pairs.items() if name != other} == {
        "Plasmablasts": "Plasma Cells",
        "Cancer Epithelial": "Epithelial",
        "Normal Epithelial": "Epithelial",
    }


def test_it_holds_every_cell_of_the_reference(shared_data: Path) -> None:
    import anndata as ad

    cells = ad.read_h5ad(shared_data / "scref" / "sc_wu2021_CID4465.h5ad", backed="r").obs
    known = set(
        hd.datasets.cell_type_hierarchy("wu2021")[["subset", "minor", "major"]].itertuples(index=False, name=None)
    )
    columns = ["celltype_subset", "celltype_minor", "celltype_major"]
    assert set(cells[columns].astype(str).itertuples(index=False, name=None)) <= known


@pytest.mark.parametrize("level", ["subset", "minor", "major"])
def test_it_names_the_columns_of_her2st(shared_data: Path, level: str) -> None:
    with zipfile.ZipFile(shared_data / "her2st" / "props" / f"{level}.zip") as archive:
        table = pd.read_csv(io.BytesIO(archive.read(f"{level}/B4-proportion.tsv")), sep="\t", index_col=0)
    known = set(hd.datasets.cell_type_hierarchy("her2st")[level].dropna())
    assert {name.strip() for name in table} == known


def test_an_unknown_name_gets_a_proposal() -> None:
    with pytest.raises(hd.InputError, match="wu2021"):
        hd.datasets.cell_type_hierarchy("wu2020")
