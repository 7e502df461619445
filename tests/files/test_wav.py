"""WAV files of every make: what soundfile reads whole is whole, and what is cut off is told."""

import struct

import numpy as np
import pytest
import soundfile

from seqjax import files

SAMPLES = (np.arange(1, 202) * 37 % 20_000 - 10_000).astype("<i2")
DATA = SAMPLES.tobytes()
WIDE = b"".join((100 * int(value)).to_bytes(3, "little", signed=True) for value in SAMPLES)
FLOATS = SAMPLES / 32768
SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")
LIST = b"INFOISFT\x05\0\0\0Lavf\0\0"


def chunk(name, data, size=None, pad=True):
    size = len(data) if size is None else size
    return name + struct.pack("<I", size) + data + b"\0" * (pad and len(data) % 2)


def form(encoding=1, bits=16, extensible=False):
    width = bits // 8
    head = struct.pack(
        "<HHIIHH", 0xFFFE if extensible else encoding, 1, 8000, 8000 * width, width, bits
    )
    more = struct.pack("<HHIH", 22, bits, 4, encoding) + SUBFORMAT
    return chunk(b"fmt ", head + more if extensible else head)


def wav(*chunks, size=None, head=b"RIFF"):
    body = b"WAVE" + b"".join(chunks)
    return head + struct.pack("<I", len(body) if size is None else size) + body


def long_wav():
    sizes = struct.pack("<QQQI", len(DATA) + 72, len(DATA), len(SAMPLES), 0)
    return wav(
        chunk(b"ds64", sizes), form(), chunk(b"data", DATA, 2**32 - 1), size=2**32 - 1, head=b"RF64"
    )


def big_endian():
    head = b"fmt " + struct.pack(">IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    body = b"WAVE" + head + b"data" + struct.pack(">I", len(DATA)) + SAMPLES.astype(">i2").tobytes()
    return b"RIFX" + struct.pack(">I", len(body)) + body


PLAIN = wav(form(), chunk(b"data", DATA))
WHOLE = {
    "plain": PLAIN,
    "a pipe of sox": wav(form(), chunk(b"data", DATA, 0x7FFFF000), size=0x7FFFF024),
    "a pipe of arecord": wav(form(), chunk(b"data", DATA, 0x80000000), size=0x80000024),
    "a pipe, largest signed": wav(form(), chunk(b"data", DATA, 0x7FFFFFFF - 36), size=0x7FFFFFFF),
    "a pipe, largest": wav(form(), chunk(b"data", DATA, 2**32 - 1), size=2**32 - 1),
    "a pipe that knows its samples": wav(form(), chunk(b"data", DATA), size=0x7FFFF024),
    "the size of the file": wav(form(), chunk(b"data", DATA), size=len(PLAIN)),
    "too small a size": wav(form(), chunk(b"data", DATA), size=100),
    "8 bits without a pad byte": wav(form(bits=8), chunk(b"data", DATA[:101], pad=False), size=138),
    "24 bits without a pad byte": wav(
        form(bits=24), chunk(b"data", WIDE, pad=False), size=37 + len(WIDE)
    ),
    "24 bits": wav(form(bits=24), chunk(b"data", WIDE)),
    "32 bits": wav(form(bits=32), chunk(b"data", (SAMPLES.astype("<i4") << 16).tobytes())),
    "floating point": wav(form(3, 32), chunk(b"data", FLOATS.astype("<f4").tobytes())),
    "double precision": wav(form(3, 64), chunk(b"data", FLOATS.astype("<f8").tobytes())),
    "extensible": wav(form(extensible=True), chunk(b"data", DATA)),
    "extensible, 24 bits": wav(form(bits=24, extensible=True), chunk(b"data", WIDE)),
    "extensible, floating point": wav(
        form(3, 32, True), chunk(b"data", FLOATS.astype("<f4").tobytes())
    ),
    "chunks before": wav(
        chunk(b"JUNK", b"abc"), form(), chunk(b"bext", b"x" * 601), chunk(b"data", DATA)
    ),
    "a list after": wav(form(), chunk(b"data", DATA), chunk(b"LIST", LIST)),
    "a list after, cut": wav(form(), chunk(b"data", DATA), chunk(b"LIST", LIST))[:-8],
    "noise after": PLAIN + bytes(100),
    "half a sample more": wav(form(), chunk(b"data", DATA + b"x")),
    "big endian": big_endian(),
    "64-bit sizes": long_wav(),
}
SIXTEEN_BITS = [
    name for name in WHOLE if "bits" not in name and "floating" not in name and "double" not in name
]
CUT = {
    "cut": PLAIN[:-100],
    "cut by a byte": PLAIN[:-1],
    "cut, its size mended": wav(form(), chunk(b"data", DATA)[:-100]),
    "cut with 64-bit sizes": long_wav()[:-100],
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_soundfile_reads_whole_is_whole(tmp_path, name):
    path = tmp_path / "a.wav"
    path.write_bytes(WHOLE[name])
    wanted, rate = soundfile.read(path, dtype="float32")
    assert len(wanted) == (101 if name.startswith("8") else 201)
    found_rate, found = files.read_audio(path)
    assert found_rate == rate == 8000
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", SIXTEEN_BITS)
def test_samples_of_16_bits_are_read_without_it(tmp_path, name):
    (tmp_path / "a.wav").write_bytes(WHOLE[name])
    rate, found = files.read_wav(tmp_path / "a.wav")
    assert rate == 8000 and found.dtype == np.int16
    np.testing.assert_array_equal(found, SAMPLES)


def test_a_size_that_was_never_filled_in_is_that_of_the_file(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(form(), chunk(b"data", DATA, 0), size=0))
    np.testing.assert_array_equal(files.read_audio(path)[1], SAMPLES / np.float32(32768))
    np.testing.assert_array_equal(files.read_wav(path)[1], SAMPLES)


@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_off_is_told(tmp_path, name):
    path = tmp_path / "a.wav"
    path.write_bytes(CUT[name])
    for read in (files.read_audio, files.read_wav):
        with pytest.raises(
            ValueError, match=r"a.wav: holds \d+ samples, its header promises 201; fetch it again"
        ):
            read(path)


@pytest.mark.parametrize("name", ["24 bits", "floating point", "extensible, floating point"])
def test_other_samples_want_another_reader(tmp_path, name):
    (tmp_path / "a.wav").write_bytes(WHOLE[name])
    with pytest.raises(
        ValueError, match=r"1 channels of 24 bits; wanted mono of 16|no PCM WAV file \(format 3\)"
    ):
        files.read_wav(tmp_path / "a.wav")


def test_every_cut_of_a_header_is_one_line(tmp_path):
    path = tmp_path / "a.wav"
    for end in range(len(PLAIN) - len(DATA) + 1):
        path.write_bytes(PLAIN[:end])
        for read in (files.read_audio, files.read_wav):
            with pytest.raises(ValueError) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_what_is_written_is_read(tmp_path):
    path, sound = tmp_path / "a.wav", np.sin(np.arange(500) / 5)
    files.write_wav(path, 8000, sound)
    for read in (files.read_wav, files.read_audio):
        rate, samples = read(path)
        loudest = 32767 if samples.dtype == np.int16 else 1.0
        assert rate == 8000
        np.testing.assert_allclose(samples / loudest, sound, atol=1e-4)
    files.write_wav(path, 8000, np.array([2.0, -2.0]))
    assert files.read_wav(path)[1].tolist() == [32767, -32767]
    with pytest.raises(ValueError, match=r"samples are int16\[2\]; give floats of one channel"):
        files.write_wav(path, 8000, np.zeros(2, np.int16))
