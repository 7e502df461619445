"""The forecasters in ONNX; `seqjax.interop.forecasters` says what goes in and comes out."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqjax import forecasting, models
from seqjax.interop.onnx.attention import Looked, look, prepare
from seqjax.interop.onnx.emitters import emits, following, layer, remembered
from seqjax.interop.onnx.graph import BOOL, FLOAT32, INT32, Graph, Value
from seqjax.interop.onnx.recurrences import Rows, advance, read, rows, state_count
from seqjax.losses.likelihoods import Mixture, Quantile
from seqjax.typing import Params

Values = Mapping[str, Value]


@emits(forecasting.Direct)
def _direct(graph: Graph, task: Any, params: Params, inputs: Values) -> dict[str, Value]:
    horizon, steps = task.horizon, task.context + task.horizon
    xs = _inputs(graph, task, params.get("Static_0", {}), _without_horizon(graph, task, inputs))
    # The step after the context still reads what lies before the cut alone.
    context = graph.cut(xs, 1, 1, steps - horizon + 1)
    net, p = task.recurrence, params["Recurrent_0"]
    _, ys = read(graph, net, p, context, _all_rows(graph, context))
    last = graph.node("Gather", ys, -1, axis=1)
    contexts = graph.node("Relu", layer(graph, params["Dense_0"], last))
    contexts = graph.node("Reshape", contexts, [-1, horizon, task.units])
    ahead = graph.cut(xs, 1, task.context)
    beside = graph.concat([contexts, ahead])
    local = graph.node("Relu", layer(graph, params["Dense_1"], beside))
    lagged = graph.cut(ahead, 2, 0, len(task.lags))
    numbers = layer(graph, params["Dense_2"], graph.concat([local, lagged]))
    # A linear model of the context's values, added to the numbers that say where a value lies.
    values, most = _scaled(graph, inputs), max(task.lags)
    seen = graph.cut(values, 1, most, most + task.context)
    straight = graph.node("Unsqueeze", layer(graph, params["Dense_3"], seen), [2])
    located = np.zeros(task.likelihood.size, np.float32)
    match task.likelihood:
        case Quantile():
            located[:] = 1
        case Mixture():
            pass
        case _:
            located[0] = 1
    return {"numbers": graph.node("Add", numbers, graph.node("Mul", straight, located))}


@emits(forecasting.DeepAR)
def _deepar(graph: Graph, task: Any, params: Params, inputs: Values) -> dict[str, Value]:
    # What is to be drawn counts as seen.
    drawn = np.zeros(_time(task), bool)
    drawn[-task.horizon :] = True
    seen = graph.node("Or", inputs["seen"], drawn)
    xs = _inputs(graph, task, params.get("static", {}), {**inputs, "seen": seen})
    context = graph.cut(xs, 1, 0, task.context)
    net, p = task.recurrence, params["recurrent"]
    states, _ = read(graph, net, p, context, _all_rows(graph, context))
    ahead = graph.cut(xs, 1, task.context)
    return {"known": graph.cut(ahead, 2, len(task.lags))} | following(states)


@emits(forecasting.DeepAR, step=True)
def _deepar_step(graph: Graph, task: Any, params: Params, inputs: Values) -> dict[str, Value]:
    x = inputs["xs"]
    states, y = advance(graph, task.recurrence, params["recurrent"], x, remembered(inputs))
    both = graph.concat([y, graph.cut(x, 1, 0, len(task.lags))])
    return {"numbers": layer(graph, params["head"], both)} | following(states)


@emits(forecasting.EncoderDecoder)
def _encoder(graph: Graph, task: Any, params: Params, inputs: Values) -> dict[str, Value]:
    steps = task.context + task.horizon
    xs = _inputs(graph, task, params.get("static", {}), _without_horizon(graph, task, inputs))
    context = graph.cut(xs, 1, 1, steps - task.horizon + 1)
    net, p = task.recurrence, params["encoder"]
    states, ys = read(graph, net, p, context, _all_rows(graph, context))
    keys, memory = prepare(graph, task.attention, params.get("look", {}), ys)
    looked = graph.zeros(graph.size(ys, 0), graph.size(ys, 1))
    made = {
        "keys": keys,
        "memory": memory,
        "ahead": graph.cut(xs, 1, task.context),
        "first": graph.node("Gather", _scaled(graph, inputs), -task.horizon - 1, axis=1),
    }
    return made | following([*states, looked])


@emits(forecasting.EncoderDecoder, step=True)
def _decoder_step(graph: Graph, task: Any, params: Params, inputs: Values) -> dict[str, Value]:
    net, p = task.recurrence, params["decoder"]
    count, states = state_count(net, p), remembered(inputs)
    fed = graph.node("Unsqueeze", inputs["fed"], [1])
    x = graph.concat([fed, inputs["ahead"]])
    recurrent, y = advance(graph, net, p, x, states[:count])
    # Every position of the context is there.
    shape = graph.node("Shape", states[count])
    mask = graph.node("Cast", graph.node("Expand", 1.0, shape), to=BOOL)
    at = Looked(y, inputs["keys"], inputs["memory"], mask, states[count])
    attention = models.Attention(net.output_size(1), task.attention)
    context, weights = look(graph, attention, params.get("look", {}), at)
    found = graph.node("Tanh", layer(graph, params["combine"], graph.concat([y, context])))
    lagged = graph.cut(inputs["ahead"], 1, 0, len(task.lags))
    numbers = layer(graph, params["head"], graph.concat([found, fed, lagged]))
    return {"numbers": numbers} | following([*recurrent, weights])


def _inputs(graph: Graph, task: Any, params: Params, inputs: Values) -> Value:
    """Writes what each step of context and horizon reads, `[batch, steps, features]`."""
    seen = graph.node("Cast", inputs["seen"], to=FLOAT32)
    parts = [_lagged(graph, task, _scaled(graph, inputs)), _lagged(graph, task, seen)]
    if "features" in inputs:
        parts.append(inputs["features"])
    if "past" in inputs:
        # Those of the step before.
        parts.append(
            graph.node("Pad", graph.cut(inputs["past"], 1, 0, -1), [0, 1, 0, 0, 0, 0], 0.0)
        )
    still = graph.node("Unsqueeze", _static(graph, task, params, inputs), [1])
    parts.append(graph.node("Expand", still, [1, task.context + task.horizon, 1]))
    return graph.concat(parts)


def _static(graph: Graph, task: Any, params: Params, inputs: Values) -> Value:
    """Writes what describes a series, `[batch, features]`."""
    parts = []
    for kind in range(len(task.form.kinds)):
        ids = graph.node("Gather", inputs["category"], kind, axis=1)
        parts.append(graph.rows(params[f"kind_{kind}"]["embedding"], ids))
    size = graph.node("Mul", graph.node("Log", inputs["scale"]), 1 / math.log(10))
    return graph.concat([*parts, graph.node("Unsqueeze", size, [1])])


def _scaled(graph: Graph, inputs: Values) -> Value:
    return graph.node("Div", inputs["values"], graph.node("Unsqueeze", inputs["scale"], [1]))


def _lagged(graph: Graph, task: Any, values: Value) -> Value:
    """Writes, for each step, the values so many steps before it, `[batch, steps, lags]`."""
    time, steps, parts = _time(task), task.context + task.horizon, []
    for lag in task.lags:
        part = graph.cut(values, 1, time - steps - lag, time - lag)
        parts.append(graph.node("Unsqueeze", part, [2]))
    return graph.concat(parts)


def _without_horizon(graph: Graph, task: Any, inputs: Values) -> dict[str, Value]:
    """Hides what is to be forecast."""
    past = np.ones(_time(task), bool)
    past[-task.horizon :] = False
    seen = graph.node("And", inputs["seen"], past)
    return {**inputs, "seen": seen, "values": graph.node("Where", seen, inputs["values"], 0.0)}


def _all_rows(graph: Graph, xs: Value) -> Rows:
    """Finds what is known of rows that all are full."""
    steps = graph.size(xs, 1)
    lengths = graph.node("Expand", graph.node("Cast", steps, to=INT32), graph.size(xs, 0))
    return rows(graph, lengths, steps)


def _time(task: Any) -> int:
    """Counts the values of a window."""
    return max(task.lags) + task.context + task.horizon
