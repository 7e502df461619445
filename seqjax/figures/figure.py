"""What all pictures begin with."""

import io
import os
from typing import Any

from seqjax.files.disk import write_atomically


def new_figure(size: tuple[int | float, int | float]) -> Any:
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


def save_figure(figure: Any, path: str | os.PathLike) -> None:
    """Writes a matplotlib figure as PNG, whole or not at all."""
    file = io.BytesIO()
    figure.savefig(file, dpi=130, format="png")
    write_atomically(path, file.getvalue())
