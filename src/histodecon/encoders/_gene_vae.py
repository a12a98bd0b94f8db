"""A gene encoder that is told the patient, so that its latent need not hold him."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histodecon._core._scvi import scvi_session

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

BATCH_SIZE = 128
LEARNING_RATE = 1e-3


def gene_latent(
    counts: NDArray[np.float32],
    groups: NDArray[np.intp],
    *,
    n_latent: int,
    max_epochs: int,
    random_state: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """Encode counts by the variational autoencoder of scVI with the group as its batch.

    Parameters
    ----------
    counts
        Whole numbers, shape (n, G).
    groups
        Group of each row, 0 to P - 1, shape (n,).
    n_latent
        Columns of the latent.
    max_epochs
        Passes over the rows.
    random_state
        Seed.
    device
        Where torch computes.

    Returns
    -------
    Means of the latent, each column with mean 0 and standard deviation 1 over all rows, shape (n, n_latent).

    Raises
    ------
    MissingDependencyError
        scvi-tools is not installed.
    """
    with scvi_session(random_state, "scvi"):
        import torch
        from scvi import REGISTRY_KEYS
        from scvi.module import VAE

        n, n_genes = counts.shape
        rng = np.random.default_rng(random_state)
        X = torch.as_tensor(counts, device=device)
        batch = torch.as_tensor(groups, device=device)[:, None]
        network = VAE(n_input=n_genes, n_batch=int(groups.max()) + 1, n_latent=n_latent, gene_likelihood="nb").to(
            device
        )
        optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-6)

        def tensors(rows: torch.Tensor) -> dict[str, torch.Tensor]:
            none = torch.zeros_like(batch[rows])
            return {REGISTRY_KEYS.X_KEY: X[rows], REGISTRY_KEYS.BATCH_KEY: batch[rows], REGISTRY_KEYS.LABELS_KEY: none}

        network.train()
        for epoch in range(max_epochs):
            warm = min(1.0, (epoch + 1) / max(1, max_epochs // 2))
            for part in np.array_split(rng.permutation(n), max(1, round(n / BATCH_SIZE))):
                loss = network(tensors(torch.as_tensor(part, device=device)), loss_kwargs={"kl_weight": warm})[2].loss
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        network.eval()
        with torch.no_grad():
            latent = network.inference(X, batch)["qz"].loc.cpu().numpy()
    scale = latent.std(axis=0)
    return ((latent - latent.mean(axis=0)) / np.where(scale > 1e-9, scale, 1)).astype(np.float32)
