"""A world with known cells: an image that shows them indirectly, counts that follow from signatures."""

from __future__ import annotations

import numpy as np

N_TYPES, N_GENES, WIDTH = 6, 120, 32
TYPES = [f"type_{k}" for k in range(N_TYPES)]
GENES = tuple(f"gene_{g}" for g in range(N_GENES))


class World:
    """Signatures and an encoder, drawn once."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.signatures = rng.gamma(0.3, 1.0, (N_GENES, N_TYPES))
        self.signatures *= 8.0 / self.signatures.sum(axis=0)
        self.first = rng.normal(size=(N_TYPES + 3, WIDTH)) / np.sqrt(N_TYPES)
        self.second = rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)

    def slide(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Embeddings, abundances and counts of the spots of a patient, whose mean composition is its own."""
        rng = np.random.default_rng(seed)
        W = rng.gamma(0.6, 1.0, (n, N_TYPES)) * rng.gamma(2.0, 1.0, N_TYPES)
        W *= 10 / W.sum(axis=1).mean()
        Z = np.c_[np.log1p(W), rng.normal(size=(n, 3))] @ self.first
        X = np.tanh(Z) @ self.second + 0.3 * rng.normal(size=(n, WIDTH))
        mean = W @ self.signatures.T
        return X.astype(np.float32), W, rng.negative_binomial(5, 5 / (5 + mean)).astype(np.float32)

    def cohort(self, n: int, patients: range) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Several patients one under the other, and whose each row is."""
        parts = [self.slide(n, seed) for seed in patients]
        X, W, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
        return X, W, counts, np.repeat(np.arange(len(parts)), n)


def mean_cc(truth: np.ndarray, found: np.ndarray, patients: np.ndarray) -> float:
    """Correlation of each type over the rows of a patient, averaged over types, then patients."""
    per = [
        np.mean([np.corrcoef(truth[rows, k], found[rows, k])[0, 1] for k in range(truth.shape[1])])
        for rows in (patients == name for name in np.unique(patients))
    ]
    return float(np.mean(per))
