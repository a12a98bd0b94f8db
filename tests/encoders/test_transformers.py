"""Models of transformers from the card alone."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from histodecon import InputError, MissingDependencyError
from histodecon.encoders import get_encoder_card
from histodecon.encoders._transformers import build_transformers

SMALL = {
    "image_size": 28,
    "patch_size": 14,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "use_swiglu_ffn": True,
}
CARD = replace(get_encoder_card("midnight"), model_kwargs=SMALL, dim=32)


def test_transformers_that_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "histodecon\[transformers\]"'):
        build_transformers(CARD)


def test_an_unknown_model_is_refused():
    with pytest.raises(InputError, match=r"BI-51.*'AutoModel'.*'Dinov2Model' or 'Dinov2WithRegistersModel'"):
        build_transformers(replace(CARD, model="AutoModel"))


class TestWithTransformers:
    pytestmark = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('transformers')")

    @pytest.mark.parametrize("wrong", [{"hiden_size": 16}, {"hidden_size": "16"}])
    def test_arguments_that_the_configuration_does_not_know_are_refused(self, wrong):
        with pytest.raises(InputError, match=rf"BI-51.*{next(iter(wrong))}"):
            build_transformers(replace(CARD, model_kwargs={**SMALL, **wrong}))

    def test_nothing_is_fetched(self, monkeypatch):
        def refuse(*_args, **_kwargs):
            raise AssertionError("no network is needed")

        monkeypatch.setattr(socket, "socket", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        network = build_transformers(CARD)
        assert not network.training
        assert network(torch.zeros(3, 3, 28, 28)).shape == (3, 32)

    def test_a_torch_beside_vision_operators_of_another_build_is_enough(self):
        """BI-108: in a process of its own, where nothing has declared the operators before."""
        code = (
            "from dataclasses import replace; from histodecon.encoders import get_encoder_card; "
            "from histodecon.encoders._transformers import build_transformers; "
            f"build_transformers(replace(get_encoder_card('midnight'), model_kwargs={SMALL!r})); print('built')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "built", done.stderr
