"""Pages that are one file."""

from seqjax.figures import Section, write_html


def test_a_page_escapes_what_it_is_given(tmp_path):
    section = Section("a < b", "one\n\ntwo", table=[{"x": "<b>"}], details=[{"y": 0.5}])
    write_html(tmp_path / "page.html", "t", [section])
    page = (tmp_path / "page.html").read_text()
    assert "a &lt; b" in page and "<p>one</p>\n<p>two</p>" in page
    assert "&lt;b&gt;" in page and "<details>" in page and "0.5" in page
