"""Keeping an adapter and handing it on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from histodecon.encoders._embedding_adapter import EmbeddingAdapter


class AdapterFiles:
    """What an adapter can do with its file; :class:`histodecon.encoders.EmbeddingAdapter` inherits it."""

    def to_bytes(self) -> bytes:
        """Write the adapter as the content of a file.

        Returns
        -------
        One safetensors file; equal adapters give equal bytes.
        """
        from histodecon.encoders._adapter_file import dump

        return dump(cast("EmbeddingAdapter", self))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read an adapter from the content of a file.

        Parameters
        ----------
        content
            What :meth:`to_bytes` gave.

        Returns
        -------
        The adapter; it gives the same numbers to the last bit.

        Raises
        ------
        IntegrityError, ModelVersionError, UnsafeFileError
            The content is damaged, of a newer format, or a pickle or archive, which could run code.
        """
        from histodecon.encoders._adapter_file import parse

        return cast("Self", parse(content, "adapter"))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the adapter as one safetensors file.

        Parameters
        ----------
        path
            Where, ending in ``.safetensors``.

        Returns
        -------
        The path.

        Raises
        ------
        InputError
            The name ends otherwise.
        StoreError
            The file cannot be written; an older one is intact.
        """
        from histodecon.encoders._adapter_file import write

        return write(cast("EmbeddingAdapter", self), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load an adapter.

        Parameters
        ----------
        path
            A file that :meth:`save` wrote. No code in it is ever run.

        Returns
        -------
        The adapter; it gives the same numbers to the last bit.

        Raises
        ------
        StoreError
            The file cannot be read.
        IntegrityError, ModelVersionError, UnsafeFileError
            The file is damaged, of a newer format, or a pickle or archive, which could run code.
        """
        from histodecon.encoders._adapter_file import read

        return cast("Self", read(path))
