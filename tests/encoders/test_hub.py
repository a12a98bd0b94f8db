"""Weights of the Hub: from the cache without a request, else the file or an answer within seconds, and never the token."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, file_download
from loopback_hub import COMMIT, CONTENT, PAGE, REPO, TOKEN
from safetensors.torch import save_file

from histodecon import GatedError, HubError, ModelMismatchError, OfflineError, StoreError
from histodecon._core import _hub as hubs
from histodecon._core import _hub_download as downloads
from histodecon._core._hub_errors import plain
from histodecon.encoders import EncoderCard, load_encoder, timm_card
from histodecon.encoders._hub import cached_weights, fetch_weights

SHA = hashlib.sha256(CONTENT).hexdigest()
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


def refused(card, error, match):
    """Fetch, and return the error: of this class, with this text, within ten seconds, without the token."""
    start = time.monotonic()
    with pytest.raises(error, match=f"(?s){match}") as caught:
        fetch_weights(card)
    assert time.monotonic() - start < 10
    assert type(caught.value) is error
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TOKEN not in "".join(shown.format())
    return caught.value


def test_download_into_the_layout_of_the_client(hub, cache):
    path, commit = fetch_weights(NET)
    assert (path.read_bytes(), commit) == (CONTENT, COMMIT)
    assert path == cache / "models--lab--net" / "snapshots" / COMMIT / "model.safetensors"
    assert hub.tokens == [f"Bearer {TOKEN}"] * 2
    asked = len(hub.asked)
    assert fetch_weights(NET) == (path, commit)
    from huggingface_hub import hf_hub_download

    assert hf_hub_download(REPO, "model.safetensors", revision=COMMIT) == str(path)
    assert len(hub.asked) == asked
    assert not list(cache.rglob("*.incomplete"))


def test_the_token_is_in_no_file(hub, cache, capfd):
    fetch_weights(NET)
    files = [file for file in cache.parent.rglob("*") if file.is_file()]
    assert files
    assert not any(TOKEN.encode() in file.read_bytes() for file in files)
    assert TOKEN not in "".join(capfd.readouterr())


def test_a_card_without_commit_records_the_one_it_got(hub, cache):
    card = replace(NET, revision=None, weights_file=None)
    assert fetch_weights(card)[1] == COMMIT
    hub.refuse = (500, None)
    assert fetch_weights(card)[1] == COMMIT  # of the branch, noted in the cache
    assert (cache / "models--lab--net" / "refs" / "main").read_text() == COMMIT


def test_safetensors_first(hub):
    card = replace(NET, weights_file=None)
    hub.files = {"pytorch_model.bin": b"B" * 50, "model.safetensors": CONTENT}
    assert fetch_weights(card)[0].name == "model.safetensors"


def test_bin_where_there_is_no_safetensors(hub):
    hub.files = {"pytorch_model.bin": b"B" * 50}
    assert fetch_weights(replace(NET, weights_file=None))[0].read_bytes() == b"B" * 50


def test_files_in_folders(hub, cache):
    hub.files = {"clip/visual.bin": b"C" * 40}
    card = replace(NET, weights_file="clip/visual.bin")
    path, commit = fetch_weights(card)
    assert (path.read_bytes(), commit) == (b"C" * 40, COMMIT)
    assert cached_weights(card) == (path, COMMIT)


def test_small_files_have_the_digest_of_git(hub):
    hub.small = True
    assert fetch_weights(NET)[0].read_bytes() == CONTENT
    hub.files["model.safetensors"] = CONTENT[1:]
    hub.commit = COMMIT[::-1]
    hub.damage = True
    refused(replace(NET, revision=COMMIT[::-1]), HubError, "FI-22.*damaged")


def test_renamed_repositories_are_followed(hub):
    hub.moved = True
    assert fetch_weights(NET)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403])
def test_gated(hub, status):
    hub.refuse = (status, "GatedRepo")
    error = refused(NET, GatedError, f"FI-26.*{REPO}.*status {status}.*{hub.url}/{REPO}.*hf auth login.*weights=")
    assert '"kaiko_' in str(error)
    assert isinstance(error, HubError)


@pytest.mark.parametrize("status", [401, 403])
def test_gated_by_its_card_alone(hub, status):
    hub.refuse = (status, None)
    card = replace(NET, gated=True, access_url="https://lab.example/ask")
    refused(card, GatedError, r"FI-26.*ask for access at https://lab\.example/ask, then `hf auth login`")


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_that_is_refused(hub, status):
    hub.refuse = (status, None)
    refused(NET, HubError, f"FI-26.*status {status}.*hf auth whoami")


def test_access_that_was_taken_back(hub):
    path, _ = fetch_weights(NET)
    hub.refuse = (403, "GatedRepo")
    asked = len(hub.asked)
    assert fetch_weights(NET) == (path, COMMIT)
    assert len(hub.asked) == asked


@pytest.mark.parametrize(("status", "code"), [(404, "RepoNotFound"), (401, "RepoNotFound")])
def test_no_such_repository(hub, status, code):
    hub.refuse = (status, code)
    refused(NET, HubError, r"FI-28.*lab/net is not on the Hub \(any more\).*weights=path")


def test_no_such_revision(hub):
    refused(replace(NET, revision="f" * 40), HubError, f"FI-28.*no revision {'f' * 40}")


def test_no_such_file(hub):
    hub.files = {}
    refused(NET, HubError, r"FI-28.*looked for model\.safetensors")
    refused(replace(NET, weights_file=None), HubError, r"FI-28.*model\.safetensors, pytorch_model\.bin")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_down(hub, status):
    hub.refuse = (status, None)
    refused(NET, HubError, f"FI-28.*status {status}.*try again")
    assert len(hub.asked) == 1


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_a_login_page_for_every_request(hub, kind):
    hub.page, hub.page_type = "head", kind
    refused(NET, HubError, r"FI-23.*without commit.*HF_ENDPOINT")


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_login_page_instead_of_the_file(hub, cache, kind):
    hub.page, hub.page_type = "get", kind
    hub.files["model.safetensors"] = PAGE if kind == "application/octet-stream" else CONTENT
    refused(NET, HubError, "FI-23.*[wW]eb page came instead")
    assert cached_weights(NET) is None


def test_a_login_page_does_not_spoil_what_arrived(hub, cache, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE_S", 0.5)
    hub.cut, hub.cuts = 100_000, 1
    original = downloads._append

    def once(card, remote, partial, patience):
        answer = original(card, remote, partial, patience)
        hub.page = "get"
        return answer

    monkeypatch.setattr(downloads, "_append", once)
    refused(NET, HubError, "FI-23")
    (partial,) = cache.rglob("*.incomplete")
    assert partial.read_bytes() == CONTENT[:100_000]


@pytest.mark.parametrize("percent", [0, 1, 50, 99])
def test_a_cut_connection_is_resumed(hub, percent):
    hub.cut, hub.cuts = len(CONTENT) * percent // 100, 1
    assert fetch_weights(NET)[0].read_bytes() == CONTENT
    ranges = [asked[2] for asked in hub.asked if asked[0] == "GET"]
    assert ranges == ["", f"bytes={hub.cut}-" if hub.cut else ""]


def test_many_cuts(hub):
    hub.cut = 100_000
    assert fetch_weights(NET)[0].read_bytes() == CONTENT
    assert hub.count("GET") == 3


def test_resumed_by_another_call(hub, cache, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE_S", 0.3)
    hub.cut, hub.cuts = 120_000, 1
    original = downloads._append

    def once(card, remote, partial, patience):
        answer = original(card, remote, partial, patience)
        hub.refuse_get = 503
        return answer

    monkeypatch.setattr(downloads, "_append", once)
    refused(NET, HubError, f"FI-22.*120000 of {len(CONTENT)} bytes are kept.*status 503")
    hub.refuse_get = None
    monkeypatch.setattr(downloads, "_append", original)
    before = len(hub.asked)
    assert fetch_weights(NET)[0].read_bytes() == CONTENT
    assert [asked[2] for asked in hub.asked[before:]] == ["", "bytes=120000-"]
    assert not list(cache.rglob("*.incomplete"))


def test_a_server_that_cannot_resume(hub):
    hub.cut, hub.cuts, hub.ranges = 100_000, 1, False
    assert fetch_weights(NET)[0].read_bytes() == CONTENT


def test_a_leftover_of_another_length(hub, cache):
    blobs = cache / "models--lab--net" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{SHA}.incomplete").write_bytes(CONTENT + b"more")
    assert fetch_weights(NET)[0].read_bytes() == CONTENT


def test_a_leftover_that_is_something_else(hub, cache):
    blobs = cache / "models--lab--net" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{SHA}.incomplete").write_bytes(b"\0" * 1000)
    refused(NET, HubError, "FI-22.*damaged.*removed")
    assert fetch_weights(NET)[0].read_bytes() == CONTENT


def test_a_connection_that_gives_nothing(hub, cache):
    hub.cut = 0
    refused(NET, HubError, f"FI-22.*broke off.*0 of {len(CONTENT)} bytes.*run it again")


def test_a_damaged_download(hub, cache):
    hub.damage = True
    refused(NET, HubError, f"FI-22.*arrived damaged.*announced {SHA}")
    assert not any(file.is_file() and file.stat().st_size for file in (cache / "models--lab--net").rglob("*"))
    assert cached_weights(NET) is None


def test_access_that_ends_before_the_download(hub):
    hub.refuse_get = 403
    refused(replace(NET, gated=True), GatedError, "FI-26")
    assert hub.count("GET") == 1


def test_another_digest_than_declared_is_not_even_downloaded(hub):
    refused(replace(NET, weights_sha256="0" * 64), ModelMismatchError, f"BI-85.*{SHA}, declared 000")
    assert hub.count("GET") == 0
    assert fetch_weights(replace(NET, weights_sha256=SHA))[0].read_bytes() == CONTENT


def test_a_hub_that_does_not_answer(hub):
    hub.stall = threading.Event()
    refused(NET, OfflineError, "FI-24.*hf download lab/net")


def test_a_name_lookup_that_hangs(hub, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr(hubs, "TIMEOUT_S", 1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: done.wait(20))
    for module in (constants, file_download):
        elsewhere = "http://hub.invalid/{repo_id}/{revision}/{filename}"
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", elsewhere, raising=False)
    refused(NET, OfflineError, r"FI-24.*no answer within")
    done.set()


@pytest.mark.usefixtures("no_network")
def test_no_network(hub, cache):
    pinned = (
        rf"FI-24.*'net'.*{REPO}, revision {COMMIT}.*{cache}.*hf download {REPO} model\.safetensors --revision {COMMIT}"
    )
    refused(NET, OfflineError, pinned + r".*HF_HOME.*weights=path")


@pytest.mark.usefixtures("no_network")
def test_told_to_stay_offline(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refused(NET, OfflineError, "FI-24.*HF_HUB_OFFLINE is set")
    assert isinstance(error, OSError)
    assert hub.asked == []


def test_a_cache_that_cannot_be_written(hub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file, not a folder")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    refused(NET, StoreError, "FI-29.*cannot be written.*HF_HOME")


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="permissions bind")
def test_a_cache_without_permission(hub, cache):
    cache.mkdir()
    cache.chmod(0o500)
    try:
        refused(NET, StoreError, "FI-29.*cannot be written.*HF_HOME")
    finally:
        cache.chmod(0o700)


def test_a_disk_without_space(hub, monkeypatch):
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    refused(NET, StoreError, f"FI-29.*{len(CONTENT)} bytes are needed, 1000 are free.*HF_HOME")


def test_a_disk_that_fills_up(hub, monkeypatch):
    import errno

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(downloads, "_body", full)
    refused(NET, StoreError, "FI-29.*is full.*HF_HOME")


@pytest.mark.parametrize(
    "change",
    [{"weights_file": "../x.bin"}, {"weights_file": "/x.bin"}, {"revision": "../main"}, {"repo": "a/b/c"}],
)
def test_names_that_are_paths(hub, tmp_path, change):
    refused(replace(NET, **change), HubError, "FI-28")
    assert hub.asked == []


def test_errors_of_the_client_that_show_the_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert plain(ValueError(f"Illegal header value b'{TOKEN}'")) == "ValueError"
    assert plain(ValueError("Illegal header value b'Bearer \\x01'")) == "ValueError"
    assert plain(OSError()) == "OSError"
    assert plain(OSError("first\nsecond")) == "first"


def test_two_downloads_at_once(hub):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch_weights(NET)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert hub.count("GET") == 1


def test_through_the_environment_alone(hub, tmp_path):
    """As a user sets it up, in a process of its own: address, cache and token; nothing is printed but the result."""
    script = (
        "from loopback_hub import COMMIT, REPO\n"
        "from histodecon.encoders import EncoderCard\n"
        "from histodecon.encoders._hub import fetch_weights\n"
        "card = EncoderCard(name='net', loader='timm', model='resnet18', dim=512, mean=(.5,)*3, std=(.5,)*3, repo=REPO)\n"
        "print(*fetch_weights(card))\n"
        "fetch_weights(EncoderCard(name='n', loader='timm', model='m', dim=1, mean=(.5,)*3, std=(.5,)*3, repo='lab/no'))\n"
    )
    home = tmp_path / "home"
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_VERBOSITY": "debug",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    path, commit = ended.stdout.split()
    assert Path(path).read_bytes() == CONTENT
    assert Path(path).is_relative_to(home)
    assert commit == COMMIT
    assert "HD-FI-28" in ended.stderr
    assert f"Bearer {TOKEN}" in hub.tokens
    assert TOKEN not in ended.stdout + ended.stderr
    assert not any(TOKEN.encode() in file.read_bytes() for file in home.rglob("*") if file.is_file())


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
    with pytest.raises(HubError, match="hand them in"):
        fetch_weights(replace(NET, repo=None))
