"""The picture of an alignment: every letter stands where it was aligned, every spike bears its name."""

import numpy as np
import pytest

from seqjax.speech.pictures import plot_alignment


def test_letters_and_spikes_stand_where_they_are():
    frames = np.random.default_rng(0).standard_normal((40, 8))
    probabilities = np.full((20, 4), 0.02)
    probabilities[:, 0] = 0.94
    for step, symbol in ((3, 2), (4, 2), (9, 1), (15, 3)):
        probabilities[step] = np.where(np.arange(4) == symbol, 0.94 - 0.01 * step, 0.02)
    spans = [("a", 0.3, 0.5), (" ", 0.9, 1.0), ("b", 1.5, 1.6)]
    figure = plot_alignment(
        frames, probabilities, spans, ("<blank>", " ", "a", "b"), seconds=2.0, title="a b"
    )
    above, below = figure.axes
    assert [(text.get_text(), text.get_position()[0]) for text in above.texts] == [
        ("a", 0.4),
        ("b", 1.55),
    ]
    spikes = {text.get_text(): text.get_position()[0] for text in below.texts}
    assert spikes == {"␣": pytest.approx(0.95), "a": pytest.approx(0.35), "b": pytest.approx(1.55)}
    assert above.images[0].get_extent() == [0, 2.0, 0, 8]
