"""The page tells every fact of the model, and nothing that its facts do not bear out."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml

from histodecon.models import (
    AbundanceRegressor,
    ConformalIntervals,
    EncoderRecord,
    NoveltyScore,
    ReliabilityCard,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 5)).astype(np.float32)
Y = np.abs(X[:, :2]) + RNG.gamma(2, 0.1, size=(80, 2))
GROUPS = np.repeat(["Ada", "Bob", "Cleo", "Dan"], 20)
TYPES = ["T cell | <b>CD4+</b>", "αβ [x](y) `z`"]
RECIPE = '{"dtype": "bfloat16", "field_of_view": "112um", "input_px": 224}'
CONCH = EncoderRecord.from_dict(
    {
        "key": "X_conch",
        "encoder": "conch",
        "width": 2,
        "fingerprint": "c" * 64,
        "license": "CC-BY-NC-ND-4.0",
        "repo": "lab/conch",
        "revision": "1" * 40,
        "recipe": RECIPE,
    }
)
OWN = EncoderRecord("X_own", "own", 3, license="MIT", commercial=True, mpp=(0.5, 0.51))


def fitted(**kwargs) -> AbundanceRegressor:
    model = AbundanceRegressor("ridge", params={"strength": 3.0})
    return model.fit(X, Y, **{"groups": GROUPS, "encoders": [CONCH, OWN], "cell_types": TYPES} | kwargs)


def header(card: str) -> dict:
    return yaml.safe_load(card.split("---")[1])


def test_the_header_is_what_the_hub_reads() -> None:
    facts = header(fitted().model_card("lab/breast"))
    assert facts["library_name"] == "histodecon"
    assert facts["license"] == "other"
    assert facts["base_model"] == ["lab/conch"]
    assert "base_model" not in header(fitted(encoders=None).model_card())


def test_it_tells_the_facts() -> None:
    card = fitted().model_card("lab/breast")
    assert "# lab/breast" in card
    assert "abundances (cells per spot) of 2 cell types" in card
    row = "| conch, lab/conch at 111111111111 | 2 | 112um | bfloat16 | cccccccccccccccc | CC-BY-NC-ND-4.0 |"
    assert row in card
    assert "| own | 3 | not recorded at 0.5 to 0.51 µm/px | not recorded | not recorded | MIT |" in card
    assert card.index(row) < card.index("| own | 3")
    assert "Not for commercial use, which conch does not permit" in card
    assert "https://huggingface.co/lab/conch" in card
    assert "| spots | 80 |" in card
    assert "| independent groups (patients) | 4 |" in card
    assert "ridge with strength=3.0" in card
    assert '"lab/breast@&lt;commit&gt;"' not in card
    assert '"lab/breast@<commit>"' in card
    assert not any(name in card for name in ("Ada", "Bob", "Cleo", "Dan"))


def test_scores_are_there_when_they_are_known_and_only_then() -> None:
    model = fitted()
    bare = model.model_card()
    assert "No scores of held-out patients are stored" in bare
    assert "does not know how to tell spots" in bare
    assert "predicted_abundance_lower" not in bare
    predicted = model.predict(X)
    model.reliability_ = ReliabilityCard.fit(Y, predicted, GROUPS, cell_types=TYPES)
    model.calibration_ = ConformalIntervals.fit(Y, predicted, GROUPS)
    model.novelty_ = NoveltyScore.fit(X, groups=GROUPS, widths=[2, 3])
    card = model.model_card()
    assert "In 4 groups (patients) that were left out in turn, 80 spots" in card
    frame = model.reliability_.to_frame()
    for number, verdict in zip(frame["cc"], frame["verdict"], strict=True):
        assert re.search(rf"\| {number:.2f} \| .* \| {verdict} \|", card)
    assert 'obs["out_of_distribution"]' in card
    assert "predicted_abundance_lower" in card


def test_names_are_text_and_never_markup() -> None:
    """Names of cell types come from whoever trained; the page is shown to strangers."""
    card = fitted().model_card("lab/breast")
    assert "<b>" not in card
    assert "[x](y)" not in card
    assert "T cell &#124; &lt;b&gt;CD4+&lt;/b&gt;" in card
    for line in card.splitlines():
        if line.startswith("|"):
            assert line.count("|") in (3, 7, 8)
    foreign = EncoderRecord("X", "x", 5, repo="a/b\nlicense: mit")
    page = fitted(encoders=[foreign]).model_card()
    assert header(page)["license"] == "other"
    assert "base_model" not in header(page)
    assert "huggingface.co" not in page


@pytest.mark.parametrize("kind", ["abundance", "proportion"])
def test_proportions_are_called_so(kind: str) -> None:
    targets = Y / Y.sum(axis=1, keepdims=True) if kind == "proportion" else Y
    model = AbundanceRegressor("mean").fit(X, targets, cell_types=["a", "b"], kind=kind)
    assert ("which sum to 1" in model.model_card()) == (kind == "proportion")


def test_one_encoder_of_unknown_origin() -> None:
    card = AbundanceRegressor("mean").fit(X, Y).model_card()
    assert "Not known to be permitted: commercial use" in card
    assert "| independent groups (patients) | not told |" in card
    assert "with its defaults" in card
