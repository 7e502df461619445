"""`save`: a network as one C99 header."""

import os
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqjax.files.disk import write_atomically
from seqjax.interop.c.network import Layer, Matrix, Network, network_of

BLOCK = 64
"""Columns of a float32 matrix that are summed at once: their sums fit into a CPU's registers."""

COLUMNS = 4
"""Columns of an int8 matrix that are summed at once."""

ORDER = (
    *("matrix_float32", "matrix_int8", "copy", "sums", "tanh", "sigmoid"),
    *("elman_tanh", "elman_relu", "lstm", "gru_after", "gru_before", "mix", "add"),
    *("dense", "row_float32", "row_int8", "scale"),
)
"""The functions of `parts.h`, each after those that it calls."""

CALLS = {
    "elman_tanh": ("sums", "tanh"),
    "elman_relu": ("sums",),
    "lstm": ("sums", "tanh", "sigmoid"),
    "gru_after": ("tanh", "sigmoid"),
    "gru_before": ("sums", "tanh", "sigmoid"),
}
"""Functions that others call; `copy` and the product are always there."""

FUNCTIONS = {
    "elman_tanh": "elman",
    "elman_relu": "elman_relu",
    "lstm": "lstm",
    "gru_after": "gru",
    "gru_before": "gru_before",
}
"""The name in C of the function that computes a layer."""


def save(
    model: Any, path: str | os.PathLike, *, weights: Literal["float32", "int8"] = "float32"
) -> None:
    """Writes a model as one C99 header: weights, a state that the caller owns, a step function.

    The file needs no library (`math.h` where tokens are drawn) and allocates nothing; its head says
    how it is used. Names in it begin with the file's. Compile it with optimisation, for example
    `cc -O3 -march=native program.c -lm`: inner products become vector instructions. C has LSTM
    (`coupled` included), GRU and Elman, stacked, with residuals and zoneout.

    Args:
      model: a trained language model, or `(language model, params)`: tokens in, logits out; or
        `(recurrence, params)`: features in, outputs out. `quantise` may have made it.
      path: the file, by custom `NAME.h`, where NAME serves as a name in C.
      weights: `"float32"`, or `"int8"` with a scale for each column, see `interop.quantise`: a
        quarter of the memory, and faster. What it multiplies is rounded to 16 bits at each step.

    Raises:
      TypeError: it is no such model.
      ValueError: C lacks a layer of it (which, and what to do), an option is unknown or the name of
        the file is no name in C.

    Example:
      >>> import jax, pathlib, seqjax, tempfile
      >>> from seqjax import interop
      >>> net = seqjax.GRU(8)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder) / "ear.h"
      ...     interop.c.save((net, net.init(jax.random.key(0), 4)), path)
      ...     "ear_step(ear_state *state, const float *x, float *y)" in path.read_text()
      True
    """
    path = Path(path)
    if weights not in ("float32", "int8"):
        raise ValueError(f"weights={weights!r} is unknown; choose 'float32' or 'int8'")
    name = path.stem
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            f"{path.name}: {name!r} is no name in C; call the file like model.h, of letters, digits "
            "and _"
        )
    write_atomically(path, source(network_of(model, weights), name, weights).encode())


def source(network: Network, name: str, weights: str) -> str:
    """Returns the text of the header.

    Args:
      network: what it computes.
      name: what all names in it begin with.
      weights: the dtype of its matrices.
    """
    parts = _parts()
    used = _used(network, weights)
    code = [
        _comment(network, weights),
        "#ifndef MODEL_H\n#define MODEL_H\n",
        _declarations(network, weights),
        *(parts[part] for part in ORDER if part in used),
        "/* weights */\n",
        *_tables(network),
        "/* end of weights */\n",
        _step(network),
    ]
    if network.embedding is not None:
        code.append(parts["sample"])
    whole = "\n".join([*code, "#endif\n"])
    whole = re.sub(r"\bmodel_", f"{name}_", whole)
    whole = re.sub(r"\bMODEL_", f"{name.upper()}_", whole)
    return whole.replace("model.h", f"{name}.h")


def _parts() -> dict[str, str]:
    """Reads the functions of `parts.h`, by name."""
    text = resources.files("seqjax.interop.c").joinpath("parts.h").read_text(encoding="utf-8")
    parts = {}
    for part in text.split("//@ ")[1:]:
        name, code = part.split("\n", 1)
        parts[name] = code
    return parts


def _used(network: Network, weights: str) -> set[str]:
    """Returns the names of the functions that a network needs."""
    used = {f"matrix_{weights}", "copy"}
    for layer in network.layers:
        used |= {layer.part, *CALLS[layer.part]}
        used |= {"mix"} if layer.zoneout else set()
        used |= {"add"} if layer.residual else set()
    if network.embedding is not None:
        used |= {"dense", f"row_{weights}"}
        used |= {"scale"} if weights == "int8" else set()
    return used


def _comment(network: Network, weights: str) -> str:
    """Returns the comment at the head."""
    title = network.title.replace("*/", "* /")
    lines = [
        f"/* model.h: {title}, {weights} weights, written by seqjax.",
        "",
        "   Include it in one C file (C99; cc -O3 -march=native program.c -lm):",
        "",
        '     #include "model.h"',
        "",
        "     model_state state;              what it remembers: one for each sequence",
        *_usage(network),
        "",
        "   Nothing is allocated, and nothing but the state is changed. */",
        "",
    ]
    return "\n".join(lines)


def _declarations(network: Network, weights: str) -> str:
    """Returns the sizes and the state."""
    size = f"#define MODEL_BLOCK {BLOCK}"
    if weights == "int8":
        size = f"#define MODEL_WIDEST {_widest(network)}"
    kind, count = "INPUTS", network.input_size
    if network.embedding is not None:
        kind, count = "TOKENS", network.output_size
    lines = [
        size,
        f"#define MODEL_{kind} {count}",
        f"#define MODEL_OUTPUTS {network.output_size}",
        "",
        "typedef struct {",
    ]
    for index, layer in enumerate(network.layers):
        lines += [f"  float {name}_{index}[{size}];" for name, size in layer.states.items()]
    return "\n".join([*lines, "} model_state;", ""])


def _widest(network: Network) -> int:
    """Returns the most inputs of a matrix that multiplies."""
    matrices = [matrix for layer in network.layers for matrix in layer.matrices.values()]
    matrices += [matrix for matrix in (network.embedding, network.head) if matrix is not None]
    return max(len(matrix.values) for matrix in matrices)


def _usage(network: Network) -> list[str]:
    """Returns the lines of the comment that say how a step is made."""
    if network.embedding is None:
        return [
            "     float x[MODEL_INPUTS], y[MODEL_OUTPUTS];",
            "     model_reset(&state);            before the first step",
            "     model_step(&state, x, y);       one step: features in, outputs out",
        ]
    return [
        "     float logits[MODEL_OUTPUTS];",
        "     model_reset(&state);            before the first token",
        "     model_step(&state, token, logits);                  reads 0 <= token < MODEL_TOKENS",
        "     token = model_sample(logits, 0.8f, uniform);        draws the next one",
    ]


def _tables(network: Network) -> list[str]:
    """Returns the weights."""
    tables = []
    for index, layer in enumerate(network.layers):
        for name, matrix in layer.matrices.items():
            tables += _matrix(f"{name}_{index}", matrix)
        for name, vector in layer.vectors.items():
            tables.append(_table("float", f"{name}_{index}", vector))
    if network.embedding is not None:
        tables += _embedding(network.embedding)
    if network.head is not None:
        tables += _matrix("head", network.head)
    if network.bias is not None:
        tables.append(_table("float", "bias", network.bias))
    return tables


def _embedding(matrix: Matrix) -> list[str]:
    """Returns the tables of the embedding, `[features, tokens]`."""
    if matrix.scale is None:
        return _matrix("embedding", matrix)
    # Its scale is one of each row; as a head its columns have none.
    ones = np.ones(matrix.values.shape[1], np.float32)
    scale = _table("float", "embedding_features", matrix.scale)
    return [*_matrix("embedding", Matrix(matrix.values, ones)), scale]


def _matrix(name: str, matrix: Matrix) -> list[str]:
    """Returns the tables of a matrix."""
    inputs, outputs = matrix.values.shape
    head = f"static const model_matrix model_{name} = {{model_{name}_values, "
    if matrix.scale is None:
        blocks = _filled(matrix.values, BLOCK).reshape(inputs, -1, BLOCK)
        # [blocks, inputs, BLOCK]
        values = _table("float", f"{name}_values", blocks.swapaxes(0, 1))
        return [values, f"{head}{inputs}, {outputs}}};\n"]
    return [
        _table("signed char", f"{name}_values", _filled(matrix.values, COLUMNS).T),
        _table("float", f"{name}_scale", matrix.scale),
        f"{head}model_{name}_scale, {inputs}, {outputs}}};\n",
    ]


def _filled(matrix: np.ndarray, multiple: int) -> np.ndarray:
    """Appends columns of zeros up to a multiple."""
    return np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % multiple)))


def _table(dtype: str, name: str, values: np.ndarray) -> str:
    """Returns one array of numbers, 16 to a line."""
    flat = values.ravel().tolist()
    written = _float if dtype == "float" else str
    words = [written(value) for value in flat]
    rows = [",".join(words[at : at + 16]) for at in range(0, len(words), 16)]
    return f"static const {dtype} model_{name}[{len(flat)}] = {{\n" + ",\n".join(rows) + "};\n"


def _float(value: float) -> str:
    """Returns a float32 as C writes it; nine digits tell all of them apart."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _step(network: Network) -> str:
    """Returns the functions that begin a sequence and make a step."""
    reads_tokens = network.embedding is not None
    arguments = "int token, float *logits" if reads_tokens else "const float *x, float *y"
    buffers = [f"float sums[{max(layer.sums for layer in network.layers)}];"]
    body: list[str] = []
    if reads_tokens:
        buffers.append(f"float x[{network.input_size}];")
        body += _calls_of_embedding(network)
    at = "x"
    for index, layer in enumerate(network.layers):
        body += _calls_of_layer(layer, index, at)
        at = f"state->h_{index}"
        if layer.residual:
            buffers.append(f"float y_{index}[{layer.states['h']}];")
            at = f"y_{index}"
        if layer.zoneout:
            names = (f"{name}[{size}]" for name, size in _held(layer, index))
            buffers.append(f"float {', '.join(names)};")
    body += _calls_of_outputs(network, at)
    if network.tied and network.embedding is not None and network.embedding.scale is not None:
        buffers.append(f"float scaled[{network.input_size}];")
    return "\n".join(
        [
            "static inline void model_reset(model_state *state) {",
            "  static const model_state nothing;",
            "  *state = nothing;",
            "}\n",
            f"static inline void model_step(model_state *state, {arguments}) {{",
            *_indented([*buffers, *body]),
            "}\n",
        ]
    )


def _calls_of_embedding(network: Network) -> list[str]:
    calls = ["model_row(&model_embedding, token, x);"]
    if network.embedding is not None and network.embedding.scale is not None:
        calls.append(f"model_scale(model_embedding_features, {network.input_size}, x);")
    return calls


def _calls_of_layer(layer: Layer, index: int, at: str) -> list[str]:
    """Returns the calls that compute a layer on the features in the variable `at`.

    With zoneout the old states are kept before, and mixed in afterwards.
    """
    matrices = [f"&model_{name}_{index}" for name in layer.matrices]
    vectors = [f"model_{name}_{index}" for name in layer.vectors]
    states = [f"state->{name}_{index}" for name in layer.states]
    arguments = ", ".join([at, *matrices, *vectors, *states, "sums"])
    calls = [f"model_{FUNCTIONS[layer.part]}({arguments});"]
    held = zip(_held(layer, index), states, layer.zoneout or (), strict=False)
    for (old, size), state, rate in held:
        calls.insert(0, f"model_copy({state}, {size}, {old});")
        calls.append(f"model_mix({old}, {_float(rate)}, {size}, {state});")
    if layer.residual:
        calls.append(f"model_add({at}, state->h_{index}, {layer.states['h']}, y_{index});")
    return calls


def _held(layer: Layer, index: int) -> list[tuple[str, int]]:
    """Returns the variables for the states before the step, which zoneout mixes in, with sizes."""
    return [(f"old_{name}_{index}", size) for name, size in layer.states.items()]


def _calls_of_outputs(network: Network, at: str) -> list[str]:
    """Returns the calls that make the outputs of the last layer's."""
    size = network.layers[-1].states["h"]
    if network.embedding is None:
        return [f"model_copy({at}, {size}, y);"]
    if not network.tied:
        return [f"model_dense({at}, &model_head, model_bias, logits);"]
    if network.embedding.scale is None:
        return [f"model_dense({at}, &model_embedding, model_bias, logits);"]
    return [
        f"model_copy({at}, {size}, scaled);",
        f"model_scale(model_embedding_features, {size}, scaled);",
        "model_dense(scaled, &model_embedding, model_bias, logits);",
    ]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" for line in lines]
