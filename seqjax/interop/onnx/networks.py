"""The models of `seqjax.models` that read sequences, in ONNX."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqjax import models
from seqjax.combinators import Bidirectional, Stack, Wrapper
from seqjax.interop.onnx.emitters import (
    embedded,
    emits,
    following,
    layer,
    layer_norm,
    masked_softmax,
    remembered,
)
from seqjax.interop.onnx.graph import FLOAT32, INT64, Graph, Value
from seqjax.interop.onnx.recurrences import Rows, advance, read, rows, state_count
from seqjax.recurrence import Recurrence
from seqjax.typing import Params

Values = Mapping[str, Value]
LOWEST = float(np.finfo(np.float32).min)


@emits(models.Recurrent)
def _recurrent(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    xs = inputs["xs"]
    found = rows(graph, inputs["lengths"], graph.size(xs, 1))
    states, ys = read(graph, model.recurrence, params, xs, found, remembered(inputs))
    return {"ys": ys} | following(states)


@emits(models.Recurrent, step=True)
def _recurrent_step(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    states, y = advance(graph, model.recurrence, params, inputs["xs"], remembered(inputs))
    return {"ys": y} | following(states)


@emits(models.LanguageModel)
def _language_model(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    tokens, net = inputs["tokens"], model.recurrence
    xs = graph.rows(params["embed"]["embedding"], tokens)
    found = rows(graph, inputs["lengths"], graph.size(tokens, 1))
    states, ys = read(graph, net, params["recurrent"], xs, found, remembered(inputs))
    return {"logits": _next_scores(graph, model, params, ys)} | following(states)


@emits(models.LanguageModel, step=True)
def _language_model_step(
    graph: Graph, model: Any, params: Params, inputs: Values
) -> dict[str, Value]:
    x = graph.rows(params["embed"]["embedding"], inputs["tokens"])
    states, y = advance(graph, model.recurrence, params["recurrent"], x, remembered(inputs))
    return {"logits": _next_scores(graph, model, params, y)} | following(states)


@emits(models.SequenceClassifier)
def _classifier(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    xs = _features(graph, model, params, inputs)
    found = rows(graph, inputs["lengths"], graph.size(xs, 1))
    _, ys = read(graph, model.recurrence, params["recurrent"], xs, found)
    if model.pooling == "attention":
        # v . tanh(W y + b), [batch, time]
        keys = graph.node("Tanh", layer(graph, params["key"], ys))
        scores = graph.node("Squeeze", layer(graph, params["query"], keys), [2])
        mask = graph.node("Squeeze", _batch_major(graph, found.mask), [2])
        weights = masked_softmax(graph, scores, mask)
        # [batch, 1, time] times [batch, time, features]
        pooled = graph.node("MatMul", graph.node("Unsqueeze", weights, [1]), ys)
        pooled = graph.node("Squeeze", pooled, [1])
        return {"logits": layer(graph, params["head"], pooled), "weights": weights}
    if model.pooling == "last":
        pooled = ends(graph, model.recurrence, ys, found)
    elif model.pooling == "mean":
        some = graph.node("Max", found.lengths, np.ones(1, np.int32))
        count = graph.node("Cast", graph.node("Unsqueeze", some, [1]), to=FLOAT32)
        pooled = graph.node("Div", graph.node("ReduceSum", ys, [1], keepdims=0), count)
    else:
        pooled = highest(graph, ys, _batch_major(graph, found.mask), found.read)
    return {"logits": layer(graph, params["head"], pooled)}


@emits(models.SequenceClassifier, step=True)
def _classifier_step(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    x = _features(graph, model, params, inputs)
    states, y = advance(graph, model.recurrence, params["recurrent"], x, remembered(inputs))
    return {"logits": layer(graph, params["head"], y)} | following(states)


@emits(models.Tagger)
def _tagger(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    return _tags(graph, model, params, inputs)[0]


@emits(models.IntentTagger)
def _intent_tagger(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    outputs, ys, found = _tags(graph, model, params, inputs)
    pooled = highest(graph, ys, _batch_major(graph, found.mask), found.read)
    return outputs | {"intents": layer(graph, params["intents"], pooled)}


def _tags(
    graph: Graph, model: Any, params: Params, inputs: Values
) -> tuple[dict[str, Value], Value, Rows]:
    """Writes a tagger; returns the scores of its chain, and the outputs that they were read off."""
    words = inputs["words"]
    xs = embedded(graph, params["words"], words)
    if model.char_vocab_size is not None:
        spelt = _spelling(graph, model, params["spelling"], inputs)
        # [batch * time, features] to [batch, time, features]
        both = graph.node("Concat", graph.node("Shape", words), [-1], axis=0)
        xs = graph.concat([xs, graph.node("Reshape", spelt, both)])
    found = rows(graph, inputs["lengths"], graph.size(words, 1))
    _, ys = read(graph, model.recurrence, params["recurrent"], xs, found)
    tags = model.num_tags
    chain = {"transitions": (tags, tags), "start": (tags,), "end": (tags,)}
    outputs = {"emissions": layer(graph, params["emissions"], ys)}
    for name, shape in chain.items():
        scores = np.asarray(params.get(name, np.zeros(shape)), np.float32)
        outputs[name] = graph.constant(scores)
    return outputs, ys, found


@emits(models.AcousticModel)
def _acoustic(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    logits, steps = _acoustic_whole(graph, model, params, inputs["frames"], inputs["lengths"])
    return {"logits": logits, "steps": steps}


@emits(models.AcousticModel, step=True)
def _acoustic_step(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    heard, *left = remembered(inputs)
    # The frames of a step side by side, [batch, stride * features].
    stacked = graph.node("Flatten", inputs["frames"], axis=1)
    x, after = stacked, [heard]
    if model.convolution is not None:
        x = _convolved(graph, params, heard, stacked)
        after = [stacked]
    for index, net in enumerate(model.layers):
        p = params[f"recurrent_{index}"]
        count = state_count(net, p)
        states, y = advance(graph, net, p, x, left[:count])
        x, left = layer_norm(graph, params[f"norms_{index}"], y), left[count:]
        after += states
    return {"logits": layer(graph, params["head"], x)} | following(after)


@emits(models.Framewise)
def _framewise(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    source, repeats = inputs["source"], model.repeats
    xs = embedded(graph, params["TokenEmbedding_0"], source)
    # Each token several times in a row: [batch, positions, repeats, features], then three axes.
    xs = graph.node("Unsqueeze", xs, [2])
    xs = graph.node("Expand", xs, [1, 1, repeats, 1])
    xs = graph.node("Reshape", xs, [0, -1, model.embedding_size])
    found = rows(graph, inputs["lengths"], graph.size(source, 1))
    frames = graph.node("Mul", found.lengths, np.full(1, repeats, np.int32))
    logits, steps = _acoustic_whole(graph, model.reader, params["reader"], xs, frames)
    return {"logits": logits, "steps": steps}


def ends(graph: Graph, net: Recurrence, ys: Value, found: Rows) -> Value:
    """Writes `models.pooling.ends`: the output of every direction after all that it reads."""
    zero, one = np.zeros(1, np.int32), np.ones(1, np.int32)
    last = graph.node("Max", graph.node("Sub", found.lengths, one), zero)
    last = graph.node("Cast", last, to=INT64)
    # Of each row the output at its last step, [batch, features].
    at_last = graph.node("GatherND", ys, graph.node("Unsqueeze", last, [1]), batch_dims=1)
    if net.causal:
        return at_last
    at_first = graph.node("Gather", ys, 0, axis=1)
    while isinstance(net, Stack | Wrapper):
        net = net.layers[-1] if isinstance(net, Stack) else net.inner
    if not isinstance(net, Bidirectional) or net.merge != "concat":
        return graph.concat([at_last, at_first])
    size = net.forward.output_size(0)
    return graph.concat([graph.cut(at_last, 1, 0, size), graph.cut(at_first, 1, size)])


def highest(graph: Graph, ys: Value, mask: Value, some: Value) -> Value:
    """Writes the maximum over the valid steps, `[batch, features]`; 0 where there is none.

    Args:
      graph: to write to.
      ys: `[batch, time, features]`.
      mask: `[batch, time, 1]`.
      some: True where a row has a valid step, `[batch, 1]`.
    """
    valid = graph.node("Where", mask, ys, LOWEST)
    top = graph.node("ReduceMax", valid, axes=[1], keepdims=0)
    return graph.node("Where", some, top, 0.0)


def _spelling(graph: Graph, model: Any, params: Params, inputs: Values) -> Value:
    """Writes the features of all words, `[batch * time, features]`."""
    # Every word becomes a row: [batch * time, characters].
    width = graph.size(inputs["characters"], 2)
    each = graph.node("Concat", [-1], width, axis=0)
    characters = graph.node("Reshape", inputs["characters"], each)
    lengths = graph.node("Reshape", inputs["char_lengths"], [-1])
    found = rows(graph, lengths, width)
    xs = embedded(graph, params["characters"], characters)
    if model.char_recurrence is not None:
        _, ys = read(graph, model.char_recurrence, params["recurrent"], xs, found)
        return ends(graph, model.char_recurrence, ys, found)
    mask = _batch_major(graph, found.mask)
    xs = graph.node("Where", mask, xs, 0.0)
    # Each character beside its neighbours, zeros at the edges.
    edges = graph.node("Pad", xs, [0, 1, 0, 0, 1, 0], 0.0)
    triples = graph.concat([graph.cut(edges, 1, 0, -2), xs, graph.cut(edges, 1, 2)])
    return highest(graph, layer(graph, params["convolution"], triples), mask, found.read)


def _acoustic_whole(
    graph: Graph, model: Any, params: Params, frames: Value, lengths: Value
) -> tuple[Value, Value]:
    """Writes the scores of whole utterances `[batch, time, features]`, and their steps."""
    stride = model.stride
    found = rows(graph, lengths, graph.size(frames, 1))
    frames = graph.node("Where", _batch_major(graph, found.mask), frames, 0.0)
    # The frames of each step side by side; those that fill no step are left out.
    whole = graph.node("Mul", graph.node("Div", graph.size(frames, 1), [stride]), [stride])
    frames = graph.node("Slice", frames, [0], whole, [1])
    xs = _stacked(graph, frames, stride)
    if model.convolution is not None:
        edge = graph.node("Pad", xs, [0, 1, 0, 0, 0, 0], 0.0)
        xs = _convolved(graph, params, graph.cut(edge, 1, 0, -1), xs)
    steps = graph.node("Div", found.lengths, np.full(1, stride, np.int32))
    found = rows(graph, steps, graph.size(xs, 1))
    for index, net in enumerate(model.layers):
        p = params[f"recurrent_{index}"]
        _, ys = read(graph, net, p, xs, found)
        xs = layer_norm(graph, params[f"norms_{index}"], ys)
    return layer(graph, params["head"], xs), steps


def _stacked(graph: Graph, frames: Value, stride: int) -> Value:
    """Sets the frames of each step side by side, `[batch, steps, stride * features]`."""
    if stride == 1:
        return frames
    features = graph.node("Mul", graph.size(frames, 2), [stride])
    shape = graph.node("Concat", [0], [-1], features, axis=0)
    return graph.node("Reshape", frames, shape)


def _convolved(graph: Graph, params: Params, before: Value, now: Value) -> Value:
    """Writes the convolution over the step before and this one."""
    both = graph.concat([before, now])
    return graph.node("Relu", layer(graph, params["convolve"], both))


def _features(graph: Graph, model: Any, params: Params, inputs: Values) -> Value:
    if model.vocab_size is None:
        return inputs["xs"]
    return embedded(graph, params["embed"], inputs["tokens"])


def _next_scores(graph: Graph, model: Any, params: Params, ys: Value) -> Value:
    """Scores the next tokens, by a layer or by the embedding."""
    if model.tied:
        return tied_scores(graph, params["embed"]["embedding"], params["bias"], ys)
    return layer(graph, params["head"], ys)


def tied_scores(graph: Graph, table: Any, bias: Any, ys: Value) -> Value:
    """Projects with the transposed embedding `[vocab, features]`."""
    turned = graph.node("Transpose", graph.weight(table, 1), perm=[1, 0])
    return graph.node("Add", graph.node("MatMul", ys, turned), np.asarray(bias, np.float32))


def _batch_major(graph: Graph, mask: Value) -> Value:
    """Turns `[time, batch, 1]` to `[batch, time, 1]`."""
    return graph.node("Transpose", mask, perm=[1, 0, 2])
