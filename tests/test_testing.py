"""`check_laws` accepts what is lawful, and names the law that a cell breaks."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import seqjax
from seqjax.testing import check_laws

pytestmark = pytest.mark.usefixtures("quick_compile")

LAWFUL = {
    "lstm": seqjax.LSTM(3, peephole=True),
    "lru": seqjax.LRU(3),
    "stack": seqjax.stack(seqjax.GRU(3), seqjax.Elman(3), residual=True),
    "bidirectional": seqjax.bidirectional(seqjax.GRU(2), seqjax.LSTM(2)),
}


@dataclasses.dataclass(frozen=True, repr=False)
class Sum(seqjax.Recurrence):
    """A cell of a user's own: the running sum."""

    size: int = 3

    def init(self, key, input_size):
        return {"w": jax.random.normal(key, (input_size, self.size))}

    def output_size(self, input_size):
        return self.size

    def initial_state(self, params, batch_shape, dtype):
        return jnp.zeros((*batch_shape, self.size))

    def step(self, params, state, x, *, rng=None):
        state = state + x @ params["w"]
        return state, state


class Hasty(Sum):
    """Its scan forgets the first step."""

    def scan(self, params, xs, state, how=seqjax.Pass()):  # noqa: B008
        return super().scan(params, xs.at[0].set(0), state, how)


class Social(Sum):
    """A row sees the others."""

    def step(self, params, state, x, *, rng=None):
        state = state + (x @ params["w"]).mean(tuple(range(x.ndim - 1)), keepdims=x.ndim > 1)
        return state, state


class Stubborn(Sum):
    """Its scan takes no notice of resets."""

    def scan(self, params, xs, state, how=seqjax.Pass()):  # noqa: B008
        return super().scan(params, xs, state, dataclasses.replace(how, reset=None))


class Forward(Sum):
    """Its scan reads one way alone."""

    def scan(self, params, xs, state, how=seqjax.Pass()):  # noqa: B008
        return super().scan(params, xs, state, dataclasses.replace(how, reverse=False))


class Leaky(Sum):
    """Its scan goes on in the padding."""

    def scan(self, params, xs, state, how=seqjax.Pass()):  # noqa: B008
        return super().scan(params, xs + 1, state, dataclasses.replace(how, lengths=None))


@pytest.mark.parametrize("recurrence", LAWFUL.values(), ids=LAWFUL.keys())
def test_what_is_lawful_is_accepted(recurrence):
    check_laws(recurrence)


def test_a_cell_of_a_user_s_own_is_accepted():
    check_laws(Sum())


@pytest.mark.parametrize(
    ("cell", "law"),
    [(Hasty, "law 1"), (Social, "law 3"), (Stubborn, "law 5"), (Forward, "law 6"), (Leaky, "law")],
)
def test_the_broken_law_is_named(cell, law):
    with pytest.raises(AssertionError, match=law):
        check_laws(cell())
