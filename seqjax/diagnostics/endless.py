"""Learning from a stream that never ends: forwards in time, or back over a window.

A stream of symbols, one at each step and none twice; wanted is the symbol of some steps before, and
from time to time it is another number of steps. Nothing is stored: what is learnt is learnt at once.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from seqjax import rtrl
from seqjax.recurrence import Recurrence
from seqjax.typing import KeyArray, Params
from seqjax.unrolling import unroll


@dataclasses.dataclass(frozen=True)
class Echo:
    """A stream whose answer is the symbol of some steps before.

    Attributes:
      delays: how many steps before; each holds for a period, the first again after the last.
      period: steps until the next delay.
      symbols: of which one is drawn at each step, each as likely as any other.
    """

    delays: tuple[int, ...] = (5, 20)
    period: int = 25_000
    symbols: int = 4

    @property
    def chance(self) -> float:
        """The loss of answering without a memory, in nats: log of `symbols`."""
        return float(np.log(self.symbols))

    def at(self, key: KeyArray, t: Any) -> tuple[Float[Array, " symbols"], Int[Array, ""]]:
        """Draws the input of step t, one-hot, and its answer: each a function of the step alone."""
        delay = jnp.asarray(self.delays)[t // self.period % len(self.delays)]
        symbol, answer = (
            jax.random.randint(
                jax.random.fold_in(key, step + max(self.delays)), (), 0, self.symbols
            )
            for step in (t, t - delay)
        )
        return jax.nn.one_hot(symbol, self.symbols), answer


class Learner(NamedTuple):
    """What is known after a step.

    Attributes:
      params: of the network, `{net, w, b}`.
      optimiser: its state.
      memory: of the past, `rtrl.Online` or the recurrence's state.
    """

    params: Params
    optimiser: Any
    memory: Any


def learn_online(
    problem: Echo,
    recurrence: Recurrence,
    optimiser: optax.GradientTransformation,
    steps: int,
    key: KeyArray,
) -> tuple[Float[np.ndarray, " steps"], Learner]:
    """Learns at every step by real-time recurrent learning, see `seqjax.rtrl`.

    Args:
      problem: the stream.
      recurrence: a diagonal one costs memory and time of its parameters alone.
      optimiser: of parameters that move at every step.
      steps: how many.
      key: for stream and parameters.

    Returns:
      The loss of each step, in nats, before it was learnt from; and what is known after the last.
    """
    stream, start = jax.random.split(key)
    params = _init(problem, recurrence, start)
    online = rtrl.init(recurrence, params["net"], (), problem.symbols)

    def step(learner: Learner, t: Array) -> tuple[Learner, Array]:
        x, answer = problem.at(stream, t)
        params = learner.params
        memory, y, pull = rtrl.step(recurrence, params["net"], learner.memory, x)
        loss, (d_out, dy) = jax.value_and_grad(_loss, (0, 1))(_out(params), y, answer)
        gradient = {**d_out, "net": pull(dy)}
        return _moved(optimiser, learner, gradient)._replace(memory=memory), loss

    begin = Learner(params, optimiser.init(params), online)
    learner, losses = jax.jit(lambda: lax.scan(step, begin, jnp.arange(steps)))()
    return np.asarray(losses), learner


def learn_over_windows(
    problem: Echo,
    recurrence: Recurrence,
    optimiser: optax.GradientTransformation,
    steps: int,
    window: int,
    key: KeyArray,
) -> tuple[Float[np.ndarray, " steps"], Learner]:
    """Learns by backpropagation through the last `window` steps; the state is carried on.

    Args and results are those of `learn_online`; of steps that fill no window none is made.
    """
    stream, start = jax.random.split(key)
    params = _init(problem, recurrence, start)
    state = recurrence.initial_state(params["net"], (), jnp.float32)

    def score(params: Params, state: Any, xs: Array, answers: Array) -> tuple[Array, tuple]:
        state, ys = unroll(recurrence, params["net"], xs, state)
        losses = jax.vmap(functools.partial(_loss, _out(params)))(ys, answers)
        return losses.mean(), (state, losses)

    def step(learner: Learner, number: Array) -> tuple[Learner, Array]:
        times = number * window + jnp.arange(window)
        xs, answers = jax.vmap(functools.partial(problem.at, stream))(times)
        gradient, (state, losses) = jax.grad(score, has_aux=True)(
            learner.params, learner.memory, xs, answers
        )
        return _moved(optimiser, learner, gradient)._replace(memory=state), losses

    begin = Learner(params, optimiser.init(params), state)
    learner, losses = jax.jit(lambda: lax.scan(step, begin, jnp.arange(steps // window)))()
    return np.asarray(losses).reshape(-1), learner


def running_mean(losses: Float[np.ndarray, " steps"], span: int) -> Float[np.ndarray, " spans"]:
    """Returns the mean of every `span` losses one after another; a rest is left out."""
    whole = len(losses) // span
    return losses[: whole * span].reshape(whole, span).mean(1)


def _init(problem: Echo, recurrence: Recurrence, key: KeyArray) -> Params:
    """Draws a recurrence, and a linear layer that names a symbol."""
    key, out = jax.random.split(key)
    features = recurrence.output_size(problem.symbols)
    w = jax.nn.initializers.glorot_uniform()(out, (features, problem.symbols))
    return {"net": recurrence.init(key, problem.symbols), "w": w, "b": jnp.zeros(problem.symbols)}


def _out(params: Params) -> Params:
    return {"w": params["w"], "b": params["b"]}


def _loss(out: Params, y: Array, answer: Array) -> Array:
    """Returns the cross-entropy of one answer, in nats."""
    scores = y @ out["w"] + out["b"]
    return optax.softmax_cross_entropy_with_integer_labels(scores, answer)


def _moved(optimiser: optax.GradientTransformation, learner: Learner, gradient: Params) -> Learner:
    updates, state = optimiser.update(gradient, learner.optimiser, learner.params)
    return learner._replace(params=optax.apply_updates(learner.params, updates), optimiser=state)
