"""Normalizations are found by their numbers."""

from __future__ import annotations

import pytest

from histodecon.encoders._normalization import NORMALIZATIONS, name_normalization


@pytest.mark.parametrize("known", NORMALIZATIONS, ids=lambda known: known.name)
def test_known_normalizations_have_names(known):
    assert name_normalization(known.mean, known.std) == known.name


def test_other_normalizations():
    assert name_normalization(None, None) == "none"
    assert name_normalization((0.1, 0.2, 0.3), (0.5, 0.5, 0.5)) == "0.1 0.2 0.3 / 0.5 0.5 0.5"


def test_normalizations_differ():
    assert len({(known.mean, known.std) for known in NORMALIZATIONS}) == len(NORMALIZATIONS)
