"""The cells: each a `Recurrence` of one layer."""

from seqjax.cells.elman import Elman as Elman
from seqjax.cells.gates import Cell as Cell
from seqjax.cells.gru import GRU as GRU
from seqjax.cells.linear import LRU as LRU
from seqjax.cells.linear import MinGRU as MinGRU
from seqjax.cells.linear import MinLSTM as MinLSTM
from seqjax.cells.lstm import LSTM as LSTM
from seqjax.cells.lstm import LSTMState as LSTMState
