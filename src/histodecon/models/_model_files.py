"""Keeping a regressor: bytes, files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from histodecon.models._regressor import AbundanceRegressor


class ModelFiles:
    """What a regressor can do with its file; :class:`histodecon.models.AbundanceRegressor` inherits it."""

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
