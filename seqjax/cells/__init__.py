"""The cells: each a `Recurrence` of one layer.

A ConvLSTM is not among them: the features of a step are one axis, and a frame's height and width
are neither features, which no order binds, nor batch axes, whose rows must not see each other.
"""

from seqjax.cells.elman import Elman as Elman
from seqjax.cells.gates import Cell as Cell
from seqjax.cells.gru import GRU as GRU
from seqjax.cells.indrnn import IndRNN as IndRNN
from seqjax.cells.linear import LRU as LRU
from seqjax.cells.linear import RGLRU as RGLRU
from seqjax.cells.linear import MinGRU as MinGRU
from seqjax.cells.linear import MinLSTM as MinLSTM
from seqjax.cells.lstm import LSTM as LSTM
from seqjax.cells.lstm import LSTMState as LSTMState
from seqjax.cells.mgu import MGU as MGU
from seqjax.cells.mlstm import MLSTM as MLSTM
from seqjax.cells.mlstm import MLSTMState as MLSTMState
from seqjax.cells.slstm import SLSTM as SLSTM
from seqjax.cells.slstm import SLSTMState as SLSTMState
