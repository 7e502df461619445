"""Layers by name, each as it is commonly stacked: what the experiments offer as `--cell`."""

from collections.abc import Callable

from seqjax.cells import (
    GRU,
    LRU,
    LSTM,
    MGU,
    MLSTM,
    RGLRU,
    SLSTM,
    Elman,
    IndRNN,
    MinGRU,
    MinLSTM,
)
from seqjax.combinators.blocks import block
from seqjax.combinators.stacks import Stack, stack
from seqjax.combinators.wrappers import gated
from seqjax.recurrence import Recurrence

LAYERS: dict[str, Callable[[int], Recurrence]] = {
    "elman": Elman,
    "lstm": LSTM,
    "gru": GRU,
    "mgu": MGU,
    "indrnn": IndRNN,
    "slstm": lambda hidden: SLSTM(hidden, heads=4),
    "mlstm": lambda hidden: block(MLSTM(hidden, heads=4, layer_norm=True)),
    "rglru": lambda hidden: block(RGLRU(hidden)),
    "lru": lambda hidden: gated(LRU(hidden)),
    "min_gru": lambda hidden: gated(MinGRU(hidden)),
    "min_lstm": lambda hidden: gated(MinLSTM(hidden)),
}
"""What makes a layer of so many units, by name."""

RESIDUAL = ("lru", "min_gru", "min_lstm")
"""Layers whose gates see the input alone: stacked with a way around each."""


def stack_of(name: str, hidden_size: int, layers: int = 2, *, dropout: float = 0.0) -> Stack:
    """Stacks layers of one kind, each as it is commonly used.

    Cells that remember by gates stand alone, linear ones are gated and residual, RG-LRU and mLSTM
    stand in a residual `block`, which keeps the number of features.

    Args:
      name: one of `LAYERS`.
      hidden_size: units of each layer; of mLSTM and sLSTM a multiple of their four heads.
      layers: how many.
      dropout: rate on the outputs of every layer but the last.

    Raises:
      ValueError: the name is unknown, or a size is out of range.

    Example:
      >>> stack_of("gru", 32)
      Stack((GRU(32), GRU(32)))
    """
    if name not in LAYERS:
        raise ValueError(f"stack_of: {name!r} is unknown; choose one of {', '.join(LAYERS)}")
    made = [LAYERS[name](hidden_size) for _ in range(layers)]
    return stack(*made, dropout=dropout, residual=name in RESIDUAL)
