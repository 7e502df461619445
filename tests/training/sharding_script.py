"""Trains a small network on a mesh and prints what came of it as JSON: what `test_sharding.py` runs in fresh processes.

sharding_script.py devices FOLDER                 one process with 4 devices: several meshes,
checkpoints in FOLDER sharding_script.py process FOLDER INDEX PORT      one of two processes with 2
devices each
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec

from seqjax import training
from seqjax.training.processes import Together

ROWS, STEPS = 8, 5
RULES = [("hidden/w$", PartitionSpec(None, "model")), ("hidden/b$", PartitionSpec("model"))]
OPTIMISER = optax.adam(1e-2)
COMPILED = []  # what XLA has compiled so far in this process


def fresh_state():
    rng = np.random.default_rng(0)
    params = {
        "hidden": {"w": jnp.asarray(rng.normal(size=(6, 8)), jnp.float32), "b": jnp.zeros(8)},
        "out": {"w": jnp.asarray(rng.normal(size=(8, 1)), jnp.float32)},
    }
    return training.create_state(params, OPTIMISER, jax.random.key(0), ema=True)


def make_rows(seed):
    """The whole batch of a step; the rows weigh differently."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 6)).astype(np.float32)
    return {"x": x, "y": np.sin(x[:, :1]), "weight": rng.uniform(0.5, 2.0, ROWS).astype(np.float32)}


class Source:
    """Hands out this process's share of each batch, on the mesh, and remembers which rows it read."""

    def __init__(self, mesh):
        self.mesh, self.position, self.read = mesh, 0, []

    def __iter__(self):
        return self

    def __next__(self):
        share = ROWS // jax.process_count()
        mine = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
        rows = jax.tree.map(lambda a: a[mine], make_rows(self.position))
        self.read.append([mine.start, mine.stop, len(rows["x"])])
        self.position += 1
        return training.shard_batch(self.mesh, rows)

    def state(self):
        return self.position

    def restore(self, state):
        self.position = state


def train(mesh, rules, checkpoints=None, steps=STEPS):
    """Begins, or goes on from the checkpoints; the loss curve and the rest that the test looks at."""

    def loss_fn(params, batch, rng, extra):
        hidden = jnp.tanh(batch["x"] @ params["hidden"]["w"] + params["hidden"]["b"])
        errors = jnp.square(hidden @ params["out"]["w"] - batch["y"])[:, 0]
        absolute = training.Mean.of(jnp.sqrt(errors), batch["weight"])
        weight = batch["weight"].sum()
        return (batch["weight"] * errors).sum() / weight, training.Aux(
            weight, {"absolute": absolute}
        )

    train_step = training.make_train_step(
        loss_fn, OPTIMISER, clip=training.clip_by_norm(0.5), ema_decay=0.5
    )
    state, source, events = training.shard_params(mesh, fresh_state(), rules), Source(mesh), []
    compiled = []
    progress = training.Progress()
    if checkpoints is not None:
        state, progress = training.resume(state, source, checkpoints)
    outcome = training.fit_batches(
        state,
        train_step,
        source,
        steps=steps,
        progress=progress,
        checkpoints=checkpoints,
        callbacks=[events.append, lambda event: compiled.append(len(COMPILED))],
    )
    state = outcome.state
    placed = {
        "/".join(
            str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path
        ): leaf
        for path, leaf in jax.tree.leaves_with_path(state)
    }
    return {
        "losses": [event.metrics["loss"] for event in events if event.kind == "step"],
        "absolute": [event.metrics["absolute"] for event in events if event.kind == "step"],
        "from": events[0].step,
        "compiled": [
            count for event, count in zip(events, compiled, strict=True) if event.kind == "step"
        ],
        "read": source.read,
        "devices": sorted({device.id for device in state.params["out"]["w"].sharding.device_set}),
        "shards": {
            n: list(leaf.sharding.shard_shape(leaf.shape))
            for n, leaf in placed.items()
            if leaf.ndim
        },
    }


def error_of(call):
    """The words of the error that a call ends in."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return None


def devices(folder):
    """One process, four devices."""
    jax.config.update("jax_num_cpu_devices", 4)
    meshes = {"1": (1, 1), "4": (4, 1), "2x2": (4, 2)}
    facts = {name: train(training.make_mesh(*shape), RULES) for name, shape in meshes.items()}
    saved = training.Checkpoints(folder)
    train(training.make_mesh(4, 2), RULES, saved, steps=3)
    for count, model in ((4, 1), (2, 2), (1, 1)):
        copy = training.Checkpoints(folder)
        copy.save = lambda *_, **__: None
        facts[f"restored on {count}"] = train(training.make_mesh(count, model), RULES, copy)
    four = training.make_mesh(4)
    facts["uneven"] = error_of(lambda: training.shard_batch(four, {"x": np.ones((6, 2))}))
    facts["too many"] = error_of(lambda: training.make_mesh(5))
    facts["none"] = error_of(lambda: training.make_mesh(0))
    facts["model"] = error_of(lambda: training.make_mesh(4, 3))
    facts["all"] = dict(training.make_mesh().shape)
    facts["rank"] = error_of(
        lambda: training.shard_params(
            four, {"b": jnp.ones(4)}, [("b", PartitionSpec(None, "data"))]
        )
    )
    facts["size"] = error_of(
        lambda: training.shard_params(four, {"b": jnp.ones(6)}, [("b", PartitionSpec("data"))])
    )
    return facts


def process(folder, index, port):
    """One of two processes with two devices each: the data axis goes across them, the model axis stays inside."""
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=int(index))
    mesh, checkpoints = training.make_mesh(model=2), training.Checkpoints(folder)
    facts = {
        "first": train(mesh, RULES, checkpoints, steps=3),
        "second": train(mesh, RULES, checkpoints),
    }
    facts["uneven"] = error_of(
        lambda: training.shard_batch(training.make_mesh(), {"x": np.ones((3, 2))})
    )
    rows = np.arange(8.0).reshape(4, 2) + 100 * int(index)
    meshes = training.make_mesh(), mesh
    facts["own rows"] = [
        training.own_rows(training.shard_batch(m, rows)).tolist() == rows.tolist() for m in meshes
    ]
    facts["agreed"] = agreed(training.shard_params(mesh, fresh_state(), RULES), int(index))
    return facts


def agreed(state, index):
    """What both processes know after each has said something else."""
    together = Together.of(state)
    found = [
        int(together.largest(number, after=state.step))
        for number in (15 * index, 15 - 15 * index, 0)
    ]
    return {
        "largest": found,
        "first": together.first({"nats": 0.1 + index, "error": float(index)}),
        "texts": training.gather_texts("ä" * (index + 1)),
        "differences": training.differences({"--seed": str(index), "--steps": "5"}),
        "alone": int(Together.of({"w": jnp.zeros(3)}).largest(index, after=None)) == index,
    }


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    jax.config.update("jax_disable_most_optimizations", True)  # compiles faster
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: (
            COMPILED.append(event) if event.endswith("backend_compile_duration") else None
        )
    )
    print(json.dumps({"devices": devices, "process": process}[what](Path(folder), *rest)))
