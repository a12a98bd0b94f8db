"""The notice names every encoder and says what may be done."""

from __future__ import annotations

import pytest

from histodecon.models import EncoderRecord
from histodecon.models._license import license_notice

FREE = EncoderRecord("X_a", "color_stats", 2, license="BSD-3-Clause", commercial=True)
BOUND = EncoderRecord("X_b", "conch", 3, license="CC-BY-NC-ND-4.0")
UNKNOWN = EncoderRecord("X_c", "own", 3)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([FREE], "permit commercial use"),
        ([FREE, BOUND], "Not for commercial use, which conch does not permit"),
        ([BOUND, UNKNOWN], "Not for commercial use, which conch, own does not permit"),
        ([FREE, UNKNOWN], "Not known to be permitted: commercial use, for the license of own is not known"),
    ],
)
def test_the_strictest_encoder_decides(records: list[EncoderRecord], words: str) -> None:
    notice = license_notice(records)
    assert words in notice
    for record in records:
        assert f"{record.name} ({record.license})" in notice
