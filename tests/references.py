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


def slstm(params, xs, h, c, n, m):
    """sLSTM (Beck et al., 2024, xLSTM), without its stabiliser.

        i = exp(x W_i + h R_i + b_i)
        f = sigmoid(x W_f + h R_f + b_f)
        z = tanh(x W_z + h R_z + b_z)
        o = sigmoid(x W_o + h R_o + b_o)
        c' = f * c + i * z,    n' = f * n + i,    h' = o * c' / n',    y = h'

    params: `w_x [I, 4H]`, `w_h [heads, D, 4D]`, `b [4H]`, gates in the order i, f, z, o. State:
      `h, c, n, m [H]`, where c and n are divided by exp(m), m' = max(log f + m, log i).
    """
    p = as_float64(params)
    xs, h, m = np.asarray(xs, np.float64), np.asarray(h, np.float64), np.asarray(m, np.float64)
    c, n = np.exp(m) * np.asarray(c, np.float64), np.exp(m) * np.asarray(n, np.float64)
    heads, units, _ = p["w_h"].shape

    ys = []
    for x in xs:
        # Of each gate one block on the diagonal for each head.
        from_h = np.zeros((4, heads, units))
        for head in range(heads):
            block = h[head * units : (head + 1) * units] @ p["w_h"][head]
            from_h[:, head] = np.split(block, 4)
        a_i, a_f, a_z, a_o = np.split(x @ p["w_x"] + from_h.reshape(-1) + p["b"], 4)
        i, f, z, o = np.exp(a_i), sigmoid(a_f), np.tanh(a_z), sigmoid(a_o)
        c = f * c + i * z
        n = f * n + i
        m = np.maximum(np.log(f) + m, a_i)
        h = o * c / n
        ys.append(h)
    return (h, c / np.exp(m), n / np.exp(m), m), stacked(ys, h.size)


def mlstm(params, xs, c, n, m, layer_norm=False):
    """mLSTM (Beck et al., 2024, xLSTM), without its stabiliser; for each head

        q = x W_q + b_q,    k = x W_k / sqrt(D) + b_k,    v = x W_v + b_v
        i = exp(x w_i + b_i),    f = sigmoid(x w_f + b_f),    o = sigmoid(x W_o + b_o)
        C' = f C + i v k^T,    n' = f n + i k,    y = o * C' q / max(|n' . q|, 1)

    params: `w_x [I, 4H]`, `b [4H]` in the order q, k, v, o; `w_g [I, 2 heads]`, `b_g [2 heads]` in
      the order i, f. State: `c [heads, D, D]`, `n [heads, D]`, `m [heads]`, where C and n are
      divided by exp(m), m' = max(log f + m, log i).

    `layer_norm` (the block of the paper): the quotient becomes LN(quotient) * ln_h, head by head;
    `ln_h [H]`.
    """
    p = as_float64(params)
    xs, m = np.asarray(xs, np.float64), np.asarray(m, np.float64).copy()
    heads, units = np.shape(n)
    memory = [np.exp(m[head]) * np.asarray(c[head], np.float64) for head in range(heads)]
    normaliser = [np.exp(m[head]) * np.asarray(n[head], np.float64) for head in range(heads)]
    w_q, w_k, w_v, w_o = np.split(p["w_x"], 4, axis=1)
    b_q, b_k, b_v, b_o = np.split(p["b"], 4)

    ys = []
    for x in xs:
        q, k, v = x @ w_q + b_q, x @ w_k / np.sqrt(units) + b_k, x @ w_v + b_v
        a_i, a_f = np.split(x @ p["w_g"] + p["b_g"], 2)
        y = sigmoid(x @ w_o + b_o)
        for head in range(heads):
            own = slice(head * units, (head + 1) * units)
            i, f = np.exp(a_i[head]), sigmoid(a_f[head])
            memory[head] = f * memory[head] + i * np.outer(v[own], k[own])
            normaliser[head] = f * normaliser[head] + i * k[own]
            answer = memory[head] @ q[own] / max(abs(normaliser[head] @ q[own]), 1.0)
            if layer_norm:
                answer = normalise(answer) * p["ln_h"][own]
            y[own] *= answer
            m[head] = max(np.log(f) + m[head], a_i[head])
        ys.append(y)
    c = np.array([part / np.exp(at) for part, at in zip(memory, m, strict=True)])
    n = np.array([part / np.exp(at) for part, at in zip(normaliser, m, strict=True)])
    return (c, n, m), stacked(ys, heads * units)


def rglru(params, xs, h):
    """Real-gated linear recurrent unit (De et al., 2024, Griffin) behind a linear layer.

        r  = sigmoid(x W_r + b_r),    i  = sigmoid(x W_i + b_i),    u  = x W_u + b_u
        a  = sigmoid(lambda),         a_t = a ** (8 r)
        h' = a_t * h + sqrt(1 - a_t ** 2) * (i * u),    y = h'

    params: `w_x [I, 3H]`, `b [3H]`, in the order r, i, u; `lambda [H]`. State: `h [H]`.
    """
    p = as_float64(params)
    xs, h = np.asarray(xs, np.float64), np.asarray(h, np.float64)

    ys = []
    for x in xs:
        a_r, a_i, u = np.split(x @ p["w_x"] + p["b"], 3)
        a = sigmoid(p["lambda"]) ** (8 * sigmoid(a_r))
        h = a * h + np.sqrt(1 - a**2) * (sigmoid(a_i) * u)
        ys.append(h)
    return h, stacked(ys, h.size)


def ind_rnn(params, xs, h, activation="relu"):
    """IndRNN (Li et al., 2018): h' = activation(x W_x + u * h + b), y = h'.

    params: `w_x [I, H]`, `u [H]`, `b [H]`. State: `h [H]`.
    """
    p = as_float64(params)
    xs, h = np.asarray(xs, np.float64), np.asarray(h, np.float64)
    squash = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0.0)}[activation]

    ys = []
    for x in xs:
        h = squash(x @ p["w_x"] + p["u"] * h + p["b"])
        ys.append(h)
    return h, stacked(ys, h.size)


def mgu(params, xs, h):
    """Minimal gated unit (Zhou et al., 2016).

        f  = sigmoid(x W_xf + h W_hf + b_f)
        n  = tanh(x W_xn + (f * h) W_hn + b_n)
        h' = (1 - f) * h + f * n,    y = h'

    params: `w_x [I, 2H]`, `w_h [H, 2H]`, `b [2H]`, in the order f, n. State: `h [H]`.
    """
    p = as_float64(params)
    xs, h = np.asarray(xs, np.float64), np.asarray(h, np.float64)
    w_xf, w_xn = np.split(p["w_x"], 2, axis=1)
    w_hf, w_hn = np.split(p["w_h"], 2, axis=1)
    b_f, b_n = np.split(p["b"], 2)

    ys = []
    for x in xs:
        f = sigmoid(x @ w_xf + h @ w_hf + b_f)
        n = np.tanh(x @ w_xn + (f * h) @ w_hn + b_n)
        h = (1.0 - f) * h + f * n
        ys.append(h)
    return h, stacked(ys, h.size)
