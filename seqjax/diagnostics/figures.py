"""What all pictures begin with."""

from typing import Any


def new_figure(size: tuple[float, float]) -> Any:
    """An empty matplotlib figure of `size` inches that keeps its parts from overlapping.

    Raises:
      ImportError: there is no matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures want matplotlib: pip install "seqjax[experiments]"') from error
    return Figure(figsize=size, layout="constrained")


def add_title(figure: Any, title: str) -> None:
    """Writes a title over the whole figure, unless it is empty."""
    if title:
        figure.suptitle(title)
