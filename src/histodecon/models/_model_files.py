"""Keeping a regressor and handing it on: bytes, files, the Hub, other packages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from histodecon.models._lazyslide import LazySlideModel
    from histodecon.models._regressor import AbundanceRegressor


class ModelFiles:
    """What a regressor can do with its file; :class:`histodecon.models.AbundanceRegressor` inherits it."""

    @property
    def license_notice_(self) -> str:
        """What the licenses of the encoders say of a model that was trained on their embeddings, in two sentences."""
        from histodecon.models._license import license_notice

        check_is_fitted(self, "learner_")
        return license_notice(cast("AbundanceRegressor", self).encoders_)

    @property
    def commercial_(self) -> bool:
        """Whether the licenses of all encoders permit commercial use of what is derived from them."""
        check_is_fitted(self, "learner_")
        return all(record.commercial for record in cast("AbundanceRegressor", self).encoders_)

    def to_bytes(self) -> bytes:
        """Write the regressor as the content of a model file.

        Returns
        -------
        One safetensors file; equal models give equal bytes.
        """
        from histodecon.models._model_file import dump

        check_is_fitted(self, "learner_")
        return dump(cast("AbundanceRegressor", self))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read the regressor from the content of a model file.

        Parameters
        ----------
        content
            What :meth:`to_bytes` gave.

        Returns
        -------
        The regressor; it predicts the same numbers to the last bit.

        Raises
        ------
        IntegrityError, ModelVersionError, UnsafeFileError
            The content is damaged, of a newer format, or a pickle or archive, which could run code.
        """
        from histodecon.models._model_file import parse

        return cast("Self", parse(content, "model"))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the regressor as one safetensors file.

        Parameters
        ----------
        path
            Where, ending in ``.safetensors``.

        Returns
        -------
        The path.

        Raises
        ------
        StoreError
            The file cannot be written; an older one is intact.
        """
        from histodecon.models._model_file import write

        check_is_fitted(self, "learner_")
        return write(cast("AbundanceRegressor", self), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load a regressor.

        Parameters
        ----------
        path
            A file that :meth:`save` wrote. No code in it is ever run.

        Returns
        -------
        The regressor; it predicts the same numbers to the last bit.

        Raises
        ------
        StoreError
            There is no such file.
        IntegrityError, ModelVersionError, UnsafeFileError
            The file is damaged, of a newer format, or a pickle or archive, which could run code.
        """
        from histodecon.models._model_file import read

        return cast("Self", read(path))

    def model_card(self, repo_id: str | None = None) -> str:
        """Write the page of the regressor from its facts, as :meth:`push_to_hub` does.

        Parameters
        ----------
        repo_id
            Where it will be found, such as ``"owner/name"``.

        Returns
        -------
        Markdown: what it predicts, the encoders it reads, how to use it, what it learned from, scores of held-out patients
        where a reliability card is there, license, limits. Patients are counted, not named.

        Examples
        --------
        >>> import numpy as np
        >>> from histodecon.models import AbundanceRegressor
        >>> model = AbundanceRegressor("mean").fit(np.eye(3), np.ones((3, 2)), cell_types=["T cell", "B cell"])
        >>> "T cell · B cell" in model.model_card("lab/breast")
        True
        """
        from histodecon.models._model_card import model_card

        check_is_fitted(self, "learner_")
        return model_card(cast("AbundanceRegressor", self), repo_id)

    def push_to_hub(self, repo_id: str, *, token: str | None = None, private: bool = True) -> str:
        """Put the regressor into a repository on the Hugging Face Hub, with its page.

        Parameters
        ----------
        repo_id
            Such as ``"owner/name"``; it is made where there is none.
        token
            A token that may write; by default that of ``hf auth login`` or ``HF_TOKEN``. It is never shown or kept.
        private
            Whether nobody else shall see it. A repository that exists keeps its visibility: a public one is refused.

        Returns
        -------
        The commit, 40 hexadecimal digits: hand it on as ``revision``.

        Raises
        ------
        InputError
            The name is none, or the repository is public and ``private`` is True; nothing was uploaded.
        OfflineError
            There is no network, or ``HF_HUB_OFFLINE`` forbids it.
        HubError
            The Hub refuses.

        Notes
        -----
        Two files are written: ``model.safetensors`` and ``README.md``, which is :meth:`model_card`. The names of training
        groups (patients) are replaced by numbers. Look at :attr:`license_notice_` before ``private=False``: the licenses of some
        encoders count a model that was trained on their embeddings as derived from them.
        """
        from histodecon._core._hub import hidden
        from histodecon.models._push_model import push_model

        token = hidden(token)
        check_is_fitted(self, "learner_")
        return push_model(cast("AbundanceRegressor", self), repo_id, token=token, private=private)

    @classmethod
    def from_pretrained(
        cls,
        repo_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | None = None,
    ) -> Self:
        """Load a regressor from the Hugging Face Hub, a folder, or a file.

        Parameters
        ----------
        repo_or_path
            ``"owner/name"``, ``"owner/name@commit"``, the path of a file, or of a folder with ``model.safetensors``. What exists as
            a path is taken as one.
        revision
            Commit, branch or tag; by default the main branch. Name a commit: a branch may hold another model tomorrow, and
            that is said.
        cache_dir
            Cache of the Hub; by default that of ``HF_HOME``.
        token
            A token that may read it; by default that of ``hf auth login`` or ``HF_TOKEN``. It is never shown or kept.

        Returns
        -------
        The regressor. No code in the file is ever run.

        Raises
        ------
        StoreError
            There is no such file, or the cache cannot be written.
        GatedError
            The authors ask for consent first.
        OfflineError
            It is not in the cache and there is no network, or ``HF_HUB_OFFLINE`` forbids it.
        HubError
            There is no such repository, revision or file, the Hub refuses, or the download did not arrive whole.
        IntegrityError, ModelVersionError, UnsafeFileError
            The file is damaged, of a newer format, or a pickle or archive, which could run code.

        Warns
        -----
        HistodeconWarning
            The revision is not a commit.
        FallbackWarning
            The Hub cannot be reached, and the commit in the cache may not be the newest.

        Notes
        -----
        A commit that is in the cache is used without a request.
        """
        from histodecon._core._hub import hidden
        from histodecon.models._find_model import pull

        token = hidden(token)
        return cast("Self", pull(repo_or_path, revision=revision, cache_dir=cache_dir, token=token))

    def as_lazyslide(self, features_model_name: str | None = None) -> LazySlideModel:
        """Give the regressor the shape that ``lazyslide.tl.feature_prediction`` takes.

        Parameters
        ----------
        features_model_name
            What LazySlide calls the features to read; by default LazySlide's name of the encoder. A model of several encoders
            reads a table with their columns side by side: name it here, or with ``feature_key=``.

        Returns
        -------
        An object with ``predict(features) -> dict``, ``name``, ``features_model_name`` and what else the protocol asks for.

        Raises
        ------
        InputError
            The learner reads neighbors, which LazySlide does not hand over.

        Notes
        -----
        LazySlide tells the name of an encoder, not its recipe: only the width is checked. Predictions mean something if weights, tile
        size in µm and preprocessing are those of training (:attr:`encoders_` tells them).

        Examples
        --------
        >>> import numpy as np
        >>> from histodecon.models import AbundanceRegressor
        >>> model = AbundanceRegressor("mean").fit(np.eye(3), np.ones((3, 2)), cell_types=["T cell", "B cell"])
        >>> {name: value.tolist() for name, value in model.as_lazyslide().predict(np.eye(3)[:1]).items()}
        {'T cell': [1.0], 'B cell': [1.0]}
        """
        from histodecon.models._lazyslide import LazySlideModel

        return LazySlideModel(cast("AbundanceRegressor", self), features_model_name)
