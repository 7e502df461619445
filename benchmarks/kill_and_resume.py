"""SIGKILL at random moments, and resume: `python benchmarks/kill_and_resume.py --kills 20`.

A small recurrent model with dropout, a carried state, a moving average and a checkpoint every third
step is trained to the end once undisturbed. Then it is trained again by processes that are killed
at random moments, in the middle of a step, of a save or of a restore, until enough have been
killed; each goes on from what the one before it left behind. Every run that gets to its end must
have the state, data position and metrics of the undisturbed one, byte for byte.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, TIME, FEATURES = 4, 6, 3


class Source:
    """Batches drawn each from its own seed."""

    def __init__(self):
        self.position = 0

    def __iter__(self):
        return self

    def __next__(self):
        import numpy as np

        xs = (
            np.random.default_rng(self.position)
            .normal(size=(ROWS, TIME + 1, FEATURES))
            .astype(np.float32)
        )
        self.position += 1
        return {"xs": xs[:, :-1], "targets": np.sin(xs[:, 1:]).sum(-1)}

    def state(self):
        """How many batches were handed out."""
        return self.position

    def restore(self, state):
        """Goes on from there."""
        self.position = state


def announce(event) -> None:
    """Tells the watching process that a step was taken."""
    if event.kind == "step":
        print(event.step, flush=True)


def train(folder: Path, steps: int) -> None:
    """Trains to the end from whatever the folder holds, and prints a digest of all that came of it."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import seqjax
    from seqjax import training

    print("ready", flush=True)
    recurrence = seqjax.dropout(seqjax.Elman(5), 0.3)

    def loss_fn(params, batch, rng, extra):
        extra, ys = seqjax.unroll(recurrence, params["rnn"], batch["xs"], extra, rng=rng)
        return jnp.square(ys @ params["out"] - batch["targets"]).mean(), training.Aux(extra=extra)

    params = {"rnn": recurrence.init(jax.random.key(0), FEATURES), "out": jnp.ones(5)}
    optimiser = optax.adam(1e-2)
    memory = recurrence.initial_state(params["rnn"], (ROWS,), jnp.float32)
    state = training.create_state(params, optimiser, jax.random.key(1), extra=memory, ema=True)
    train_step = training.make_train_step(
        loss_fn, optimiser, clip=training.clip_by_norm(1.0), ema_decay=0.9
    )
    checkpoints, batches = training.Checkpoints(folder / "checkpoints"), Source()
    state, progress = training.resume(state, batches, checkpoints)
    outcome = training.fit_batches(
        state,
        train_step,
        batches,
        steps=steps,
        progress=progress,
        every=3,
        checkpoints=checkpoints,
        monitor="score",
        evaluate=lambda state: {"score": float(jnp.abs(state.ema["out"] - 0.9).sum())},
        callbacks=[training.MetricsLog(folder / "metrics.jsonl", progress.step), announce],
    )
    digest = hashlib.blake2b(digest_size=16)
    for leaf in jax.tree.leaves(outcome.state.replace(rng=jax.random.key_data(outcome.state.rng))):
        digest.update(np.asarray(leaf).tobytes())
    lines = [line | {"seconds": 0} for line in training.read_metrics(folder / "metrics.jsonl")]
    digest.update(json.dumps([vars(outcome.progress), batches.state(), lines]).encode())
    print(digest.hexdigest(), flush=True)


def start(folder: Path, steps: int) -> subprocess.Popen:
    """A process that trains in the folder, once it is ready to begin."""
    folder.mkdir(exist_ok=True)
    words = [sys.executable, __file__, "--train", str(folder), "--steps", str(steps)]
    compiled = {
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | compiled)
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("a training process did not start; see its error above")
    return process


def finish(process: subprocess.Popen, heard: str = "") -> str:
    """The digest a process prints at its end; `heard` is what was read of it before."""
    words = (heard + process.communicate()[0]).split()
    if process.returncode:
        raise RuntimeError("a training process failed; see its error above")
    return words[-1]


def torment(
    folder: Path, steps: int, kills: int, seconds: float, reference: str
) -> tuple[list[str], int]:
    """Kills until enough are killed: the steps they were killed at, and how many runs came to their end."""
    killed, finished = [], 0
    while True:
        process, heard = start(folder, steps), ""
        if len(killed) < kills:
            if random.random() < 0.75:  # else while it still restores and compiles
                heard = process.stdout.readline()
            try:
                process.wait(random.uniform(0, seconds / 3))
            except subprocess.TimeoutExpired:
                process.kill()
                killed.append((["start", *(heard + process.communicate()[0]).split()])[-1])
                continue
        if finish(process, heard) != reference:
            raise RuntimeError(
                f"after {len(killed)} kills a run ended otherwise than undisturbed; see {folder}"
            )
        shutil.rmtree(folder)
        finished += 1
        if len(killed) == kills:
            return killed, finished


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="processes to kill (default: 20)")
    parser.add_argument("--steps", type=int, default=60, help="steps of a run (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train is not None:
        train(args.train, args.steps)
        return
    random.seed(args.seed)
    folder = Path(tempfile.mkdtemp(prefix="kill-and-resume-"))
    try:
        process = start(folder / "undisturbed", args.steps)
        heard, began = process.stdout.readline(), time.monotonic()
        reference, seconds = finish(process, heard), time.monotonic() - began
        killed, finished = torment(folder / "killed", args.steps, args.kills, seconds, reference)
    except RuntimeError as error:
        sys.exit(f"FAILED: {error}")
    shutil.rmtree(folder)
    print("killed at steps", *killed)
    print(
        f"OK: {len(killed)} kills, {finished} runs to the end, each the same as the undisturbed one, byte for byte"
    )


if __name__ == "__main__":
    main()
