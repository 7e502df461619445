"""Images and sound: MNIST and Fashion-MNIST, spoken digits, and pictures with captions."""

from pathlib import Path

import numpy as np

from seqjax.data.splits import hash_splits
from seqjax.datasets.download import Remote
from seqjax.datasets.sets.raw import RawSet, path_of
from seqjax.files import likeness, list_recordings, read_idx, read_image, read_tsv, read_wav

MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
FASHION_MNIST_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FSDD_URL = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
)

IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# The sums that TFDS records for its own builders.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}

FSDD_RATE = 8000
FSDD_TEST_INDICES = range(5)
CAPTION_SHARES = {"train": 80, "validation": 10, "test": 10}
CAPTION_SHAPE = (64, 64, 3)


def _idx(folder: Path, split: str) -> dict:
    image_path, label_path = (path_of(folder, name) for name in IDX_FILES[split])
    images, labels = read_idx(image_path, ndim=3), read_idx(label_path, ndim=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{image_path} has {len(images):,} images, {label_path} {len(labels):,} labels; fetch both again"
        )
    if images.shape[1:] != (28, 28) or images.dtype != np.uint8:
        raise ValueError(
            f"{image_path}: images {images.dtype}{list(images.shape[1:])}; wanted uint8[28, 28]"
        )
    if labels.size and labels.max() > 9:
        raise ValueError(
            f"{label_path}: the label {labels.max()} at {labels.argmax()}; wanted 0 to 9"
        )
    return {"image": images[..., None], "label": labels.astype(np.int64)}


def _idx_set(name: str, url: str, sums: dict[str, str]) -> RawSet:
    remotes = tuple(Remote(f"{url}{stem}.gz", f"{stem}.gz", sums[stem]) for stem in sums)
    return RawSet(name=name, folder=name, files=IDX_FILES, reader=_idx, remotes=remotes)


MNIST = _idx_set("mnist", MNIST_URL, MNIST_SHA256)
FASHION_MNIST = _idx_set("fashion_mnist", FASHION_MNIST_URL, FASHION_MNIST_SHA256)


def _fsdd(folder: Path, split: str) -> dict:
    recordings = list_recordings(folder / "recordings")
    if wrong := [
        recording for recording in recordings if recording.label not in tuple("0123456789")
    ]:
        raise ValueError(
            f"{wrong[0].path}: the label {wrong[0].label!r} is no digit; rename it digit_speaker_index.wav"
        )
    chosen = [
        recording
        for recording in recordings
        if (recording.index in FSDD_TEST_INDICES) == (split == "test")
    ]
    return {
        "audio": [_samples(recording.path) for recording in chosen],
        "label": np.array([int(recording.label) for recording in chosen], np.int64),
        "speaker": [recording.speaker for recording in chosen],
        "file": [recording.path.name for recording in chosen],
    }


def _samples(path: Path) -> np.ndarray:
    rate, samples = read_wav(path)
    if rate != FSDD_RATE:
        raise ValueError(f"{path}: {rate} samples a second; wanted {FSDD_RATE}; resample it")
    return samples


FSDD = RawSet(
    name="fsdd",
    folder="fsdd",
    files={"train": ("recordings",), "test": ("recordings",)},
    reader=_fsdd,
    remotes=(Remote(FSDD_URL, "recordings/"),),
)


def _captions(folder: Path, split: str) -> dict:
    path = path_of(folder, "captions.tsv")
    table = read_tsv(path, ("file", "caption"))
    if missing := [name for name in table["file"] if not (folder / "images" / name).is_file()]:
        line = table["file"].index(missing[0]) + 1
        raise ValueError(
            f"{path}, line {line}: no image {folder / 'images' / missing[0]}; add it or take the line out"
        )
    images = [read_image(folder / "images" / name, CAPTION_SHAPE) for name in table["file"]]
    # By what they look like, so that a picture and its double never stand on both sides.
    places = hash_splits([likeness(image) for image in images], CAPTION_SHARES)
    chosen = [index for index, place in enumerate(places) if split in (place, "full")]
    return {
        "image": np.stack([images[i] for i in chosen])
        if chosen
        else np.zeros((0, *CAPTION_SHAPE), np.uint8),
        "caption": [table["caption"][i] for i in chosen],
        "file": [table["file"][i] for i in chosen],
    }


def captions(collection: str) -> RawSet:
    """Pictures of 64x64 pixels with one English caption each: "stamps" or "emoji"."""
    return RawSet(
        name=f"captions/{collection}",
        folder=f"captions/{collection}",
        files={split: ("captions.tsv",) for split in (*CAPTION_SHARES, "full")},
        reader=_captions,
    )
