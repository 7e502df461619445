"""Every recurrence exported for platforms that are not at hand, forwards and backwards: XLA and nothing beside it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import kernels
from tests.recurrences import INPUT_SIZE, RECURRENCES, each, params_like, state_like

pytestmark = pytest.mark.usefixtures("quick_compile")

OF_JAX = {"Sharding", "annotate_device_placement", "shape_assertion", "cu_threefry2x32_ffi"}
"""Custom calls of JAX itself: places of arrays, checks of shapes, its random numbers on CUDA."""

COMPILED = {
    f"seqjax_{name}" for name in ("forward", "backward", "weight_gradient", "input_gradient")
}


def custom_calls(recurrence, platforms, backend):
    """Names of the custom calls, callbacks among them, in the gradient of everything that unroll returns."""

    def loss(params, xs, state, lengths, reset):
        options = {"lengths": lengths, "reset": reset, "rng": jax.random.key(0), "backend": backend}
        results = seqjax.unroll(recurrence, params, xs, state, **options)
        return sum(jnp.sum(jnp.real(leaf)) for leaf in jax.tree.leaves(results))

    shape = jax.ShapeDtypeStruct
    given = (
        params_like(recurrence, INPUT_SIZE),
        shape((2, 6, INPUT_SIZE), np.float32),
        state_like(recurrence, (2,)),
    )
    marks = shape((2,), np.int32), shape((2, 6), np.bool_)
    ours = [jax.export.DisabledSafetyCheck.custom_call(name) for name in COMPILED]
    gradient = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    text = jax.export.export(gradient, platforms=platforms, disabled_checks=ours)(
        *given, *marks
    ).mlir_module()
    assert "stablehlo.add" in text
    assert not {"stablehlo.send", "stablehlo.recv"} & set(text.split()), "talks with the host"
    return set(re.findall(r"custom_call @(\w+)", text)) - OF_JAX


@each(RECURRENCES)
def test_no_callback_and_no_foreign_call(recurrence):
    assert not custom_calls(recurrence, ("cpu", "cuda", "tpu"), "fused")


@pytest.mark.skipif(kernels.native.missing() is not None, reason=str(kernels.native.missing()))
@each({name: RECURRENCES[name] for name in ("elman_tanh", "lstm", "gru_after")})
def test_compiled_kernels_are_for_the_cpu_alone(recurrence):
    assert custom_calls(recurrence, ("cpu",), "native") == COMPILED
    assert not custom_calls(recurrence, ("cuda", "tpu"), "native")
