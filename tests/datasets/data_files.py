"""Files of every format and data set, small enough to write in a test."""

import gzip
import wave
from pathlib import Path

import numpy as np

from seqjax.datasets.registry import sounds


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_idx(path: Path, array: np.ndarray) -> Path:
    codes = {"uint8": 0x08, "int32": 0x0C, "float32": 0x0D}
    header = (
        bytes([0, 0, codes[array.dtype.name], array.ndim]) + np.array(array.shape, ">u4").tobytes()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + array.astype(array.dtype.newbyteorder(">")).tobytes()))
    return path


def write_wav(path: Path, samples: np.ndarray, rate: int = 8000, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def write_png(path: Path, pixels: np.ndarray) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_mat(path: Path, **cells: list[np.ndarray]) -> Path:
    """A MATLAB file of cell arrays."""
    from scipy import io

    path.parent.mkdir(parents=True, exist_ok=True)
    variables = {}
    for name, arrays in cells.items():
        variables[name] = np.empty((1, len(arrays)), object)
        for place, array in enumerate(arrays):
            variables[name][0, place] = array
    io.savemat(path, variables, do_compression=True)
    return path


def scales(count: int, seed: int = 0) -> list[np.ndarray]:
    """Pieces in two voices, which go up and down the white keys."""
    random = np.random.default_rng(seed)
    white = np.array([39, 41, 43, 44, 46, 48, 50, 51])
    rolls = []
    for length in random.choice([9, 12], count):
        steps = np.abs((np.arange(length) + random.integers(14)) % 14 - 7)
        roll = np.zeros((length, 88), np.uint8)
        roll[np.arange(length), white[steps]] = 1
        roll[np.arange(length), white[steps] - 12] = 1
        rolls.append(roll)
    return rolls


def tiny_files(root: Path) -> Path:
    """Every data set in the form of the published files, a few records each."""
    random = np.random.default_rng(0)
    write(root / "tiny_shakespeare/input.txt", "To be, or not to be: that is the question.\n" * 5)
    for name in ("mnist", "fashion_mnist"):
        for stem, count in (("train", 7), ("t10k", 3)):
            write_idx(
                root / name / f"{stem}-images-idx3-ubyte.gz",
                random.integers(0, 256, (count, 28, 28)).astype(np.uint8),
            )
            write_idx(
                root / name / f"{stem}-labels-idx1-ubyte.gz",
                random.integers(0, 10, count).astype(np.uint8),
            )
    for stem in ("train", "val", "test_2016_flickr"):
        for language, line in (
            ("de", "Ein Hund läuft."),
            ("en", "A dog runs."),
            ("fr", "Un chien court."),
        ):
            write(
                root / "multi30k" / f"{stem}.{language}.gz", f"{line}\n{stem} 2\u2028still line 2\n"
            )
    for index in (0, 5, 11):
        for digit in (3, 7):
            write_wav(
                root / f"fsdd/recordings/{digit}_ann_{index}.wav", np.arange(20 + index + digit)
            )
    for stem in ("train", "dev", "test"):
        words = "# sent_id = x-1\n1\tA\ta\tDET\tDT\t_\t2\tdet\t_\t_\n2\tdög\tdog\tNOUN\tNN\t_\t0\troot\t_\t_\n\n"
        write(root / "gum" / f"{stem}.conllu.gz", words * 2)
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        write(root / "wnut17" / name, "Empire\tB-location\nState\tI-location\n\t\n:)\tO\n\n")
    chunks = "A DT B-NP\nDog NN I-NP\nruns VBZ B-VP\n. . O\n\n"
    for stem in ("train", "test"):
        write(root / "conll2000" / f"{stem}.txt.gz", chunks * 10)
    for name in ("atis", "snips"):
        for split in ("train", "valid", "test"):
            # SNIPS has a blank at the end of each line of slots.
            write(root / name / split / "seq.in", "fly to new york\nstop\n")
            write(root / name / split / "seq.out", "O O B-city I-city \nO \n")
            write(root / name / split / "label", "flight\nhalt\n")
    for split in ("train", "valid", "test"):
        write(root / "penn" / f"ptb.{split}.txt.gz", f" no it was n't <unk> \n {split} N \n")
    for split in ("train", "dev", "test"):
        for language in sounds.LANGUAGES:
            path = root / "sigmorphon2020" / split / f"{language}_{split}.tsv"
            write(path, "ab\ta bː\nba\tb a\n")
    for split in ("train", "dev", "test"):
        write(root / "sst2" / f"stsa.binary.{split}", "1 a fine film .\n0 dull .\n")
    lines = "@problemName Vowels\n@classLabel true 1 2\n@data\n"
    for label, length in (("1", 3), ("2", 2)):
        channel = ",".join(f"{step + 0.25}" for step in range(length))
        lines += ":".join([channel] * 12) + f":{label}\n"
    for split in ("TRAIN", "TEST"):
        write(root / f"series_classification/JapaneseVowels_{split}.ts", lines)
    parts = {"traindata": scales(6), "validdata": scales(2, 1), "testdata": scales(2, 2)}
    for name in ("JSB_Chorales", "MuseData", "Nottingham", "Piano_midi"):
        write_mat(root / f"music/{name}.mat", **parts)
    header = "date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT\n"
    rows = "".join(
        f"2016-07-01 {hour}:00,{hour}.1,1,2,3,4,5,{hour + 0.25}\n" for hour in range(14_500)
    )
    for station in ("h1", "h2"):
        write(root / f"ett/ETT{station}.csv", header + rows)
    write(
        root / "m4/Hourly-train.csv",
        '"V1","V2","V3","V4"\n"H1","1","2.125","3"\n"H2","7","0.1",""\n',
    )
    write(root / "m4/Hourly-test.csv", '"V1","V2","V3"\n"H1","4","5"\n"H2","8","9"\n')
    rates = random.random((20, 8)).round(6).tolist()
    lines = [",".join(map(str, day)) for day in rates]
    write(root / "exchange_rate/exchange_rate.txt", "\n".join(lines) + "\n")
    for collection in ("stamps", "emoji"):
        names = [f"{collection}{number}.png" for number in range(30)]
        for name in names:
            pixels = random.integers(0, 256, (64, 64, 3)).astype(np.uint8)
            write_png(root / "captions" / collection / "images" / name, pixels)
        lines = "".join(f"{name}\tPicture {number}.\n" for number, name in enumerate(names))
        write(root / "captions" / collection / "captions.tsv", lines)
    return root


def noise(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def smooth(seed: int, width: int, height: int):
    """The same picture at every size."""
    from PIL import Image

    return Image.fromarray(noise(seed, 4, 4)).resize((width, height), Image.Resampling.BICUBIC)
