"""Weights of PyTorch and ONNX in seqjax's layout: transposed, and for ONNX with its gates put in order."""

import numpy as np

import seqjax

ONNX_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}  # i, o, f, c; z, r, h


def torch_recurrence(kind, golden):
    """The stack that a file of PyTorch describes."""
    hidden, projection = int(golden["hidden_size"]), int(golden["proj_size"]) or None
    cell = {
        "rnn_tanh": seqjax.Elman(hidden),
        "rnn_relu": seqjax.Elman(hidden, activation="relu"),
        "lstm": seqjax.LSTM(hidden, projection_size=projection),
        "gru": seqjax.GRU(hidden),
    }[kind]
    layer = seqjax.bidirectional(cell) if golden["bidirectional"] else cell
    return seqjax.stack(*[layer] * int(golden["num_layers"]))


def torch_params(golden, what, gru):
    """Parameters (`what="param"`) or their gradients (`"grad"`) as a stack has them."""

    def one(suffix):
        take = lambda name: golden[f"{what}/{name}_{suffix}"]  # noqa: E731
        b_x, b_h = take("bias_ih"), take("bias_hh")
        units = len(b_x) // 3
        b = b_x + b_h if what == "param" else b_x
        params = {"w_x": take("weight_ih").T, "w_h": take("weight_hh").T, "b": b}
        if gru:
            params |= {
                "b": np.concatenate([b[: 2 * units], b_x[2 * units :]]),
                "b_n": b_h[2 * units :],
            }
        if f"{what}/weight_hr_{suffix}" in golden:
            params["w_r"] = take("weight_hr").T
        return params

    def layer(index):
        both = {"forward": one(f"l{index}")}
        if not golden["bidirectional"]:
            return both["forward"]
        return both | {"backward": one(f"l{index}_reverse")}

    return {f"layer_{index}": layer(index) for index in range(int(golden["num_layers"]))}


def onnx_params(golden, direction):
    """Parameters of one direction of an ONNX node."""
    op, hidden = str(golden["op"]), int(golden["hidden_size"])

    def ordered(rows):
        gates = [rows[gate * hidden : (gate + 1) * hidden] for gate in ONNX_GATES[op]]
        return np.concatenate(gates)

    w_x, w_h = ordered(golden["W"][direction]), ordered(golden["R"][direction])
    bias = golden["B"][direction] if "B" in golden else np.zeros(2 * len(w_x), np.float32)
    b_x, b_h = ordered(bias[: len(w_x)]), ordered(bias[len(w_x) :])
    params = {"w_x": w_x.T, "w_h": w_h.T, "b": b_x + b_h}
    if op == "GRU":
        params |= {
            "b": np.concatenate([(b_x + b_h)[: 2 * hidden], b_x[2 * hidden :]]),
            "b_n": b_h[2 * hidden :],
        }
    if "P" in golden:
        i, o, f = np.split(golden["P"][direction], 3)
        params["w_p"] = np.concatenate([i, f, o])
    return coupled(params, hidden) if golden.get("input_forget") else params


def coupled(params, hidden):
    """ONNX's `f = 1 - i` as seqjax's `i = 1 - f`: the columns of i, negated, are those of f."""
    swap = lambda a: np.concatenate([-a[..., :hidden], a[..., 2 * hidden :]], axis=-1)  # noqa: E731
    return {name: swap(a) for name, a in params.items()}


def onnx_cell(golden):
    """The cell of an ONNX node."""
    hidden = int(golden["hidden_size"])
    if golden["op"] == "RNN":
        return seqjax.Elman(hidden, activation=str(golden["activation"]).lower())
    if golden["op"] == "GRU":
        return seqjax.GRU(hidden, reset="after" if golden["linear_before_reset"] else "before")
    return seqjax.LSTM(hidden, peephole="P" in golden, coupled=bool(golden["input_forget"]))
