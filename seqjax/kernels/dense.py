"""The product of many rows with one matrix, of numbers rounded to bfloat16 where that is allowed.

XLA multiplies float32 numbers on CPUs as they are, whatever `jax.default_matmul_precision` says.
The compiled kernels do round: a product with a matrix is the input gradient of a cell whose sums
are its columns, see `seqjax.kernels.native`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from seqjax.kernels import native
from seqjax.kernels.calls import call, kernel
from seqjax.typing import Backend
from seqjax.unrolling import varying_alike

ROWS, COLUMNS = 512, 256
"""From which on bringing the matrix into order pays."""


def dot_general(backend: Backend = "auto") -> Callable[..., Array]:
    """Returns what multiplies as `lax.dot_general` does, for Flax's option of this name.

    By `"auto"` and `"native"` a product of at least 512 rows and 256 columns, both in float32, is
    rounded where `jax.default_matmul_precision("bfloat16")` allows it and the CPU has instructions
    for it. Its derivative is taken backwards.
    """
    return _rounding if backend in ("auto", "native") else lax.dot_general


def _rounding(
    x: Array, w: Array, dimension_numbers: Any, precision: Any = None, **options: Any
) -> Array:
    """Multiplies by the compiled kernels what they can and may multiply."""
    (of_x, of_w), batched = dimension_numbers
    rows, columns = math.prod(x.shape[:-1]), w.shape[1 - of_w[0]] if w.ndim == 2 else 0
    ours = (
        tuple(of_x) == (x.ndim - 1,)
        and not (batched[0] or options.get("preferred_element_type"))
        and isinstance(rows, int)  # and not open, as in a program that is exported
        and rows >= ROWS
        and columns >= COLUMNS
        and {x.dtype, w.dtype} == {jnp.dtype(jnp.float32)}
    )
    if not (ours and precision is None and native.is_here() and native.rounds(jnp.float32)):
        return lax.dot_general(x, w, dimension_numbers, precision, **options)

    def multiply(x: Array, w: Array) -> Array:
        flat, w = varying_alike((x.reshape(rows, x.shape[-1]), w))
        product: Any = _multiply(of_w[0] == 1, flat, w)
        return product.reshape(*x.shape[:-1], columns)

    run: Any = multiply
    place = jax.typeof(x).sharding
    if explicit := place.mesh.explicit_axes:
        # The product lies as its rows do.
        lies = NamedSharding(place.mesh, PartitionSpec(*place.spec[:-1], None))
        run = jax.sharding.auto_axes(multiply, axes=explicit, out_sharding=lies)
    return run(x, w)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _multiply(turned: bool, x: Float[Array, "rows features"], w: Array) -> Array:
    """Computes `x @ w`, of a matrix `[features, columns]`, or, `turned`, `[columns, features]`."""
    return _across(None, w if turned else w.T, x)


def _keep(turned: bool, x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return _multiply(turned, x, w), (x, w)


def _pull(turned: bool, kept: tuple[Array, Array], d_y: Array) -> tuple[Array, Array]:
    x, w = kept
    d_x = _across(None, w.T if turned else w, d_y)
    return d_x, _between(None, d_y, x) if turned else _between(None, x, d_y)


_multiply.defvjp(_keep, _pull)


@kernel(lambda _, w, x: x @ w.T, arguments=(None, 0), results=0)
def _across(
    static: None, w: Float[Array, "columns features"], x: Float[Array, "rows features"]
) -> Float[Array, "rows columns"]:
    """Computes `x @ w.T`."""
    return call(
        "seqjax_input_gradient",
        [w],
        [(x[None], 1), native.absent(jnp.int32)],
        [((1, x.shape[0], w.shape[0]), 1)],
        cell=native.CODES["elman_tanh"],
        rounded=True,
        hidden=np.int64(w.shape[1]),
    )[0][0]


@kernel(lambda _, x, d_y: x.T @ d_y, arguments=(0, 0), results=None)
def _between(
    static: None, x: Float[Array, "rows features"], d_y: Float[Array, "rows columns"]
) -> Float[Array, "features columns"]:
    """Computes `x.T @ d_y`."""
    features, columns = x.shape[1], d_y.shape[1]
    return call(
        "seqjax_weight_gradient",
        [],
        [
            (x[None], 1),
            native.absent(),
            native.absent(),
            (d_y[None], 1),
            native.absent(jnp.int32),
            native.absent(jnp.bool_),
        ],
        [((features, columns), None), ((0,), None), ((columns,), None), ((0,), None)],
        cell=native.CODES["elman_tanh"],
        reverse=False,
        rounded=True,
    )[0]
