"""Finished folds on disk, so that a kill loses the fold in flight at most."""

from __future__ import annotations

import functools
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from histodecon._core import HistodeconError, StoreError, digest
from histodecon.models._fit_fold import FoldData, Task

if TYPE_CHECKING:
    from histodecon.models._regressor import AbundanceRegressor

VERSIONS = ("histodecon", "numpy", "scipy", "torch")


class FoldCache:
    """A folder of model files, each named by a digest of everything that decides it.

    Files are written beside and renamed, so several processes may share the folder; one that is damaged is as if it had never
    been. No journal is needed: a file that is there is a fold that is finished.

    Parameters
    ----------
    folder
        The folder; None keeps nothing.
    model
        The regressor whose copies are fitted.
    data
        What all folds draw from.

    Raises
    ------
    StoreError
        The folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, model: AbundanceRegressor, data: FoldData) -> None:
        self.folder = None if folder is None else Path(os.fspath(folder)).expanduser()
        self.model, self.data = model, data
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                msg = "The folder for finished folds could not be made"
                where, fix = f"{self.folder}: {error.strerror or error}", "name another one, `cache_dir=`, or none"
                raise StoreError(msg, where=where, fix=fix, code="FI-07") from error

    def read(self, task: Task) -> AbundanceRegressor | None:
        """Read a fold.

        Parameters
        ----------
        task
            The fold.

        Returns
        -------
        Its regressor, or None where no whole file is there.
        """
        from histodecon.models._regressor import AbundanceRegressor

        path = self._path(task)
        if path is None or not path.exists():
            return None
        try:
            return AbundanceRegressor.load(path).set_params(**self.model.get_params())
        except HistodeconError:
            return None

    def save(self, task: Task, fitted: AbundanceRegressor) -> None:
        """Keep a fold.

        Parameters
        ----------
        task
            The fold.
        fitted
            Its regressor.

        Raises
        ------
        StoreError
            The folder is gone or not writable, or the disk is full.
        """
        path = self._path(task)
        if path is not None:
            fitted.save(path)

    def _path(self, task: Task) -> Path | None:
        if self.folder is None:
            return None
        own = digest(self._common, task.rows, "" if task.weights is None else task.weights)
        return self.folder / f"fold_{own[:32]}.safetensors"

    @functools.cached_property
    def _common(self) -> str:
        params = {name: value for name, value in self.model.get_params().items() if name != "show_progress_bar"}
        groups = "" if self.data.groups is None else np.asarray(self.data.groups).astype(str)
        rings = [part for ring in self.data.neighbors or () for part in (ring.indptr, ring.indices, ring.data)]
        facts = sorted(self.data.facts.items())
        parts = (self.data.X, self.data.y, groups, *rings, repr(sorted(params.items())), repr(facts))
        told = "" if self.data.genes is None else self.data.genes.sha256()
        bags = "" if self.data.bags is None else np.asarray(self.data.bags)
        parts += (told, bags) if told or self.data.bags is not None else ()
        return digest(*parts, *[version(name) for name in VERSIONS])
