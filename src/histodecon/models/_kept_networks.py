"""Networks of a learner as arrays, and back."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from histodecon.models._learners import Arrays, Learner, Shapes

if TYPE_CHECKING:
    import torch

UNKEPT = "num_batches_tracked"
"""What a batch norm counts, and nothing needs."""


class KeptNetworks(Learner):
    """A learner whose fitted arrays are the weights of ``params["n_networks"]`` networks of one form."""

    networks_: list[Any]

    @abstractmethod
    def build(self, n_inputs: int, n_outputs: int) -> torch.nn.Module:
        """Make the network that predicts; called under a seed, and on the device ``meta`` for shapes.

        Parameters
        ----------
        n_inputs
            Columns of the inputs.
        n_outputs
            Cell types.

        Returns
        -------
        Module from (rows, d) to (rows, K).
        """

    def shapes(self, n_inputs: int, n_outputs: int) -> Shapes:
        """Declare the arrays; see :meth:`histodecon.models.Learner.shapes`."""
        import torch

        with torch.device("meta"):
            network = self.build(n_inputs, n_outputs)
        own = {name: tuple(value.shape) for name, value in network.state_dict().items() if not name.endswith(UNKEPT)}
        return {f"network_{i}.{name}": shape for i in range(self.params["n_networks"]) for name, shape in own.items()}

    def arrays(self) -> Arrays:
        """Return the fitted arrays."""
        return {
            f"network_{i}.{name}": value.numpy().copy()
            for i, network in enumerate(self.networks_)
            for name, value in network.state_dict().items()
            if not name.endswith(UNKEPT)
        }

    def restore(self, arrays: Arrays) -> Self:
        """Take fitted arrays."""
        import torch

        self.networks_ = []
        for i in range(self.params["n_networks"]):
            prefix = f"network_{i}."
            own = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
            network = self.build(*self.sizes(own))
            state = {name: value for name, value in network.state_dict().items() if name.endswith(UNKEPT)}
            state |= {name: torch.from_numpy(value.copy()) for name, value in own.items()}
            network.load_state_dict(state)
            self.networks_.append(network.eval())
        return self

    @abstractmethod
    def sizes(self, arrays: Arrays) -> tuple[int, int]:
        """Read inputs and outputs off the arrays of one network.

        Parameters
        ----------
        arrays
            As the state of :meth:`build` names them.

        Returns
        -------
        Columns of the inputs, and cell types.
        """
