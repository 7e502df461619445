"""Networks of several seeds that answer together."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from seqjax import training
from seqjax.tasks import Trained
from seqjax.typing import KeyArray


@dataclasses.dataclass(frozen=True)
class Members:
    """Flax modules of one kind as one of that kind: it gives the mean of what the members give.

    The mean of scores is the geometric mean of the distributions that they stand for, of classes
    as well as of whole sequences of tags. The parameters are the members', stacked on a first axis.
    All other attributes are those of `module`.

    Attributes:
      module: each member.
      count: how many.
    """

    module: Any
    count: int

    def __getattr__(self, name: str) -> Any:
        # What is being copied or unpickled has no module yet.
        if name == "module" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.module, name)

    def init(self, key: KeyArray, *args: Any, **options: Any) -> Any:
        """Makes fresh variables of every member."""
        keys = jax.random.split(key, self.count)
        return jax.vmap(lambda key: self.module.init(key, *args, **options))(keys)

    def apply(self, variables: Any, *args: Any, rngs: Any = None, **options: Any) -> Any:
        """Applies every member to the same arguments, each with keys of its own, and averages."""
        keys = {name: jax.random.split(key, self.count) for name, key in (rngs or {}).items()}

        def of_one(variables: Any, keys: Any) -> Any:
            return self.module.apply(variables, *args, rngs=keys, **options)

        found = jax.vmap(of_one)(variables, keys)
        return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), found)


class ManySeeds:
    """What a task gains: training from several seeds side by side, as one model."""

    def fit_seeds(
        self,
        examples: Any,
        seeds: Sequence[int],
        recipe: training.Recipe = training.Recipe(),  # noqa: B008
        **options: Any,
    ) -> Trained:
        """Trains from several seeds side by side; returns one model of all, see `together`.

        Args:
          examples: what to learn from, as of `seqjax.training.fit`.
          seeds: one for each member.
          recipe: how to train.
          **options: further ones of `seqjax.training.fit_seeds`, such as `validation`.
        """
        task: Any = self
        found = training.fit_seeds(task, examples, seeds, recipe=recipe, **options)
        params = training.stacked([trained.params for trained in found])
        return Trained(self.together(len(found)), params)

    def together(self, count: int) -> Any:
        """Makes the task of so many members, whose scores are averaged."""
        task: Any = self
        return dataclasses.replace(task, model=Members(task.model, count))
