"""The cells written out in NumPy, as the papers print them: float64, one row, one loop over time.

These functions are what the cells of `seqjax` are compared with, so they import nothing from it and
share no code with it. `elman`, `lstm` (peephole, projection and coupled gates too) and `gru` agree
with PyTorch and ONNX Runtime on the files of `tests/golden`.

Each takes `params`, a dict in the layout of the cell, the inputs `xs [T, I]` of one row and the
state before the first step. It returns `(state, ys)`: the state after the last step and the outputs
`[T, H]` (`[T, P]` for an LSTM with a projection). With T = 0 the state comes back as it was given.

Weights act from the right (`x @ w_x`). The gates of a cell lie side by side in the last axis.
"""

import numpy as np

LAYER_NORM_EPSILON = 1e-6


def sigmoid(a):
    """1 / (1 + exp(-a)), without overflow for large negative `a`."""
    return np.exp(-np.logaddexp(0.0, -a))


def normalise(a):
    """LN(a): `a` with mean 0 and (biased) variance 1 over its last axis; no scale, no bias."""
    return (a - a.mean(axis=-1)) / np.sqrt(a.var(axis=-1) + LAYER_NORM_EPSILON)


def as_float64(params):
    """The same dict with every array in NumPy and float64."""
    return {name: np.asarray(value, np.float64) for name, value in params.items()}


def stacked(ys, width):
    """A list of T vectors of size `width` as an array `[T, width]`, also for T = 0."""
    return np.array(ys, np.float64).reshape(len(ys), width)


def elman(params, xs, h, activation="tanh"):
    """Elman network (Elman, 1990): h' = activation(x W_x + h W_h + b), y = h'.

    params: `w_x [I, H]`, `w_h [H, H]`, `b [H]`. State: `h [H]`.
    """
    p = as_float64(params)
    xs, h = np.asarray(xs, np.float64), np.asarray(h, np.float64)
    squash = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0.0)}[activation]

    ys = []
    for x in xs:
        h = squash(x @ p["w_x"] + h @ p["w_h"] + p["b"])
        ys.append(h)
    return h, stacked(ys, h.size)


def lstm(params, xs, h, c, peephole=False, projection=False, layer_norm=False, coupled=False):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; forget gate of Gers et al., 2000).

        i  = sigmoid(x W_xi + h W_hi + b_i + p_i * c)
        f  = sigmoid(x W_xf + h W_hf + b_f + p_f * c)
        g  =    tanh(x W_xg + h W_hg + b_g)
        c' = f * c + i * g
        o  = sigmoid(x W_xo + h W_ho + b_o + p_o * c')
        h' = o * tanh(c'),    y = h'

    params: `w_x [I, 4H]`, `w_h [H, 4H]`, `b [4H]`, gates in the order i, f, g, o. State:
      `(h [H], c [H])`.

    * `peephole` (Gers & Schmidhuber, 2000): `w_p [3H]` holds p_i, p_f, p_o; without it they are 0.
    * `projection` (Sak et al., 2014): `w_r [H, P]`; h' = (o * tanh(c')) W_r, so that h is `[P]` and
      `w_h` is `[P, 4H]`.
    * `layer_norm` (Ba et al., 2016, eqs. 20-22): x W_x becomes LN(x W_x) * ln_x, h W_h becomes LN(h
      W_h) * ln_h, each normalised over all gates together, and tanh(c') becomes tanh(LN(c') * ln_c
      + b_c). The cell carries c' as it is. `ln_x [4H]`, `ln_h [4H]`, `ln_c [H]`, `b_c [H]`.
    * `coupled` (Greff et al., 2017, CIFG): i = 1 - f. The gates are f, g, o: 3H for 4H above, and
      `w_p [2H]` holds p_f, p_o.
    """
    p = as_float64(params)
    xs, h, c = np.asarray(xs, np.float64), np.asarray(h, np.float64), np.asarray(c, np.float64)
    zero = np.zeros_like(c)
    if not peephole:
        p_i, p_f, p_o = zero, zero, zero
    elif coupled:
        p_i, (p_f, p_o) = zero, np.split(p["w_p"], 2)
    else:
        p_i, p_f, p_o = np.split(p["w_p"], 3)

    ys = []
    for x in xs:
        if layer_norm:
            a = normalise(x @ p["w_x"]) * p["ln_x"] + normalise(h @ p["w_h"]) * p["ln_h"] + p["b"]
        else:
            a = x @ p["w_x"] + h @ p["w_h"] + p["b"]

        if coupled:
            a_f, a_g, a_o = np.split(a, 3)
            f = sigmoid(a_f + p_f * c)
            i = 1.0 - f
        else:
            a_i, a_f, a_g, a_o = np.split(a, 4)
            i = sigmoid(a_i + p_i * c)
            f = sigmoid(a_f + p_f * c)
        g = np.tanh(a_g)
        c = f * c + i * g
        o = sigmoid(a_o + p_o * c)

        if layer_norm:
            h = o * np.tanh(normalise(c) * p["ln_c"] + p["b_c"])
        else:
            h = o * np.tanh(c)
        if projection:
            h = h @ p["w_r"]
        ys.append(h)
    return (h, c), stacked(ys, h.size)


def gru(params, xs, h, reset="after", layer_norm=False):
    """Gated recurrent unit (Cho et al., 2014).

        r  = sigmoid(x W_xr + h W_hr + b_r)
        z  = sigmoid(x W_xz + h W_hz + b_z)
        n  = tanh(x W_xn + b_xn + r * (h W_hn + b_n))      reset="after": cuDNN, PyTorch
        n  = tanh(x W_xn + b_xn + (r * h) W_hn + b_n)      reset="before": the paper
        h' = (1 - z) * n + z * h,    y = h'

    params: `w_x [I, 3H]`, `w_h [H, 3H]`, `b [3H]` (b_r, b_z, b_xn), gates in the order r, z, n, and
      `b_n [H]`.
    State: `h [H]`.

    `layer_norm` (Ba et al., 2016): every product with a weight matrix becomes LN(product) * scale,
    with r and z normalised together over 2H and n by itself over H; biases are added after.
    `ln_x [3H]`, `ln_h [3H]` hold the scales of r, z, n.
    """
    p = as_float64(params)
    xs, h = np.asarray(xs, np.float64), np.asarray(h, np.float64)
    gates = 2 * h.size
    w_x_rz, w_x_n = p["w_x"][:, :gates], p["w_x"][:, gates:]
    w_h_rz, w_h_n = p["w_h"][:, :gates], p["w_h"][:, gates:]
    b_rz, b_x_n = p["b"][:gates], p["b"][gates:]

    def normalised(a, scale):
        return normalise(a) * scale if layer_norm else a

    s_x_rz, s_x_n = np.split(p["ln_x"], [gates]) if layer_norm else (None, None)
    s_h_rz, s_h_n = np.split(p["ln_h"], [gates]) if layer_norm else (None, None)

    ys = []
    for x in xs:
        r, z = np.split(
            sigmoid(normalised(x @ w_x_rz, s_x_rz) + normalised(h @ w_h_rz, s_h_rz) + b_rz), 2
        )
        if reset == "after":
            n = np.tanh(
                normalised(x @ w_x_n, s_x_n) + b_x_n + r * (normalised(h @ w_h_n, s_h_n) + p["b_n"])
            )
        elif reset == "before":
            n = np.tanh(
                normalised(x @ w_x_n, s_x_n) + b_x_n + normalised((r * h) @ w_h_n, s_h_n) + p["b_n"]
            )
        else:
            raise ValueError(f'reset is "after" or "before", not {reset!r}')
        h = (1.0 - z) * n + z * h
        ys.append(h)
    return h, stacked(ys, h.size)


def min_gru(params, xs, h):
    """Minimal GRU (Feng et al., 2024, "Were RNNs All We Needed?").

        z  = sigmoid(x W_z + b_z)
        n  = x W_n + b_n
        h' = (1 - z) * h + z * n,    y = h'

    params: `w_x [I, 2H]`, `b [2H]`, in the order z, n. State: `h [H]`.
    """
    p = as_float64(params)
    xs, h = np.asarray(xs, np.float64), np.asarray(h, np.float64)

    ys = []
    for x in xs:
        a_z, n = np.split(x @ p["w_x"] + p["b"], 2)
        z = sigmoid(a_z)
        h = (1.0 - z) * h + z * n
        ys.append(h)
    return h, stacked(ys, h.size)


def min_lstm(params, xs, h):
    """Minimal LSTM (Feng et al., 2024, "Were RNNs All We Needed?").

        f  = sigmoid(x W_f + b_f)
        i  = sigmoid(x W_i + b_i)
        n  = x W_n + b_n
        h' = f / (f + i) * h + i / (f + i) * n,    y = h'

    params: `w_x [I, 3H]`, `b [3H]`, in the order f, i, n. State: `h [H]`.
    """
    p = as_float64(params)
    xs, h = np.asarray(xs, np.float64), np.asarray(h, np.float64)

    ys = []
    for x in xs:
        a_f, a_i, n = np.split(x @ p["w_x"] + p["b"], 3)
        f, i = sigmoid(a_f), sigmoid(a_i)
        h = f / (f + i) * h + i / (f + i) * n
        ys.append(h)
    return h, stacked(ys, h.size)


def lru(params, xs, s):
    """Linear recurrent unit (Orvieto et al., 2023).

        lambda = exp(-exp(nu) + i exp(theta))
        s' = lambda * s + exp(gamma) * (x B)
        y  = Re(s' C) + x D

    params: `nu [H]`, `theta [H]`, `gamma [H]`, B = `b_re + i b_im` `[I, H]`, C = `c_re + i c_im`
      `[H, H]`,
    D = `d [I, H]`. State: `s [H]`, complex.
    """
    p = as_float64(params)
    xs, s = np.asarray(xs, np.float64), np.asarray(s, np.complex128)
    eigenvalues = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    b = p["b_re"] + 1j * p["b_im"]
    c = p["c_re"] + 1j * p["c_im"]

    ys = []
    for x in xs:
        s = eigenvalues * s + np.exp(p["gamma"]) * (x @ b)
        ys.append((s @ c).real + x @ p["d"])
    return s, stacked(ys, s.size)
