"""Weights handed in as a file or as a folder: the file is found, and the commit where the folder tells."""

from __future__ import annotations

import pytest
from loopback_hub import COMMIT, CONTENT, REPO

from histodecon import MissingKeyError
from histodecon.encoders import EncoderCard
from histodecon.encoders._hub import fetch_weights
from histodecon.encoders._local_weights import local_weights


def card(**fields) -> EncoderCard:
    settings = {"name": "net", "loader": "timm", "model": "resnet18", "dim": 512, "repo": REPO, "revision": COMMIT}
    return EncoderCard(**{**settings, "mean": (0.5,) * 3, "std": (0.5,) * 3, **fields})


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_a_file_is_taken_at_its_word(tmp_path):
    path = tmp_path / "any.bin"
    assert local_weights(card(), path) == (path, None)
    assert fetch_weights(card(), weights=str(path)) == (path, None)


def test_the_name_of_the_card_comes_first(tmp_path):
    write(tmp_path / "model.safetensors")
    path = write(tmp_path / "visual.bin")
    assert local_weights(card(weights_file="visual.bin"), tmp_path) == (path, None)
    assert local_weights(card(weights_file="clip/visual.bin"), tmp_path) == (path, None)


def test_safetensors_first(tmp_path):
    other = write(tmp_path / "pytorch_model.bin")
    assert local_weights(card(), tmp_path)[0] == other
    path = write(tmp_path / "model.safetensors")
    assert local_weights(card(), tmp_path)[0] == path


@pytest.mark.parametrize("name", ["anything.safetensors", "anything.pth"])
def test_the_only_weight_file(tmp_path, name):
    path = write(tmp_path / name)
    write(tmp_path / "config.json")
    assert local_weights(card(), tmp_path) == (path, None)


def test_what_the_client_downloaded_into_a_folder(tmp_path):
    path = write(tmp_path / "model.safetensors")
    note = write(tmp_path / ".cache" / "huggingface" / "download" / "model.safetensors.metadata")
    note.write_text(f"{COMMIT}\nabc\n123.4\n")
    assert local_weights(card(revision=None), tmp_path) == (path, COMMIT)


@pytest.mark.parametrize("level", ["snapshot", "repository", "hub", "home"])
@pytest.mark.parametrize("revision", [COMMIT, None])
def test_a_cache_of_the_hub(hub, tmp_path, level, revision):
    """The cache that a download made, named at any level, gives the same file without a request."""
    net = card(weights_file="model.safetensors", revision=revision)
    path, _ = fetch_weights(net)
    asked = len(hub.asked)
    folders = {"snapshot": path.parent, "repository": path.parents[2], "hub": path.parents[3], "home": path.parents[4]}
    found, commit = fetch_weights(net, weights=folders[level])
    assert (found, commit) == (path, COMMIT)
    assert found.read_bytes() == CONTENT
    assert len(hub.asked) == asked


def test_folders_that_leave_it_open(tmp_path):
    with pytest.raises(
        MissingKeyError, match=r"BI-29.*looked for model\.safetensors and pytorch_model\.bin.*holds none"
    ):
        local_weights(card(), tmp_path)
    for name in ("a.bin", "b.pth"):
        write(tmp_path / name)
    with pytest.raises(MissingKeyError, match=r"BI-29.*2 could be meant: 'a\.bin', 'b\.pth'.*weights='folder"):
        local_weights(card(), tmp_path)
