"""N-gram language models: counted with Kneser-Ney's smoothing, kept in ARPA files."""

import collections
import dataclasses
import gzip
import itertools
import math
import os
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from seqjax.files.disk import write_atomically
from seqjax.files.text import read_text

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
NEVER = -99.0
"""Stands for the logarithm of 0 in an ARPA file."""

BLANKS = " \t\r\n\v\f"
"""Separate the words of an ARPA file; no other white space does, such as the no-break space."""

SEPARATORS = re.compile(f"[{BLANKS}]+")

Gram = tuple[Hashable, ...]


class Entry(NamedTuple):
    """One n-gram: natural logarithms of its last word's probability and of its backoff weight."""

    log_prob: float
    backoff: float = 0.0


@dataclasses.dataclass(frozen=True)
class NGrams:
    """An n-gram model in backing-off form.

    p(w | context) is that of the entry where there is one, and else
    backoff(context) * p(w | shorter context).

    Attributes:
      order: words of the longest n-grams.
      entries: of each n-gram.
    """

    order: int
    entries: Mapping[Gram, Entry]

    def score(self, context: Sequence[Hashable], word: Hashable) -> float:
        """Returns `log p(word | context)` in nats.

        Of an unknown word it is that of `<unk>`, or minus infinity without one.
        """
        # From the longest context to the shorter ones, each at the price of its backoff weight.
        context, total = self._cut(context), 0.0
        word = word if (word,) in self.entries else UNKNOWN
        while (*context, word) not in self.entries:
            if not context:
                return -math.inf
            if context in self.entries:
                total += self.entries[context].backoff
            context = context[1:]
        return total + self.entries[*context, word].log_prob

    def context(self, context: Sequence[Hashable], word: Hashable) -> Gram:
        """Returns what of a context and a word the next one depends on: the longest known end."""
        word = word if (word,) in self.entries else UNKNOWN
        found = self._cut((*context, word))
        while found and found not in self.entries:
            found = found[1:]
        return found

    def sentence_score(self, words: Iterable[Hashable]) -> float:
        """Returns `log p` of a sentence in nats, its end counted."""
        context, total = self.context((), START), 0.0
        for word in (*words, END):
            total += self.score(context, word)
            context = self.context(context, word)
        return total

    def _cut(self, words: Sequence[Hashable]) -> Gram:
        """Returns the last words, as many as a context has at most."""
        return tuple(words)[-(self.order - 1) :] if self.order > 1 else ()


def train_ngrams(
    sentences: Iterable[Sequence[Hashable]], order: int, unknown: bool = True
) -> NGrams:
    """Estimates a model with interpolated Kneser-Ney smoothing, three discounts for each order.

        p(w | c) = (a(cw) - D(a(cw))) / sum_v a(cv) + b(c) p(w | c')

    Here c' is c without its first word; a(cw) counts cw at the highest order and behind the start
    of a sentence, and else the different words before it; b(c) gives away what the discounts D
    took. Below the unigrams lies the uniform distribution.

    Args:
      sentences: each a sequence of words, or of letters: of a string, its letters.
      order: words of the longest n-grams.
      unknown: leave probability to words never seen, as one word `<unk>`.

    Raises:
      ValueError: the order is below 1, or there is no sentence.

    Reference:
      Chen and Goodman, 1999, "An empirical study of smoothing techniques for language modeling",
      section 3.
    """
    if order < 1:
        raise ValueError(f"order is {order}; give at least 1")
    counts = _adjusted_counts(_counts(sentences, order))
    if not counts[0]:
        raise ValueError("there is no sentence to count; give at least one")
    words = [*counts[0]]
    if unknown:
        words.append((UNKNOWN,))
    # The uniform distribution stands for the order below the first.
    probs: dict[Gram, float] = {(): 1 / len(words)}
    backoffs: dict[Gram, float] = {}
    # From the unigrams up: an order reads the probabilities of the one below.
    for grams in counts:
        discount = _discounts(grams.values())
        # Of each context: its count, and what the discounts take from it for the shorter one.
        sums, taken = collections.defaultdict(float), collections.defaultdict(float)
        for gram, count in grams.items():
            sums[gram[:-1]] += count
            taken[gram[:-1]] += discount(count)
        backoffs |= {context: taken[context] / sums[context] for context in sums}
        # The unigrams are of all words, also of the unknown one, which was never counted.
        own = words if grams is counts[0] else grams
        for gram in own:
            count, context = grams[gram], gram[:-1]
            shorter = backoffs[context] * probs[gram[1:]]
            probs[gram] = (count - discount(count)) / sums[context] + shorter
    del probs[()]
    # The start is read and never predicted; ARPA files give it a line all the same.
    probs[START,] = 0.0
    entries = {
        gram: Entry(_log(prob), _log(backoffs.get(gram, 1.0))) for gram, prob in probs.items()
    }
    return NGrams(order, entries)


def _log(value: int | float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _counts(sentences: Iterable[Sequence[Hashable]], order: int) -> list[collections.Counter]:
    """Counts each n-gram, for each order from 1; the start of a sentence is never predicted."""
    counts = [collections.Counter() for _ in range(order)]
    for sentence in sentences:
        words = (START, *sentence, END)
        for length, grams in enumerate(counts, 1):
            grams.update(words[i : i + length] for i in range(len(words) - length + 1))
    counts[0].pop((START,), None)
    return counts


def _adjusted_counts(counts: list[collections.Counter]) -> list[collections.Counter]:
    """Counts, below the highest order, the different words that come before an n-gram."""
    adjusted = []
    for grams, longer in itertools.zip_longest(counts, counts[1:]):
        if longer is not None:
            before = collections.Counter(gram[1:] for gram in longer)
            # Before the start of a sentence there are none: such n-grams keep their own counts.
            own = {gram: count for gram, count in grams.items() if gram[0] == START}
            grams = collections.Counter({gram: before[gram] for gram in grams} | own)
        adjusted.append(grams)
    return adjusted


def _discounts(counts: Iterable[int]) -> Callable[[int], int | float]:
    """Returns what a count gives away, from how many n-grams have counts of 1 to 4."""
    of = collections.Counter(counts)
    # With too few n-grams to estimate, a half: Kneser-Ney's single discount if as many occur once
    # as twice are two.
    if not all(of[i] for i in range(1, 5)):
        return lambda count: min(0.5, count)
    # Y and D1, D2, D3+ of Chen and Goodman.
    share = of[1] / (of[1] + 2 * of[2])
    # What counts of 0, 1, 2 and of 3 or more give away; never more than there is.
    values = [0.0, *(i - (i + 1) * share * of[i + 1] / of[i] for i in range(1, 4))]
    values = [min(max(value, 0.0), i) for i, value in enumerate(values)]
    return lambda count: values[min(count, 3)]


def write_arpa(path: str | os.PathLike, ngrams: NGrams) -> None:
    """Writes a model as an ARPA file, see `arpa_text`.

    Args:
      path: the file, gzipped where its name ends in `.gz`; it holds what it held before or the
        whole model.
      ngrams: the model.

    Raises:
      ValueError: a word cannot be written (which).
    """
    data = arpa_text(ngrams).encode()
    zipped = os.fspath(path).endswith(".gz")
    write_atomically(path, gzip.compress(data, mtime=0) if zipped else data)


def arpa_text(ngrams: NGrams) -> str:
    """Returns a model as ARPA text, base 10; a word that is a blank as `<space>`.

    Raises:
      ValueError: a word is empty, has a blank, a tab or a line end in it, or is `<space>`.
    """
    for word in {word for gram in ngrams.entries for word in gram}:
        if word in ("", "<space>") or (word != " " and set(str(word)) & set(BLANKS)):
            raise ValueError(
                f"the word {word!r} is empty, has a blank or a line end in it or stands for a "
                "blank, which an ARPA file cannot hold; leave it out"
            )
    # The n-grams of each order, which an ARPA file lists order by order.
    by_order = []
    for n in range(1, ngrams.order + 1):
        by_order.append([gram for gram in ngrams.entries if len(gram) == n])
    lines = ["\\data\\", *(f"ngram {n}={len(grams)}" for n, grams in enumerate(by_order, 1))]
    for n, grams in enumerate(by_order, 1):
        lines += ["", f"\\{n}-grams:"]
        for gram in sorted(grams, key=lambda gram: tuple(map(str, gram))):
            entry = ngrams.entries[gram]
            words = " ".join("<space>" if word == " " else str(word) for word in gram)
            columns = [_to_log10(entry.log_prob), words]
            if n < ngrams.order:
                columns.append(_to_log10(entry.backoff))
            lines.append("\t".join(columns))
    return "\n".join([*lines, "", "\\end\\", ""])


def read_arpa(path: str | os.PathLike) -> NGrams:
    r"""Reads an ARPA file, as SRILM, KenLM and `write_arpa` make them, plain or gzipped.

    `<space>` is the word that is a blank; `<UNK>`, `<S>` and `</S>` are `<unk>`, `<s>` and `</s>`.

    Args:
      path: the file, UTF-8.

    Raises:
      ValueError: the file is none; says the line.
    """
    return parse_arpa(read_text(path), os.fspath(path))


def parse_arpa(text: str, name: str = "the text") -> NGrams:
    """Reads ARPA text, see `read_arpa`.

    Args:
      text: as `arpa_text` gives it.
      name: what a complaint calls it.

    Raises:
      ValueError: it is none; says the line.
    """
    order, entries, declared = 0, {}, {}
    section = ended = False
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(BLANKS)
        try:
            if line == "\\data\\":
                section = True
            elif line == "\\end\\":
                ended = True
                break
            elif not section or not line:
                continue
            elif line.startswith("ngram "):
                n, count = line.removeprefix("ngram ").split("=")
                declared[int(n)] = int(count)
            elif line.startswith("\\") and line.endswith("-grams:"):
                order = int(line[1 : -len("-grams:")])
            else:
                gram, entry = _read_entry(line, order)
                entries[gram] = entry
        except (ValueError, IndexError):
            raise ValueError(
                f"{name}: line {number} is not of an ARPA file: {line[:60]!r}"
            ) from None
    # A file that was cut off declares more than it has.
    found = collections.Counter(map(len, entries))
    if not ended or not declared or any(found[n] != count for n, count in declared.items()):
        raise ValueError(
            f"{name}: no whole ARPA file: it declares {declared} n-grams and has {dict(found)}"
        )
    return NGrams(max(declared), _with_small_marks(entries))


def _with_small_marks(entries: dict[Gram, Entry]) -> dict[Gram, Entry]:
    """Writes `<S>`, `</S>` and `<UNK>` in small letters, unless these are there as well."""
    small: dict[Hashable, Hashable] = {mark.upper(): mark for mark in (START, END, UNKNOWN)}
    capitals = {
        mark: own for mark, own in small.items() if (mark,) in entries and (own,) not in entries
    }
    if not capitals:
        return entries

    def in_small(gram: Gram) -> Gram:
        return tuple(capitals.get(word, word) for word in gram)

    return {in_small(gram): entry for gram, entry in entries.items()}


def _read_entry(line: str, order: int) -> tuple[Gram, Entry]:
    first, *words = SEPARATORS.split(line)
    rest = words[order:]
    if order < 1 or len(words) < order or len(rest) > 1:
        raise ValueError
    gram = tuple(" " if word == "<space>" else word for word in words[:order])
    # The highest order has no backoff.
    backoff = _from_log10(rest[0]) if rest else 0.0
    return gram, Entry(_from_log10(first), backoff)


def _to_log10(value: float) -> str:
    return f"{max(value / math.log(10), NEVER):.7g}"


def _from_log10(text: str) -> float:
    return -math.inf if float(text) <= NEVER else float(text) * math.log(10)
