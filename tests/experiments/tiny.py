"""The smallest experiment there is, a line through points: what `test_common.py` launches."""

import dataclasses
import hashlib
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.common import (
    BaseConfig,
    Options,
    Run,
    Verb,
    check_rows,
    launch,
    load_config,
    mistakes,
    option,
)
from seqjax import data, training


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    text: str | None = option(None, "file that the points are drawn from")
    batch: int = option(8, "points a step", least=1)
    hidden_size: int = option(4, "weights", least=1)
    learning_rate: float = option(0.1, "of gradient descent", least=0)
    poison: int | None = option(None, "the step whose batch is not finite")
    pause: float = option(0.0, "seconds after each step", least=0)
    steps: int = option(20, "training steps", least=1)
    every: int = option(5, "steps between evaluations", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show(Options):
    words: str = option("", "what to print")


def main(config: Config) -> dict:
    """Trains and writes the result."""
    run = Run("tiny", config)
    config = run.config
    with mistakes():
        check_rows(config.batch, config.devices)
        seed = Path(config.text).read_bytes() if config.text else b""
        digest = hashlib.sha256(seed).hexdigest()
        x = (
            np.random.default_rng(int(digest[:8], 16))
            .normal(size=(64, config.hidden_size))
            .astype(np.float32)
        )
        records = data.Records({"x": x, "y": x.sum(-1)})
        batches = data.batches(records, config.batch, seed=config.seed, shard=run.shard)
    run.begin({"origin": "drawn", "fingerprint": digest})

    def loss(params, batch, rng, extra):
        error = jnp.square(batch["x"] @ params["w"] - batch["y"]).mean()
        return jnp.where(extra == config.poison, jnp.inf, 1.0) * error, training.Aux(
            extra=extra + 1
        )

    optimiser = optax.sgd(config.learning_rate)
    params = {"w": jnp.zeros(config.hidden_size)}
    run.train(
        training.create_state(
            params, optimiser, jax.random.key(config.seed), extra=jnp.zeros((), jnp.int32)
        ),
        loss,
        optimiser,
        batches,
        steps=config.steps,
        every=config.every,
        evaluate=lambda state: {
            "error": float(jnp.square(x @ state.params["w"] - x.sum(-1)).mean())
        },
        monitor="error",
        per_step=config.batch,
        unit="points",
        callbacks=(lambda event: time.sleep(config.pause) if event.kind == "step" else None,),
    )
    best = run.best()
    result = run.finish(
        {"error": best["error"]}, {"steps": run.history()[-1]["step"], "best_step": best["step"]}
    )
    run.say(f"run folder: {run.folder}")
    return result


def show(folder: str, options: Show) -> None:
    """Prints words."""
    load_config(folder, "tiny", Config)
    print(options.words)


VERBS = {"show": Verb(show, Show, "print words")}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
