"""Scenes: the caption is true of the picture, and no caption has two splits."""

import itertools

import numpy as np
import pytest

from seqjax.data import batches
from seqjax.vision.scenes import (
    COLOURS,
    NOVEL,
    SHAPES,
    SHARES,
    SIZES,
    Scenes,
    captions,
    split_of,
)

SIDE = 32


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
            (top, left), (bottom, right) = (
                np.argwhere(shown).mean(0) for shown in scene["objects"]
            )
            across, down = right - left, bottom - top
            assert across > abs(down) if relation == "left of" else down > abs(across)
        relations.add(relation)
    assert relations == {None, "left of", "above"}


def test_objects_have_the_size_and_colour_named(scenes):
    for scene in scenes:
        for shown, (size, colour, _) in zip(
            scene["objects"], things_of(scene["caption"])[1], strict=False
        ):
            width = np.ptp(np.argwhere(shown)[:, 1]) + 1
            assert (width > 0.32 * SIDE) == (size == "large")
            mean = scene["image"][shown].mean(0)
            distances = {name: np.abs(mean - value).sum() for name, value in COLOURS.items()}
            assert min(distances, key=distances.get) == colour


def test_shapes_differ_and_are_drawn_alike_at_every_side():
    x, y = (np.mgrid[-1.2:1.2:96j, -1.2:1.2:96j])[::-1]
    inside = {name: distance(x, y) < 0 for name, distance in SHAPES.items()}
    for one, other in itertools.combinations(inside, 2):
        assert (inside[one] != inside[other]).mean() > 0.05
    assert inside["ring"][48, 48] == 0 and all(
        inside[name][48, 48] for name in SHAPES if name != "ring"
    )
    assert inside["triangle"][30].sum() < inside["triangle"][70].sum()  # it stands on its base


def combination(caption):
    return tuple(sorted((colour, shape) for _, colour, shape in things_of(caption)[1]))


def test_no_combination_has_two_splits():
    all_of_them = captions()
    assert len(all_of_them) == len({*all_of_them}) == 84 + 2 * 84**2
    assert len(SIZES) * len(COLOURS) * len(SHAPES) == 84
    split = {}
    for caption in all_of_them:
        assert split.setdefault(combination(caption), split_of(caption)) == split_of(caption)
    assert len(split) == 42 + 42 * 43 / 2
    counts = {name: sum(own == name for own in split.values()) for name in (*SHARES, "novel")}
    assert counts["novel"] == 7 + 7 * 8 / 2 + 7 * 35
    for name, share in SHARES.items():
        assert counts[name] / (len(split) - counts["novel"]) == pytest.approx(share / 100, abs=0.04)


def test_what_is_novel_is_a_colour_and_a_shape_that_never_met():
    met = {split: set() for split in (*SHARES, "novel")}
    for caption in captions():
        kinds = combination(caption)
        met[split_of(caption)] |= {*kinds}
        assert (split_of(caption) == "novel") == any(
            NOVEL[colour] == shape for colour, shape in kinds
        )
    assert met["train"] >= met["validation"] | met["test"] and not met["train"] & {*NOVEL.items()}
    assert {colour for colour, _ in met["train"]} == {*COLOURS} and {
        shape for _, shape in met["train"]
    } == {*SHAPES}


def test_a_split_shows_its_own_captions():
    for name in (*SHARES, "novel"):
        part = Scenes(name, 30, 16)
        said = {part[i]["caption"] for i in range(30)}
        assert said <= {*captions()} and {split_of(caption) for caption in said} == {name}


def test_a_scene_is_a_function_of_split_seed_and_place():
    one, same, other = (
        Scenes("test", 9, 16, seed=1),
        Scenes("test", 5, 16, seed=1),
        Scenes("test", 9, 16, seed=2),
    )
    np.testing.assert_array_equal(one[3]["image"], same[3]["image"])
    assert not np.array_equal(one[3]["image"], other[3]["image"]) and not np.array_equal(
        one[3]["image"], one[4]["image"]
    )
    assert len({one.fingerprint(), same.fingerprint(), other.fingerprint()}) == 3
    assert len([*one]) == 9


def test_they_make_batches():
    batch = next(batches(Scenes("train", 10**9, 16), 4, shuffle=False, drop_remainder=True))
    assert (
        batch["image"].shape == (4, 16, 16, 3)
        and batch["image"].dtype == np.uint8
        and len(batch["caption"]) == 4
    )


def test_mistakes():
    with pytest.raises(
        ValueError, match="no split 'dev'; choose one of train, validation, test, novel"
    ):
        Scenes("dev", 1)
    with pytest.raises(ValueError, match="side=8"):
        Scenes("train", 1, side=8)


def test_all_scenes_at_once_are_pictures_with_objects():
    part = Scenes("test", 4, 16, seed=3)
    pictures = part.pictures()
    assert pictures.captions == [[part[i]["caption"]] for i in range(4)]
    assert pictures.names == ["test 0", "test 1", "test 2", "test 3"]
    np.testing.assert_array_equal(pictures.images[2], part[2]["image"])
    taken = pictures.take([3, 1])
    np.testing.assert_array_equal(taken.objects[0], part[3]["objects"])
