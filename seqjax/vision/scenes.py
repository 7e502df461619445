"""Scenes drawn on the fly, each with the one sentence that is true of it: pictures whose captions are known exactly."""

import hashlib
import itertools
from typing import Any, NamedTuple

import numpy as np

from seqjax.data.splits import hash_splits
from seqjax.vision.captioned import Pictures

SIZES = {"small": 0.135, "large": 0.22}
"""Half the width of an object, as a share of the picture's."""

COLOURS = {
    "red": (214, 40, 40),
    "orange": (244, 140, 6),
    "yellow": (250, 215, 40),
    "green": (44, 150, 60),
    "blue": (40, 80, 210),
    "purple": (130, 50, 160),
    "white": (245, 245, 245),
}

# Each is negative inside, positive outside, about a distance near the edge; x runs right, y down,
# the radius is 1.
SHAPES = {
    "circle": lambda x, y: np.hypot(x, y) - 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) - 0.88,
    "triangle": lambda x, y: np.maximum(y - 0.85, 0.87 * abs(x) - 0.5 * (y + 1)),
    "diamond": lambda x, y: 0.71 * (abs(x) + abs(y) - 1.1),
    "cross": lambda x, y: np.maximum(
        np.minimum(abs(x), abs(y)) - 0.36, np.maximum(abs(x), abs(y)) - 1
    ),
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.75) - 0.27,
}

BESIDE, ABOVE = "left of", "above"
APART = 0.12
"""How much further apart two objects are in one direction than in the other, so that no relation is in doubt."""

SHARES = {"train": 70, "validation": 10, "test": 20}
"""Per cent of the combinations that a split has; that of a combination is for good."""

NOVEL = dict(zip(COLOURS, [*list(SHAPES)[2:], *SHAPES], strict=False))
"""Of each colour the shape that only the split "novel" shows in it."""

SPLITS = (*SHARES, "novel")


class Thing(NamedTuple):
    """What an object is."""

    size: str
    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.size} {self.colour} {self.shape}"


class Scenes:
    """Scenes of one or two objects and their captions, such as "a large red circle left of a small blue square".

    The first object named is the one further left, or where their distance is greater downwards the
    upper one. It is a source of records for `seqjax.data.batches`; scene i is a pure function of
    (split, seed, i).

    What is unseen: a combination is the colours and shapes that a scene shows together, such as
    blue square and red circle, whatever their sizes, order and places. One of "validation" or
    "test" is in no scene of "train", while each of its objects is, in other company or alone.
    "novel" is stricter: each of its scenes has an object whose colour and shape never meet in the
    other splits (`NOVEL`), though both are there.

    Args:
      split: "train", "validation", "test" or "novel".
      size: how many scenes there are.
      side: pixels of a side.
      seed: of the draws.

    Raises:
      ValueError: the split is unknown, or a number is out of range.

    Example:
      >>> scenes = Scenes("train", size=1000)
      >>> scenes[0]["caption"], scenes[0]["image"].shape, scenes[0]["objects"].shape
      ('a small red circle above a large orange square', (32, 32, 3), (2, 32, 32))
    """

    def __init__(self, split: str, size: int, side: int = 32, seed: int = 0):
        if split not in SPLITS:
            raise ValueError(f"scenes have no split {split!r}; choose one of {', '.join(SPLITS)}")
        if side < 16 or size < 1 or seed < 0:
            raise ValueError(
                f"size={size}, side={side}, seed={seed}; give at least 1, 16 pixels, and 0"
            )
        self.split, self.size, self.side, self.seed = split, size, side, seed
        self._stream = SPLITS.index(split)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One scene: `image` uint8 `[side, side, 3]`, `caption`, and `objects`, bool `[2, side, side]`.

        `objects` says which pixels show the first and the second object named; all are False where
        there is no second.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"scene {index} of {self.size}")
        random = np.random.default_rng([self.seed, self._stream, index])
        while True:
            things, places = _arrangement(random)
            caption = _caption(things, places)
            if split_of(caption) == self.split:
                return {"caption": caption} | _drawn(random, things, places, self.side)

    def pictures(self) -> Pictures:
        """Draws all of them, with their objects."""
        records = [self[index] for index in range(self.size)]
        return Pictures(
            np.stack([record["image"] for record in records]),
            [[record["caption"]] for record in records],
            [f"{self.split} {index}" for index in range(self.size)],
            np.stack([record["objects"] for record in records]),
        )

    def fingerprint(self) -> str:
        """The sha256 of the first scene and of what the others are drawn from."""
        first = self[0]
        settings = repr((self.split, self.size, self.side, self.seed, first["caption"])).encode()
        return hashlib.sha256(settings + first["image"].tobytes()).hexdigest()


def captions() -> list[str]:
    """Every caption that there is, of all splits: 84 of one object, 14,112 of two."""
    things = [Thing(*names) for names in itertools.product(SIZES, COLOURS, SHAPES)]
    pairs = itertools.product(things, (BESIDE, ABOVE), things)
    return [f"a {thing}" for thing in things] + [
        f"a {one} {relation} a {other}" for one, relation, other in pairs
    ]


def split_of(caption: str) -> str:
    """The split that a caption belongs to, by the colours and shapes that it names together."""
    words = caption.split()
    kinds = [(words[place - 1], word) for place, word in enumerate(words) if word in SHAPES]
    if any(NOVEL[colour] == shape for colour, shape in kinds):
        return "novel"
    return hash_splits([repr(sorted(kinds))], SHARES)[0]


def _arrangement(random: np.random.Generator) -> tuple[list[Thing], np.ndarray]:
    """Objects in the order they are named in, and their centres `[objects, (x, y)]` in shares of the picture."""
    count = 1 if random.random() < 0.1 else 2
    choose = lambda names: list(names)[random.integers(len(names))]  # noqa: E731
    things = [Thing(choose(SIZES), choose(COLOURS), choose(SHAPES)) for _ in range(count)]
    radii = np.array([SIZES[thing.size] for thing in things])
    while True:
        # Many at a time: of two large objects few arrangements are clear ones.
        places = random.uniform(radii[:, None], 1 - radii[:, None], (32, count, 2))
        if count == 1:
            return things, places[0]
        apart = np.abs(places[:, 0] - places[:, 1])
        clear = (np.abs(apart[:, 0] - apart[:, 1]) > APART) & (apart.max(1) > radii.sum() + 0.02)
        if clear.any():
            first = clear.argmax()
            order = np.argsort(places[first, :, int(apart[first, 1] > apart[first, 0])])
            return [things[place] for place in order], places[first, order]


def _caption(things: list[Thing], places: np.ndarray) -> str:
    if len(things) == 1:
        return f"a {things[0]}"
    across, down = np.abs(places[0] - places[1])
    return f"a {things[0]} {BESIDE if across > down else ABOVE} a {things[1]}"


def _drawn(
    random: np.random.Generator, things: list[Thing], places: np.ndarray, side: int
) -> dict[str, np.ndarray]:
    """The picture, on a background of any grey, in colours that vary a little, and the pixels of its objects."""
    # In single precision, which is twice as fast: many are drawn for each step of a training.
    image = 4 * random.standard_normal((side, side, 3), np.float32)
    image += np.float32(random.uniform(30, 150) + random.uniform(-12, 12, 3))
    objects = np.zeros((2, side, side), bool)
    y, x = np.mgrid[:side, :side].astype(np.float32) + np.float32(0.5)
    for index, (thing, centre) in enumerate(zip(things, places, strict=True)):
        radius = np.float32(SIZES[thing.size] * side * random.uniform(0.9, 1.05))
        left, top = (centre * side).astype(np.float32)
        cover = np.clip(
            0.5 - radius * SHAPES[thing.shape]((x - left) / radius, (y - top) / radius), 0, 1
        )
        colour = (np.array(COLOURS[thing.colour]) + random.uniform(-14, 14, 3)).astype(np.float32)
        image += cover[..., None] * (colour - image)
        objects[index] = cover > 0.5
    return {"image": np.clip(image, 0, 255).astype(np.uint8), "objects": objects}
