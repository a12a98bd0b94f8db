"""Networks that a function of a module builds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from histodecon import InputError
from histodecon.encoders import get_encoder_card
from histodecon.encoders._towers import build_torch

CARD = get_encoder_card("conch")


def test_the_builder_gets_the_arguments_of_the_card():
    card = replace(CARD, model_kwargs={"depth": 1, "projection": True})
    with torch.device("meta"):
        network = build_torch(card)
    assert (len(network.trunk.blocks), network.projection, network.normalize) == (1, True, False)
    assert not network.training


def test_arguments_that_the_builder_does_not_know_are_refused():
    with pytest.raises(InputError, match=r"BI-51.*'width': 3"):
        build_torch(replace(CARD, model_kwargs={"width": 3}))


@pytest.mark.parametrize("model", ["histodecon.encoders.towers.conch:build", "no_such_module:build", "build_conch"])
def test_a_builder_that_does_not_exist_is_refused(model):
    with pytest.raises(InputError, match="BI-51"):
        build_torch(replace(CARD, model=model))
