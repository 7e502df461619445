"""What a step does to a small change of the state: Jacobians, products, Lyapunov exponents."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.recurrence import Recurrence
from seqjax.typing import Params, State


class Spectrum(NamedTuple):
    """Tells how changes of the state grow and shrink along T steps, for n numbers of state.

    Attributes:
      steps: singular values of each step's Jacobian `d state_{t+1} / d state_t`, largest first,
        `[T, n]`.
      products: natural logarithms of the singular values of `d state_T / d state_t` for t = 0 ..
        T-1, largest first, `[T, n]`. Those far below the largest of their row (by more than the
        float's precision) are rounding.
      exponents: Lyapunov exponents, growth in nats per step, largest first, `[n]`.
    """

    steps: Float[Array, "time n"]
    products: Float[Array, "time n"]
    exponents: Float[Array, " n"]


def jacobian_spectrum(
    recurrence: Recurrence, params: Params, xs: ArrayLike, state: State | None = None
) -> Spectrum:
    """Computes singular values of the Jacobians along a trajectory, and Lyapunov exponents by QR.

    Each step's Jacobian is taken in forward mode over the whole state (of a stack: all layers; a
    complex state counts as its real and imaginary parts). The products are rescaled at each step,
    so that they neither overflow nor vanish; the exponents are means of `log |diag R|` of the QR
    factors along the trajectory (Benettin et al., 1980; Engelken et al., 2023). Time and memory
    grow with T n^2, and the work with T n^3.

    Args:
      recurrence: any causal one; dropout is off.
      params: its parameters.
      xs: one row of inputs, `[time, features]`; `jax.vmap` for several.
      state: before the first step, without batch axes; None for the initial one.

    Returns:
      A `Spectrum`.

    Raises:
      ValueError: the recurrence reads the future, or xs is not one row of at least one step.
    """
    xs = jnp.asarray(xs)
    if not recurrence.causal:
        raise ValueError(
            f"{recurrence} reads the future: no state leads to the next, "
            "so there is no step's Jacobian"
        )
    if xs.ndim != 2 or len(xs) == 0:
        raise ValueError(
            f"xs has shape {xs.shape}; give one row [time, features] of at least one step "
            "(vmap for more)"
        )
    state = recurrence.initial_state(params, (), xs.dtype) if state is None else state
    flat, restore = ravel_pytree(jax.tree.map(_as_real, state))

    def step(flat: Float[Array, " n"], x: Array) -> tuple[Array, Array]:
        """Steps with the state as one vector of real numbers, `[n]`."""
        before = jax.tree.map(_like, restore(flat), state)
        after, _ = recurrence.step(params, before, x)
        flat = ravel_pytree(jax.tree.map(_as_real, after))[0]
        return flat, flat

    def advance(flat: Float[Array, " n"], x: Array) -> tuple[Array, Array]:
        # [n, n]
        jacobian, after = jax.jacfwd(step, has_aux=True)(flat, x)
        return after, jacobian

    # [time, n, n]
    _, jacobians = lax.scan(advance, flat, xs)
    steps = jnp.linalg.svd(jacobians, compute_uv=False)
    return Spectrum(steps, _products(jacobians), _exponents(jacobians))


def spectral_radius(w: ArrayLike) -> Float[Array, ""]:
    """Returns the largest modulus of an eigenvalue of a square matrix `[n, n]`.

    Raises:
      ValueError: the matrix is not square.
    """
    w = jnp.asarray(w)
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        raise ValueError(
            f"w has shape {w.shape}; give one square matrix (cut the gates of w_h apart first)"
        )
    return jnp.abs(jnp.linalg.eigvals(w)).max()


def with_spectral_radius(w: ArrayLike, radius: float) -> Float[Array, "n n"]:
    """Scales a matrix so that its spectral radius is `radius`.

    Args:
      w: `[n, n]`, not nilpotent.
      radius: the wanted one, above 0.

    Returns:
      A multiple of w.

    Raises:
      ValueError: the matrix is not square, or the radius is not above 0.
    """
    if not radius > 0:
        raise ValueError(f"radius is {radius}; give a number above 0")
    return jnp.asarray(w) * (radius / spectral_radius(w))


def _products(jacobians: Float[Array, "time n n"]) -> Float[Array, "time n"]:
    """Returns log singular values of J_T ... J_{t+1} for each t, walking back from the end."""

    def extend(carry: tuple[Array, Array], jacobian: Array) -> tuple[tuple[Array, Array], Array]:
        product, log_scale = carry
        # J_T ... J_{t+1}, divided by exp(log_scale): [n, n].
        product = product @ jacobian
        scale = jnp.linalg.norm(product)
        # A product that has become 0 stays so.
        scale = jnp.where(scale > 0, scale, 1)
        product, log_scale = product / scale, log_scale + jnp.log(scale)
        singular_values = jnp.linalg.svd(product, compute_uv=False)
        return (product, log_scale), jnp.log(singular_values) + log_scale

    dtype = jacobians.dtype
    start = jnp.eye(jacobians.shape[-1], dtype=dtype), jnp.zeros((), dtype)
    return lax.scan(extend, start, jacobians, reverse=True)[1]


def _exponents(jacobians: Float[Array, "time n n"]) -> Float[Array, " n"]:
    """Averages how far each of n orthonormal directions grows in a step, largest first."""

    def turn(basis: Array, jacobian: Array) -> tuple[Array, Array]:
        # The directions after the step, made orthonormal again; r says how far each has grown.
        basis, r = jnp.linalg.qr(jacobian @ basis)
        return basis, jnp.log(jnp.abs(jnp.diagonal(r)))

    # [time, n], in nats.
    start = jnp.eye(jacobians.shape[-1], dtype=jacobians.dtype)
    _, growth = lax.scan(turn, start, jacobians)
    return jnp.sort(growth.mean(0), descending=True)


def _as_real(leaf: Any) -> Any:
    return jnp.stack([leaf.real, leaf.imag]) if jnp.iscomplexobj(leaf) else leaf


def _like(leaf: Any, original: Any) -> Any:
    return lax.complex(leaf[0], leaf[1]) if jnp.iscomplexobj(original) else leaf
