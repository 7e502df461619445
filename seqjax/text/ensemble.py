"""`Ensemble`: networks of one kind, of several seeds, that write together."""

import dataclasses
from typing import Any

import jax
import numpy as np

from seqjax import training
from seqjax.text.networks import Network
from seqjax.typing import KeyArray, Params


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Networks of one kind that write together: their probabilities are averaged.

    Those of each token that a decoder writes, or of whole targets where there is no decoder. The
    parameters are the members', stacked on a first axis.

    Attributes:
      network: each member.
      members: how many.
    """

    network: Network
    members: int

    @property
    def too_long(self) -> str:
        """Why a pair cannot be learnt."""
        return self.network.too_long

    @property
    def frames(self) -> int:
        """Positions of the attention for each token of a source."""
        return self.network.frames

    @property
    def attends(self) -> bool:
        """Whether the members tell where in the source each token of a target comes from."""
        return self.network.attends

    @property
    def reader(self) -> Any:
        """What reads the sources in each member."""
        return self.network.reader

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters of every member."""
        return jax.vmap(self.network.init)(jax.random.split(key, self.members))

    def target(self, source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """Returns what is learnt to write for a source; None where it cannot be written."""
        return self.network.target(source, target)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the mean of the members' losses: each learns by itself."""
        keys = jax.random.split(rng, self.members)
        found = jax.vmap(self.network.loss, in_axes=(0, None, 0, None))(params, batch, keys, step)
        return jax.tree.map(lambda leaf: leaf.mean(0).astype(leaf.dtype), found)

    def nats(self, params: Params, batch: Any) -> dict[str, training.Mean]:
        """Computes the cross-entropy of the targets under the members' mean probabilities."""
        return self.network.nats(params, batch, True)

    def writer(self, beam: int, n_best: int) -> Any:
        """Makes what writes the best targets of batches of sources."""
        return dataclasses.replace(self.network.writer(beam, n_best), ensemble=True)
