"""The network of the method, several of them averaged."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import HistodeconWarning, InputError, one_thread, resolve_device
from histodecon.models._held_in import held_in_rows
from histodecon.models._learners import Arrays, FitContext, Learner, LearnerCard, Shapes
from histodecon.models._networks import N_LINEAR, build_mlp, layer_widths, start_linear
from histodecon.models._ridge_start import RidgeStart
from histodecon.models._steps import PRECISIONS, own_random_state

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from histodecon.models._many_fits import ManyFits
    from histodecon.models._stacked import Job
    from histodecon.models._training import TrainingHistory, TrainingPlan

FEW_ROWS = 32
CHUNK = 8192
STARTS = ("ridge", "random")
STACK_EVERYWHERE = False
"""Whether many training sets are stacked on any device; for tests."""


class MlpLearner(Learner):
    """Seven linear layers with SiLU between them; the mean of a few networks.

    Every network trains on other rows: where there are several groups each leaves one of them out in turn, else each
    leaves out another fifth of the rows. The rows left out decide when its training stops. By default every network begins
    as the ridge regression of its own training rows and departs from there; ``start="random"`` begins with torch's weights.
    """

    takes_weights = True

    def check(self) -> None:
        """Refuse parameters that make no sense."""
        if self.params["start"] not in STARTS:
            msg = f"start must be one of {STARTS}, got {self.params['start']!r}"
            raise InputError(msg, code="BI-72")
        if self.params["precision"] not in PRECISIONS:
            msg = f"precision must be one of {PRECISIONS}, got {self.params['precision']!r}"
            raise InputError(msg, code="BI-72")
        for name, value in self.params.items():
            if name in ("start", "precision"):
                continue
            low, high = _RANGES[name]
            whole = isinstance(CARD.defaults[name], int)
            number = isinstance(value, (int, np.integer)) if whole else isinstance(value, (int, float, np.number))
            if isinstance(value, bool) or not number or not low <= value <= high:
                msg = f"{name} must be a {'whole number' if whole else 'number'} from {low} to {high}, got {value!r}"
                raise InputError(msg, fix=f"its default is {CARD.defaults[name]!r}", code="BI-72")

    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> MlpLearner:
        """Learn; see :meth:`histodecon.models.Learner.fit`."""
        import torch

        if len(X) < FEW_ROWS:
            text = f"[HD-BI-71] Only {len(X)} rows to train a network on {X.shape[1]} inputs: expect it to overfit."
            warnings.warn(text + " The learner `ridge` is safer.", HistodeconWarning, stacklevel=4)
        device = resolve_device(context.device)
        inputs = torch.as_tensor(X, dtype=torch.float32, device=device)
        targets = torch.as_tensor(Y, dtype=torch.float32, device=device)
        counts = None if weights is None else torch.as_tensor(weights, dtype=torch.float32, device=device)
        held_in, draws = self._draws(groups, context.random_state)
        start = self._ridge_start(X, Y, groups, weights)
        self.networks_, histories = [], []
        with _progress(len(held_in), self.params["max_epochs"], show=context.show_progress_bar) as bar:
            for rows, rng in zip(held_in, draws, strict=True):
                network, history = self._train_one((inputs, targets, counts), rows, rng, bar, start)
                self.networks_.append(network)
                histories.append(history)
        self._remember(histories)
        return self

    def fit_many(self, problem: ManyFits) -> list[Learner] | None:
        """Learn from many training sets in one batched network; see :meth:`histodecon.models.Learner.fit_many`.

        Only on a CUDA device: a CPU has nothing to gain from it.
        """
        from histodecon.models._stacked import Job, StackedData, train_stacked

        device = resolve_device(problem.context.device)
        if device.type != "cuda" and not STACK_EVERYWHERE:
            return None
        seed, jobs = problem.context.random_state, []
        for fit, groups in enumerate(problem.groups):
            X, Y, weights = problem.standardized(fit)
            held_in, draws = self._draws(groups, seed)
            start = self._ridge_start(X, Y, groups, weights)
            for rows, rng in zip(held_in, draws, strict=True):
                with own_random_state(rng):
                    network = self._new_network(X.shape[1], Y.shape[1], rows, start)
                jobs.append(Job(network, fit, problem.rows[fit][~rows], problem.rows[fit][rows], rng))
        with own_random_state(np.random.default_rng(seed), device):
            histories = train_stacked(jobs, StackedData.of(problem, device), self._plan())
        return [self._collected(jobs, histories, fit) for fit in range(len(problem.rows))]

    def _collected(self, jobs: list[Job], histories: list[TrainingHistory], fit: int) -> MlpLearner:
        learner = type(self)(**self.params)
        learner.networks_ = [job.network for job in jobs if job.fit == fit]
        learner._remember([history for job, history in zip(jobs, histories, strict=True) if job.fit == fit])
        return learner

    def _draws(self, groups: NDArray[np.intp], seed: int) -> tuple[list[NDArray[np.bool_]], list[np.random.Generator]]:
        """Rows that each network holds in, and random numbers of its own."""
        rng = np.random.default_rng(seed)
        held_in = held_in_rows(groups, self.params["n_networks"], rng)
        return held_in, rng.spawn(len(held_in))

    def _ridge_start(
        self, X: NDArray, Y: NDArray, groups: NDArray[np.intp], weights: NDArray | None
    ) -> RidgeStart | None:
        if self.params["start"] == "random":
            return None
        return RidgeStart(X, Y, groups, self.params["hidden"] // 2, weights)

    def _train_one(
        self,
        data: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None],
        held_in: NDArray[np.bool_],
        rng: np.random.Generator,
        bar: Any,
        start: RidgeStart | None,
    ) -> tuple[torch.nn.Sequential, TrainingHistory]:
        from histodecon.models._training import train_network

        X, Y, weights = data
        with own_random_state(rng, X.device):
            network = self._new_network(X.shape[1], Y.shape[1], held_in, start).to(X.device)
            with one_thread():
                history = train_network(
                    network, X, Y, held_in, self._plan(), rng=rng, on_epoch=lambda *_: bar.update(), weights=weights
                )
        return network.to("cpu"), history

    def _plan(self) -> TrainingPlan:
        from histodecon.models._training import TrainingPlan

        return TrainingPlan(**{name: self.params[name] for name in TrainingPlan.__dataclass_fields__})

    def _new_network(
        self, n_inputs: int, n_outputs: int, held_in: NDArray[np.bool_], start: RidgeStart | None
    ) -> torch.nn.Sequential:
        network = self._build(n_inputs, n_outputs)
        if start is not None:
            start_linear(network, *start.of(~held_in))
        return network

    def _build(self, n_inputs: int, n_outputs: int) -> torch.nn.Sequential:
        names = ("hidden", "dropout", "input_dropout")
        return build_mlp(n_inputs, n_outputs, **{name: self.params[name] for name in names})

    def _remember(self, histories: list[TrainingHistory]) -> None:
        self.history_ = {
            f"network_{i}": {"training_loss": history.training_loss, "held_in_loss": history.held_in_loss}
            for i, history in enumerate(histories)
        }
        self.summary_ = {
            "best_epochs": [history.best_epoch for history in histories],
            "stopped": [history.stopped for history in histories],
        }

    def predict(self, X: NDArray) -> NDArray[np.float64]:
        """Predict; see :meth:`histodecon.models.Learner.predict`."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, max(len(X), 1), CHUNK):
                rows = torch.as_tensor(X[start : start + CHUNK], dtype=torch.float32)
                parts.append(np.mean([network(rows).double().numpy() for network in self.networks_], axis=0))
        return np.concatenate(parts)

    def shapes(self, n_inputs: int, n_outputs: int) -> Shapes:
        """Declare the arrays; see :meth:`histodecon.models.Learner.shapes`."""
        shapes: Shapes = {}
        for network in range(self.params["n_networks"]):
            for i, (inputs, outputs) in enumerate(layer_widths(n_inputs, n_outputs, self.params["hidden"])):
                shapes[f"network_{network}.linear_{i}.weight"] = (outputs, inputs)
                shapes[f"network_{network}.linear_{i}.bias"] = (outputs,)
        return shapes

    def arrays(self) -> Arrays:
        """Return the fitted arrays."""
        return {
            f"network_{i}.{name}": value.numpy().copy()
            for i, network in enumerate(self.networks_)
            for name, value in network.state_dict().items()
        }

    def restore(self, arrays: Arrays) -> MlpLearner:
        """Take fitted arrays."""
        import torch

        first = arrays["network_0.linear_0.weight"]
        last = arrays[f"network_0.linear_{N_LINEAR - 1}.weight"]
        self.networks_ = []
        for i in range(self.params["n_networks"]):
            network = self._build(first.shape[1], last.shape[0])
            prefix = f"network_{i}."
            state = {
                name.removeprefix(prefix): torch.from_numpy(value.copy())
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
            network.load_state_dict(state)
            self.networks_.append(network.eval())
        return self


def _progress(n_networks: int, epochs: int, *, show: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=n_networks * epochs, desc="training", unit="epoch", disable=not show, leave=False)


_RANGES: dict[str, tuple[float, float]] = {
    "hidden": (2, 65_536),
    "n_networks": (1, 500),
    "dropout": (0.0, 0.95),
    "input_dropout": (0.0, 0.95),
    "learning_rate": (1e-8, 10.0),
    "weight_decay": (0.0, 100.0),
    "l1": (0.0, 1e6),
    "l2": (0.0, 1e6),
    "batch_size": (1, 1_000_000),
    "max_epochs": (1, 100_000),
    "patience": (1, 100_000),
}

CARD = LearnerCard(
    name="mlp",
    summary="Seven linear layers with SiLU between them; the mean of a few networks that held in different rows.",
    cls=MlpLearner,
    defaults={
        "hidden": 256,
        "n_networks": 6,
        "dropout": 0.35,
        "input_dropout": 0.2,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "l1": 1.0,
        "l2": 1.0,
        "batch_size": 128,
        "max_epochs": 60,
        "patience": 15,
        "start": "ridge",
        "precision": "auto",
    },
    citation="Sun, Zhu and Qiu 2025, arXiv:2507.07013",
)
