"""What each recurrence and each model of `seqjax.models` looks like from outside."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from seqjax import models
from seqjax.interop.signature import SIZES, Face, Slot, face_of, input_size, sizes
from seqjax.models.attention import Memory
from seqjax.recurrence import Recurrence
from seqjax.typing import Params

BATCH = SIZES["batch"]
LENGTHS = Slot("lengths", "int32", ("batch",), "time")

Inputs = Mapping[str, Any]
Result = tuple[dict[str, Any], Any]


@face_of(models.Recurrent)
def _recurrent(model: Any, params: Params, step: bool) -> Face:
    net = model.recurrence
    size = input_size(net, params)
    state = jax.eval_shape(lambda p: net.initial_state(p, (BATCH,), jnp.float32), params)
    if step:
        check_step(net, net.causal)

        def advance(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
            state, y = model.apply({"params": params}, state, inputs["xs"], method="step")
            return {"ys": y}, state

        return Face([Slot("xs", "float32", ("batch", size))], state, advance)

    def read(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        state, ys = model.apply({"params": params}, inputs["xs"], state, lengths=inputs["lengths"])
        return {"ys": ys}, state

    return Face([Slot("xs", "float32", ("batch", "time", size)), LENGTHS], state, read)


@face_of(models.LanguageModel)
def _language_model(model: Any, params: Params, step: bool) -> Face:
    state = jax.eval_shape(lambda p: model.start(p, (BATCH,)), params)
    if step:

        def advance(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
            state, logits = model.advance(params, state, inputs["tokens"])
            return {"logits": logits}, state

        return Face([Slot("tokens", "int32", ("batch",), model.vocab_size)], state, advance)

    def read(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        state, logits = model.apply(
            {"params": params}, inputs["tokens"], state, lengths=inputs["lengths"]
        )
        return {"logits": logits}, state

    tokens = Slot("tokens", "int32", ("batch", "time"), model.vocab_size)
    return Face([tokens, LENGTHS], state, read)


@face_of(models.SequenceClassifier)
def _classifier(model: Any, params: Params, step: bool) -> Face:
    size = None
    if model.vocab_size is None:
        size = input_size(model.recurrence, params["recurrent"])
    if step:
        check_step(model.recurrence, model.recurrence.causal and model.pooling == "last")

        def advance(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
            (x,) = inputs.values()
            state, logits = model.apply({"params": params}, state, x, method="step")
            return {"logits": logits}, state

        def start(params: Params) -> Any:
            return model.apply({"params": params}, (BATCH,), size, method="initial_state")

        return Face([_steps(model, size, ())], jax.eval_shape(start, params), advance)

    def read(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        xs, lengths = inputs.values()
        if model.pooling != "attention":
            return {"logits": model.apply({"params": params}, xs, lengths=lengths)}, None
        found = model.apply({"params": params}, xs, lengths=lengths, method="attend")
        return found._asdict(), None

    return Face([_steps(model, size, ("time",)), LENGTHS], None, read)


@face_of(models.Tagger)
def _tagger(model: Any, params: Params, step: bool) -> Face:
    check_step(model, not step)

    def read(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        return model.apply({"params": params}, **inputs)._asdict(), None

    return Face(_words(model), None, read)


@face_of(models.IntentTagger)
def _intent_tagger(model: Any, params: Params, step: bool) -> Face:
    check_step(model, not step)

    def read(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        found = model.apply({"params": params}, **inputs)
        return found.scores._asdict() | {"intents": found.intents}, None

    return Face(_words(model), None, read)


def _words(model: Any) -> list[Slot]:
    """What a tagger reads."""
    inputs = [Slot("words", "int32", ("batch", "time"), model.vocab_size), LENGTHS]
    if model.char_vocab_size is not None:
        spelling = ("batch", "time", "characters")
        inputs.append(Slot("characters", "int32", spelling, model.char_vocab_size))
        inputs.append(Slot("char_lengths", "int32", ("batch", "time"), "characters"))
    return inputs


@face_of(models.AcousticModel)
def _acoustic(model: Any, params: Params, step: bool) -> Face:
    read_at_once = params["convolve"]["kernel"].shape[0] // 2 if model.convolution else None
    if read_at_once is None:
        read_at_once = input_size(model.layers[0], params["recurrent_0"])
    size = read_at_once // model.stride
    if step:
        check_step(model, all(layer.causal for layer in model.layers))

        def advance(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
            state, logits = model.apply({"params": params}, state, inputs["frames"], method="step")
            return {"logits": logits[:, 0]}, state

        def start(params: Params) -> Any:
            return model.apply({"params": params}, (BATCH,), size, method="initial_state")

        frames = Slot("frames", "float32", ("batch", model.stride, size))
        return Face([frames], jax.eval_shape(start, params), advance)

    def read(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        found = model.apply({"params": params}, inputs["frames"], lengths=inputs["lengths"])
        return {"logits": found.logits, "steps": found.lengths}, None

    time = "time" if model.stride == 1 else f"{model.stride}*time"
    frames = Slot("frames", "float32", ("batch", time, size))
    return Face([frames, Slot("lengths", "int32", ("batch",), time)], None, read)


@face_of(models.Framewise)
def _framewise(model: Any, params: Params, step: bool) -> Face:
    check_step(model, not step)

    def read(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        found = model.apply({"params": params}, inputs["source"], inputs["lengths"])
        return {"logits": found.logits, "steps": found.lengths}, None

    return Face(_sources(model), None, read)


@face_of(models.Seq2Seq)
def _seq2seq(model: Any, params: Params, step: bool) -> Face:
    inputs = _sources(model.encoder)
    # The ids that positions hold, for a decoder that copies; else None.
    held = []
    if model.decoder.copying is not None:
        most = model.decoder.vocab_size + model.decoder.copying
        held = [Slot("held", "int32", ("batch", "positions"), most)]

    def begin(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        context, state = model.start(
            params, inputs["source"], inputs["lengths"], held=inputs.get("held")
        )
        memory = context["memory"]
        return {"keys": memory.keys, "memory": memory.values, "mask": memory.mask}, state

    if not step:
        return Face([*inputs, *held], None, begin)
    structs = {
        slot.name: jax.ShapeDtypeStruct(sizes(slot, SIZES), slot.dtype) for slot in (*inputs, *held)
    }
    memory, state = jax.eval_shape(lambda p, given: begin(model, p, given, None), params, structs)
    return Face([*_looks(model, memory), *held], state, _write)


def _write(model: Any, params: Params, inputs: Inputs, state: Any) -> Result:
    """Writes one token of each row."""
    memory = Memory(inputs["keys"], inputs["memory"], inputs["mask"], inputs.get("held"))
    context = {"params": params, "memory": memory}
    state, logits = model.advance(context, state, inputs["tokens"])
    return {"logits": logits}, state


def check_step(what: Any, possible: bool) -> None:
    """Refuses a single step where there is none.

    Raises:
      ValueError: it is not possible.
    """
    if not possible:
        kind = what if isinstance(what, Recurrence) else type(what).__name__
        raise ValueError(f"{kind} reads whole sequences and has no step; export it with step=False")


def _steps(model: Any, size: int | None, time: tuple[str, ...]) -> Slot:
    """Returns what a classifier reads: tokens, or features of this size."""
    if size is None:
        return Slot("tokens", "int32", ("batch", *time), model.vocab_size)
    return Slot("xs", "float32", ("batch", *time, size))


def _sources(reader: Any) -> list[Slot]:
    """Returns what an encoder of tokens reads."""
    return [
        Slot("source", "int32", ("batch", "positions"), reader.vocab_size),
        Slot("lengths", "int32", ("batch",), "positions"),
    ]


def _looks(model: Any, memory: Mapping[str, Any]) -> list[Slot]:
    """Returns what a decoder reads at each step beside its state."""
    decoder = model.decoder
    spoken = decoder.vocab_size + (decoder.copying or 0)
    places = ("batch", "positions")
    return [
        Slot("tokens", "int32", ("batch",), spoken),
        Slot("keys", "float32", (*places, memory["keys"].shape[-1])),
        Slot("memory", "float32", (*places, memory["memory"].shape[-1])),
        Slot("mask", "bool", places),
    ]
