"""The network, seeing the tissue around a spot as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodecon._core import InputError
from histodecon.models._learners import Learner, LearnerCard
from histodecon.models.learners.mlp import CARD as MLP
from histodecon.models.learners.mlp import MlpLearner

if TYPE_CHECKING:
    from histodecon.models._many_fits import ManyFits

MOST_RINGS = 2


class ContextLearner(MlpLearner):
    """The network of ``mlp`` on the embedding of a spot and the mean embedding of its neighbors, ring by ring.

    What Hist2Cell learns with attention over a graph of spots is here two means: nothing to tune, and a file as small. A spot
    without neighbors takes its own embedding for theirs.
    """

    @property
    def n_rings(self) -> int:
        """Rings of neighbors that are read."""
        return int(self.params["rings"])

    def check(self) -> None:
        """Refuse parameters that make no sense."""
        rings = self.params["rings"]
        if isinstance(rings, bool) or rings not in range(1, MOST_RINGS + 1):
            msg = f"rings must be a whole number from 1 to {MOST_RINGS}, got {rings!r}"
            raise InputError(msg, fix='the learner "mlp" reads no neighbors', code="BI-72")
        MlpLearner(**{name: value for name, value in self.params.items() if name != "rings"})

    def fit_many(self, problem: ManyFits) -> list[Learner] | None:
        """Ask to be fitted one after the other: every fold has neighbors of its own."""
        return None


CARD = LearnerCard(
    name="context",
    summary="The network on a spot's embedding and the mean embeddings of the one or two rings of spots around it.",
    cls=ContextLearner,
    defaults={**MLP.defaults, "rings": 2},
    citation="Sun, Zhu and Qiu 2025, arXiv:2507.07013; neighbors after Hist2Cell, Zhao et al. 2024",
)
