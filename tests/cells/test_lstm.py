import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests import references
from tests.cells.agreement import assert_agrees, assert_gradients_agree_with_differences
from tests.recurrences import draw_params

pytestmark = pytest.mark.usefixtures("quick_compile")

SWITCHES = ("peephole", "projection", "layer_norm", "coupled")
COMBINATIONS = [
    dict(zip(SWITCHES, chosen, strict=True))
    for chosen in itertools.product([False, True], repeat=4)
]
FEW = [choice for choice in COMBINATIONS if sum(choice.values()) in (0, 1, 4)]


def name_of(choice):
    return "+".join(name for name, on in choice.items() if on) or "plain"


def make(projection, **options):
    return seqjax.LSTM(4, projection_size=2 if projection else None, **options)


@pytest.mark.parametrize("choice", COMBINATIONS, ids=name_of)
def test_values(x64, choice):
    def reference(params, xs, state):
        return references.lstm(params, xs, *state, **choice)

    assert_agrees(make(**choice), reference)


@pytest.mark.parametrize("choice", FEW, ids=name_of)
def test_gradients(x64, choice):
    assert_gradients_agree_with_differences(make(**choice))


@pytest.mark.parametrize("choice", COMBINATIONS, ids=name_of)
def test_params_have_the_documented_shapes(choice):
    gates = 3 if choice["coupled"] else 4
    h = 2 if choice["projection"] else 4
    wanted = {"w_x": (3, gates * 4), "w_h": (h, gates * 4), "b": (gates * 4,)}
    wanted |= {"w_p": ((gates - 1) * 4,)} if choice["peephole"] else {}
    wanted |= {"w_r": (4, 2)} if choice["projection"] else {}
    if choice["layer_norm"]:
        wanted |= {"ln_x": (gates * 4,), "ln_h": (gates * 4,), "ln_c": (4,), "b_c": (4,)}
    assert {name: p.shape for name, p in draw_params(make(**choice)).items()} == wanted
    assert make(**choice).output_size(3) == h


@pytest.mark.parametrize("coupled", [False, True], ids=["four gates", "coupled"])
def test_only_the_forget_bias_starts_away_from_zero(getkey, coupled):
    cell = seqjax.LSTM(4, forget_bias=1.5, coupled=coupled)
    gates = np.split(np.asarray(cell.init(getkey(), 3)["b"]), 3 if coupled else 4)
    forget = gates.pop(0 if coupled else 1)
    assert (forget == 1.5).all() and not np.any(gates)


def test_the_forget_bias_is_1_by_default(getkey):
    assert (seqjax.LSTM(4).init(getkey(), 3)["b"][4:8] == 1).all()


def test_the_other_params_start_without_effect(getkey):
    params = seqjax.LSTM(4, peephole=True, layer_norm=True).init(getkey(), 3)
    assert not params["w_p"].any() and not params["b_c"].any()
    assert all((params[name] == 1).all() for name in ("ln_x", "ln_h", "ln_c"))


def test_the_state_holds_h_and_c():
    cell = seqjax.LSTM(4, projection_size=2)
    state = cell.initial_state({}, (5, 3), jnp.bfloat16)
    assert isinstance(state, seqjax.LSTMState)
    assert (state.h.shape, state.c.shape, state.c.dtype) == ((5, 3, 2), (5, 3, 4), jnp.float32)
    assert not any(leaf.any() for leaf in jax.tree.leaves(state))
    assert cell.output(state) is state.h


@pytest.mark.parametrize("size", [0, -2])
def test_a_projection_without_units_is_refused(unchecked, size):
    with pytest.raises(ValueError, match=f"LSTM: projection_size is {size}; give at least 1"):
        seqjax.LSTM(4, projection_size=size)


def test_repr_names_what_differs_from_the_defaults():
    assert repr(seqjax.LSTM(256)) == "LSTM(256)"
    assert repr(seqjax.LSTM(256, peephole=True)) == "LSTM(256, peephole=True)"
    full = seqjax.LSTM(8, forget_bias=0.0, projection_size=4, layer_norm=True, coupled=True)
    assert (
        repr(full) == "LSTM(8, forget_bias=0.0, projection_size=4, layer_norm=True, coupled=True)"
    )
