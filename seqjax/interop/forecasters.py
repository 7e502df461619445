"""What each forecaster that is a network looks like from outside.

Its windows go in as `seqjax.forecasting.PanelWindows` makes them: `values` and `seen`
`[batch, lags + context + horizon]`, `features`, `past`, `category` and `scale`; what a panel has
none of is left out. `numbers` come out: those of the likelihood, in units of the window's scale.

* `Direct`: the whole gives the numbers of the horizon; there is no step.
* `DeepAR`: the whole reads the context and gives `known`, what each step of the horizon reads beside
  the lagged values. The step reads `xs`, the lagged values and one step of `known`, and gives the
  numbers of the value at it, from which the caller draws.
* `EncoderDecoder`: the whole gives `keys`, `memory`, `ahead` of each step of the horizon, and
  `first`, the last value before it. The step reads `fed`, at first `first`, then the mean of what
  was said of the step before, one step of `ahead`, `keys` and `memory`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from seqjax import forecasting
from seqjax.forecasting.inputs import inputs as read_inputs
from seqjax.forecasting.inputs import scaled, without_horizon
from seqjax.interop.faces import Inputs, Result, check_step
from seqjax.interop.signature import SIZES, Face, Slot, face_of, input_size, sizes
from seqjax.typing import Params


@face_of(forecasting.Direct)
def _direct(task: Any, params: Params, step: bool) -> Face:
    check_step(task, not step)

    def read(task: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        numbers = task.network().apply({"params": params}, _filled(task, inputs))
        return {"numbers": numbers}, None

    return Face(windows(task), None, read)


@face_of(forecasting.DeepAR)
def _deepar(task: Any, params: Params, step: bool) -> Face:
    def read(task: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        network = task.network()
        state, known = network.apply({"params": params}, _filled(task, inputs), method="read")
        return {"known": known}, state

    if not step:
        return Face(windows(task), None, read)

    def advance(task: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        network = task.network()
        state, numbers = network.apply({"params": params}, state, inputs["xs"], method="step")
        return {"numbers": numbers}, state

    _, state = _begun(task, params, read)
    size = input_size(task.recurrence, params["recurrent"])
    return Face([Slot("xs", "float32", ("batch", size))], state, advance)


@face_of(forecasting.EncoderDecoder)
def _encoder_decoder(task: Any, params: Params, step: bool) -> Face:
    def read(task: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        batch = _filled(task, inputs)
        return task.network().apply({"params": params}, batch, method=_encode)

    if not step:
        return Face(windows(task), None, read)

    def advance(task: Any, params: Params, inputs: Inputs, state: Any) -> Result:
        return task.network().apply({"params": params}, inputs, state, method=_decode)

    made, state = _begun(task, params, read)
    slots = [
        Slot("fed", "float32", ("batch",)),
        Slot("ahead", "float32", ("batch", made["ahead"].shape[-1])),
        Slot("keys", "float32", ("batch", *made["keys"].shape[1:])),
        Slot("memory", "float32", ("batch", *made["memory"].shape[1:])),
    ]
    return Face(slots, state, advance)


def windows(task: Any) -> list[Slot]:
    """Returns the arrays of a forecaster's windows, those without features left out."""
    steps = task.context + task.horizon
    time, form = max(task.lags) + steps, task.form
    slots = [
        Slot("values", "float32", ("batch", time)),
        Slot("seen", "bool", ("batch", time)),
        Slot("features", "float32", ("batch", steps, form.features)),
        Slot("past", "float32", ("batch", steps, form.past)),
        Slot("category", "int32", ("batch", len(form.kinds)), min(form.kinds, default=1)),
        Slot("scale", "float32", ("batch",)),
    ]
    return [slot for slot in slots if 0 not in slot.shape]


def _filled(task: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns whole windows, with empty arrays where the panel has no such features."""
    rows, steps = given["values"].shape[0], task.context + task.horizon
    empty = {
        "features": jnp.zeros((rows, steps, 0)),
        "past": jnp.zeros((rows, steps, 0)),
        "category": jnp.zeros((rows, 0), jnp.int32),
    }
    return {**empty, **given}


def _begun(task: Any, params: Params, read: Any) -> tuple[dict[str, Any], Any]:
    """Returns the shapes of what the whole gives, and of its state."""
    structs = {
        slot.name: jax.ShapeDtypeStruct(sizes(slot, SIZES), slot.dtype) for slot in windows(task)
    }
    return jax.eval_shape(lambda p, given: read(task, p, given, None), params, structs)


def _encode(network: Any, batch: Inputs) -> Result:
    """Reads the context; this and `_decode` are `EncoderDecoderNetwork.__call__` in two parts."""
    static = network.static(batch["category"], batch["scale"])
    xs = read_inputs(without_horizon(batch, network.horizon), network.lags, static)
    state, outputs = network.encoder(xs[:, 1 : -network.horizon + 1 or None])
    keys, values = network.look.prepare(outputs)
    made = {
        "keys": keys,
        "memory": values,
        "ahead": xs[:, -network.horizon :],
        "first": scaled(batch)[:, -network.horizon - 1],
    }
    return made, (state, jnp.zeros(outputs.shape[:2]))


def _decode(network: Any, inputs: Inputs, state: Any) -> Result:
    """Writes one step of the horizon."""
    recurrent, looked = state
    fed, ahead = inputs["fed"], inputs["ahead"]
    x = jnp.concatenate([fed[:, None], ahead], axis=-1)
    recurrent, output = network.decoder.step(recurrent, x)
    memory = (inputs["keys"], inputs["memory"])
    numbers, looked = network.say(memory, output, looked, fed, ahead)
    return {"numbers": numbers}, (recurrent, looked)
