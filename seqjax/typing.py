"""The dimension legend, and the array aliases built on it.

The shapes of the core are written with these names; what a module adds to them its docstrings
explain:

| name       | meaning                                                                    |
|------------|----------------------------------------------------------------------------|
| `*batch`   | any number of batch axes, none included                                     |
| `time`     | steps of a sequence                                                         |
| `features` | what a step carries in; `outputs`, what it gives                            |
| `hidden`   | units of a recurrent layer; `gates` is a multiple of it, gates side by side |
| `vocab`    | entries of a vocabulary                                                     |

Inside the library sequences are time-major, `[time, *batch, features]`, as `lax.scan` wants them;
at the public doors they are `[*batch, time, features]` unless `time_major=True`.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from jaxtyping import Array, Bool, Float, Int, Key, PyTree

Params: TypeAlias = Mapping[str, Any]
"""Nested dict of arrays."""

State: TypeAlias = PyTree
"""What a recurrence remembers: a pytree whose leaves all begin with the batch axes."""

Sequence: TypeAlias = Float[Array, "time *batch features"]
Outputs: TypeAlias = Float[Array, "time *batch outputs"]
Frame: TypeAlias = Float[Array, "*batch features"]
Output: TypeAlias = Float[Array, "*batch outputs"]
Hidden: TypeAlias = Float[Array, "*batch hidden"]
Lengths: TypeAlias = Int[Array, "*batch"]
Reset: TypeAlias = Bool[Array, "time *batch"]
Mask: TypeAlias = Bool[Array, "*batch"]
KeyArray: TypeAlias = Key[Array, ""]
StepKeys: TypeAlias = Key[Array, "time"]

Remat: TypeAlias = Literal["none", "step", "sqrt"]

Backend: TypeAlias = Literal["auto", "scan", "fused", "native", "cudnn", "pallas"]
