"""Weights of the Hub: from the cache without a request, else an answer within seconds."""

from __future__ import annotations

import socket
import time

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from histodecon import HubError, OfflineError
from histodecon.encoders import EncoderCard, load_encoder, timm_card
from histodecon.encoders._hub import fetch_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        msg = "no network in this test"
        raise OSError(msg)

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the Hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.usefixtures("no_network", "cache")
def test_offline_within_seconds(monkeypatch, told):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", told)
    timm_card("resnet18.a1_in1k")  # the import of timm is not what is timed
    start = time.monotonic()
    with pytest.raises(OfflineError, match=r"FI-24.*hf download timm/resnet18.a1_in1k.*weights=") as caught:
        load_encoder("resnet18.a1_in1k")
    assert time.monotonic() - start < 10
    assert ("HF_HUB_OFFLINE" in str(caught.value)) == told
    assert isinstance(caught.value, OSError)


@pytest.mark.usefixtures("no_network")
def test_the_cache_needs_no_network(cache):
    from histodecon._core import import_timm

    card = timm_card("mobilenetv3_small_050.lamb_in1k")
    snapshot = cache / f"models--{card.repo.replace('/', '--')}" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    torch.manual_seed(0)
    save_file(import_timm().create_model(card.model.partition(".")[0]).state_dict(), snapshot / "model.safetensors")
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    encoder = load_encoder(card)
    assert encoder.card.revision == COMMIT
    assert len(encoder.card.weights_sha256) == 64
    assert encoder.card.license == "apache-2.0"
    assert fetch_weights(encoder.card)[1] == COMMIT


def test_without_a_repository():
    card = EncoderCard(name="net", loader="timm", model="resnet18", dim=512, mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(HubError, match="hand them in"):
        load_encoder(card)
