"""What all pictures have in common, read off the figure as it is drawn."""

import io

import numpy as np
import pytest

from seqjax import figures


def drawn(lines, log=False, title=""):
    """A figure of one panel for each dict of lines, drawn once."""
    figure = figures.new_figure((4.0 * len(lines), 3.0))
    axes = figure.subplots(1, len(lines), squeeze=False)[0]
    for axis, named in zip(axes, lines, strict=True):
        for label, ys in named.items():
            axis.plot(np.arange(len(ys)), ys, label=label)
        if log:
            figures.use_log_scale(axis)
    figures.add_legends(figure)
    figures.add_title(figure, title)
    figure.savefig(io.BytesIO(), format="png")
    return figure


def boxes(artists):
    return [artist.get_window_extent() for artist in artists]


@pytest.mark.parametrize(
    "lines",
    [
        [{"a": [1, 2], "b": [2, 1]}],
        [{"a": [1, 2], "b": [2, 1]}, {"a": [3, 4]}],
        [{"radius 1": [1, 2]}, {"bias 0": [2, 1], "bias 1": [1, 1]}],
    ],
)
def test_legends_lie_over_no_axes(lines):
    figure = drawn(lines, title="a title")
    beside = [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    legends = [*figure.legends, *beside]
    assert len(legends) == (2 if "radius 1" in lines[0] else 1)
    written = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert sorted(written) == sorted({label for named in lines for label in named})
    for legend in boxes(legends):
        assert not any(legend.overlaps(axes) for axes in boxes(figure.axes))
        assert figure.bbox.contains(legend.x0, legend.y0)
        assert figure.bbox.contains(legend.x1, legend.y1)


def test_a_figure_without_labels_has_no_legend():
    figure = figures.new_figure((3, 3))
    figure.subplots().plot([1, 2])
    figures.add_legends(figure)
    assert not figure.legends


def test_a_long_title_is_broken_and_not_cut_off():
    figure = drawn([{"a": [1, 2]}], title="many words of a title " * 6 + "\nsecond line")
    assert figure.get_suptitle().splitlines()[-1] == "second line"
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert len(figure.get_suptitle().splitlines()) > 2


@pytest.mark.parametrize(
    ("low", "high", "some"),
    [
        (0.8, 1.1, "1"),
        (0.31, 0.42, "0.36"),
        (0.3, 6.0, "0.5"),
        (1e-3, 20.0, "0.1"),
        (1e-45, 1e3, "10^{"),
    ],
)
def test_a_logarithmic_axis_has_some_labels_and_no_crowd(low, high, some):
    figure = drawn([{"a": [low, high]}], log=True)
    axis = figure.axes[0].yaxis
    ends = axis.get_view_interval()
    labels = []
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        text = tick.label1.get_text()
        if text and ends[0] <= tick.get_loc() <= ends[1]:
            labels.append(text)
    assert 2 <= len(labels) <= 11, labels
    assert any(some in label for label in labels), labels


def test_steps_are_labelled_at_whole_numbers():
    figure = drawn([{"a": [1.0, 2.0]}])
    figures.use_whole_ticks(figure.axes[0])
    assert [float(tick) for tick in figure.axes[0].get_xticks() if 0 <= tick <= 1] == [0, 1]


def test_a_single_point_is_seen():
    assert figures.marker_of(1) == "o" and figures.marker_of(1000) == ""
