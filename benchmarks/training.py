"""Training steps beside the same network and loop in PyTorch: `python benchmarks/training.py --python PYTHON`.

The tasks are those of `tasks.py`, all under Adam with the gradient clipped at norm 5. In bfloat16
PyTorch runs under autocast, ours under `jax.default_matmul_precision("bfloat16")`. The peers run in
processes of their own, for two thread pools in one process spoil each other, and take turns; a ratio
is that of two neighbours. `--python` names the interpreter that has torch where this one has not.
"""

from collections.abc import Callable

import tasks
from beside_torch import compare

CLIP, RATE = 5.0, 1e-3


def seqjax_step(task: str, precision: str) -> Callable:
    """Makes a function that takes one training step and waits for it."""
    import jax
    import optax

    from seqjax import training

    tasks.set_precision(precision)
    model, loss_of_outputs, batch = (
        tasks.network_of(task),
        tasks.loss_of(task),
        tasks.batch_of(task),
    )

    def loss(params, batch, rng, extra):
        outputs = model.apply({"params": params}, *batch.inputs, rngs={"dropout": rng})
        return loss_of_outputs(outputs, batch.targets)

    optimiser = optax.adam(RATE)
    params = model.init(jax.random.key(0), *batch.inputs)["params"]
    state = training.create_state(params, optimiser, jax.random.key(1))
    train = training.make_train_step(loss, optimiser, clip=training.clip_by_norm(CLIP))

    def step():
        nonlocal state
        state, metrics = train(state, batch)
        return float(metrics["loss"])

    return step


def torch_step(task: str, precision: str, threads: int) -> Callable:
    """Makes the same of PyTorch."""
    import torch  # pyright: ignore[reportMissingImports]
    import torch_tasks

    torch.set_num_threads(threads)
    model, loss_of_outputs = torch_tasks.network_of(task), torch_tasks.loss_of(task)
    inputs, targets = torch_tasks.tensors_of(task)
    optimiser = torch.optim.Adam(model.parameters(), RATE)

    def step():
        optimiser.zero_grad()
        with torch_tasks.products_in(precision):
            loss = loss_of_outputs(model(*inputs), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        return loss.item()

    return step


def calls_of(peer: str, task: str, precision: str, threads: int) -> dict[str, Callable]:
    """Returns the one pass of this table."""
    if peer == "torch":
        return {"training": torch_step(task, precision, threads)}
    return {"training": seqjax_step(task, precision)}


if __name__ == "__main__":
    compare(__doc__, __file__, calls_of)
