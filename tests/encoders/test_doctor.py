"""The doctor says what is there, what is missing, what to do, and asks nobody unless told to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from loopback_hub import COMMIT, CONTENT, REPO, TOKEN

from histodecon import InputError
from histodecon.encoders import EncoderCard, doctor, list_encoders, load_encoder
from histodecon.encoders import _doctor as doctors
from histodecon.encoders import _estimate as estimates
from histodecon.encoders._estimate import Speed
from histodecon.encoders._hub import fetch_weights

NET = EncoderCard(
    name="net",
    loader="timm",
    model="resnet18",
    dim=512,
    mean=(0.5,) * 3,
    std=(0.5,) * 3,
    repo=REPO,
    revision=COMMIT,
    weights_file="model.safetensors",
)


@pytest.fixture(autouse=True)
def _known_speed(monkeypatch):
    monkeypatch.setattr(estimates, "measure_speed", lambda device, dtype: Speed(1e11, 1e10))


@pytest.mark.usefixtures("no_network", "cache")
def test_all_encoders_without_a_request(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(doctors, "estimate", lambda *args: (60.0, 1.0))
    table, cards = doctor(device="cpu"), list_encoders()
    assert table.index.equals(cards.index)
    networks = table.index[cards["repo"] != ""]
    assert not table.loc[networks, "ready"].any()
    assert table["installed"].all()
    assert table.loc["color_stats", "ready"]
    assert (table.loc[networks, "next"] != "").all()
    assert (table.loc[networks, "revision"] == cards.loc[networks, "revision"]).all()
    asks = table["next"].str.contains("ask for access")
    assert (asks == cards["gated"]).all()
    assert set(table["dtype"]) == {"float32"}
    assert (table["minutes"] == 1).all()


@pytest.mark.usefixtures("no_network", "cache")
def test_estimates_grow_with_tiles_and_networks():
    few, many = (doctor(["kaiko_s16", "uni"], n_tiles=n, device="cpu") for n in (100, 1000))
    assert many["minutes"].to_numpy() == pytest.approx(10 * few["minutes"].to_numpy(), rel=0.1)
    assert few.loc["uni", "minutes"] > 5 * few.loc["kaiko_s16", "minutes"]
    assert few.loc["uni", "memory_gb"] == 2.4  # twice its 303 million parameters of four bytes, while they are loaded


def test_before_and_after_the_download(hub):
    before = doctor(NET, device="cpu").loc["net"]
    assert (before["ready"], before["cached"], before["path"]) == (False, False, "")
    assert before["next"] == "the first use downloads the weights"
    assert hub.asked == []
    path, commit = fetch_weights(NET)
    asked = len(hub.asked)
    after = doctor(NET, device="cpu").loc["net"]
    assert (after["ready"], after["cached"], after["path"], after["next"]) == (True, True, str(path), "")
    assert after["revision"] == commit
    assert len(hub.asked) == asked


def test_access_is_asked_for_with_one_request(hub):
    row = doctor(NET, device="cpu", check_access=True).loc["net"]
    assert row["access"] == "yes"
    assert row["next"].endswith(f"({len(CONTENT) / 1e9:.2f} GB)")
    assert [asked[0] for asked in hub.asked] == ["HEAD"]
    assert hub.tokens == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize(
    ("refuse", "access", "cure"),
    [
        ((403, "GatedRepo"), "no: ask for access", "hf auth login"),
        ((404, "RepoNotFound"), "no: HD-FI-28", "is not on the Hub"),
        ((503, None), "no: HD-FI-28", "try again"),
    ],
)
def test_refusals_stand_in_the_table(hub, refuse, access, cure):
    hub.refuse = refuse
    table = doctor(NET, device="cpu", check_access=True)
    assert table.loc["net", "access"] == access
    assert cure in table.loc["net", "next"]
    assert TOKEN not in table.to_csv()


def test_access_taken_back_leaves_what_is_cached(hub):
    fetch_weights(NET)
    hub.refuse = (403, "GatedRepo")
    row = doctor(NET, device="cpu", check_access=True).loc["net"]
    assert (row["ready"], row["access"], row["next"]) == (True, "no: ask for access", "")


@pytest.mark.usefixtures("no_network")
def test_without_a_network_one_request_is_enough(hub, monkeypatch):
    calls = []
    original = doctors.find_on_hub

    def counted(card):
        calls.append(card.name)
        return original(card)

    monkeypatch.setattr(doctors, "find_on_hub", counted)
    cards = [NET, replace(NET, name="other"), "color_stats", replace(NET, name="third")]
    table = doctor(cards, device="cpu", check_access=True)
    assert calls == ["net"]
    assert list(table["access"]) == ["no: no network"] * 2 + [""] + ["no: no network"]


def test_missing_packages(hub, monkeypatch):
    monkeypatch.setattr(doctors, "find_spec", lambda name: None if name == "transformers" else object())
    card = replace(NET, loader="transformers")
    row = doctor(card, device="cpu").loc["net"]
    assert (row["ready"], row["installed"]) == (False, False)
    assert row["next"] == '`pip install "histodecon[transformers]"`'
    assert np.isnan(row["minutes"])


def test_local_weights(tmp_path):
    from safetensors.torch import save_file

    from histodecon.encoders import timm_card

    path = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    from histodecon.encoders._network import build_network

    save_file(build_network(NET).inner.state_dict(), path)
    card = timm_card("resnet18", name="own", weights=path)
    row = doctor(card, device="cpu").loc["own"]
    assert (row["ready"], row["path"], row["next"]) == (True, str(path), "")
    assert load_encoder(card, device="cpu").encode(np.zeros((1, 224, 224, 3), np.uint8)).shape == (1, 512)
    path.unlink()
    row = doctor(card, device="cpu").loc["own"]
    assert (row["ready"], row["next"]) == (False, "hand its weights in: `weights=path`")


def test_timm_models_and_precisions(cache):
    table = doctor(["resnet18.a1_in1k", "uni"], device="cpu", precision="bfloat16")
    assert list(table["dtype"]) == ["", "bfloat16"]
    assert "HD-BI-51" in table.loc["resnet18.a1_in1k", "next"]
    assert np.isnan(table.loc["resnet18.a1_in1k", "minutes"])
    assert doctor("resnet18.a1_in1k", device="cpu").loc["resnet18.a1_in1k", "dtype"] == "float32"


def test_bad_inputs():
    with pytest.raises(InputError, match="BI-51"):
        doctor("no_such_encoder", device="cpu")
    with pytest.raises(InputError, match="BI-72"):
        doctor("uni", n_tiles=0, device="cpu")
    with pytest.raises(InputError, match="FI-19"):
        doctor("uni", device="abacus")
