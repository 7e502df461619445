"""The code of the guides, the laws and the front page runs as it stands there, block after block."""

import pytest

from tests.pages import DOCS, run_page

pytestmark = pytest.mark.usefixtures("quick_compile")

PAGES = [*sorted(DOCS.glob("guides/*.md")), DOCS / "laws.md", DOCS / "index.md"]


def test_the_pages_are_there():
    names = {page.stem for page in PAGES}
    assert {"from_pytorch", "from_keras", "from_flax", "padding", "sharp_bits", "laws"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch, unchecked):
    monkeypatch.chdir(tmp_path)
    _, _, left_out = run_page(page)
    assert left_out == 0
