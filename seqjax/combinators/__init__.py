"""Recurrences made of recurrences: each function here takes some and gives one."""

from seqjax.combinators.base import Wrapper as Wrapper
from seqjax.combinators.blocks import Block as Block
from seqjax.combinators.blocks import BlockState as BlockState
from seqjax.combinators.blocks import Convolution as Convolution
from seqjax.combinators.blocks import block as block
from seqjax.combinators.directions import Bidirectional as Bidirectional
from seqjax.combinators.directions import BidirectionalState as BidirectionalState
from seqjax.combinators.directions import bidirectional as bidirectional
from seqjax.combinators.stacks import Stack as Stack
from seqjax.combinators.stacks import stack as stack
from seqjax.combinators.states import LearnedInitialState as LearnedInitialState
from seqjax.combinators.states import ReturnStates as ReturnStates
from seqjax.combinators.states import learn_initial_state as learn_initial_state
from seqjax.combinators.states import return_states as return_states
from seqjax.combinators.weights import WeightDrop as WeightDrop
from seqjax.combinators.weights import weight_drop as weight_drop
from seqjax.combinators.wrappers import Dropout as Dropout
from seqjax.combinators.wrappers import Gated as Gated
from seqjax.combinators.wrappers import Residual as Residual
from seqjax.combinators.wrappers import Skip as Skip
from seqjax.combinators.wrappers import Zoneout as Zoneout
from seqjax.combinators.wrappers import dropout as dropout
from seqjax.combinators.wrappers import gated as gated
from seqjax.combinators.wrappers import residual as residual
from seqjax.combinators.wrappers import skip as skip
from seqjax.combinators.wrappers import zoneout as zoneout
