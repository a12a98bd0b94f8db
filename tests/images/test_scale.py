"""One answer from several sources, in order of trust."""

from __future__ import annotations

import warnings

import pytest

from histodecon import ResolutionError, ResolutionWarning
from histodecon.images._scale import Estimate, choose_mpp


def test_first_plausible_source():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_mpp([(0.5, "user")], [Estimate(0.49, "fit")], slide="A") == (0.5, "user")
        read_off = [Estimate(40.0, "fit"), Estimate(0.5, "diameter"), Estimate(0.51, "file")]
        assert choose_mpp([], read_off, slide="A") == (0.5, "diameter")


def test_disagreement():
    with pytest.warns(ResolutionWarning, match=r"BI-15.*'A'.*0\.5 \(user\).*fit 0\.55") as caught:
        assert choose_mpp([(0.5, "user")], [Estimate(0.55, "fit"), Estimate(0.51, "file")], slide="A") == (0.5, "user")
    assert "file" not in str(caught[0].message)
    with pytest.raises(ResolutionError, match=r"BI-15.*factor of 5.*fit 2\.5"):
        choose_mpp([(0.5, "user")], [Estimate(2.5, "fit")], slide="A")
    with pytest.raises(ResolutionError, match="BI-15"):
        choose_mpp([(0.5, "user"), (0.05, "reader")], [], slide="A")


@pytest.mark.parametrize("value", [0.0, -1.0, 0.04, 11.0])
def test_implausible(value):
    with pytest.raises(ResolutionError, match=r"BI-15.*plausible is 0\.1 to 4"):
        choose_mpp([(value, "user")], [Estimate(0.5, "fit")], slide="A")
    with pytest.raises(ResolutionError, match=r"BI-14.*fit would give"):
        choose_mpp([], [Estimate(value, "fit")], slide="A")


def test_nothing():
    with pytest.raises(ResolutionError, match=r"BI-14.*no grid.*mpp="):
        choose_mpp([], [], slide="A")
