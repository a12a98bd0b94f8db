"""Drawn cells fit the drawn slides."""

from __future__ import annotations

import numpy as np
import pytest

import histodecon as hd


def test_its_types_and_genes_are_those_of_the_slides() -> None:
    slide, cells = hd.datasets.toy_slide(n_rows=5, n_cols=5)["table"], hd.datasets.toy_reference()
    assert list(cells.var_names) == list(slide.var_names)
    truth = hd.get.abundance(slide, layers={"truth": "true_abundance"})
    assert set(cells.obs["cell_type"]) == set(truth.var_names)
    assert (cells.X.data == np.round(cells.X.data)).all()
    assert (cells.X.data >= 0).all()


def test_its_means_are_the_signatures_of_the_slides() -> None:
    from histodecon.datasets._toy_counts import signatures

    cells = hd.datasets.toy_reference(n_cells=6000)
    for name, expected in signatures().items():
        mean = np.asarray(cells.X[(cells.obs["cell_type"] == name).to_numpy()].mean(axis=0)).ravel()
        np.testing.assert_allclose(mean, 4 * expected, rtol=0.15, atol=0.05)


def test_the_seed_decides() -> None:
    one, two, other = (hd.datasets.toy_reference(random_state=seed).X.toarray() for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_too_few_cells() -> None:
    with pytest.raises(hd.InputError, match="BI-31"):
        hd.datasets.toy_reference(n_cells=11)
