"""The step that adapts anew for every fold."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pp.test_adapt_embedding import HOW, QUICK, table

import histodecon as hd


def test_it_adapts_without_the_groups_of_the_fold() -> None:
    one, other = table(), table()
    step = hd.pp.adapter("X_uni", params=QUICK, device="cpu")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*HD-BI-130")
        key = step(one, ["P2"])
        hd.pp.adapt_embedding(other, use_rep="X_uni", leave_out=["P2"], **HOW)
    assert key == "X_uni_seal"
    np.testing.assert_array_equal(one.obsm[key], other.obsm[key])


@pytest.mark.parametrize("wrong", [{"method": "seel"}, {"params": {"bottle": 1}}, {"leave_out": "P1"}])
def test_what_is_misspelled_answers_at_once(wrong: dict) -> None:
    with pytest.raises(hd.InputError):
        hd.pp.adapter("X_uni", **wrong)
