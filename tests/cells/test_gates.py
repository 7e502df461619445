"""What every cell shares: how weights start, what products are summed in, what a cell is as a value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax.cells.gates import layer_norm, product

pytestmark = pytest.mark.usefixtures("quick_compile")

SIZE = 16
GATED = {
    "elman": (seqjax.Elman(SIZE), 1),
    "lstm": (seqjax.LSTM(SIZE), 4),
    "lstm_coupled": (seqjax.LSTM(SIZE, coupled=True), 3),
    "lstm_projection": (seqjax.LSTM(SIZE, projection_size=6), 4),
    "gru": (seqjax.GRU(SIZE), 3),
    "min_gru": (seqjax.MinGRU(SIZE), 2),
    "min_lstm": (seqjax.MinLSTM(SIZE), 3),
    "slstm": (seqjax.SLSTM(SIZE), 4),
    "mlstm": (seqjax.MLSTM(SIZE), 4),
    "rglru": (seqjax.RGLRU(SIZE), 3),
    "indrnn": (seqjax.IndRNN(SIZE), 1),
    "mgu": (seqjax.MGU(SIZE), 2),
}
SIZED = (seqjax.Elman, seqjax.LSTM, seqjax.GRU, seqjax.LRU, seqjax.MinGRU, seqjax.MinLSTM)
SIZED += (seqjax.SLSTM, seqjax.MLSTM, seqjax.RGLRU, seqjax.IndRNN, seqjax.MGU)


@pytest.mark.parametrize("name", ["elman", "lstm", "lstm_coupled", "lstm_projection", "gru", "mgu"])
def test_recurrent_weights_are_orthogonal_gate_by_gate(getkey, name):
    cell, gates = GATED[name]
    matrices = np.split(np.asarray(cell.init(getkey(), 5)["w_h"]), gates, axis=-1)
    for w in matrices:
        assert w.shape == (cell.output_size(5), SIZE)
        np.testing.assert_allclose(w @ w.T, np.eye(len(w)), atol=1e-5)
    assert gates == 1 or not np.allclose(matrices[0], matrices[1]), "gates share their matrix"


@pytest.mark.parametrize("name", GATED)
def test_input_weights_are_glorot_uniform_gate_by_gate(getkey, name):
    cell, gates = GATED[name]
    bound = np.sqrt(6 / (40 + SIZE))
    for w in np.split(np.asarray(cell.init(getkey(), 40)["w_x"]), gates, axis=-1):
        assert 0.97 * bound < np.abs(w).max() <= bound
        np.testing.assert_allclose(w.std(), bound / np.sqrt(3), rtol=0.1)


def test_the_projection_starts_glorot_uniform(getkey):
    bound = np.sqrt(6 / (40 + 20))
    w_r = seqjax.LSTM(40, projection_size=20).init(getkey(), 3)["w_r"]
    assert 0.97 * bound < np.abs(w_r).max() <= bound


def test_params_depend_on_the_key():
    first, same, other = (seqjax.GRU(4).init(jax.random.key(seed), 3) for seed in (0, 0, 1))
    assert all((first[name] == same[name]).all() for name in first)
    assert (first["w_x"] != other["w_x"]).all() and (first["w_h"] != other["w_h"]).any()


def test_products_are_summed_in_the_wanted_type():
    ones = jnp.ones(1000, jnp.bfloat16)
    total = product(ones, jnp.ones((1000, 1), jnp.bfloat16) * 1.0078125, jnp.float32)
    assert total.dtype == jnp.float32
    np.testing.assert_allclose(total, 1007.8125)


def test_layer_norm():
    x, scale = (
        np.random.default_rng(0).normal(3.0, 2.0, (2, 64)).astype(np.float32),
        np.full(64, 1.5, np.float32),
    )
    normal = np.asarray(layer_norm(jnp.asarray(x), jnp.asarray(scale)))
    np.testing.assert_allclose(
        normal, 1.5 * (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True), atol=1e-4
    )
    assert np.isfinite(layer_norm(jnp.zeros((2, 64)), jnp.asarray(scale))).all()


@pytest.mark.parametrize("cell", SIZED)
@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_1_is_refused(unchecked, cell, size):
    with pytest.raises(
        ValueError, match=f"{cell.__name__}: hidden_size is {size}; give at least 1"
    ):
        cell(size)


@pytest.mark.parametrize("cell", SIZED)
@pytest.mark.parametrize("size", [2.5, "4", None, True])
def test_a_size_that_is_no_whole_number_is_refused(unchecked, cell, size):
    with pytest.raises(
        TypeError, match=f"{cell.__name__}: hidden_size is {size!r}; give a whole number"
    ):
        cell(size)


@pytest.mark.parametrize("cell", SIZED)
def test_cells_compare_hash_and_freeze_by_value(cell):
    assert cell(4) == cell(4) and hash(cell(4)) == hash(cell(4))
    assert cell(4) != cell(5)
    with pytest.raises(AttributeError):
        cell(4).hidden_size = 5


def test_cells_of_other_kinds_are_never_equal():
    assert len({cell(4) for cell in SIZED}) == len(SIZED)
