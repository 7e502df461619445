"""The options of cells and combinators: given by name, checked, kept as numbers of Python's own."""

import jax.numpy as jnp
import numpy as np
import pytest

import seqjax

pytestmark = pytest.mark.usefixtures("quick_compile")

CELLS = (seqjax.Elman, seqjax.LSTM, seqjax.GRU, seqjax.LRU, seqjax.MinGRU, seqjax.MinLSTM)
CELLS += (seqjax.SLSTM, seqjax.MLSTM, seqjax.RGLRU, seqjax.IndRNN, seqjax.MGU)


@pytest.mark.parametrize("cell", CELLS)
def test_the_size_of_the_input_is_not_taken_for_an_option(unchecked, cell):
    with pytest.raises(
        TypeError,
        match=r"\(4, 8\): by position give \w+\(hidden_size\) alone.*init\(key, input_size\)",
    ):
        cell(4, 8)
    assert cell(8).hidden_size == cell(hidden_size=8).hidden_size == 8


def test_a_cell_of_ones_own_may_take_what_it_likes(unchecked):
    class Habit(seqjax.LSTM):
        def __init__(self, input_size, hidden_size):
            super().__init__(hidden_size, forget_bias=input_size)

    assert Habit(4, 8).hidden_size == 8


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: seqjax.LSTM(8, peephole="no"),
            TypeError,
            "LSTM: peephole is 'no'; give True or False",
        ),
        (
            lambda: seqjax.LSTM(8, layer_norm=None),
            TypeError,
            "layer_norm is None; give True or False",
        ),
        (lambda: seqjax.LSTM(8, coupled=2), TypeError, "coupled is 2; give True or False"),
        (
            lambda: seqjax.LSTM(8, forget_bias=np.nan),
            ValueError,
            "forget_bias is nan; give a finite number",
        ),
        (lambda: seqjax.LSTM(8, forget_bias="1"), TypeError, "forget_bias is '1'; give a number"),
        (lambda: seqjax.LSTM(8, forget_bias=True), TypeError, "forget_bias is True; give a number"),
        (lambda: seqjax.LSTM(8, forget_bias=np.ones(8)), TypeError, "give a number"),
        (
            lambda: seqjax.LSTM(8, projection_size=2.0),
            TypeError,
            "projection_size is 2.0; give a whole number",
        ),
        (lambda: seqjax.LSTM(True), TypeError, "hidden_size is True; give a whole number"),
        (lambda: seqjax.LSTM(np.bool_(True)), TypeError, "give a whole number"),
        (lambda: seqjax.GRU(8, layer_norm="yes"), TypeError, "GRU: layer_norm is 'yes'"),
        (lambda: seqjax.GRU(np.float32(8)), TypeError, "give a whole number"),
        (lambda: seqjax.MinLSTM(8, forget_bias=-np.inf), ValueError, "forget_bias is -inf"),
        (lambda: seqjax.LRU(8, max_phase=np.nan), ValueError, "max_phase is nan"),
        (lambda: seqjax.LRU(8, max_phase=0.0), ValueError, "give more than 0"),
        (lambda: seqjax.LRU(8, min_radius="0.1"), TypeError, "min_radius is '0.1'; give a number"),
        (lambda: seqjax.SLSTM(8, heads=0), ValueError, "SLSTM: heads is 0; give at least 1"),
        (lambda: seqjax.IndRNN(8, max_weight="1"), TypeError, "max_weight is '1'; give a number"),
        (lambda: seqjax.dropout(seqjax.GRU(8), "0.1"), TypeError, "rate is '0.1'; give a number"),
        (lambda: seqjax.dropout(seqjax.GRU(8), np.nan), ValueError, "rate is nan"),
        (lambda: seqjax.dropout(seqjax.GRU(8), jnp.ones(2)), TypeError, "give a number"),
        (
            lambda: seqjax.dropout(seqjax.GRU(8), 0.1, variational="no"),
            TypeError,
            "variational is 'no'",
        ),
        (lambda: seqjax.dropout(seqjax.GRU(8), 0.1, 0.2), TypeError, "variational is 0.2"),
        (lambda: seqjax.zoneout(seqjax.GRU(8), True), TypeError, "rate is True; give a number"),
        (
            lambda: seqjax.stack(seqjax.GRU(8), residual="no"),
            TypeError,
            "residual is 'no'; give True or False",
        ),
        (
            lambda: seqjax.stack(seqjax.GRU(8), dropout="no"),
            TypeError,
            "dropout is 'no'; give a number",
        ),
    ],
)
def test_mistakes_are_named(unchecked, make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("numpy_like", "plain"),
    [
        (
            lambda: seqjax.LSTM(np.int64(8), forget_bias=np.float32(0.5)),
            seqjax.LSTM(8, forget_bias=0.5),
        ),
        (
            lambda: seqjax.LSTM(8, forget_bias=1, peephole=np.bool_(True)),
            seqjax.LSTM(8, peephole=True),
        ),
        (
            lambda: seqjax.LSTM(jnp.int32(8), projection_size=np.uint8(4)),
            seqjax.LSTM(8, projection_size=4),
        ),
        (
            lambda: seqjax.GRU(np.array(8), layer_norm=np.array(True)),
            seqjax.GRU(8, layer_norm=True),
        ),
        (lambda: seqjax.MinLSTM(8, forget_bias=jnp.float32(2)), seqjax.MinLSTM(8, forget_bias=2.0)),
        (lambda: seqjax.LRU(8, min_radius=np.float64(0.5)), seqjax.LRU(8, min_radius=0.5)),
        (
            lambda: seqjax.dropout(seqjax.GRU(8), np.float32(0.25)),
            seqjax.dropout(seqjax.GRU(8), 0.25),
        ),
        (
            lambda: seqjax.zoneout(seqjax.GRU(8), np.float16(0.5)),
            seqjax.zoneout(seqjax.GRU(8), 0.5),
        ),
        (
            lambda: seqjax.stack(
                seqjax.GRU(8), seqjax.GRU(8), dropout=np.float32(0.5), residual=np.bool_(True)
            ),
            seqjax.stack(seqjax.GRU(8), seqjax.GRU(8), dropout=0.5, residual=True),
        ),
    ],
)
def test_numbers_of_numpy_are_welcome_and_hash_alike(unchecked, numpy_like, plain):
    made = numpy_like()
    assert made == plain and hash(made) == hash(plain) and repr(made) == repr(plain)
