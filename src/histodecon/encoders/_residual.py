"""The residual adapter that all methods train: it starts as the identity, and stays it where genes do not become easier to read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError, one_thread, resolve_device
from histodecon.encoders._adapters import Adapter, AdapterData, Arrays, Shapes
from histodecon.encoders._readable import held_in_rows, readable
from histodecon.encoders._restyle import Restyle

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

LOOKS = 8
REACH = 3.0
DOUBT = 0.5
WHOLE: dict[str, tuple[int, int]] = {
    "bottleneck": (1, 4096),
    "hidden": (1, 8192),
    "batch_size": (2, 1_000_000),
    "max_epochs": (1, 100_000),
    "n_held_in": (1, 1000),
    "n_latent": (1, 1024),
    "gene_epochs": (1, 100_000),
}
REAL: dict[str, tuple[float, float]] = {
    "temperature": (1e-3, 10.0),
    "learning_rate": (1e-7, 0.1),
    "weight_decay": (0.0, 1.0),
    "dropout": (0.0, 0.95),
    "anchor": (0.0, 1e6),
    "restyle": (0.0, 1.0),
    "min_gain": (0.0, 1.0),
    "contrast": (0.0, 1e6),
    "genes": (0.0, 1e6),
    "images": (0.0, 1e6),
    "within": (0.0, 1e6),
    "across": (0.0, 1e6),
}
TRAINING = {
    "bottleneck": 64,
    "hidden": 256,
    "temperature": 0.05,
    "dropout": 0.3,
    "anchor": 0.1,
    "restyle": 0.5,
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "batch_size": 128,
    "max_epochs": 120,
    "n_held_in": 4,
    "min_gain": 0.005,
}
"""Parameters that all residual adapters have, with their defaults."""


class ResidualAdapter(Adapter):
    """``x + up · relu(down · x)``, with ``up`` zero at first.

    How long to train is found on held-in groups: each of some groups is left out in turn, and after every few epochs a ridge
    regression on the others reads the counts of the group from the adapted embeddings. The number of epochs whose gain (mean less
    half its standard error over the groups) is highest is then trained on all rows. Where that gain is not above 0, or its mean not above
    ``min_gain``, the adapter is the identity.
    """

    def check(self) -> None:
        """Refuse parameters that make no sense."""
        for name, value in self.params.items():
            whole = name in WHOLE
            low, high = WHOLE[name] if whole else REAL[name]
            number = isinstance(value, (int, np.integer)) if whole else isinstance(value, (int, float, np.number))
            if isinstance(value, bool) or not number or not low <= value <= high:
                msg = (
                    f"{name} must be a {'whole number' if whole else 'number'} from {low:g} to {high:g}, got {value!r}"
                )
                raise InputError(msg, fix="leave it out to keep the default", code="BI-72")

    def prepare(self, data: AdapterData, rng: np.random.Generator, device: torch.device) -> AdapterData:
        """Compute once what every training needs.

        Parameters
        ----------
        data
            All rows.
        rng
            Source of randomness.
        device
            Where torch computes.

        Returns
        -------
        The data, with more in it.
        """
        return data

    @abstractmethod
    def objective(self, data: AdapterData, rng: np.random.Generator, device: torch.device) -> torch.nn.Module:
        """Prepare what embeddings are trained against.

        Parameters
        ----------
        data
            Training rows.
        rng
            Source of randomness.
        device
            Where torch computes.

        Returns
        -------
        A module whose call with rows (indices) and their adapted embeddings (m, d) returns the loss.
        """

    def fit(
        self, data: AdapterData, *, random_state: int = 0, device: str = "auto", show_progress_bar: bool = False
    ) -> ResidualAdapter:
        """Learn; see :meth:`histodecon.encoders.Adapter.fit`."""
        from tqdm.auto import tqdm

        chosen = resolve_device(device)
        rng = np.random.default_rng(random_state)
        held_in = held_in_rows(data.groups, self.params["n_held_in"], rng)
        looks = _looks(self.params["max_epochs"])
        total = self.params["max_epochs"] * (len(held_in) + 1)
        with one_thread(), tqdm(total=total, desc="adapt", disable=not show_progress_bar) as bar:
            data = self.prepare(data, rng, chosen)
            gains = []
            for rows, own in zip(held_in, rng.spawn(len(held_in)), strict=True):
                gains.append(self._gains(data, rows, looks, own, chosen, bar.update))
            mean = np.mean(gains, axis=0)
            sure = mean - (DOUBT * np.std(gains, axis=0, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0)
            best = int(np.argmax(sure))
            epochs = looks[best] if sure[best] > 0 and mean[best] > self.params["min_gain"] else 0
            self._network = self._train(data, epochs, rng, chosen, {}, bar.update)
        self.history_ = {
            "epochs": [0, *looks],
            "held_in_gain": [0.0, *(float(one) for one in mean)],
            "held_in_gain_of_each": [[0.0, *(float(one) for one in row)] for row in gains],
            "trained_epochs": int(epochs),
        }
        return self

    def _gains(
        self,
        data: AdapterData,
        held_in: NDArray[np.bool_],
        looks: list[int],
        rng: np.random.Generator,
        device: torch.device,
        tick: Callable[[], Any],
    ) -> list[float]:
        """How much better genes of the held-in rows are read after some epochs than before the first."""
        train = data.rows(~held_in)

        def read(network: Arrays | None) -> float:
            moved = data.X if network is None else data.X + _shift(data.X, network)
            return readable(moved, data.counts, data.groups, held_in)

        start = read(None)
        found: list[float] = []
        self._train(
            train,
            looks[-1],
            rng,
            device,
            dict.fromkeys(looks, lambda network: found.append(read(network) - start)),
            tick,
        )
        return found

    def _train(
        self,
        data: AdapterData,
        epochs: int,
        rng: np.random.Generator,
        device: torch.device,
        looks: dict[int, Callable[[Arrays], None]],
        tick: Callable[[], Any],
    ) -> Arrays:
        import torch

        with _own_random_state(rng, device):
            network = _build(data.X.shape[1], self.params["bottleneck"], self.params["dropout"]).to(device)
            if not epochs:
                return _arrays_of(network)
            objective = self.objective(data, rng, device).to(device)
            X = torch.as_tensor(data.X, device=device)
            style = Restyle(data, self.params["restyle"], device)
            weights = [*network.parameters(), *(one for one in objective.parameters() if one.requires_grad)]
            optimizer = torch.optim.AdamW(
                weights, lr=self.params["learning_rate"], weight_decay=self.params["weight_decay"]
            )
            n_batches = max(1, round(len(X) / self.params["batch_size"]))
            for epoch in range(1, epochs + 1):
                network.train()
                objective.train()
                for batch in np.array_split(rng.permutation(len(X)), n_batches):
                    rows = torch.as_tensor(batch, device=device)
                    seen = style(X[rows], batch, rng)
                    moved = network(seen.clamp(-REACH, REACH))
                    loss = objective(rows, seen + moved) + self.params["anchor"] * moved.square().mean()
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                tick()
                if epoch in looks:
                    looks[epoch](_arrays_of(network))
            return _arrays_of(network)

    @property
    def is_identity(self) -> bool:
        """Whether no training helped on held-in groups, so that embeddings stay as they are."""
        return not self._network["up"].any()

    def shift(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tell how far each embedding is moved; see :meth:`histodecon.encoders.Adapter.shift`."""
        return _shift(X, self._network)

    def shapes(self, n_inputs: int) -> Shapes:
        """Declare the arrays; see :meth:`histodecon.encoders.Adapter.shapes`."""
        b = self.params["bottleneck"]
        return {"down": (n_inputs, b), "offset": (b,), "up": (b, n_inputs)}

    def arrays(self) -> Arrays:
        """Return the fitted arrays."""
        return dict(self._network)

    def restore(self, arrays: Arrays) -> ResidualAdapter:
        """Take fitted arrays."""
        self._network = dict(arrays)
        return self


def _looks(max_epochs: int) -> list[int]:
    """After which epochs to look at held-in rows, closer together at first."""
    return sorted({max(1, round(max_epochs ** (i / LOOKS))) for i in range(1, LOOKS + 1)})


def _build(width: int, bottleneck: int, dropout: float) -> torch.nn.Sequential:
    from torch import nn

    network = nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(width, bottleneck),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(bottleneck, width, bias=False),
    )
    for weight in network[-1].parameters():
        nn.init.zeros_(weight)
    return network


def _arrays_of(network: torch.nn.Sequential) -> Arrays:
    down, offset, up = (value.detach().cpu().numpy() for value in network.parameters())
    return {"down": np.ascontiguousarray(down.T), "offset": offset.copy(), "up": np.ascontiguousarray(up.T)}


def _shift(X: NDArray[np.float32], arrays: Arrays) -> NDArray[np.float32]:
    return np.maximum(np.clip(X, -REACH, REACH) @ arrays["down"] + arrays["offset"], 0) @ arrays["up"]


@contextmanager
def _own_random_state(rng: np.random.Generator, device: torch.device) -> Iterator[None]:
    """Seed torch inside; the caller's random state stays as it is."""
    import torch

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(rng.integers(2**31)))
        yield
