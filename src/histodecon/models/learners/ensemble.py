"""The mean of several learners, and of several seeds of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from histodecon._core import InputError
from histodecon.models._learners import Arrays, FitContext, Learner, LearnerCard, Shapes, get_learner

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_SEEDS = 50
SEED_STEP = 1009


class EnsembleLearner(Learner):
    """The mean of what its members predict, each trained as if it were alone.

    A member that reads neighbors gets them, one that reads none does not. Seeds of a member differ from each other and from those
    of the other members.
    """

    floats = "float64"
    takes_weights = True

    @property
    def n_rings(self) -> int:
        """Rings of neighbors that are read: the most of any member."""
        return max(member.n_rings for member in self._members())

    def check(self) -> None:
        """Refuse parameters that make no sense."""
        names, seeds, params = (self.params[name] for name in ("members", "n_seeds", "params"))
        if isinstance(names, str) or not isinstance(names, Sequence) or not names or len(set(names)) < len(names):
            msg = f"members must be different names of learners, got {names!r}"
            raise InputError(msg, fix='`["ridge", "mlp"]`', code="BI-72")
        if isinstance(seeds, bool) or not isinstance(seeds, (int, np.integer)) or not 1 <= seeds <= MOST_SEEDS:
            msg = f"n_seeds must be a whole number from 1 to {MOST_SEEDS}, got {seeds!r}"
            raise InputError(msg, code="BI-72")
        if not isinstance(params, Mapping) or not set(params) <= set(names) or "ensemble" in names:
            msg = "params gives parameters of members, by their name; an ensemble is no member of an ensemble"
            raise InputError(msg, where=f"members {list(names)}, params {params!r}", code="BI-72")
        self._members()

    def _members(self) -> list[Learner]:
        names, params = self.params["members"], self.params["params"]
        return [get_learner(name).build(params.get(name)) for name in names for _ in range(self.params["n_seeds"])]

    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> EnsembleLearner:
        """Learn; see :meth:`histodecon.models.Learner.fit`."""
        members = self._members()
        without = [type(member).__name__ for member in members if not member.takes_weights]
        if weights is not None and without:
            msg = f"A member takes no weights: {without[0]}"
            raise InputError(msg, fix="leave `weights` out, or the member", code="BI-72")
        told = {} if weights is None else {"weights": weights}
        for i, member in enumerate(members):
            own = replace(context, random_state=context.random_state + SEED_STEP * i)
            member.fit(self._own(X, member), Y, groups, own, **told)
        self.members_ = members
        labels = self._labels()
        self.history_ = {label: one.history_ for label, one in zip(labels, members, strict=True) if one.history_}
        self.summary_ = {label: one.summary_ for label, one in zip(labels, members, strict=True) if one.summary_}
        return self.restore(self.arrays())  # in the memory layout of a file, so that a loaded one predicts the same bits

    def _labels(self) -> list[str]:
        seeds = range(self.params["n_seeds"])
        return [f"{name}_{seed}" for name in self.params["members"] for seed in seeds]

    def _own(self, X: NDArray, member: Learner) -> NDArray:
        """The columns of a member: the embedding, and the rings it reads."""
        width = X.shape[1] // (1 + self.n_rings)
        return np.ascontiguousarray(X[:, : width * (1 + member.n_rings)])

    def predict(self, X: NDArray) -> NDArray[np.float64]:
        """Predict; see :meth:`histodecon.models.Learner.predict`."""
        return np.asarray(np.mean([member.predict(self._own(X, member)) for member in self.members_], axis=0))

    def shapes(self, n_inputs: int, n_outputs: int) -> Shapes:
        """Declare the arrays; see :meth:`histodecon.models.Learner.shapes`."""
        width = n_inputs // (1 + self.n_rings)
        return {
            f"{label}.{name}": shape
            for label, member in zip(self._labels(), self._members(), strict=True)
            for name, shape in member.shapes(width * (1 + member.n_rings), n_outputs).items()
        }

    def arrays(self) -> Arrays:
        """Return the fitted arrays, those of networks as float64, which holds them exactly."""
        return {
            f"{label}.{name}": np.ascontiguousarray(array, dtype=np.float64)
            for label, member in zip(self._labels(), self.members_, strict=True)
            for name, array in member.arrays().items()
        }

    def restore(self, arrays: Arrays) -> EnsembleLearner:
        """Take fitted arrays."""
        self.members_ = self._members()
        for label, member in zip(self._labels(), self.members_, strict=True):
            prefix = f"{label}."
            own: dict[str, Any] = {
                name.removeprefix(prefix): np.asarray(array, dtype=member.floats)
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            member.restore(own)
        return self


CARD = LearnerCard(
    name="ensemble",
    summary="The mean of several learners and seeds; by default of ridge, the network, and the network with neighbors.",
    cls=EnsembleLearner,
    defaults={"members": ["ridge", "mlp", "context"], "n_seeds": 1, "params": {}},
    citation="Hansen and Salamon 1990, doi:10.1109/34.58871",
)
