"""The list of methods; each card is looked at in tests/contract/test_registries.py."""

from __future__ import annotations

import histodecon as hd


def test_it_shows_what_a_user_chooses_by() -> None:
    table = hd.tl.list_deconvolution_methods()
    assert {"cell2location", "destvi", "nnls", "stereoscope"} <= set(table.index)
    assert table.loc["nnls", "needs"] == "nothing"
    assert table.loc["cell2location", "kind"] == "abundance"
    assert table.loc["stereoscope", "kind"] == "proportion"
    assert "n_cells_per_location=30.0" in table.loc["cell2location", "options"]
    assert not table.loc["destvi", "takes_signatures"]
