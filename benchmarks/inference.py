"""Networks forwards beside PyTorch, and a beam search: `python benchmarks/inference.py --python PYTHON`.

The tasks are those of `tasks.py`; forwards is a call of the network without dropout, under teacher
forcing where there is a decoder. `beam 5` of `translate` reads 100 sources and writes 25 tokens of
each; none is the stop token, so that both write as many. In bfloat16 PyTorch runs under autocast,
ours under `jax.default_matmul_precision("bfloat16")`. Peers and ratios are as in `training.py`.
"""

from collections.abc import Callable

import tasks
from beside_torch import compare

BEAM, LENGTH, NEVER = 5, 25, -1


def seqjax_calls(task: str, precision: str) -> dict[str, Callable]:
    """Makes functions that wait for what a network says, and writes."""
    import jax

    from seqjax import decoding

    tasks.set_precision(precision)
    model, inputs = tasks.network_of(task), tasks.batch_of(task).inputs
    params = model.init(jax.random.key(0), *inputs)["params"]
    forward = jax.jit(lambda params, *inputs: model.apply({"params": params}, *inputs))
    calls = {"forward": lambda: jax.block_until_ready(forward(params, *inputs))}
    if task != "translate":
        return calls
    source, start = inputs[0], jax.jit(model.start)
    sizes = {"beam": BEAM, "length": LENGTH, "stop_token": NEVER}
    first = jax.numpy.zeros(len(source), int)

    def search():
        context, state = start(params, source)
        found = decoding.beam_search(model.advance, context, state, first, **sizes)
        return jax.block_until_ready(found)

    return {**calls, "beam 5": search}


def torch_calls(task: str, precision: str, threads: int) -> dict[str, Callable]:
    """Makes the same of PyTorch."""
    import torch  # pyright: ignore[reportMissingImports]
    import torch_tasks

    torch.set_num_threads(threads)
    model = torch_tasks.network_of(task).eval()
    inputs, _ = torch_tasks.tensors_of(task)

    def forward():
        with torch.inference_mode(), torch_tasks.products_in(precision):
            return model(*inputs)

    def search():
        with torch.inference_mode(), torch_tasks.products_in(precision):
            return torch_search(model, inputs[0])

    return {"forward": forward, "beam 5": search} if task == "translate" else {"forward": forward}


def torch_search(model, source):
    """Searches as `seqjax.decoding.beam_search` does; returns tokens `[rows, beam, length]` and scores."""
    import torch  # pyright: ignore[reportMissingImports]

    rows = len(source)
    memory, state = model.begin(source)
    # The hypotheses of a row side by side: states [1, rows * beam, units].
    state = [each.repeat_interleave(BEAM, 1) for each in state]
    tokens = torch.zeros(rows, BEAM, 1, dtype=torch.long)
    scores = torch.full((rows, BEAM), -torch.inf)
    scores[:, 0] = 0
    ended = torch.zeros(rows, BEAM, dtype=torch.bool)
    for _ in range(LENGTH):
        ys, state = model.decoder(model.embed(tokens[..., -1].reshape(-1, 1)), state)
        # The memory is that of a row: its hypotheses look like steps, [rows, beam, units].
        logits = model.scores(memory, ys.view(rows, BEAM, -1))
        grown = scores[..., None] + torch.log_softmax(logits.float(), -1)
        # What has ended goes on by the stop token alone.
        again = torch.full_like(grown, -torch.inf)
        again[..., NEVER] = scores
        grown = torch.where(ended[..., None], again, grown)
        scores, index = grown.flatten(1).topk(BEAM)
        parent, token = index // logits.shape[-1], index % logits.shape[-1]
        ended = ended.gather(1, parent) | (token == NEVER)
        place = (parent + BEAM * torch.arange(rows)[:, None]).flatten()
        state = [each[:, place] for each in state]
        tokens = torch.cat([tokens.flatten(0, 1)[place].view(rows, BEAM, -1), token[..., None]], -1)
        if ended.all():
            break
    return tokens[..., 1:], scores


def calls_of(peer: str, task: str, precision: str, threads: int) -> dict[str, Callable]:
    """Returns the passes of this table."""
    if peer == "torch":
        return torch_calls(task, precision, threads)
    return seqjax_calls(task, precision)


if __name__ == "__main__":
    compare(__doc__, __file__, calls_of)
