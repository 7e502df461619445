"""Recurrent sequence models for JAX: a pure-functional core, thin Flax shells, and the tools around them.

Every public name, `help(seqjax.NAME)` says the rest:

From a recurrence to outputs:

    unroll              runs a recurrence over a batch of sequences
    load                reads a trained model: a run folder or a saved one
    Classifier          a task: sequences of different lengths to classes
    Trained             a task with parameters: predicts, evaluates, saves
    register            lets a saved model name a class of your own
    Recurrence          what remembers: settings and pure functions
    Cell                a recurrence of so many units: base of the cells
    Pass                what `Recurrence.scan` is told of a pass over time

Cells:

    Elman               simple recurrent network (1990)
    LSTM                long short-term memory (1997)
    GRU                 gated recurrent unit (2014)
    MGU                 minimal gated unit (2016): a GRU of one gate
    IndRNN              independently recurrent network (2018)
    LRU                 linear recurrent unit (2023): diagonal and complex
    RGLRU               real-gated linear recurrent unit, of Griffin (2024)
    MinGRU              GRU gated by the input alone (2024), parallel
    MinLSTM             LSTM gated by the input alone (2024), parallel
    SLSTM               LSTM with exponential gates, of xLSTM (2024)
    MLSTM               LSTM whose state is a matrix, of xLSTM (2024)

Combinators: recurrences in, a recurrence out:

    stack               lays recurrences one upon another
    bidirectional       reads by two recurrences, one from each row's end
    residual            adds the input to the output
    skip                lays the input beside the output
    gated               puts a gated nonlinearity on the outputs
    block               makes the residual block of xLSTM and Griffin
    dropout             drops outputs while a key is given
    weight_drop         drops recurrent weights while a key is given
    zoneout             lets units keep their old value at random
    int8                keeps the matrices of cells in eight bits
    learn_initial_state makes the state before the first step a parameter
    return_states       lays the state after each step beside its output

States, named tuples; those of Elman and GRU are arrays:

    LSTMState           what an LSTM remembers
    SLSTMState          what an sLSTM remembers
    MLSTMState          what an mLSTM remembers
    BidirectionalState  what both directions remember

Parts of the core:

    attention           scores, weights and contexts
    decoding            sampling, beam search, CTC
    kernels             fast classic cells; `explain` says which one runs
    losses              cross-entropy, CTC, CRF, likelihoods
    rtrl                real-time recurrent learning
    testing             `check_laws`: tests a recurrence of your own

Models and training:

    models              Flax Linen: `Recurrent`, a network for each task
    nnx                 Flax NNX: `Recurrent`
    training            `fit`, recipes, loops, checkpoints, many devices
    diagnostics         the gradient laboratory
    interop             weights of other frameworks, ONNX, StableHLO, C

Rooms, one for each kind of data:

    text                language models, classifiers, taggers, translators
    speech              features, front ends, recognisers
    vision              captioned pictures, images read row by row
    music               piano rolls, a composer
    forecasting         panels, forecasters, intervals, backtests

Data, files, figures:

    data                batches: windows, length buckets, prefetch
    datasets            public data sets: `load`
    files               readers and writers of files
    metrics             scores of texts and transcripts
    figures             pictures and pages
"""

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
from seqjax.combinators import int8 as int8
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
