"""Many devices: data parallelism, and parameters over a model axis by a table of rules."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from seqjax.data.prefetch import owned

Rules = Sequence[tuple[str, PartitionSpec]]
"""Pairs of a regular expression, searched in a parameter's path such as `recurrent/w_h`, and how to cut it."""


REPORTS = 24 * 3600
"""Seconds that processes which are done wait for the first one, which may write its reports for long."""


class UnevenBatch(ValueError):
    """Reports a batch whose rows the devices do not divide."""


def make_mesh(devices: int | None = None, model: int = 1) -> Mesh:
    """Makes a mesh with the axes `data` and `model`.

    Args:
      devices: how many, over all processes; None for all there are.
      model: size of the model axis; the data axis has the rest.

    Returns:
      The mesh.

    Raises:
      ValueError: there are fewer devices, or the model axis does not divide them.
    """
    there = jax.devices()
    count = len(there) if devices is None else devices
    if not 1 <= count <= len(there):
        raise ValueError(f"devices is {count}; this run sees {len(there)} ({there[0].platform})")
    if model < 1 or count % model:
        raise ValueError(f"a model axis of {model} does not divide {count} devices")
    return Mesh(np.array(there[:count]).reshape(count // model, model), ("data", "model"))


def join_processes(spec: str) -> int:
    """Joins a run of several processes; to be called before any computation.

    Args:
      spec: `"auto"` under SLURM, Kubernetes, MPI or on TPU pods, where JAX finds the others by
        itself; else `"HOST:PORT,COUNT,INDEX"`, the address of process 0, how many there are and
        which this one is.

    Returns:
      How many processes there are, or 0 with `"auto"`: only the first computation will tell.

    Raises:
      ValueError: the text is neither.
    """
    if spec == "auto":
        jax.distributed.initialize(shutdown_timeout_seconds=REPORTS)
        return 0
    match = re.fullmatch(r"([^,]+:\d+),(\d+),(\d+)", spec)
    if match is None or not int(match[3]) < int(match[2]):
        raise ValueError(
            f"processes are {spec!r}; give 'auto' or 'HOST:PORT,COUNT,INDEX' with INDEX below COUNT"
        )
    jax.distributed.initialize(
        match[1], int(match[2]), int(match[3]), shutdown_timeout_seconds=REPORTS
    )
    return int(match[2])


def gather(tree: Any) -> Any:
    """Brings a pytree to this process's first device, whole, for work that is not spread.

    With several processes all must call it.
    """
    return jax.tree.map(_gathered, tree)


def _gathered(leaf: Any) -> Array:
    if _is_key(leaf):
        data = _gathered(jax.random.key_data(leaf))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    if jax.process_count() > 1 and not leaf.is_fully_addressable:
        if not leaf.is_fully_replicated:
            from jax.experimental import multihost_utils

            leaf = multihost_utils.process_allgather(leaf, tiled=True)
        else:
            leaf = np.asarray(leaf.addressable_data(0))
    return jax.device_put(owned(leaf), jax.local_devices()[0])


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def shard_batch(mesh: Mesh, batch: Any) -> Any:
    """Puts a batch on the mesh, its rows cut along the data axis.

    Args:
      mesh: from `make_mesh`.
      batch: a pytree of arrays whose first axis is the batch; with several processes each gives its
        own rows.

    Returns:
      The same pytree of global arrays.

    Raises:
      UnevenBatch: the data axis does not divide the rows.
    """
    share = mesh.shape["data"] // jax.process_count() or 1

    def copied(leaf: Any) -> np.ndarray:
        # A copy: the device may take over this memory, which its owner may fill again.
        leaf = np.array(leaf)
        if leaf.shape[0] % share:
            raise UnevenBatch(
                f"a batch of {leaf.shape[0]} rows cannot be cut evenly over {share} devices"
            )
        return leaf

    leaves, structure = jax.tree.flatten(batch)
    leaves = [copied(leaf) for leaf in leaves]
    if mesh.size == 1 and jax.process_count() == 1:
        # The arguments of a compiled function travel together, and ten times as fast.
        placed = _placing(mesh)(leaves)
    else:
        sharding = NamedSharding(mesh, PartitionSpec("data"))
        placed = [jax.make_array_from_process_local_data(sharding, leaf) for leaf in leaves]
    return jax.tree.unflatten(structure, placed)


@functools.cache
def _placing(mesh: Mesh) -> Callable[[list[Any]], list[Array]]:
    """Returns the compiled identity, whose results lie on the mesh."""
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return jax.jit(lambda leaves: leaves, out_shardings=sharding)


def own_rows(leaf: Any) -> np.ndarray:
    """Returns this process's rows of an array from `shard_batch`; of any other array all."""
    if getattr(leaf, "is_fully_addressable", True):
        return np.asarray(leaf)
    # By the first row of each: replicas of the same rows count once.
    shards = {shard.index[0].start or 0: shard.data for shard in leaf.addressable_shards}
    return np.concatenate([np.asarray(shards[start]) for start in sorted(shards)])


def shard_params(mesh: Mesh, tree: Any, rules: Rules = ()) -> Any:
    """Puts a pytree, such as a whole `TrainState`, on the mesh.

    Args:
      mesh: from `make_mesh`.
      tree: arrays; the same on every process.
      rules: the first whose expression is found in a leaf's path says how it is cut; the rest is
        replicated. An optimiser's moments have their parameter's name at the end of their path and
        so follow it.

    Returns:
      The same pytree on the mesh.

    Raises:
      ValueError: a rule does not fit its array.
    """

    def put(path: tuple[Any, ...], leaf: Any) -> Array:
        name = "/".join(map(_word, path))
        fitting = (spec for pattern, spec in rules if re.search(pattern, name))
        spec = next(fitting, PartitionSpec())
        if len(spec) > np.ndim(leaf):
            raise ValueError(f"the rule {spec} has more axes than {name}, {np.shape(leaf)}")
        return _put(leaf, NamedSharding(mesh, spec))

    return jax.tree.map_with_path(put, tree)


def _word(key: Any) -> str:
    """Returns how a path calls a step into a dict, an object or a list."""
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))


def _put(leaf: Any, sharding: NamedSharding) -> Array:
    if jax.process_count() == 1:
        return jax.device_put(owned(leaf), sharding)
    if _is_key(leaf):
        data = _put(jax.random.key_data(leaf), NamedSharding(sharding.mesh, PartitionSpec()))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    host = np.array(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
