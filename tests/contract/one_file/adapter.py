"""Fade what the genes do not speak of: a closed form, no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histodecon.encoders._adapters import Adapter, AdapterCard, AdapterData, Arrays, Shapes
from histodecon.encoders._readable import held_in_rows, readable


class GeneDirections(Adapter):
    """Leaves the directions of an embedding from which genes are read, and fades the others."""

    def fit(
        self, data: AdapterData, *, random_state: int = 0, device: str = "auto", show_progress_bar: bool = False
    ) -> GeneDirections:
        """Learn from standardized embeddings and expression; held-in groups tell whether it helps."""
        gains = []
        for held_in in held_in_rows(data.groups, 4, np.random.default_rng(random_state)):
            moved = data.X + data.X @ self._map(data.rows(~held_in))
            before, after = (readable(X, data.counts, data.groups, held_in) for X in (data.X, moved))
            gains.append(after - before)
        helped = float(np.mean(gains)) > self.params["min_gain"]
        self.map_ = self._map(data) * helped
        self.history_ = {"held_in_gain": float(np.mean(gains)), "trained_epochs": int(helped)}  # 0: the identity
        return self

    def _map(self, data: AdapterData) -> NDArray[np.float32]:
        """Tell what is added to an embedding: a linear map of it, shape (d, d)."""
        X, genes = data.X.astype(np.float64), data.expression.astype(np.float64)
        reading = np.linalg.solve(X.T @ X + len(X) * np.eye(X.shape[1]), X.T @ genes)
        kept = np.linalg.svd(reading, full_matrices=False)[0][:, : self.params["n_directions"]]
        return (self.params["fade"] * (kept @ kept.T - np.eye(len(kept)))).astype(np.float32)

    def shift(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tell how far each embedding is moved."""
        return X @ self.map_

    def shapes(self, n_inputs: int) -> Shapes:
        """Declare the arrays of the file."""
        return {"map": (n_inputs, n_inputs)}

    def arrays(self) -> Arrays:
        """Return the fitted arrays."""
        return {"map": self.map_}

    def restore(self, arrays: Arrays) -> GeneDirections:
        """Take fitted arrays."""
        self.map_ = arrays["map"]
        return self


CARD = AdapterCard(
    name="gene_directions",
    summary="Directions from which no gene is read are faded.",
    cls=GeneDirections,
    defaults={"n_directions": 16, "fade": 0.5, "min_gain": 0.005},
    citation="none",
)
