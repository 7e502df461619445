"""An encoder and one step of a decoder in ONNX: what `seqjax.models.Seq2Seq` is made of.

The whole is the encoder: it reads a source and says the memory, and where the decoder begins. The
step is the decoder's; its states are those of `models.DecoderState`, leaf by leaf.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seqjax import models
from seqjax.cells import LRU
from seqjax.interop.layers import levels
from seqjax.interop.onnx.attention import Looked, look, prepare
from seqjax.interop.onnx.cells import States, state_sizes
from seqjax.interop.onnx.emitters import emits, following, layer, remembered
from seqjax.interop.onnx.graph import INT64, Graph, Value
from seqjax.interop.onnx.networks import tied_scores
from seqjax.interop.onnx.recurrences import advance, read, rows, state_count, states_of
from seqjax.recurrence import Recurrence
from seqjax.typing import Params

Values = Mapping[str, Value]


@emits(models.Seq2Seq)
def _encoder(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    if type(model.encoder) is not models.Encoder:
        raise TypeError(
            f"no ONNX of a {type(model.encoder).__name__}; "
            "export it by seqjax.interop.stablehlo.save"
        )
    encoder, decoder = model.encoder, model.decoder
    p, source = _part(model, params, "encoder"), inputs["source"]
    source = _known(graph, source, encoder)
    found = rows(graph, inputs["lengths"], graph.size(source, 1))
    xs = graph.rows(p["table"]["embedding"], source)
    net = encoder.recurrence
    final, values = read(graph, net, p["recurrent"], xs, found, reverse=encoder.reverse)
    mask = graph.node("Transpose", graph.node("Squeeze", found.mask, [2]), perm=[1, 0])
    # What stands past a row's end is zero already.
    p, keys = _part(model, params, "decoder"), values
    if decoder.attention is not None:
        keys, values = prepare(graph, decoder.attention, p.get("look", {}), values)
    memory = {"keys": keys, "memory": values, "mask": mask}
    state = _begun(graph, model, params, memory, final)
    return memory | following(state)


@emits(models.Seq2Seq, step=True)
def _decoder_step(graph: Graph, model: Any, params: Params, inputs: Values) -> dict[str, Value]:
    decoder, p = model.decoder, _part(model, params, "decoder")
    tokens = inputs["tokens"]
    if decoder.copying is not None:
        tokens = _known(graph, tokens, decoder)
    x = graph.rows(p["table"]["embedding"], tokens)
    state, seen = _stepped(graph, decoder, p, inputs, remembered(inputs), x)
    scores = _scores(graph, decoder, p, seen)
    if decoder.copying is not None:
        scores = _copied(graph, decoder, p["copier"], inputs["held"], seen, scores)
    return {"logits": scores} | following(state)


def _begun(graph: Graph, model: Any, params: Params, memory: Values, final: States) -> list[Value]:
    """Writes where the decoder begins, leaf by leaf."""
    decoder, p = model.decoder, _part(model, params, "decoder")
    net, batch = decoder.recurrence, graph.size(memory["mask"], 0)
    zeros = graph.zeros(batch, graph.size(memory["mask"], 1))
    recurrent = states_of(graph, net, p["recurrent"], batch)
    match model.bridge:
        case "last":
            recurrent = _side_by_side(graph, model, params, final)
        case "projected":
            recurrent = _projected(graph, net, p["recurrent"], params["projected"], final)
    state = [*recurrent, zeros]
    if decoder.input_feeding:
        state.append(
            graph.zeros(batch, [decoder.embedding_size if decoder.tied else _outputs(decoder)])
        )
    if decoder.coverage:
        state.append(zeros)
    if model.bridge != "read":
        return state
    token = layer(graph, params["token"], graph.concat(final))
    after, _ = _stepped(graph, decoder, p, memory, state, token)
    # The recurrence has read; the rest begins as ever.
    count = len(recurrent)
    return after[:count] + state[count:]


def _stepped(
    graph: Graph, decoder: Any, p: Params, memory: Values, state: list[Value], x: Value
) -> tuple[list[Value], dict[str, Value]]:
    """Writes one step: the next state, and the outputs, contexts and weights seen."""
    net = decoder.recurrence
    count = state_count(net, p["recurrent"])
    recurrent, weights = state[:count], state[count]
    coverage = state[-1] if decoder.coverage else None
    at = Looked("", memory["keys"], memory["memory"], memory["mask"], weights, coverage)
    attention = models.Attention(_outputs(decoder), decoder.attention or "dot")
    seen = {"embedded": x}
    if decoder.form == "bahdanau":
        query = recurrent[_shown(net, p["recurrent"])]
        context, weights = look(graph, attention, p.get("look", {}), at._replace(query=query))
        x = graph.concat([x, context])
        recurrent, output = advance(graph, net, p["recurrent"], x, recurrent)
    else:
        if decoder.input_feeding:
            x = graph.concat([x, state[count + 1]])
        recurrent, output = advance(graph, net, p["recurrent"], x, recurrent)
        # Without attention nothing is seen, and the weights are zero.
        context = None
        weights = graph.node("ConstantOfShape", graph.node("Shape", memory["mask"]))
        if decoder.attention is not None:
            context, weights = look(graph, attention, p.get("look", {}), at._replace(query=output))
    seen["readout"] = _read(graph, decoder, p, output, context, seen["embedded"])
    seen |= {"output": output, "weights": weights}
    if context is not None:
        seen["context"] = context
    after = [*recurrent, weights]
    if decoder.input_feeding:
        after.append(seen["readout"])
    if coverage is not None:
        after.append(graph.node("Add", coverage, weights))
    return after, seen


def _read(
    graph: Graph, decoder: Any, p: Params, output: Value, context: Value | None, embedded: Value
) -> Value:
    """Writes the readout of a step, `[batch, readout]`."""
    if context is None:
        return output
    parts = [output, context]
    if decoder.form == "bahdanau":
        parts.append(embedded)
    return graph.node("Tanh", layer(graph, p["combine"], graph.concat(parts)))


def _scores(graph: Graph, decoder: Any, p: Params, seen: Values) -> Value:
    if decoder.tied:
        return tied_scores(graph, p["table"]["embedding"], p["bias"], seen["readout"])
    return layer(graph, p["head"], seen["readout"])


def _copied(
    graph: Graph, decoder: Any, p: Params, held: Value, seen: Values, logits: Value
) -> Value:
    """Writes `models.Copying`: log-probabilities of the vocabulary and the extra ids."""
    features = graph.concat([seen["output"], seen["context"], seen["embedded"]])
    write = graph.node("Sigmoid", layer(graph, p["gate"], features))
    written = graph.node("Mul", write, graph.node("Softmax", logits, axis=-1))
    # Room for the extra ids.
    widened = graph.node("Pad", written, [0, 0, 0, decoder.copying], 0.0)
    shares = graph.node("Mul", graph.node("Sub", 1.0, write), seen["weights"])
    places = graph.node("Cast", held, to=INT64)
    chance = graph.node("ScatterElements", widened, places, shares, axis=1, reduction="add")
    # The logarithm of what is impossible stays finite.
    return graph.node("Log", graph.node("Max", chance, float(np.finfo(np.float32).tiny)))


def _known(graph: Graph, tokens: Value, reader: Any) -> Value:
    """Writes the token of unknown words in place of ids beyond the vocabulary."""
    most = np.asarray(reader.vocab_size, np.int32)
    inside = graph.node("Less", tokens, most)
    return graph.node("Where", inside, tokens, np.asarray(reader.unknown, np.int32))


def _projected(
    graph: Graph, net: Recurrence, recurrent: Params, params: Params, final: States
) -> list[Value]:
    """Writes `models.bridge.ProjectedState`: `tanh(final W + b)` for each leaf of the state."""
    together, parts = graph.concat(final), []
    for index, sizes in enumerate(_leaves(net, recurrent)):
        value = graph.node("Tanh", layer(graph, params[f"leaf_{index}"], together))
        # A complex leaf has its real and its imaginary part side by side.
        parts += graph.split(value, sizes)
    return parts


def _side_by_side(graph: Graph, model: Any, params: Params, final: States) -> list[Value]:
    """Sets both directions of each layer of the encoder side by side."""
    left, joined = list(final), []
    net = model.encoder.recurrence
    for level in levels(net, _part(model, params, "encoder")["recurrent"]):
        count = len(state_sizes(level.cells[0]))
        ways = [[left.pop(0) for _ in range(count)] for _ in level.cells]
        joined += [graph.concat(parts) for parts in zip(*ways, strict=True)]
    return joined


def _leaves(net: Recurrence, params: Params) -> list[list[int]]:
    """Returns the units of each leaf of a state; of a complex one those of both parts."""
    leaves: list[list[int]] = []
    for level in levels(net, params):
        for cell in level.cells:
            units = state_sizes(cell)
            leaves += [units] if isinstance(cell, LRU) else [[size] for size in units]
    return leaves


def _shown(net: Recurrence, params: Params) -> int:
    """Returns the place among the states of what the last layer shows: its h."""
    last = levels(net, params)[-1].cells[-1]
    return state_count(net, params) - len(state_sizes(last))


def _outputs(decoder: Any) -> int:
    return decoder.recurrence.output_size(decoder.embedding_size)


def _part(model: Any, params: Params, name: str) -> dict[str, Any]:
    """Returns the parameters of the encoder or the decoder, a shared embedding included."""
    if not model.shared:
        return dict(params[name])
    shared = {"encoder": "reader", "decoder": "writer"}[name]
    return {**params[shared], "table": params["table"]}
