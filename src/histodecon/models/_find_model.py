"""A model by what a user types: the object, its file, or its name on the Hub."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from histodecon._core import FallbackWarning, HistodeconWarning, HubError, InputError
from histodecon._core._hub import COMMIT, HubWish, find_in_cache, find_on_hub
from histodecon._core._hub_download import download
from histodecon._core._safetensors import UNSAFE_SUFFIXES
from histodecon.models._model_file import SUFFIX, read

if TYPE_CHECKING:
    from histodecon.models._regressor import AbundanceRegressor

MODEL_FILE = f"model{SUFFIX}"
_REPO = re.compile(r"(?P<repo>\w[\w.-]{0,95}/\w[\w.-]{0,95})(@(?P<revision>[^@\s]+))?", re.ASCII)


def find_model(model: AbundanceRegressor | str | os.PathLike[str]) -> AbundanceRegressor:
    """Turn what a user types into a regressor.

    Parameters
    ----------
    model
        A regressor; the path of its file, or of a folder that holds it; or its name on the Hub, ``"owner/name"`` or
        ``"owner/name@commit"``.

    Returns
    -------
    The regressor.

    Raises
    ------
    InputError
        It is none of these.
    StoreError, HubError
        It cannot be read, or fetched.
    IntegrityError, ModelVersionError, UnsafeFileError
        The file is damaged, of a newer format, or one that could run code.
    """
    from histodecon.models._regressor import AbundanceRegressor

    if isinstance(model, AbundanceRegressor):
        return model
    if not isinstance(model, (str, os.PathLike)):
        msg = f"model must be an AbundanceRegressor, the path of its file or its name on the Hub, got {type(model).__name__}"
        raise InputError(msg, fix="`histodecon.tl.train_regressor(adata, use_rep=...)` returns one", code="BI-44")
    return pull(model)


def pull(
    repo_or_path: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | None = None,
) -> AbundanceRegressor:
    """Read a regressor from a file, a folder, or the Hub.

    Parameters
    ----------
    repo_or_path
        Path, or ``"owner/name"``, or ``"owner/name@revision"``.
    revision
        Commit, branch or tag on the Hub.
    cache_dir
        Cache of the Hub.
    token
        Token of the Hub.

    Returns
    -------
    The regressor.
    """
    found = _repository(repo_or_path)
    if found is None:
        if revision is not None:
            msg = f"{Path(repo_or_path).name!r} is a file, which has no revisions"
            raise InputError(msg, fix='leave `revision` out, or name a repository: `"owner/name"`', code="FI-28")
        path = Path(repo_or_path)
        return read(path / MODEL_FILE if path.is_dir() else path)
    repo, told = found
    if told and revision and told != revision:
        msg = f"Two revisions are asked for: {told!r} and {revision!r}"
        raise InputError(msg, fix=f'`"{repo}"` and `revision=` alone', code="FI-28")
    wish = _wish(repo, revision or told, cache_dir, token)
    path, commit = _fetch(wish)
    return read(path, name=f"{repo}@{commit[:12]}")


def is_repository(text: str) -> bool:
    """Tell whether a text can be the name of a repository.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    Whether it is ``owner/name``, without a revision.
    """
    name = _REPO.fullmatch(text)
    return name is not None and name["revision"] is None


def _repository(repo_or_path: str | os.PathLike[str]) -> tuple[str, str | None] | None:
    """Name and revision of a repository, None where a file is meant."""
    name = None if isinstance(repo_or_path, os.PathLike) else _REPO.fullmatch(repo_or_path)
    if name is None or name["repo"].lower().endswith((SUFFIX, *UNSAFE_SUFFIXES)) or Path(name[0]).exists():
        return None
    return name["repo"], name["revision"]


def _wish(repo: str, revision: str | None, cache_dir: str | os.PathLike[str] | None, token: str | None) -> HubWish:
    return HubWish(
        what=f"the model {repo!r}",
        repo=repo,
        names=(MODEL_FILE,),
        revision=revision,
        label=repo,
        instead="or pass the path of a file that you have",
        elsewhere=f"check the name on the Hub, `hf auth login` where it is private; there is no file or folder {repo!r} here either",
        cache_dir=None if cache_dir is None else os.fspath(cache_dir),
        token=token,
    )


def _fetch(wish: HubWish) -> tuple[Path, str]:
    """Take what is in the cache where it is pinned, else ask for the newest."""
    from huggingface_hub import constants

    here = find_in_cache(wish)
    if here is not None and (COMMIT.fullmatch(wish.branch) or constants.HF_HUB_OFFLINE):
        return here
    try:
        remote = find_on_hub(wish)
    except HubError as error:
        if here is None:
            raise
        text = (
            f"[HD-FI-24] The Hub could not be asked whether there is a newer commit of {wish.what} ({error.code}): took {here[1]}, "
            f'which is in the cache. With `revision="{here[1]}"` nothing is asked.'
        )
        warnings.warn(text, FallbackWarning, stacklevel=5)
        return here
    path = download(wish, remote)
    if not COMMIT.fullmatch(wish.branch):
        text = (
            f"[HD-FI-28] {wish.what[0].upper()}{wish.what[1:]} was taken as the branch {wish.branch!r} has it now. The same line may give "
            f'another model tomorrow. To keep it: `revision="{remote.commit}"`, or `"{wish.repo}@{remote.commit}"`.'
        )
        warnings.warn(text, HistodeconWarning, stacklevel=5)
    return path, remote.commit
