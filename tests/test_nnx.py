"""The shell for Flax NNX does what NNX users do with a layer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint
import pytest
from flax import nnx

import seqjax

pytestmark = pytest.mark.usefixtures("quick_compile")

NET = seqjax.stack(seqjax.LSTM(6), seqjax.bidirectional(seqjax.GRU(4)))
LENGTHS = np.array([5, 2])


def layer_of(net, seed=0):
    return seqjax.nnx.Recurrent(net, 3, rngs=nnx.Rngs(seed))


@pytest.fixture
def xs(getkey):
    return jax.random.normal(getkey(), (2, 5, 3))


def arrays(layer):
    return nnx.to_pure_dict(nnx.state(layer, nnx.Param))["params"]


def test_a_call_is_unroll_with_the_layers_arrays(xs):
    layer = layer_of(NET)
    options = {"lengths": LENGTHS, "reset": np.arange(10).reshape(2, 5) == 3}
    state, ys = layer(xs, **options)
    expected_state, expected = seqjax.unroll(NET, arrays(layer), xs, **options)
    np.testing.assert_allclose(ys, expected, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state, expected_state)
    shapes = jax.tree.map(jnp.shape, NET.init(jax.random.key(0), 3))
    assert jax.tree.map(jnp.shape, arrays(layer)) == shapes


def test_arrays_of_the_functional_core_are_put_in_by_update(xs, getkey):
    layer, params = layer_of(NET), NET.init(getkey(), 3)
    nnx.update(layer, {"params": params})
    np.testing.assert_allclose(layer(xs)[1], seqjax.unroll(NET, params, xs)[1], atol=1e-6)


def test_steps_are_a_call(xs):
    net = seqjax.stack(seqjax.LSTM(6), seqjax.GRU(4))
    layer = layer_of(net)
    step = nnx.jit(lambda layer, state, x: layer.step(state, x))
    state, found = layer.initial_state((2,)), []
    for t in range(5):
        state, y = step(layer, state, xs[:, t])
        found.append(y)
    np.testing.assert_allclose(jnp.stack(found, 1), layer(xs)[1], atol=1e-6)


def test_dropout_is_drawn_in_training_alone(xs):
    layer = layer_of(seqjax.dropout(seqjax.GRU(32), 0.5))
    call = nnx.jit(lambda layer, xs: layer(xs)[1])
    first, second = call(layer, xs), call(layer, xs)
    assert 0.3 < (first == 0).mean() < 0.7 and (first != second).any()
    layer.eval()
    assert (call(layer, xs) != 0).all()
    np.testing.assert_array_equal(call(layer, xs), call(layer, xs))
    assert (layer(xs, deterministic=False)[1] == 0).any()
    layer.train()
    assert (call(layer, xs) == 0).any() and (layer(xs, deterministic=True)[1] != 0).all()
    assert (nnx.view(layer, deterministic=True)(xs)[1] != 0).all()


def test_dropped_weights_are_drawn_in_training_alone(xs):
    layer = layer_of(seqjax.stack(seqjax.weight_drop(seqjax.GRU(4), 0.5)))
    assert (layer(xs)[1] != layer(xs)[1]).any()
    layer.eval()
    np.testing.assert_array_equal(layer(xs)[1], layer(xs)[1])


def test_a_net_without_dropout_keeps_params_alone(xs):
    layer = layer_of(NET)
    graph, state, rest = nnx.split(layer, nnx.Param, ...)
    assert not jax.tree.leaves(rest)
    # Nothing changes by a call, so plain jit takes it.
    found = jax.jit(lambda xs: layer(xs)[1])(xs)
    np.testing.assert_allclose(nnx.merge(graph, state, rest)(xs)[1], found, atol=1e-6)


def test_gradients_are_those_of_the_functional_core(xs):
    layer = layer_of(NET)
    found = nnx.grad(lambda layer: (layer(xs)[1] ** 2).sum())(layer)
    expected = jax.grad(lambda p: (seqjax.unroll(NET, p, xs)[1] ** 2).sum())(arrays(layer))
    found = nnx.to_pure_dict(found)["params"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)


class Classifier(nnx.Module):
    """Tells which half of a sequence has the larger sum."""

    def __init__(self, rngs):
        self.recurrent = seqjax.nnx.Recurrent(
            seqjax.dropout(seqjax.GRU(16), 0.1), 1, backend="fused", rngs=rngs
        )
        self.head = nnx.Linear(16, 2, rngs=rngs)

    def __call__(self, xs):
        return self.head(self.recurrent(xs)[1][:, -1])


@nnx.jit
def train_step(model, optimiser, xs, labels):
    def loss(model):
        return optax.softmax_cross_entropy_with_integer_labels(model(xs), labels).mean()

    value, grads = nnx.value_and_grad(loss)(model)
    optimiser.update(model, grads)
    return value


def test_a_classifier_learns_and_is_read_from_a_checkpoint(getkey, tmp_path):
    xs = jax.random.normal(getkey(), (64, 6, 1))
    labels = (xs[:, :3].sum((1, 2)) > xs[:, 3:].sum((1, 2))).astype(int)
    model = Classifier(nnx.Rngs(0))
    optimiser = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)
    losses = [float(train_step(model, optimiser, xs, labels)) for _ in range(60)]
    assert losses[0] > 0.5 and losses[-1] < 0.15
    model.eval()
    assert (model(xs).argmax(-1) == labels).mean() > 0.95

    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model", nnx.to_pure_dict(nnx.state(model, nnx.Param)))
        checkpointer.wait_until_finished()
        other = Classifier(nnx.Rngs(1))
        like = nnx.to_pure_dict(nnx.state(other, nnx.Param))
        nnx.update(other, checkpointer.restore(tmp_path / "model", like))
    other.eval()
    np.testing.assert_allclose(other(xs), model(xs), atol=1e-6)


def test_a_cell_from_outside_may_draw():
    class Mine(seqjax.Elman):
        pass

    # Its module is none of seqjax, so it has a stream of its own.
    assert layer_of(Mine(4)).rngs is not None and layer_of(seqjax.Elman(4)).rngs is None
