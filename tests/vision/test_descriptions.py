"""Scores of descriptions: how right they are, and how much was looked at what they name."""

import numpy as np
import pytest

from seqjax.vision import Description, Pictures, caption_scores, nearest_captions
from seqjax.vision.descriptions import attention_on_objects, exact_match


def test_attention_on_an_object_is_counted_at_its_noun():
    shown = np.zeros((1, 2, 4, 4), bool)
    # The upper left cell of four, and the lower right one.
    shown[0, 0, 0, 1] = shown[0, 1, 2:, 2:] = True
    looks = np.array([[0, 0, 0, 1], [0.7, 0.1, 0.1, 0.1], [1, 0, 0, 0], [0.2, 0.2, 0.2, 0.4]])
    said = [Description(["red", "circle", "red", "ring"], looks)]
    found = attention_on_objects(said, shown, {"circle", "ring"})
    assert found == pytest.approx({"attention": (0.7 + 0.4) / 2, "even_attention": 0.25})
    assert attention_on_objects(said, shown, {"square"})["attention"] == 0


def test_words_and_signs_come_together():
    words = ["a", "two-tone", "dog's", "bed", ",", "red", "!"]
    assert Description(words, np.zeros((7, 1))).text == "a two-tone dog's bed, red!"


def test_case_does_not_count():
    written, captions = ["a dog.", "two cats"], [["A dog."], ["a cat", "Two Dogs"]]
    assert exact_match(written, captions) == 0.5
    assert caption_scores(["a dog."], [["x", "A Dog."]]) == pytest.approx(
        {"bleu": 100, "chrf": 100, "rouge_l": 100}
    )
    assert caption_scores(["ape"], [["dog"]])["rouge_l"] == 0


def test_the_nearest_picture_lends_its_first_caption():
    images = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (0, 100, 250)])
    train = Pictures(images, [["dark"], ["grey", "dull"], ["light"]], ["a", "b", "c"])
    asked = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (240, 60, 20)])
    assert nearest_captions(train, asked) == ["light", "grey", "dark"]
