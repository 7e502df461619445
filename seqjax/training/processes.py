"""Several processes of one run: what they agree on, and how one learns that another has ended."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


@dataclasses.dataclass(frozen=True)
class Together:
    """Agreement between the processes that a training state is spread over.

    Attributes:
      mesh: the state's devices in a row; None where it lives in this process alone: then every
        answer is one's own.
    """

    mesh: Mesh | None

    @classmethod
    def of(cls, state: Any) -> "Together":
        """Looks where a state's arrays live: processes that each train a state of their own agree on nothing."""
        leaves = [leaf for leaf in jax.tree.leaves(state) if isinstance(leaf, jax.Array)]
        spread = [leaf.sharding for leaf in leaves if not leaf.is_fully_addressable]
        return cls(_row(spread[0]) if spread else None)

    @property
    def several(self) -> bool:
        """Whether there is more than one process."""
        return self.mesh is not None

    def largest(self, number: int, after: Any) -> Any:
        """Returns the largest number that any process gives, as a scalar that is not waited for. All must call it.

        Args:
          number: this process's.
          after: an array that lives where the state does. The question waits for it: two programs
            at once would mix up their messages between processes.
        """
        if self.mesh is None:
            return number
        own = sum(device.process_index == jax.process_index() for device in self.mesh.devices.flat)
        flags = NamedSharding(self.mesh, PartitionSpec("device"))
        mine = np.full(own, number, np.int32)
        return _maximum(self.mesh)(jax.make_array_from_process_local_data(flags, mine), after)

    def first(self, values: dict[str, float]) -> dict[str, float]:
        """Returns the first process's numbers for these names. All must call it, with the same names."""
        if not self.several or not values:
            return values
        from jax.experimental import multihost_utils

        # As bytes: float64 would be cut to float32 on the way.
        mine = np.array(list(values.values()), np.float64).view(np.uint8)
        theirs = np.asarray(multihost_utils.broadcast_one_to_all(mine)).view(np.float64)
        return dict(zip(values, map(float, theirs), strict=True))


def _row(sharding: Any) -> Mesh:
    """Returns a sharding's devices, in its order, along one axis."""
    devices = sorted(sharding.device_set, key=lambda device: device.id)
    mesh = getattr(sharding, "mesh", None)
    if isinstance(mesh, Mesh):
        devices = list(mesh.devices.flat)
    # An array of objects, also where there is one device.
    row = np.empty(len(devices), object)
    row[:] = devices
    return Mesh(row, ("device",))


@functools.cache
def _maximum(mesh: Mesh) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Returns the compiled maximum over a mesh, its result on each device; the second argument is only waited for."""
    result = NamedSharding(mesh, PartitionSpec())
    return jax.jit(lambda flags, after: flags.max(), out_shardings=result, keep_unused=True)


def differences(settings: dict[str, str]) -> list[str]:
    """Compares settings with those of the other processes. All must call it.

    Args:
      settings: texts by name, at most a few kilobytes.

    Returns:
      A line for each difference from the first process, the same lines on all; empty where all
      agree.
    """
    first, *others = [json.loads(text) for text in gather_texts(json.dumps(settings))]
    lines = []
    for index, other in enumerate(others, start=1):
        for name in sorted(first | other):
            if first.get(name) != other.get(name):
                lines.append(
                    f"{name} is {other.get(name)} in process {index}, {first.get(name)} in process 0"
                )
    return lines


def gather_texts(text: str) -> list[str]:
    """Returns the texts that all processes give, in their order. All must call it."""
    if jax.process_count() == 1:
        return [text]
    from jax.experimental import multihost_utils

    own = np.frombuffer(text.encode(), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.array(len(own), np.int32))).reshape(-1)
    # All give arrays of one size: the longest text's.
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: len(own)] = own
    rows = np.asarray(multihost_utils.process_allgather(padded)).reshape(len(sizes), -1)
    return [row[:size].tobytes().decode() for row, size in zip(rows, sizes, strict=True)]
