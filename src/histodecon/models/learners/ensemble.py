"""The mean of several learners, and of several seeds of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

    All members count alike, whatever the number of their seeds; a member that draws nothing, as ridge, is trained once. A member
    that reads neighbors gets them, one that reads none does not.
    """

    def check(self) -> None:
        """Refuse parameters that make no sense."""
        names, seeds, params = (self.params[name] for name in ("members", "n_seeds", "params"))
        listed = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
        if not listed or not names or len(set(names)) < len(names):
            msg = f"members must be different names of learners, got {names!r}"
            raise InputError(msg, fix='`["ridge", "mlp"]`', code="BI-72")
        if isinstance(seeds, bool) or not isinstance(seeds, (int, np.integer)) or not 1 <= seeds <= MOST_SEEDS:
            msg = f"n_seeds must be a whole number from 1 to {MOST_SEEDS}, got {seeds!r}"
            raise InputError(msg, code="BI-72")
        named = isinstance(params, Mapping) and all(isinstance(own, Mapping) for own in params.values())
        if not named or not set(params) <= set(names) or "ensemble" in names:
            msg = "params gives parameters of members, by their name; an ensemble is no member of an ensemble"
            raise InputError(msg, where=f"members {list(names)}, params {params!r}", code="BI-72")
        self.members_ = {name: self._copies(name) for name in names}
        first = {name: copies[0] for name, copies in self.members_.items()}
        odd = [name for name, one in first.items() if one.absolute or one.reads_graph or one.reads_bags]
        if odd:
            msg = f"The learner {odd[0]!r} is no member of an ensemble"
            where = "its answers are not on the scale of the others, or it reads other things than rows"
            raise InputError(msg, where=where, fix="`tl.compare_learners` tells which to use", code="BI-72")
        self.takes_weights = all(one.takes_weights for one in first.values())
        self.reads_genes = any(one.reads_genes for one in first.values())

    def _copies(self, name: str) -> list[Learner]:
        first = get_learner(name).build(self.params["params"].get(name))
        more = range(1, self.params["n_seeds"] if first.seeded else 1)
        return [first, *(get_learner(name).build(first.params) for _ in more)]

    @property
    def n_rings(self) -> int:
        """Rings of neighbors that are read, the most of any member."""
        return max(copies[0].n_rings for copies in self.members_.values())

    def _labeled(self) -> Iterator[tuple[str, Learner]]:
        for name, copies in self.members_.items():
            for seed, copy in enumerate(copies):
                copy.blocks = self.blocks
                yield f"{name}_{seed}", copy

    def fit(
        self,
        X: NDArray,
        Y: NDArray,
        groups: NDArray[np.intp],
        context: FitContext,
        weights: NDArray[np.float64] | None = None,
    ) -> EnsembleLearner:
        """Learn; see :meth:`histodecon.models.Learner.fit`."""
        told = {} if weights is None else {"weights": weights}
        for label, copy in self._labeled():
            seed = context.random_state + SEED_STEP * int(label.rpartition("_")[2])
            copy.fit(self._own(X, copy), Y, groups, replace(context, random_state=seed), **told)
        self.history_ = {label: one.history_ for label, one in self._labeled() if one.history_}
        self.summary_ = {label: one.summary_ for label, one in self._labeled() if one.summary_}
        return self

    def _own(self, X: NDArray, member: Learner) -> NDArray:
        """The columns of a member: the embedding, and the rings it reads."""
        width = X.shape[1] // (1 + self.n_rings)
        return X[:, : width * (1 + member.n_rings)]

    def predict(self, X: NDArray) -> NDArray[np.float64]:
        """Predict; see :meth:`histodecon.models.Learner.predict`."""
        members = [
            np.mean([one.predict(self._own(X, one)) for one in copies], axis=0) for copies in self.members_.values()
        ]
        return np.asarray(np.mean(members, axis=0))

    def shapes(self, n_inputs: int, n_outputs: int) -> Shapes:
        """Declare the arrays; see :meth:`histodecon.models.Learner.shapes`."""
        width = n_inputs // (1 + self.n_rings)
        return {
            f"{label}.{name}": shape
            for label, member in self._labeled()
            for name, shape in member.shapes(width * (1 + member.n_rings), n_outputs).items()
        }

    def float_of(self, name: str) -> str:
        """Tell the dtype of a fitted array: that of the member it belongs to."""
        label, member = next(pair for pair in self._labeled() if name.startswith(f"{pair[0]}."))
        return member.float_of(name.removeprefix(f"{label}."))

    def arrays(self) -> Arrays:
        """Return the fitted arrays, each beginning with the name of its member."""
        return {
            f"{label}.{name}": array for label, member in self._labeled() for name, array in member.arrays().items()
        }

    def restore(self, arrays: Arrays) -> EnsembleLearner:
        """Take fitted arrays."""
        for label, member in self._labeled():
            own: dict[str, Any] = {
                name.removeprefix(f"{label}."): array for name, array in arrays.items() if name.startswith(f"{label}.")
            }
            member.restore(own)
        return self


CARD = LearnerCard(
    name="ensemble",
    summary="The mean of several learners and seeds; by default of the network and the network with neighbors.",
    cls=EnsembleLearner,
    defaults={"members": ["mlp", "context"], "n_seeds": 1, "params": {}},
    citation="Hansen and Salamon 1990, doi:10.1109/34.58871",
)
