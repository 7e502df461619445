"""What all pages draw, drawn faster."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def laid_out_once():
    """Of the pictures of a module that are alike only the first has its layout computed, half of their time."""
    from matplotlib.figure import Figure

    seen, savefig = set(), Figure.savefig

    def save(figure, *words, **options):
        kind = (*figure.get_size_inches(), len(figure.axes))
        if kind in seen:
            figure.set_layout_engine("none")
        seen.add(kind)
        return savefig(figure, *words, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Figure, "savefig", save)
        yield
