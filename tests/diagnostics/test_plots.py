"""Pictures show what they were given."""

import numpy as np
import pytest

from seqjax import diagnostics, figures
from seqjax.diagnostics import plots

pytest.importorskip("matplotlib")


def test_flow_draws_each_line_and_the_geometric_mean_of_a_batch():
    norms = np.array([[1e-4, 1e-2], [1.0, 1.0]])
    figure = plots.plot_flow(
        {
            "elman": {"radius 1": norms, "radius 2": norms[:, 0]},
            "lstm": {"bias 0": np.array([0.0, 1.0])},
        }
    )
    elman, lstm = figure.axes
    assert elman.get_yscale() == "log"
    np.testing.assert_allclose(elman.lines[0].get_ydata(), [1e-3, 1.0])
    assert [text.get_text() for text in elman.get_legend().get_texts()] == ["radius 1", "radius 2"]
    assert np.isfinite(lstm.lines[0].get_ydata()).all()


def test_spectrum():
    spectrum = diagnostics.Spectrum(
        *(np.abs(np.random.default_rng(0).normal(size=s)) for s in ((9, 4), (9, 4), 4))
    )
    figure = plots.plot_spectrum({"gru": spectrum})
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), spectrum.steps[:, 0])
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), spectrum.exponents)


def test_heat_maps_choose_their_scale():
    figure = plots.plot_heat_maps({"gate": np.full((5, 3), 0.5), "state": np.full((5, 3), -2.0)})
    gate, state = (axis.images[0] for axis in figure.axes if axis.images)
    assert gate.get_clim() == (0, 1)
    assert state.get_clim() == (-2, 2)
    assert gate.get_array().shape == (3, 5)


def test_clipping_draws_the_threshold(tmp_path):
    before, after, loss = np.array([[3.0, np.inf, 0.5], [1.0, np.nan, 0.5], [2.0, 1.0, 0.5]])
    figure = plots.plot_clipping(before, after, 1.0, {"loss": loss})
    dashed = [line for line in figure.axes[-1].lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed[0].get_ydata(), 1.0)
    figures.save_figure(figure, tmp_path / "clipping.png")
    assert (tmp_path / "clipping.png").read_bytes().startswith(b"\x89PNG")


def test_histograms_count_what_is_left_out():
    values = {"w": np.array([1.0, 2.0, np.nan]), "gradient": np.array([1e-3, 0.0, 1e3])}
    figure = plots.plot_histograms(values, log=True, bins=4)
    assert figure.axes[0].get_title() == "w (1 not finite)"
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 2


def test_panels_give_a_name_one_colour_and_dash_its_variants():
    panels = [
        plots.Panel("times", "context", "ms", {"b": ([1, 2], [3, 4])}, True),
        plots.Panel("bytes", "length", "MiB", {"a": ([1], [2]), "b sparing": ([1, 2], [5, 6])}),
        plots.Panel("loss", "seconds", "nats", {"a": ([1], [2])}),
    ]
    figure = plots.plot_panels(panels, "title")
    times, sizes, loss, empty = figure.axes
    assert times.get_xscale() == times.get_yscale() == "log" and loss.get_xscale() == "linear"
    first, (other, variant) = times.lines[0], sizes.lines
    assert first.get_color() == variant.get_color() != other.get_color()
    assert loss.lines[0].get_color() == other.get_color()
    assert (first.get_linestyle(), variant.get_linestyle()) == ("-", "--")
    np.testing.assert_array_equal(variant.get_ydata(), [5, 6])
    assert not empty.axison and times.get_ylabel() == "ms"
