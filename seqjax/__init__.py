"""Recurrent sequence models for JAX: a pure-functional core, thin Flax shells, and the tools around them."""

from seqjax import attention as attention
from seqjax import decoding as decoding
from seqjax import kernels as kernels
from seqjax import losses as losses
from seqjax.cells import GRU as GRU
from seqjax.cells import LRU as LRU
from seqjax.cells import LSTM as LSTM
from seqjax.cells import Elman as Elman
from seqjax.cells import LSTMState as LSTMState
from seqjax.cells import MinGRU as MinGRU
from seqjax.cells import MinLSTM as MinLSTM
from seqjax.combinators import BidirectionalState as BidirectionalState
from seqjax.combinators import bidirectional as bidirectional
from seqjax.combinators import dropout as dropout
from seqjax.combinators import gated as gated
from seqjax.combinators import residual as residual
from seqjax.combinators import stack as stack
from seqjax.combinators import zoneout as zoneout
from seqjax.recurrence import Pass as Pass
from seqjax.recurrence import Recurrence as Recurrence
from seqjax.recurrence import unroll as unroll

__version__ = "0.1.0"
