"""Recurrent sequence models for JAX: a pure-functional core, thin Flax shells, and the tools around them."""

import importlib
from typing import Any

from seqjax import attention as attention
from seqjax import decoding as decoding
from seqjax import kernels as kernels
from seqjax import losses as losses
from seqjax.cells import GRU as GRU
from seqjax.cells import LRU as LRU
from seqjax.cells import LSTM as LSTM
from seqjax.cells import MGU as MGU
from seqjax.cells import MLSTM as MLSTM
from seqjax.cells import RGLRU as RGLRU
from seqjax.cells import SLSTM as SLSTM
from seqjax.cells import Cell as Cell
from seqjax.cells import Elman as Elman
from seqjax.cells import IndRNN as IndRNN
from seqjax.cells import LSTMState as LSTMState
from seqjax.cells import MinGRU as MinGRU
from seqjax.cells import MinLSTM as MinLSTM
from seqjax.cells import MLSTMState as MLSTMState
from seqjax.cells import SLSTMState as SLSTMState
from seqjax.combinators import BidirectionalState as BidirectionalState
from seqjax.combinators import bidirectional as bidirectional
from seqjax.combinators import block as block
from seqjax.combinators import dropout as dropout
from seqjax.combinators import gated as gated
from seqjax.combinators import learn_initial_state as learn_initial_state
from seqjax.combinators import residual as residual
from seqjax.combinators import return_states as return_states
from seqjax.combinators import skip as skip
from seqjax.combinators import stack as stack
from seqjax.combinators import weight_drop as weight_drop
from seqjax.combinators import zoneout as zoneout
from seqjax.recurrence import Pass as Pass
from seqjax.recurrence import Recurrence as Recurrence
from seqjax.unrolling import unroll as unroll

_LAZY = {
    "Classifier": "seqjax.classification",
    "Trained": "seqjax.tasks",
    "load": "seqjax.tasks",
    "register": "seqjax.files.settings",
}
"""Names that are imported when they are used first: the core does not need Flax."""

_ROOMS = (
    "data",
    "datasets",
    "diagnostics",
    "figures",
    "files",
    "forecasting",
    "interop",
    "metrics",
    "models",
    "music",
    "nnx",
    "rtrl",
    "speech",
    "testing",
    "text",
    "training",
    "vision",
)


def __getattr__(name: str) -> Any:
    """Imports a room, or a name of one, when it is used first."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"seqjax.{name}")
    raise AttributeError(f"module 'seqjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_ROOMS})


__version__ = "0.1.0"
