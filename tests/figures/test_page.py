"""Pages and tables of figures."""

from seqjax.figures import Section, markdown_table, write_html


def test_a_markdown_table_has_a_line_for_each_row():
    rows = [{"model": "gru", "nats": 1.56649, "steps": 1200}, {"model": "a", "nats": 0, "steps": 1}]
    lines = markdown_table(rows).splitlines()
    assert lines == [
        "| model | nats | steps |",
        "|---|---|---|",
        "| gru | 1.566 | 1,200 |",
        "| a | 0 | 1 |",
    ]


def test_a_page_escapes_what_it_is_given(tmp_path):
    section = Section("a < b", "one\n\ntwo", table=[{"x": "<b>"}], details=[{"y": 0.5}])
    write_html(tmp_path / "page.html", "t", [section])
    page = (tmp_path / "page.html").read_text()
    assert "a &lt; b" in page and "<p>one</p>\n<p>two</p>" in page
    assert "&lt;b&gt;" in page and "<details>" in page and "0.5" in page
