"""Embeddings of patients whose stain turns the features of one cell type toward those of another."""

from __future__ import annotations

import numpy as np

N_TYPES, N_GENES, WIDTH, N_GROUND = 4, 60, 24, 6
NOISE = 0.1


def planted(
    stain: float, *, n_patients: int = 6, n_spots: int = 60, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings (n, 24), cells of each type (n, 4), counts (n, 60) and patients (n,).

    The stain of patient i is an angle between -``stain`` and ``stain`` radians. It turns types 1 and 2, and types 3 and 4, into each
    other; six columns show the stain as the ground of a tile would. Without it (0) a linear map reads all cells.
    """
    rng = np.random.default_rng(seed)
    features, signatures = rng.normal(size=(N_TYPES, WIDTH)) / 2, rng.gamma(2, 1, size=(N_TYPES, N_GENES))
    side = int(np.ceil(np.sqrt(n_spots)))
    row, column = np.divmod(np.arange(n_spots), side)
    parts = []
    for patient in range(n_patients):
        angle = stain * (2 * patient / (n_patients - 1) - 1)
        waves = [rng.uniform(0.5, 1.5, 2) @ [column / side, row / side] + rng.random() for _ in range(N_TYPES)]
        cells = np.exp(np.sin(2 * np.pi * np.stack(waves, axis=1)) + 0.3 * rng.normal(size=(n_spots, N_TYPES)))
        seen = np.log1p(cells) - 0.7
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        seen = np.concatenate([seen[:, :2] @ turn, seen[:, 2:] @ turn], axis=1)
        X = seen @ features + NOISE * rng.normal(size=(n_spots, WIDTH))
        X[:, :N_GROUND] = angle + NOISE * rng.normal(size=(n_spots, N_GROUND))
        parts.append((X.astype(np.float32), cells, rng.poisson(3 * cells @ signatures), [f"P{patient + 1}"] * n_spots))
    X, cells, counts, patients = (np.concatenate(values) for values in zip(*parts, strict=True))
    return X, cells, counts, patients
