"""What all pages draw, drawn faster."""

import io

import pytest


@pytest.fixture(scope="module", autouse=True)
def painted_once():
    """Of the pictures of a module that are alike only the first is painted, half of a page's time.

    The others are put together as ever, and what is written is the first one.
    """
    from matplotlib.figure import Figure

    painted, savefig = {}, Figure.savefig

    def save(figure, file, **options):
        kind = (*figure.get_size_inches(), len(figure.axes))
        if kind not in painted:
            paper = io.BytesIO()
            savefig(figure, paper, **options)
            painted[kind] = paper.getvalue()
        file.write(painted[kind])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Figure, "savefig", save)
        yield
