"""A model into a repository on the Hub, with its page."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from histodecon._core import HubError, InputError, OfflineError
from histodecon._core._hub import COMMIT, within
from histodecon._core._hub_errors import plain, status_of
from histodecon.models._find_model import MODEL_FILE, is_repository
from histodecon.models._model_card import model_card
from histodecon.models._model_file import dump

if TYPE_CHECKING:
    from histodecon.models._regressor import AbundanceRegressor

CARD_FILE = "README.md"
ANSWER_S = 30  # for one short request, name lookup included
UPLOAD_S = 86_400
_REFUSED = (401, 402, 403)


def push_model(model: AbundanceRegressor, repo_id: str, *, token: str | None, private: bool) -> str:
    """Put a regressor and its page into a repository.

    Parameters
    ----------
    model
        The regressor.
    repo_id
        Such as ``"owner/name"``.
    token
        Token of the Hub.
    private
        Whether nobody else shall see it.

    Returns
    -------
    The commit.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants

    if not is_repository(repo_id):
        msg = f"A repository on the Hub is called owner/name, got {repo_id!r}"
        raise InputError(msg, fix='`model.push_to_hub("owner/name")`', code="FI-28")
    shared = without_names(model)
    files = {MODEL_FILE: dump(shared), CARD_FILE: model_card(shared, repo_id).encode()}
    if constants.HF_HUB_OFFLINE:
        raise _offline(repo_id, "HF_HUB_OFFLINE is set")
    api = HfApi(endpoint=constants.ENDPOINT, token=token)
    ask = partial(_answer, repo_id, token)
    ask(partial(api.create_repo, repo_id, private=private, exist_ok=True), ANSWER_S)
    if private and not ask(partial(api.repo_info, repo_id), ANSWER_S).private:
        msg = f"The repository {repo_id!r} exists, and everybody can read it"
        why = "a private model was asked for; nothing was uploaded"
        raise InputError(msg, why=why, fix="`private=False`, or another name", code="BI-53")
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    message = f"A model of {len(model.cell_types_)} cell types"
    commit = ask(partial(api.create_commit, repo_id, operations, commit_message=message), UPLOAD_S).oid
    if not COMMIT.fullmatch(str(commit)):
        msg = f"The Hub answered without a commit, so it is not known whether {repo_id!r} holds the model"
        raise HubError(msg, fix=f"look at {constants.ENDPOINT}/{repo_id}", code="FI-23")
    return str(commit)


def without_names(model: AbundanceRegressor) -> AbundanceRegressor:
    """Copy a regressor without the names of patients, who need not be known to whoever gets it.

    Parameters
    ----------
    model
        The regressor.

    Returns
    -------
    A copy that predicts the same; its groups are numbered.
    """
    shared = copy.copy(model)
    names = model.training_.get("groups") or []
    shared.training_ = {**model.training_, "groups": [str(number) for number in range(1, len(names) + 1)]}
    return shared


def _answer(repo_id: str, token: str | None, call: Callable[[], Any], seconds: float) -> Any:
    answer = within(call, seconds)
    if isinstance(answer, Exception):
        raise _refusal(repo_id, answer, token)
    return answer


def _refusal(repo_id: str, answer: Exception, token: str | None) -> HubError:
    status = status_of(answer)
    if status is None and not isinstance(answer, (OSError, TimeoutError)) and not _is_transport(answer):
        msg = f"The Hub did not take the model for {repo_id!r}"
        return HubError(msg, where=plain(answer, token), fix="try again", code="FI-28")
    if status is None:
        return _offline(repo_id, plain(answer, token))
    if status in _REFUSED or status == 404:
        msg = f"The Hub does not let this login write to {repo_id!r}"
        fix = "`hf auth whoami` shows the login, `hf auth login` takes a token that may write; the owner must be you or a group of yours"
        return HubError(msg, where=f"status {status}", fix=fix, code="FI-26")
    msg = f"The Hub did not take the model for {repo_id!r}"
    return HubError(msg, where=f"status {status}", fix="try again in some minutes", code="FI-28")


def _is_transport(answer: Exception) -> bool:
    """Whether the library below the client of the Hub raised it."""
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(answer, tuple(base for base in HfHubHTTPError.__bases__ if base is not Exception))


def _offline(repo_id: str, reason: str) -> OfflineError:
    msg = f"To put a model into {repo_id!r} takes a network, and there is none"
    fix = f"keep it as a file, `model.save('{MODEL_FILE}')`, and push it later"
    return OfflineError(msg, where=reason, fix=fix, code="FI-24")
