"""A model by object, file, folder or name on the Hub; pinned ones need no network, the token is never shown."""

from __future__ import annotations

import os
import time
import traceback
import warnings

import numpy as np
import pytest
from huggingface_hub import constants
from loopback_hub import COMMIT, REPO, TOKEN

import histodecon as hd
from histodecon.models import AbundanceRegressor
from histodecon.models._find_model import MODEL_FILE, find_model, is_repository

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)


def fitted(shift: float = 0.0) -> AbundanceRegressor:
    return AbundanceRegressor("ridge").fit(X, np.abs(X[:, :2]) + shift, cell_types=["T cell", "B cell"])


@pytest.fixture(scope="module")
def model() -> AbundanceRegressor:
    return fitted()


@pytest.fixture
def shared(hub, model):
    """A Hub that holds the model."""
    hub.files = {MODEL_FILE: model.to_bytes()}
    return hub


def same(one: AbundanceRegressor, other: AbundanceRegressor) -> bool:
    return one.to_bytes() == other.to_bytes()


def refused(error: type[Exception], match: str, repo: str = REPO, **kwargs) -> Exception:
    """Ask, and return the error: of this class, within ten seconds, without the token."""
    start = time.monotonic()
    with pytest.raises(error, match=f"(?s){match}") as caught:
        AbundanceRegressor.from_pretrained(repo, **kwargs)
    assert time.monotonic() - start < 10
    assert type(caught.value) is error
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TOKEN not in "".join(shown.format())
    return caught.value


def test_objects_files_and_folders(model, tmp_path) -> None:
    path = model.save(tmp_path / MODEL_FILE)
    assert find_model(model) is model
    for way in (path, str(path), tmp_path, str(tmp_path)):
        assert same(find_model(way), model)
        assert same(AbundanceRegressor.from_pretrained(way), model)


def test_a_folder_that_looks_like_a_repository(shared, model, tmp_path, monkeypatch) -> None:
    """What is here is meant, and nothing is asked."""
    (tmp_path / "lab" / "net").mkdir(parents=True)
    model.save(tmp_path / "lab" / "net" / MODEL_FILE)
    monkeypatch.chdir(tmp_path)
    assert same(find_model(REPO), model)
    assert shared.asked == []


@pytest.mark.parametrize("way", [7, b"lab/net", ["lab/net"]])
def test_what_is_no_model(way) -> None:
    with pytest.raises(hd.InputError, match="BI-44"):
        find_model(way)


@pytest.mark.parametrize(
    "name", ["absent.safetensors", "lab/absent.safetensors", "a/b/c", "absent", "lab/net ", "/lab/net"]
)
def test_paths_that_are_not_there(shared, name) -> None:
    with pytest.raises(hd.StoreError, match="FI-06"):
        find_model(name)
    assert shared.asked == []


@pytest.mark.parametrize("name", ["lab/model.pkl", "lab/model.PT", "lab/pytorch_model.bin"])
def test_files_that_could_run_code_are_never_looked_for_on_the_hub(shared, name) -> None:
    """BI-83."""
    with pytest.raises(hd.StoreError):
        find_model(name)
    assert shared.asked == []


@pytest.mark.parametrize("name", ["a/b/c", "a", "", "a/b@1", "-/x", "a b/c", "../a", "a/" + "b" * 200])
def test_names_that_no_repository_has(name) -> None:
    assert not is_repository(name)
    assert is_repository(REPO)


@pytest.mark.parametrize("kwargs", [{"revision": COMMIT}, {}])
def test_pinned_by_argument_or_in_the_name(shared, model, kwargs) -> None:
    name = REPO if kwargs else f"{REPO}@{COMMIT}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(AbundanceRegressor.from_pretrained(name, **kwargs), model)
        asked = len(shared.asked)
        assert same(AbundanceRegressor.from_pretrained(name, **kwargs), model)
    assert len(shared.asked) == asked


def test_a_branch_is_taken_with_a_word_of_warning(shared, model) -> None:
    """FI-28: the warning names the commit to pin."""
    with pytest.warns(hd.HistodeconWarning, match=rf"FI-28.*another model tomorrow.*revision=\"{COMMIT}\""):
        assert same(AbundanceRegressor.from_pretrained(REPO), model)


def test_a_branch_that_moved_gives_the_newer_model(shared, model) -> None:
    with pytest.warns(hd.HistodeconWarning, match="FI-28"):
        AbundanceRegressor.from_pretrained(REPO)
    newer = fitted(1.0)
    shared.take({MODEL_FILE: newer.to_bytes()})
    with pytest.warns(hd.HistodeconWarning, match=shared.commit):
        assert same(AbundanceRegressor.from_pretrained(REPO), newer)
    assert same(AbundanceRegressor.from_pretrained(REPO, revision=COMMIT), model)


@pytest.mark.parametrize("status", [(403, "GatedRepo"), (500, None), (404, "RepoNotFound")])
def test_a_hub_that_refuses_leaves_what_is_in_the_cache(shared, model, status) -> None:
    """FI-27, FI-28."""
    with pytest.warns(hd.HistodeconWarning, match="FI-28"):
        AbundanceRegressor.from_pretrained(REPO)
    shared.refuse = status
    with pytest.warns(hd.FallbackWarning, match=rf"FI-24.*{COMMIT}.*in the cache"):
        assert same(AbundanceRegressor.from_pretrained(REPO), model)
    assert same(AbundanceRegressor.from_pretrained(REPO, revision=COMMIT), model)


def test_offline_with_a_cache_asks_nothing(shared, model, monkeypatch) -> None:
    """FI-25."""
    AbundanceRegressor.from_pretrained(REPO, revision=COMMIT)
    shared.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(AbundanceRegressor.from_pretrained(REPO, revision=COMMIT), model)
    assert shared.asked == []


@pytest.mark.usefixtures("no_network")
def test_offline_without_a_cache(shared, cache) -> None:
    """FI-24."""
    words = rf"FI-24.*the model '{REPO}'.*{cache}.*hf download {REPO} model\.safetensors --revision {COMMIT}.*path of a file"
    refused(hd.OfflineError, words, revision=COMMIT)


def test_told_to_stay_offline(shared, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(hd.OfflineError, "FI-24.*HF_HUB_OFFLINE is set")
    assert shared.asked == []


@pytest.mark.parametrize("status", [401, 403])
def test_gated(shared, status) -> None:
    """FI-26."""
    shared.refuse = (status, "GatedRepo")
    refused(hd.GatedError, f"FI-26.*'{REPO}' to those who asked.*{shared.url}/{REPO}.*hf auth login")


def test_no_such_repository_revision_or_file(shared) -> None:
    """FI-28."""
    refused(
        hd.HubError,
        "FI-28.*lab/other is not on the Hub.*or is private.*no file or folder 'lab/other' here",
        "lab/other",
    )
    refused(hd.HubError, f"FI-28.*no revision {'f' * 40}", revision="f" * 40)
    refused(hd.HubError, "FI-28.*file or revision.*'../main'", revision="../main")
    shared.files = {}
    refused(hd.HubError, r"FI-28.*looked for model\.safetensors", revision=COMMIT)


def test_a_login_page(shared) -> None:
    """FI-23."""
    shared.page = "head"
    refused(hd.HubError, f"FI-23.*instead of the model '{REPO}'", revision=COMMIT)


def test_a_download_that_breaks_off_goes_on(shared, model) -> None:
    """FI-22."""
    shared.cut, shared.cuts = 1000, 1
    assert same(AbundanceRegressor.from_pretrained(REPO, revision=COMMIT), model)
    assert shared.count("GET") == 2


def test_a_download_that_arrives_damaged(shared) -> None:
    shared.damage = True
    refused(hd.HubError, "FI-22.*damaged", revision=COMMIT)


def test_a_file_on_the_hub_that_is_no_model(shared) -> None:
    shared.files = {MODEL_FILE: b"\x80\x04" + b"pickle" * 20}
    refused(hd.UnsafeFileError, f"BI-83.*{REPO}@{COMMIT[:12]}", revision=COMMIT)


def test_a_cache_of_ones_own(shared, model, cache, tmp_path) -> None:
    own = tmp_path / "own"
    assert same(AbundanceRegressor.from_pretrained(REPO, revision=COMMIT, cache_dir=own), model)
    assert (own / "models--lab--net" / "snapshots" / COMMIT / MODEL_FILE).exists()
    assert not cache.exists()


@pytest.mark.skipif(os.name == "nt", reason="a file is no folder in other words there")
def test_a_cache_that_cannot_be_written(shared, tmp_path) -> None:
    """FI-29."""
    (tmp_path / "file").write_text("a file, not a folder")
    refused(hd.StoreError, "FI-29.*cannot be written.*HF_HOME", revision=COMMIT, cache_dir=tmp_path / "file" / "hub")


def test_a_token_of_ones_own(shared, monkeypatch, cache, capfd) -> None:
    monkeypatch.delenv("HF_TOKEN")
    AbundanceRegressor.from_pretrained(REPO, revision=COMMIT, token=TOKEN)
    assert shared.tokens == [f"Bearer {TOKEN}"] * 2
    files = [file for file in cache.parent.rglob("*") if file.is_file()]
    assert files
    assert not any(TOKEN.encode() in file.read_bytes() for file in files)
    assert TOKEN not in "".join(capfd.readouterr())
    shared.refuse = (403, None)
    marker = "".join(reversed(TOKEN))[::-1]  # what the frame of the caller holds is the caller's own business
    with pytest.raises(hd.HubError, match="FI-26") as caught:
        AbundanceRegressor.from_pretrained(REPO, revision="other", token=marker)
    frames = list(traceback.walk_tb(caught.value.__traceback__))[1:]
    shown = traceback.StackSummary.extract(iter(frames), capture_locals=True)
    assert len(frames) > 2
    assert TOKEN not in "".join(shown.format())


def test_revisions_that_contradict(shared, model, tmp_path) -> None:
    refused(hd.InputError, "FI-28.*Two revisions", f"{REPO}@{COMMIT}", revision="main")
    refused(hd.InputError, "FI-28.*no revisions", str(model.save(tmp_path / MODEL_FILE)), revision=COMMIT)
