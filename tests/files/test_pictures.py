"""Images of any size and mode, captions in three forms."""

import io

import numpy as np
import pytest
from PIL import Image

from seqjax import files
from tests.datasets.data_files import noise, smooth, write

RED = (200, 10, 30)


def refused(match):
    return pytest.raises(ValueError, match=match)


class TestPicture:
    @pytest.mark.parametrize(
        "mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LA", "I;16", "I", "F"]
    )
    def test_white_left_half_and_black_right_half_in_every_mode(self, tmp_path, mode):
        halves = np.zeros((6, 6, 3), np.uint8)
        halves[:, :3] = 255
        image = Image.fromarray(halves)
        if mode in ("I;16", "I", "F"):
            grey = (
                np.asarray(image.convert("L")) / 255 * {"I;16": 65535, "I": 70_000, "F": 0.5}[mode]
            )
            image = Image.fromarray(
                grey.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
            )
        else:
            image = image.convert(mode)
        path = tmp_path / "a.tif"
        image.save(path) if mode != "HSV" else Image.fromarray(halves).save(path)
        np.testing.assert_array_equal(files.read_picture(path, 6), halves)

    @pytest.mark.parametrize("bits", [8, 12, 16])
    def test_greys_of_fewer_bits_in_16_are_not_black(self, tmp_path, bits):
        ramp = np.linspace(0, 2**bits - 1, 36).round().reshape(6, 6)
        Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / "a.png")
        wanted = (ramp / (2**bits - 1) * 255).round()
        np.testing.assert_array_equal(files.read_picture(tmp_path / "a.png", 6)[..., 1], wanted)
        for channels in (1, 3):
            np.testing.assert_array_equal(
                files.read_image(tmp_path / "a.png", (6, 6, channels))[..., 0], wanted
            )

    @pytest.mark.parametrize(
        ("size", "place"), [((40, 10), np.s_[6:10, :]), ((5, 20), np.s_[:, 6:10])]
    )
    def test_a_picture_is_kept_whole_on_white(self, tmp_path, size, place):
        Image.new("RGB", size, RED).save(tmp_path / "a.png")
        wanted = np.full((16, 16, 3), 255)
        wanted[place] = RED
        np.testing.assert_array_equal(files.read_picture(tmp_path / "a.png", 16), wanted)

    def test_a_line_of_one_pixel_is_still_seen(self, tmp_path):
        Image.new("RGB", (3000, 1), RED).save(tmp_path / "a.png")
        assert (files.read_picture(tmp_path / "a.png", 8) == RED).all(-1).sum() == 8

    def test_what_is_transparent_is_white(self, tmp_path):
        image = Image.new("RGBA", (4, 4), (*RED, 0))
        image.paste((*RED, 255), (0, 0, 2, 4))
        image.save(tmp_path / "a.png")
        seen = files.read_picture(tmp_path / "a.png", 4)
        assert (seen[:, :2] == RED).all() and (seen[:, 2:] == 255).all()
        image.convert("RGB").quantize(2).save(tmp_path / "b.png", transparency=0)
        assert (files.read_picture(tmp_path / "b.png", 4) == 255).any()

    def test_how_the_camera_was_held(self, tmp_path):
        halves = np.zeros((16, 16, 3), np.uint8)
        halves[:8] = 255
        exif = Image.Exif()
        exif[0x0112] = 3  # upside down
        Image.fromarray(halves).save(tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(files.read_picture(tmp_path / "a.png", 16), halves[::-1])

    def test_the_first_frame_of_an_animation(self, tmp_path):
        frames = [Image.new("RGB", (4, 4), colour) for colour in ("white", "black")]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        assert (files.read_picture(tmp_path / "a.gif", 4) == 255).all()

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
                    assert files.read_picture(path, 8).shape == (8, 8, 3)
                except ValueError as error:
                    assert str(error).startswith(f"{path}: no image that Pillow reads (")

    def test_no_image(self, tmp_path):
        with refused("a.svg: no image that Pillow reads .unknown format.; wanted PNG"):
            files.read_picture(write(tmp_path / "a.svg", "<svg/>"), 8)
        with refused("b.png: no such file"):
            files.read_picture(tmp_path / "b.png", 8)
        with refused("no such file"):
            files.read_picture(tmp_path, 8)


class TestLikeness:
    def test_the_same_at_another_size_and_in_another_format(self, tmp_path):
        smooth(0, 160, 160).resize((320, 320), Image.Resampling.NEAREST).save(tmp_path / "a.png")
        smooth(0, 160, 160).save(tmp_path / "b.webp", lossless=True)
        found = [
            files.read_picture(tmp_path / name, side)
            for name, side in (("a.png", 320), ("b.webp", 160))
        ]
        assert (
            len({files.likeness(pixels) for pixels in (*found, np.asarray(smooth(0, 160, 160)))})
            == 1
        )

    def test_others_differ(self):
        assert len({files.likeness(noise(seed)) for seed in range(20)}) == 20


class TestCaptions:
    def captions(self, tmp_path, text):
        return files.read_captions(write(tmp_path / "captions.txt", text))

    def test_three_forms_say_the_same(self, tmp_path):
        wanted = [("a.jpg", "A dog , running ."), ("a.jpg", "Two dogs."), ("b.jpg", "It's a cat.")]
        tabs = "".join(f"{name}\t{text}\n" for name, text in wanted)
        numbered = "".join(f"{name}#{i}\t{text}\n" for i, (name, text) in enumerate(wanted))
        commas = 'image,caption\na.jpg,"A dog , running ."\na.jpg,Two dogs.\nb.jpg,It\'s a cat.\n'
        for text in (tabs, "image\tcaption\n" + tabs, numbered, commas):
            assert [caption[:2] for caption in self.captions(tmp_path, text)] == wanted
        assert [caption.line for caption in self.captions(tmp_path, commas)] == [2, 3, 4]

    def test_the_table_of_flickr30k(self, tmp_path):
        head = "image_name| comment_number| comment\n"
        rows = 'a.jpg| 0| A "dog" | runs .\na.jpg| 4   A dog runs across the grass .\nb.jpg| 0| One, two.\n\n'
        assert [caption[:2] for caption in self.captions(tmp_path, head + rows)] == [
            ("a.jpg", 'A "dog" | runs .'),
            ("a.jpg", "A dog runs across the grass ."),
            ("b.jpg", "One, two."),
        ]
        with refused(
            "captions.txt, line 2: 1 of 1 columns filled; wanted an image's file name, a bar, a number, a bar"
        ):
            self.captions(tmp_path, head + "a.jpg\tA dog.\n")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "a.png\tA.\nb.png\n",
                "line 2: 1 of 1 columns filled; wanted an image's file name, a tab, a caption",
            ),
            ("a.png\tA.\nb.png\t \n", "line 2: 1 of 2 columns filled"),
            ("image,caption\na.png,A,B\n", "line 2: 3 of 3 columns filled; wanted .* a comma"),
            ('image,caption\na.png,"A\n', "line 2: unexpected end of data"),
            ("", "no caption"),
            ("image,caption\n", "no caption"),
        ],
    )
    def test_errors_name_the_line(self, tmp_path, text, message):
        with refused(
            f"captions.txt(, |: ).*{message}"
            if message.startswith("no")
            else f"captions.txt, {message}"
        ):
            self.captions(tmp_path, text)
