"""experiments.tiny: the smallest experiment there is, a line through points, which `test_cli.py` launches."""

import dataclasses
import hashlib
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import seqjax
from experiments.cli import Verb, launch
from seqjax import data, training
from seqjax.training import Options, RunConfig, option


@seqjax.register
@dataclasses.dataclass(frozen=True)
class Line:
    """Points `x` to the sum of their features: a task of its own."""

    hidden_size: int
    poison: int | None = None
    """The step whose loss is not finite."""

    monitor = ("error",)
    unit = "points"
    batch_size = 8

    def init(self, key):
        return {"w": jnp.zeros(self.hidden_size)}

    def batches(self, examples, *, batch_size=None, seed=0, once=False, multiple_of=1):
        records = data.Records({"x": examples, "y": examples.sum(-1)})
        return data.batches(records, batch_size or self.batch_size, seed=seed)

    def loss(self, params, batch, rng, step):
        error = jnp.square(batch["x"] @ params["w"] - batch["y"]).mean()
        return jnp.where(step == self.poison, jnp.inf, 1.0) * error, training.Aux()

    def evaluate(self, params, examples):
        return {
            "error": float(jnp.square(self.predict(params, examples) - examples.sum(-1)).mean())
        }

    def predict(self, params, inputs):
        return inputs @ params["w"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    text: str | None = option(None, "file that the points are drawn from", metavar="FILE")
    hidden_size: int = option(4, "weights", least=1)
    poison: int | None = option(None, "the step whose batch is not finite")
    pause: float = option(0.0, "seconds after each step", least=0)
    learning_rate: float = option(0.1, "Adam's", least=0)
    steps: int = option(20, "training steps", least=1)
    every: int = option(5, "steps between evaluations", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show(Options):
    words: str = option("", "what to print")


def main(config: Config) -> dict:
    """Trains and writes the result."""
    with training.Run("tiny", config) as run:
        config = run.config
        seed = Path(config.text).read_bytes() if config.text else b""
        drawn = np.random.default_rng(int(hashlib.sha256(seed).hexdigest()[:8], 16))
        x = drawn.normal(size=(64, config.hidden_size)).astype(np.float32)

        def pause(event):
            if event.kind == "step":
                time.sleep(config.pause)

        task = Line(config.hidden_size, config.poison)
        trained = run.fit(task, x, validation=x, source="drawn", callbacks=[pause])
        return run.finish(trained, x, "validation")


def show(folder: str, options: Show) -> None:
    """Prints words."""
    training.read_run(Path(folder))
    print(options.words)


VERBS = {"show": Verb(show, Show, "print words")}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
