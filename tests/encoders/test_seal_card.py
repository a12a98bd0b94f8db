"""The official SEAL encoders, from files of the same layout with random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from encoders.cards.test_networks_of_timm import PUBLISHED
from encoders.towers import test_conch as conch
from PIL import Image

import histodecon as hd
from histodecon import InputError, MissingKeyError, ModelMismatchError
from histodecon.encoders import EncoderCard, get_encoder_card, load_encoder, seal_card

WHERE = "encoder.base_model.model."
RANK, DEPTH = 8, 2
TUNED = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")  # of the last block
BLOCK = {"conch": f"trunk.blocks.{DEPTH - 1}.", "univ2": f"blocks.{DEPTH - 1}."}
DECODER = {"decoder.decoder.0.weight": torch.ones(3, 3), "decoder.decoder.0.bias": torch.ones(3)}


def backbone_state(backbone: str) -> dict[str, torch.Tensor]:
    return conch.draw(DEPTH) if backbone == "conch" else PUBLISHED["uni2h"].cut(DEPTH).draw()


def published_as(state: dict[str, torch.Tensor], backbone: str) -> tuple[dict, dict]:
    """The file of the authors, with low-rank layers in the last block; and the network that it amounts to."""
    generator = torch.Generator().manual_seed(5)
    tuned = {f"{BLOCK[backbone]}{layer}" for layer in TUNED}
    file, plain = dict(DECODER), {}
    for key, value in state.items():
        layer, _, last = key.rpartition(".")
        plain[key] = value
        if layer not in tuned:
            file[f"{WHERE}{key}"] = value
            continue
        file[f"{WHERE}{layer}.base_layer.{last}"] = value
        if last == "weight":
            a = torch.randn(RANK, value.shape[1], generator=generator) / value.shape[1] ** 0.5
            b = torch.randn(value.shape[0], RANK, generator=generator) / RANK**0.5
            file |= {f"{WHERE}{layer}.lora_A.default.weight": a, f"{WHERE}{layer}.lora_B.default.weight": b}
            plain[key] = value + b @ a
    if backbone == "conch":
        file[f"{WHERE}attn_pool_caption.query"] = file[f"{WHERE}ln_caption.bias"] = torch.full((2, 768), 9.0)
    return file, plain


def cut(card: EncoderCard) -> EncoderCard:
    """Fewer blocks than published."""
    return replace(card, model_kwargs={**dict(card.model_kwargs), "depth": DEPTH})


def expected(backbone: str, plain: dict[str, torch.Tensor], tiles: np.ndarray) -> torch.Tensor:
    card = get_encoder_card({"conch": "conch", "univ2": "uni2h"}[backbone])
    channels = conch.transforms.Normalize(card.mean, card.std)
    images = torch.stack([channels(conch.transforms.ToTensor()(Image.fromarray(tile))) for tile in tiles])
    with torch.inference_mode():
        if backbone == "conch":
            return conch.reference(plain, images, depth=DEPTH)
        return PUBLISHED["uni2h"].cut(DEPTH).tokens(plain, images)[:, 0]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("backbone", ["conch", "univ2"])
def test_the_tuned_network_is_the_plain_one(backbone, wrapped, tmp_path):
    file, plain = published_as(backbone_state(backbone), backbone)
    path = tmp_path / f"seal_{backbone}_vision.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in file.items()}} if wrapped else file, path)
    card = cut(seal_card(backbone, weights=path))
    encoder = load_encoder(card, device="cpu")
    tiles = conch.tiles_of(2, 224)
    values = encoder.encode(tiles)
    np.testing.assert_allclose(values, expected(backbone, plain, tiles).numpy(), rtol=2e-4, atol=2e-4)
    untuned = expected(backbone, backbone_state(backbone), tiles).numpy()
    assert np.abs(values - untuned).max() > 0.01
    assert encoder.card.weights_sha256 == card.weights_sha256
    assert load_encoder(replace(card, low_rank_scale=0.5), device="cpu").fingerprint != encoder.fingerprint


def test_it_goes_through_the_journey(tmp_path):
    file, _ = published_as(backbone_state("conch"), "conch")
    path = tmp_path / "seal_conch_vision.pth"
    torch.save(file, path)
    card = cut(seal_card("conch", weights=path))
    sdata = hd.datasets.toy_slide(n_rows=4, n_cols=4)
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, card, device="cpu", show_progress_bar=False)
    table = sdata["table"]
    assert table.obsm["X_seal_conch"].shape == (table.n_obs, 512)
    record = table.uns["histodecon"]["embeddings"]["X_seal_conch"]
    assert card.weights_sha256 in str(record)


@pytest.mark.parametrize("backbone", ["conch", "univ2"])
def test_the_card(backbone, tmp_path):
    path = tmp_path / "seal.pth"
    torch.save(DECODER, path)
    card = seal_card(backbone, weights=path)
    base = get_encoder_card({"conch": "conch", "univ2": "uni2h"}[backbone])
    assert card.name == f"seal_{base.name}"
    assert (card.dim, card.input_px, card.tile_um, card.mean, card.std) == (base.dim, 224, 112.0, base.mean, base.std)
    assert card.gated
    assert not card.commercial
    assert card.repo is None
    assert "Hemker" in card.citation
    assert base.citation in card.citation
    assert card.recipe()["low_rank_scale"] == 1.0
    assert "low_rank_scale" not in base.recipe()
    assert seal_card(backbone, weights=path, name="mine").name == "mine"


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"BI-72.*virchow2.*\"conch\", \"univ2\""):
        seal_card("virchow2", weights="x.pth")
    with pytest.raises(MissingKeyError, match="BI-29"):
        seal_card("conch", weights=tmp_path / "absent.pth")
    page = tmp_path / "seal_conch_vision.pth"
    page.write_text("<!DOCTYPE html><html>Please log in</html>")
    with pytest.raises(hd.IntegrityError, match="BI-29"):
        seal_card("conch", weights=page)


@pytest.mark.parametrize("fault", ["only what was tuned", "no low-rank layers", "another network"])
def test_files_of_another_layout_are_refused(fault, tmp_path):
    """BI-84: what is loaded is whole."""
    file, plain = published_as(backbone_state("conch"), "conch")
    if fault == "only what was tuned":
        file = {key: value for key, value in file.items() if "lora_" in key}
    elif fault == "no low-rank layers":
        file = plain
    else:
        file, _ = published_as(backbone_state("univ2"), "univ2")
    path = tmp_path / "seal_conch_vision.pth"
    torch.save(file, path)
    with pytest.raises(ModelMismatchError, match="BI-84"):
        load_encoder(cut(seal_card("conch", weights=path)), device="cpu")
