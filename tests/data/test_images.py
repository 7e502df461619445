"""Images of any size and mode, captions in three forms, and the splits of pictures that look alike."""

import io

import numpy as np
import pytest
from data_files import write, write_png
from PIL import Image

from seqjax.data import formats
from seqjax.data.pictures import Pictures, by_likeness, read_pictures

RED = (200, 10, 30)


def refused(match):
    return pytest.raises(ValueError, match=match)


def noise(seed, height=8, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def smooth(seed, width, height):
    """The same picture at every size."""
    return Image.fromarray(noise(seed, 4, 4)).resize((width, height), Image.Resampling.BICUBIC)


class TestPicture:
    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LA", "I;16", "I", "F"])
    def test_white_left_half_and_black_right_half_in_every_mode(self, tmp_path, mode):
        halves = np.zeros((6, 6, 3), np.uint8)
        halves[:, :3] = 255
        image = Image.fromarray(halves)
        if mode in ("I;16", "I", "F"):
            grey = np.asarray(image.convert("L")) / 255 * {"I;16": 65535, "I": 70_000, "F": 0.5}[mode]
            image = Image.fromarray(grey.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
        else:
            image = image.convert(mode)
        path = tmp_path / "a.tif"
        image.save(path) if mode != "HSV" else Image.fromarray(halves).save(path)
        np.testing.assert_array_equal(formats.read_picture(path, 6), halves)

    @pytest.mark.parametrize(("size", "place"), [((40, 10), np.s_[6:10, :]), ((5, 20), np.s_[:, 6:10])])
    def test_a_picture_is_kept_whole_on_white(self, tmp_path, size, place):
        Image.new("RGB", size, RED).save(tmp_path / "a.png")
        wanted = np.full((16, 16, 3), 255)
        wanted[place] = RED
        np.testing.assert_array_equal(formats.read_picture(tmp_path / "a.png", 16), wanted)

    def test_a_line_of_one_pixel_is_still_seen(self, tmp_path):
        Image.new("RGB", (3000, 1), RED).save(tmp_path / "a.png")
        assert (formats.read_picture(tmp_path / "a.png", 8) == RED).all(-1).sum() == 8

    def test_what_is_transparent_is_white(self, tmp_path):
        image = Image.new("RGBA", (4, 4), (*RED, 0))
        image.paste((*RED, 255), (0, 0, 2, 4))
        image.save(tmp_path / "a.png")
        seen = formats.read_picture(tmp_path / "a.png", 4)
        assert (seen[:, :2] == RED).all() and (seen[:, 2:] == 255).all()
        image.convert("RGB").quantize(2).save(tmp_path / "b.png", transparency=0)
        assert (formats.read_picture(tmp_path / "b.png", 4) == 255).any()

    def test_how_the_camera_was_held(self, tmp_path):
        halves = np.zeros((16, 16, 3), np.uint8)
        halves[:8] = 255
        exif = Image.Exif()
        exif[0x0112] = 3  # upside down
        Image.fromarray(halves).save(tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(formats.read_picture(tmp_path / "a.png", 16), halves[::-1])

    def test_the_first_frame_of_an_animation(self, tmp_path):
        frames = [Image.new("RGB", (4, 4), colour) for colour in ("white", "black")]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        assert (formats.read_picture(tmp_path / "a.gif", 4) == 255).all()

    def test_every_damage_is_one_clear_line(self, tmp_path):
        for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
            file, random = io.BytesIO(), np.random.default_rng(0)
            Image.fromarray(noise(0, 20, 20)).save(file, kind)
            path = tmp_path / f"a.{kind}"
            for _ in range(30):
                broken = bytearray(file.getvalue())[: random.integers(1, len(file.getvalue()))]
                for place in random.integers(0, len(broken), 4):
                    broken[place] = random.integers(256)
                path.write_bytes(broken)
                try:
                    assert formats.read_picture(path, 8).shape == (8, 8, 3)
                except ValueError as error:
                    assert str(error).startswith(f"{path}: no image that Pillow reads (")

    def test_no_image(self, tmp_path):
        with refused("a.svg: no image that Pillow reads .unknown format.; wanted PNG"):
            formats.read_picture(write(tmp_path / "a.svg", "<svg/>"), 8)
        with refused("b.png: no such file"):
            formats.read_picture(tmp_path / "b.png", 8)
        with refused("no such file"):
            formats.read_picture(tmp_path, 8)


class TestLikeness:
    def test_the_same_at_another_size_and_in_another_format(self, tmp_path):
        smooth(0, 160, 160).resize((320, 320), Image.Resampling.NEAREST).save(tmp_path / "a.png")
        smooth(0, 160, 160).save(tmp_path / "b.webp", lossless=True)
        found = [formats.read_picture(tmp_path / name, side) for name, side in (("a.png", 320), ("b.webp", 160))]
        assert len({formats.likeness(pixels) for pixels in (*found, np.asarray(smooth(0, 160, 160)))}) == 1

    def test_others_differ(self):
        assert len({formats.likeness(noise(seed)) for seed in range(20)}) == 20

    def test_doubles_fall_into_one_split_and_the_shares_are_kept(self):
        images = np.stack([noise(seed) for seed in range(300)])
        splits = by_likeness(images)
        assert by_likeness(images[::-1]) == splits[::-1]
        assert 0.7 < splits.count("train") / 300 < 0.9 and {*splits} == {"train", "validation", "test"}


class TestCaptions:
    def captions(self, tmp_path, text):
        return formats.read_captions(write(tmp_path / "captions.txt", text))

    def test_three_forms_say_the_same(self, tmp_path):
        wanted = [("a.jpg", "A dog , running ."), ("a.jpg", "Two dogs."), ("b.jpg", "It's a cat.")]
        tabs = "".join(f"{name}\t{text}\n" for name, text in wanted)
        numbered = "".join(f"{name}#{i}\t{text}\n" for i, (name, text) in enumerate(wanted))
        commas = 'image,caption\na.jpg,"A dog , running ."\na.jpg,Two dogs.\nb.jpg,It\'s a cat.\n'
        for text in (tabs, "image\tcaption\n" + tabs, numbered, commas):
            assert [caption[:2] for caption in self.captions(tmp_path, text)] == wanted
        assert [caption.line for caption in self.captions(tmp_path, commas)] == [2, 3, 4]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a.png\tA.\nb.png\n", "line 2: 1 of 1 columns filled; wanted an image's file name, a tab, a caption"),
            ("a.png\tA.\nb.png\t \n", "line 2: 1 of 2 columns filled"),
            ("image,caption\na.png,A,B\n", "line 2: 3 of 3 columns filled; wanted .* a comma"),
            ('image,caption\na.png,"A\n', "line 2: unexpected end of data"),
            ("", "no caption"),
            ("image,caption\n", "no caption"),
        ],
    )
    def test_errors_name_the_line(self, tmp_path, text, message):
        with refused(f"captions.txt(, |: ).*{message}" if message.startswith("no") else f"captions.txt, {message}"):
            self.captions(tmp_path, text)


class TestFolder:
    def folder(self, root, count=60, images="images", captions="captions.tsv", line="{name}\tPicture {i}.\n"):
        names = [f"p{i}.png" for i in range(count)]
        for i, name in enumerate(names):
            write_png(root / images / name, noise(i, 9, 12))
        write(root / captions, "".join(line.format(name=name, i=i) for i, name in enumerate(names)))
        return root

    @pytest.mark.parametrize(
        ("images", "captions"),
        [("images", "captions.tsv"), ("", "captions.txt"), ("Flicker8k_Dataset", "Flickr8k_text/Flickr8k.token.txt")],
    )
    def test_pictures_are_found_and_split(self, tmp_path, images, captions):
        parts = read_pictures(self.folder(tmp_path, images=images, captions=captions), 8)
        assert list(parts) == ["train", "validation", "test"] and sum(map(len, parts.values())) == 60
        for part in parts.values():
            for image, said, name in zip(part.images, part.captions, part.names, strict=True):
                assert said == [f"Picture {name[1:-4]}."]
                np.testing.assert_array_equal(image, formats.read_picture(tmp_path / images / name, 8))

    def test_several_captions_make_several_pairs_of_one_picture(self, tmp_path):
        parts = read_pictures(self.folder(tmp_path, line="{name}#0\tOne {i}.\n{name}#1\tTwo {i}.\n"), 8)
        pairs = parts["train"].pairs()
        assert len(pairs) == 2 * len(parts["train"])
        assert [pairs[i]["caption"][:3] for i in range(4)] == ["One", "Two", "One", "Two"]
        np.testing.assert_array_equal(pairs[1]["image"], parts["train"].images[0])

    def test_doubles_stay_on_one_side(self, tmp_path):
        self.folder(tmp_path)
        for i in range(60):
            smooth(i, 160, 160).save(tmp_path / f"images/p{i}.png")
            smooth(i, 160, 160).resize((320, 320), Image.Resampling.NEAREST).save(tmp_path / f"images/double{i}.png")
        lines = "".join(f"{kind}{i}.png\tNumber {i}\n" for kind in ("p", "double") for i in range(60))
        write(tmp_path / "captions.tsv", lines)
        sides = [{said[0] for said in part.captions} for part in read_pictures(tmp_path, 160).values()]
        assert sum(map(len, sides)) == 60

    def test_published_splits_are_kept(self, tmp_path):
        self.folder(tmp_path, count=5, captions="Flickr8k.token.txt")
        for name, members in (("train", "p3.png\np1.png\n"), ("dev", "p0.png"), ("test", "p4.png\n")):
            write(tmp_path / f"Flickr_8k.{name}Images.txt", members)
        parts = read_pictures(tmp_path, 8)
        assert {name: part.names for name, part in parts.items()} == {
            "train": ["p1.png", "p3.png"], "validation": ["p0.png"], "test": ["p4.png"],
        }  # fmt: skip

    def test_the_fingerprint_is_of_all(self):
        images, captions = np.stack([noise(0), noise(1)]), [["a"], ["b"]]
        others = [Pictures(images, captions, ["x", "y"]), Pictures(images[::-1], captions, ["x", "y"])]
        others += [Pictures(images, [["a"], ["c"]], ["x", "y"]), Pictures(images, captions, ["x", "z"])]
        assert len({pictures.fingerprint() for pictures in others}) == 4

    def test_mistakes_are_one_line(self, tmp_path):
        with refused("nowhere: no such folder"):
            read_pictures(tmp_path / "nowhere", 8)
        with refused("has no captions.tsv"):
            read_pictures(tmp_path, 8)
        self.folder(tmp_path, count=1)
        with refused("captions.tsv: 1 pictures, none of them for"):
            read_pictures(tmp_path, 8)
        write(tmp_path / "captions.tsv", "p0.png\tA.\np7.png\tB.\n")
        with refused(r"captions.tsv, line 2: no image p7.png in .* or .*images; add it or take the line out"):
            read_pictures(tmp_path, 8)
        (tmp_path / "images/p7.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
        with refused("p7.png: no image that Pillow reads"):
            read_pictures(tmp_path, 8)
