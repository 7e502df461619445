"""Scenes: the caption is true of the picture, and no caption has two splits."""

import itertools

import numpy as np
import pytest

from seqjax.data import batches
from seqjax.data.scenes import COLOURS, SHAPES, SIZES, Scenes, captions, split_of

SIDE = 48


@pytest.fixture(scope="module")
def scenes():
    part = Scenes("train", 150, SIDE)
    return [part[i] for i in range(len(part))]


def things_of(caption):
    for relation in (" left of ", " above "):
        if relation in caption:
            one, other = caption.split(relation)
            return relation.strip(), [one.split()[1:], other.split()[1:]]
    return None, [caption.split()[1:]]


def test_the_relation_is_that_of_the_pixels(scenes):
    relations = set()
    for scene in scenes:
        relation, things = things_of(scene["caption"])
        assert [shown.any() for shown in scene["objects"]] == [True, len(things) == 2]
        if relation:
            (top, left), (bottom, right) = (np.argwhere(shown).mean(0) for shown in scene["objects"])
            across, down = right - left, bottom - top
            assert across > abs(down) if relation == "left of" else down > abs(across)
        relations.add(relation)
    assert relations == {None, "left of", "above"}


def test_objects_have_the_size_and_colour_named(scenes):
    for scene in scenes:
        for shown, (size, colour, _) in zip(scene["objects"], things_of(scene["caption"])[1], strict=False):
            width = np.ptp(np.argwhere(shown)[:, 1]) + 1
            assert (width > 0.26 * SIDE) == (size == "large")
            mean = scene["image"][shown].mean(0)
            distances = {name: np.abs(mean - value).sum() for name, value in COLOURS.items()}
            assert min(distances, key=distances.get) == colour


def test_shapes_differ_and_are_drawn_alike_at_every_side():
    x, y = (np.mgrid[-1.2:1.2:96j, -1.2:1.2:96j])[::-1]
    inside = {name: distance(x, y) < 0 for name, distance in SHAPES.items()}
    for one, other in itertools.combinations(inside, 2):
        assert (inside[one] != inside[other]).mean() > 0.05
    assert inside["ring"][48, 48] == 0 and all(inside[name][48, 48] for name in SHAPES if name != "ring")
    assert inside["triangle"][30].sum() < inside["triangle"][70].sum()  # it stands on its base


def test_a_split_is_a_property_of_the_caption():
    all_of_them = captions()
    assert len(all_of_them) == len({*all_of_them}) == 84 + 2 * 84**2
    assert len(SIZES) * len(COLOURS) * len(SHAPES) == 84
    shares = [
        sum(split_of(caption) == name for caption in all_of_them) / len(all_of_them) for name in ("train", "test")
    ]
    np.testing.assert_allclose(shares, [0.7, 0.2], atol=0.02)
    for name in ("train", "validation", "test"):
        part = Scenes(name, 30, 16)
        said = {part[i]["caption"] for i in range(30)}
        assert said <= {*all_of_them} and {split_of(caption) for caption in said} == {name}


def test_a_scene_is_a_function_of_split_seed_and_place():
    one, same, other = Scenes("test", 9, 16, seed=1), Scenes("test", 5, 16, seed=1), Scenes("test", 9, 16, seed=2)
    np.testing.assert_array_equal(one[3]["image"], same[3]["image"])
    assert not np.array_equal(one[3]["image"], other[3]["image"]) and not np.array_equal(
        one[3]["image"], one[4]["image"]
    )
    assert len({one.fingerprint(), same.fingerprint(), other.fingerprint()}) == 3
    assert len([*one]) == 9


def test_they_make_batches():
    batch = next(batches(Scenes("train", 10**9, 16), 4, shuffle=False, drop_remainder=True))
    assert batch["image"].shape == (4, 16, 16, 3) and batch["image"].dtype == np.uint8 and len(batch["caption"]) == 4


def test_mistakes():
    with pytest.raises(ValueError, match="no split 'dev'; choose one of train, validation, test"):
        Scenes("dev", 1)
    with pytest.raises(ValueError, match="side=8"):
        Scenes("train", 1, side=8)
