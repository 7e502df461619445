"""Pictures of what was written: every line is there, and attention lies where it was."""

import numpy as np

from seqjax.figures.attention import plot_attention, plot_captions, plot_looks

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3)).astype(np.uint8)


def test_captions_stand_under_their_images_line_by_line():
    long = "a caption of so many words that it does not fit under its image in one line"
    figure = plot_captions(IMAGES, [["a dog", "the truth"], [long], [""]], columns=2)
    assert len(figure.axes) == 4
    for axis, image in zip(figure.axes, IMAGES, strict=False):
        np.testing.assert_array_equal(axis.images[0].get_array(), image)
    written, wrapped, empty, unused = (
        [text.get_text() for text in axis.texts] for axis in figure.axes
    )
    assert written == ["a dog", "the truth"] and empty == [""] and unused == []
    assert len(wrapped) == 3 and " ".join(wrapped) == long
    ours, truth = figure.axes[0].texts
    assert (
        ours.get_color() != truth.get_color() and ours.get_position()[1] > truth.get_position()[1]
    )
    assert len({text.get_color() for text in figure.axes[1].texts}) == 1
    assert len(plot_captions(IMAGES[:1], [["a dog"]]).axes) == 1  # no room is left for more


def test_each_word_has_its_picture_with_the_attention_over_it():
    looks = np.random.default_rng(1).dirichlet(np.ones(6), 2).reshape(2, 2, 3)
    figure = plot_looks(IMAGES[0], ["a", "dog"], looks, "a dog", columns=2)
    whole, *words, unused, colours = figure.axes
    assert "attention" in colours.get_ylabel()
    np.testing.assert_array_equal(whole.images[0].get_array(), IMAGES[0])
    assert [axis.get_title() for axis in words] == ["a", "dog"] and not unused.images
    for axis, look in zip(words, looks, strict=True):
        under, over = axis.images
        np.testing.assert_allclose(over.get_array(), look)
        assert (
            over.get_extent() == under.get_extent() == [-0.5, 11.5, 7.5, -0.5]
        )  # the grid covers the image
        assert over.get_clim() == (0, look.max())
    assert "a dog" in figure.get_suptitle() and len(plot_looks(IMAGES[0], ["a"], looks).axes) == 3


def test_attention_is_cut_to_what_was_read_and_written():
    weights = np.full((5, 6), 0.5)
    figure = plot_attention([("abc", ["A", "B"], weights), ("ab", ["A"], weights)], columns=2)
    first, second, colours = figure.axes
    assert colours.get_ylabel() == "attention" and first.get_title() == second.get_title() == ""
    assert first.images[0].get_array().shape == (2, 3) and second.images[0].get_array().shape == (
        1,
        2,
    )
    assert [label.get_text() for label in first.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["A", "B"]


def test_attention_says_what_is_right_and_names_its_axes():
    weights = np.array([[0.1, 0.2], [0.0, 0.4]])
    maps = [("ab", "AB", weights)] * 3
    figure = plot_attention(maps, "a title", 2, right=[True, False, None])
    right, wrong, unknown, unused, _ = figure.axes
    assert [axis.get_title() for axis in (right, wrong, unknown)] == ["right", "wrong", ""]
    assert right.title.get_color() != wrong.title.get_color()
    assert (right.get_xlabel(), right.get_ylabel()) == ("source", "written")
    assert right.images[0].get_clim() == (0, 0.4), "the scale ends at the largest weight"
    assert not unused.axison and figure.get_suptitle() == "a title"


def test_attention_over_long_sequences_is_no_wider_than_a_page():
    weights = np.full((9, 400), 0.5)
    figure = plot_attention([("a" * 400, "b" * 9, weights)] * 3)
    assert figure.get_figwidth() < 16
    assert figure.axes[0].get_xticklabels()[0].get_fontsize() < 8
