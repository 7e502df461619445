"""Pictures with captions from folders of every form, and the splits of those that look alike."""

import numpy as np
import pytest
from PIL import Image

from seqjax import files
from seqjax.vision.captioned import Pictures, by_likeness, load_pictures, read_pictures
from tests.datasets.data_files import noise, smooth, write, write_png


def refused(match):
    return pytest.raises(ValueError, match=match)


def make_folder(
    root, count=60, images="images", captions="captions.tsv", line="{name}\tPicture {i}.\n"
):
    names = [f"p{i}.png" for i in range(count)]
    for i, name in enumerate(names):
        write_png(root / images / name, noise(i, 9, 12))
    write(root / captions, "".join(line.format(name=name, i=i) for i, name in enumerate(names)))
    return root


@pytest.mark.parametrize(
    ("images", "captions"),
    [
        ("images", "captions.tsv"),
        ("", "captions.txt"),
        ("Flicker8k_Dataset", "Flickr8k_text/Flickr8k.token.txt"),
        ("flickr30k-images", "results_20130124.token"),
        ("flickr30k_images", "results.csv"),
    ],
)
def test_pictures_are_found_and_split(tmp_path, images, captions):
    parts = read_pictures(make_folder(tmp_path, images=images, captions=captions), 8)
    assert list(parts) == ["train", "validation", "test"] and sum(map(len, parts.values())) == 60
    for part in parts.values():
        for image, said, name in zip(part.images, part.captions, part.names, strict=True):
            assert said == [f"Picture {name[1:-4]}."]
            np.testing.assert_array_equal(image, files.read_picture(tmp_path / images / name, 8))


def test_flickr8k_as_published_names_a_copy_and_an_image_that_is_not_there(tmp_path):
    make_folder(tmp_path, count=120, captions="Flickr8k.token.txt", line="{name}#0\tPicture {i}.\n")
    source = tmp_path / "Flickr8k.token.txt"
    lines = source.read_text().replace("p5.png#", "p5.png.1#")
    write(source, lines + "".join(f"lost.jpg.1#{i}\tNowhere.\n" for i in range(5)))
    with pytest.warns(
        UserWarning,
        match=r"token.txt, line 121: no image lost.jpg.1 in .*; captions of 1 of 121 images",
    ):
        parts = read_pictures(tmp_path, 8)
    names = [name for part in parts.values() for name in part.names]
    assert len(names) == 120 and "p5.png.1" in names and "lost.jpg.1" not in names
    write(source, lines + "lost.jpg\tNowhere.\ngone.jpg\tNowhere.\n")
    with refused(
        "line 121: no image lost.jpg in .*, and 1 more are missing; add it or take the line out"
    ):
        read_pictures(tmp_path, 8)


def test_a_collection_has_the_parts_of_a_folder(tiny):
    parts, origin = load_pictures("captions/stamps", 16, tiny)
    assert list(parts) == ["train", "validation", "test"] and origin
    names = [name for part in parts.values() for name in part.names]
    assert len(names) == len(set(names))
    assert {part.images.shape[1:] for part in parts.values()} == {(16, 16, 3)}
    assert all(len(said) == 1 for part in parts.values() for said in part.captions)


def test_several_captions_make_several_pairs_of_one_picture(tmp_path):
    parts = read_pictures(make_folder(tmp_path, line="{name}#0\tOne {i}.\n{name}#1\tTwo {i}.\n"), 8)
    pairs = parts["train"].pairs()
    assert len(pairs) == 2 * len(parts["train"])
    assert [pairs[i]["caption"][:3] for i in range(4)] == ["One", "Two", "One", "Two"]
    np.testing.assert_array_equal(pairs[1]["image"], parts["train"].images[0])


def test_doubles_stay_on_one_side(tmp_path):
    make_folder(tmp_path)
    for i in range(60):
        smooth(i, 160, 160).save(tmp_path / f"images/p{i}.png")
        smooth(i, 160, 160).resize((320, 320), Image.Resampling.NEAREST).save(
            tmp_path / f"images/double{i}.png"
        )
    lines = "".join(f"{kind}{i}.png\tNumber {i}\n" for kind in ("p", "double") for i in range(60))
    write(tmp_path / "captions.tsv", lines)
    sides = [{said[0] for said in part.captions} for part in read_pictures(tmp_path, 160).values()]
    assert sum(map(len, sides)) == 60


def test_published_splits_are_kept(tmp_path):
    make_folder(tmp_path, count=5, captions="Flickr8k.token.txt")
    for name, members in (("train", "p3.png\np1.png\n"), ("dev", "p0.png"), ("test", "p4.png\n")):
        write(tmp_path / f"Flickr_8k.{name}Images.txt", members)
    parts = read_pictures(tmp_path, 8)
    assert {name: part.names for name, part in parts.items()} == {
        "train": ["p1.png", "p3.png"],
        "validation": ["p0.png"],
        "test": ["p4.png"],
    }


def test_the_fingerprint_is_of_all():
    images, captions = np.stack([noise(0), noise(1)]), [["a"], ["b"]]
    others = [Pictures(images, captions, ["x", "y"]), Pictures(images[::-1], captions, ["x", "y"])]
    others += [Pictures(images, [["a"], ["c"]], ["x", "y"]), Pictures(images, captions, ["x", "z"])]
    assert len({pictures.fingerprint() for pictures in others}) == 4


def test_mistakes_are_one_line(tmp_path):
    with refused("nowhere: no such folder"):
        read_pictures(tmp_path / "nowhere", 8)
    with refused("has no captions.tsv"):
        read_pictures(tmp_path, 8)
    make_folder(tmp_path, count=1)
    with refused("captions.tsv: 1 pictures, none of them for"):
        read_pictures(tmp_path, 8)
    write(tmp_path / "captions.tsv", "p0.png\tA.\np7.png\tB.\n")
    with refused(
        r"captions.tsv, line 2: no image p7.png in .* or .*images; add it or take the line out"
    ):
        read_pictures(tmp_path, 8)
    (tmp_path / "images/p7.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with refused("p7.png: no image that Pillow reads"):
        read_pictures(tmp_path, 8)


def test_doubles_fall_into_one_split_and_the_shares_are_kept():
    images = np.stack([noise(seed) for seed in range(300)])
    splits = by_likeness(images)
    assert by_likeness(images[::-1]) == splits[::-1]
    assert 0.7 < splits.count("train") / 300 < 0.9 and {*splits} == {"train", "validation", "test"}
