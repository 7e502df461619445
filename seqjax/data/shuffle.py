"""Shuffled order as a function of the place: a permutation that need not be held to be read anywhere.

A Feistel network of four rounds of Simon's round function (Beaulieu et al., 2013) permutes the
numbers of a few bits; what falls outside the records is permuted again until it falls inside (cycle
walking: Black and Rogaway, 2002). The order is that of grain's `MapDataset.shuffle`, in which
earlier runs were begun, for thousands of places at once.
"""

import functools

import numpy as np

CHUNK = 1 << 16
"""Places that are worked out at once."""

LEAST_BITS = 16
"""Bits of the numbers that are permuted, at least."""

ROUNDS = 4


def shuffled(start: int, stop: int, records: int, seed: int) -> np.ndarray:
    """Returns the records at some places of a shuffled order.

    Args:
      start: the first place, from 0.
      stop: the place after the last one; at most `records`.
      records: how many there are.
      seed: of the order, 32 bits.

    Returns:
      Indices, int64 `[stop - start]`. Those of all places are a permutation.

    Example:
      >>> sorted(shuffled(0, 5, records=5, seed=1).tolist())
      [0, 1, 2, 3, 4]
    """
    first, last = start // CHUNK, -(-stop // CHUNK)
    chunks = [_chunk(chunk, records, seed) for chunk in range(first, last)]
    order = np.concatenate(chunks) if chunks else np.zeros(0, np.int64)
    return order[start - first * CHUNK : stop - first * CHUNK]


@functools.lru_cache(maxsize=8)
def _chunk(chunk: int, records: int, seed: int) -> np.ndarray:
    """Returns the records at the places of a chunk, `[at most CHUNK]`."""
    places = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, records), dtype=np.uint64)
    if records == 1:
        return places.astype(np.int64)
    bits = _bits(records)
    keys = _round_keys(seed)
    if bits == LEAST_BITS:
        # Few records may need long walks: all of them at once, in strides that double.
        found = _walked_by_doubling(places, records, keys)
    else:
        found = _walked(places, records, bits, keys)
    found.flags.writeable = False
    return found


def _bits(records: int) -> int:
    """Returns the bits of the numbers that are permuted: enough for the records, and even."""
    # grain counts one less for 65,537 records, 262,145 and so on, and gives one of them twice.
    bits = (records - 1).bit_length()
    return max(bits + bits % 2, LEAST_BITS)


def _walked(places: np.ndarray, records: int, bits: int, keys: list[int]) -> np.ndarray:
    """Permutes each place until it falls among the records."""
    found = _permuted(places, bits, keys)
    outside = np.flatnonzero(found >= records)
    while outside.size:
        found[outside] = _permuted(found[outside], bits, keys)
        outside = outside[found[outside] >= records]
    return found.astype(np.int64)


def _walked_by_doubling(places: np.ndarray, records: int, keys: list[int]) -> np.ndarray:
    """Does the same by a table of all numbers, `[2 ** LEAST_BITS]`."""
    numbers = np.arange(1 << LEAST_BITS, dtype=np.uint64)
    after = _permuted(numbers, LEAST_BITS, keys).astype(np.int64)
    # Where a walk stands after 1, 2, 4, ... steps; among the records it stays.
    reached = np.where(numbers < records, numbers.astype(np.int64), after)
    found = after[places.astype(np.int64)]
    while (found >= records).any():
        found = reached[found]
        reached = reached[reached]
    return found


def _permuted(numbers: np.ndarray, bits: int, keys: list[int]) -> np.ndarray:
    """Permutes numbers of so many bits: two halves, of which each in turn changes the other."""
    width = bits // 2
    mask = np.uint64((1 << width) - 1)
    left, right = numbers >> np.uint64(width), numbers & mask
    for one, other in zip(keys[::2], keys[1::2], strict=True):
        left = left ^ _mixed(right, width, mask) ^ (np.uint64(one) & mask)
        right = right ^ _mixed(left, width, mask) ^ (np.uint64(other) & mask)
    return (left << np.uint64(width)) | right


def _mixed(half: np.ndarray, width: int, mask: np.uint64) -> np.ndarray:
    """Computes Simon's round function of words of `width` bits."""

    def rolled(by: int) -> np.ndarray:
        return ((half << np.uint64(by)) | (half >> np.uint64(width - by))) & mask

    return (rolled(1) & rolled(8)) ^ rolled(2)


def _round_keys(seed: int) -> list[int]:
    """Spreads a seed over the keys of all rounds, as `std::seed_seq` of C++ (ISO 14882) does."""
    size, words = ROUNDS, [0x8B8B8B8B] * ROUNDS
    lag = (size - 1) // 2
    near = (size - lag) // 2
    far = near + lag

    def scrambled(word: int) -> int:
        return word ^ (word >> 27)

    for step in range(size):
        here, close, away = step % size, (step + near) % size, (step + far) % size
        word = scrambled(words[here] ^ words[close] ^ words[step - 1]) * 1664525
        # The seed is a sequence of one number: its length first, then itself.
        added = [1, here + seed][step] if step < 2 else here
        words[close] = (words[close] + word) & _WORD
        words[away] = (words[away] + word + added) & _WORD
        words[here] = (word + added) & _WORD
    for step in range(size, 2 * size):
        here, close, away = step % size, (step + near) % size, (step + far) % size
        word = scrambled((words[here] + words[close] + words[here - 1]) & _WORD) * 1566083941
        less = (word - here) & _WORD
        words[close] = words[close] ^ (word & _WORD)
        words[away] = words[away] ^ less
        words[here] = less
    return words


_WORD = 0xFFFFFFFF
