"""Which genes are used, and how the text tells what keeps two tables apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import histodecon as hd
from histodecon.tl._genes import cut_genes, share_genes

SYMBOLS = pd.Index([f"GENE{i}" for i in range(2000)])
IDS = pd.Index([f"ENSG{i:011d}" for i in range(2000)])


def share(spots: pd.Index, cells: pd.Index, **changed: object) -> pd.Index:
    return share_genes(spots, cells, **{"columns": {}, "chosen": None, "min_genes": None, **changed})


@pytest.mark.parametrize("share_of", [1.0, 0.5, 0.25])
def test_five_hundred_are_enough_for_large_tables_and_the_order_is_that_of_the_spots(share_of: float) -> None:
    n = int(share_of * len(SYMBOLS))
    found = share(SYMBOLS[::-1], SYMBOLS[:n].append(IDS[n:]))
    assert list(found) == list(SYMBOLS[:n][::-1])


@pytest.mark.parametrize(
    ("spots", "cells", "text"),
    [
        (SYMBOLS, IDS, "2000 symbols.*2000 Ensembl ids, such as.*both symbols or both Ensembl ids"),
        (IDS + ".12", IDS, "Ensembl ids with version.*`adata.var_names = adata.var_names.str.replace"),
        (IDS, IDS + ".3", "`reference.var_names = reference.var_names.str.replace"),
        (SYMBOLS.str.capitalize(), SYMBOLS, "upper and lower case"),
        (SYMBOLS[:499].append("OTHER" + SYMBOLS[499:]), SYMBOLS, "Only 499.*500 are needed.*`min_genes=499`"),
        (SYMBOLS[:1000], SYMBOLS[1000:], "one species"),
    ],
)
def test_the_text_knows_how_both_spell(spots: pd.Index, cells: pd.Index, text: str) -> None:
    with pytest.raises(hd.TargetError, match=f"(?s)BI-56.*{text}"):
        share(spots, cells)


def test_the_advice_works() -> None:
    columns = {"adata": pd.DataFrame({"n": 1, "gene_ids": IDS}, index=SYMBOLS)}
    with pytest.raises(hd.TargetError, match=r'`adata\.var_names = adata\.var\["gene_ids"\]\.astype\(str\)`'):
        share(SYMBOLS, IDS, columns=columns)
    versioned = IDS + ".12"
    assert len(share(versioned.str.replace(r"\.\d+$", "", regex=True), IDS)) == len(IDS)


def test_the_cut_keeps_what_is_found_often_or_strongly() -> None:
    counts = np.zeros((200, 5), dtype=np.float32)
    counts[:7, 0] = 1  # in 3.5 % of the cells
    counts[:6, 1] = 1  # in 3 %, weakly
    counts[:6, 2] = 2  # in 6 cells, strongly
    counts[:5, 3] = 50  # in 5 cells only
    counts[:, 4] = 9
    names = pd.Index(["OFTEN", "RARE", "STRONG", "FEW", "MT-ND1"])
    assert list(cut_genes(sparse.csr_matrix(counts), names)) == [True, False, True, False, False]
    assert cut_genes(sparse.csr_matrix(counts), names.str.replace("MT-", "MTX"))[4]
