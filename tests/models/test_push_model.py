"""A model and its page into a repository: private unless told, without names of patients, without the token."""

from __future__ import annotations

import threading
import traceback

import numpy as np
import pytest
from huggingface_hub import constants
from loopback_hub import COMMIT, REPO, TOKEN

import histodecon as hd
from histodecon.models import AbundanceRegressor, EncoderRecord, _push_model
from histodecon.models._find_model import MODEL_FILE
from histodecon.models._push_model import CARD_FILE, without_names

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
PATIENTS = ["MARKER-Ada", "MARKER-Bob"]


def fitted(learner: str = "ridge") -> AbundanceRegressor:
    records = [EncoderRecord("X_a", "a", 3, "f" * 64, "CC-BY-NC-4.0", repo="lab/a")]
    params = {"max_epochs": 2, "hidden": 4} if learner == "mlp" else None
    model = AbundanceRegressor(learner, params=params, device="cpu")
    groups = np.repeat(PATIENTS, 15)
    return model.fit(X, np.abs(X[:, :2]), groups=groups, encoders=records, cell_types=["T cell", "B cell"])


@pytest.fixture(scope="module")
def model() -> AbundanceRegressor:
    return fitted()


@pytest.fixture
def empty(hub):
    """A Hub that holds nothing."""
    hub.files, hub.visible = {}, None
    return hub


def refused(model: AbundanceRegressor, error: type[Exception], match: str, repo: str = REPO, **kwargs) -> None:
    with pytest.raises(error, match=f"(?s){match}") as caught:
        model.push_to_hub(repo, **kwargs)
    assert type(caught.value) is error
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TOKEN not in "".join(shown.format())


def test_there_and_back(empty, model) -> None:
    commit = model.push_to_hub(REPO)
    assert commit == empty.commit != COMMIT
    assert empty.visible is False
    assert set(empty.files) == {MODEL_FILE, CARD_FILE}
    again = AbundanceRegressor.from_pretrained(REPO, revision=commit)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.license_notice_ == model.license_notice_
    assert again.commercial_ is False


def test_the_page_is_the_card(empty, model) -> None:
    model.push_to_hub(REPO, private=False)
    assert empty.visible is True
    assert empty.files[CARD_FILE].decode() == model.model_card(REPO)


@pytest.mark.parametrize("learner", ["ridge", "mlp", "mean"])
def test_no_name_of_a_patient_leaves(empty, learner) -> None:
    model = fitted(learner)
    model.push_to_hub(REPO)
    assert model.training_["groups"] == PATIENTS
    assert not any(b"MARKER" in content for content in empty.files.values())
    assert AbundanceRegressor.from_bytes(empty.files[MODEL_FILE]).training_["groups"] == ["1", "2"]
    assert without_names(model).training_["n_rows"] == model.training_["n_rows"]


def test_an_older_commit_stays_what_it_is(empty, model) -> None:
    first = model.push_to_hub(REPO)
    second = fitted("mean").push_to_hub(REPO)
    assert first != second
    empty.go_back(first)
    assert AbundanceRegressor.from_pretrained(REPO, revision=first).learner == "ridge"


def test_a_public_repository_is_no_place_for_a_private_model(hub, model) -> None:
    before = dict(hub.files)
    refused(model, hd.InputError, "BI-53.*everybody can read.*nothing was uploaded.*private=False")
    assert (hub.files, hub.commit) == (before, COMMIT)
    model.push_to_hub(REPO, private=False)
    assert set(hub.files) == set(before) | {MODEL_FILE, CARD_FILE}


def test_a_private_repository_stays_private(hub, model) -> None:
    hub.visible = False
    model.push_to_hub(REPO, private=False)
    assert hub.visible is False


@pytest.mark.parametrize("repo", ["model", "a/b/c", f"{REPO}@main", "", "../x"])
def test_names_that_no_repository_has(empty, model, repo) -> None:
    refused(model, hd.InputError, "FI-28.*owner/name", repo)
    assert empty.asked == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_login_that_may_not_write(empty, model, status) -> None:
    """FI-26."""
    empty.refuse_post = (status, None)
    empty.refuse = (status, None)  # or the client finds the repository and goes on
    refused(model, hd.HubError, f"FI-26.*write to '{REPO}'.*status {status}.*hf auth login")
    assert empty.files == {}


def test_a_hub_that_is_down(empty, model) -> None:
    empty.refuse_post = (500, None)
    refused(model, hd.HubError, "FI-28.*status 500.*try again")


def test_told_to_stay_offline(empty, model, monkeypatch) -> None:
    """FI-24."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(model, hd.OfflineError, r"FI-24.*HF_HUB_OFFLINE.*model\.save")
    assert empty.asked == []


@pytest.mark.usefixtures("no_network")
def test_no_network(empty, model) -> None:
    refused(model, hd.OfflineError, "FI-24.*takes a network")


def test_a_hub_that_does_not_answer(empty, model, monkeypatch) -> None:
    monkeypatch.setattr(_push_model, "ANSWER_S", 0.5)
    empty.stall = threading.Event()
    refused(model, hd.OfflineError, "FI-24.*no answer within")


def test_a_token_of_ones_own(empty, model, monkeypatch, capfd) -> None:
    monkeypatch.delenv("HF_TOKEN")
    model.push_to_hub(REPO, token=TOKEN)
    assert set(empty.tokens) == {f"Bearer {TOKEN}"}
    assert TOKEN not in "".join(capfd.readouterr())
    assert not any(TOKEN.encode() in content for content in empty.files.values())


def test_a_model_that_is_not_finite_is_not_pushed(empty) -> None:
    broken = fitted()
    broken.learner_.coefficients_[0, 0] = np.nan
    refused(broken, hd.IntegrityError, "BI-82")
    assert empty.asked == []
