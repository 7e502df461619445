"""Tagged sentences from files of any CoNLL kind, and back into them."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from seqjax import datasets
from seqjax.data import fingerprint
from seqjax.files import read_conll, read_conllu, read_lines
from seqjax.files.conll import is_conllu, separator_of, word_blocks

CONLLU_COLUMN = {"upos": 3, "xpos": 4}


@dataclasses.dataclass(frozen=True)
class TaggedSentences:
    """Sentences with their tags.

    Attributes:
      tokens: the words of each sentence.
      tags: of each word.
      origin: where they were taken from, fit for a report.
      path: the file, where they come from one.
    """

    tokens: list[list[str]]
    tags: list[list[str]]
    origin: str
    path: str | None = None

    @property
    def fingerprint(self) -> str:
        """A digest of words and tags, wherever they lie."""
        return fingerprint((self.tokens, self.tags))

    def place(self, count: int) -> str:
        """Where the `count`-th word of all stands, from 0, fit for a complaint."""
        if self.path is None:
            return f"{self.origin}, word {count + 1}"
        return f"{self.path}, line {next(itertools.islice(word_lines(self.path), count, None)) + 1}"


Tagged: TypeAlias = TaggedSentences | tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]
"""Sentences as lists of words, and the tags of each word."""


def as_tagged(examples: Tagged) -> TaggedSentences:
    """Takes sentences and their tags as one object.

    Raises:
      ValueError: there is no word, or words and tags differ in number (where).
    """
    if isinstance(examples, TaggedSentences):
        part = examples
    else:
        tokens, tags = ([list(row) for row in rows] for rows in examples)
        part = TaggedSentences(tokens, tags, "the examples")
    if len(part.tokens) != len(part.tags):
        raise ValueError(
            f"{len(part.tokens):,} sentences and the tags of {len(part.tags):,}; give one for each"
        )
    for row, (words, tags) in enumerate(zip(part.tokens, part.tags, strict=True)):
        if len(words) != len(tags):
            raise ValueError(
                f"sentence {row} has {len(words)} words and {len(tags)} tags; give one for each"
            )
    if not any(part.tokens):
        raise ValueError("there is no word; give at least one sentence")
    return part


def read_tagged(path: str, column: str = "upos", tagged: bool = True) -> TaggedSentences:
    """Tagged sentences of any file in columns.

    Args:
      path: CoNLL-U, known by its name or by its ten columns, else CoNLL: a word first, its tag
        last, with tabs or blanks between; either may be gzipped. Spans in IOB1 are given in BIO.
      column: which tags of a CoNLL-U file, "upos" or "xpos".
      tagged: False reads CoNLL files of words alone, too; the tags then mean nothing.

    Raises:
      ValueError: the file is empty, not UTF-8, or a line is not what it should be (which).
    """
    if is_conllu(path):
        sentences = read_conllu(path)
        tokens, tags = [s.form for s in sentences], [getattr(s, column) for s in sentences]
    else:
        separator = separator_of(path)
        blocks = word_blocks(path, separator)
        width = len(blocks[0][0][1].split(separator)) if blocks else 1
        if blocks and tagged and width == 1:
            line = blocks[0][0][0]
            raise ValueError(
                f"{path}, line {line}: one column; wanted a word, a tab or blank, and its tag"
            )
        columns = ("word", *(f"column {number}" for number in range(2, width)), "tag")[:width]
        table = read_conll(path, columns, separator)
        tokens, tags = table["word"], table.get("tag", table["word"])
        if width > 1 and _are_numbered(tokens):
            wanted = (
                "wanted words first, as in CoNLL; or the ten columns of CoNLL-U, with tabs between"
            )
            raise ValueError(
                f"{path}, line {blocks[0][0][0]}: the first column numbers the words; {wanted}"
            )
        tags = from_iob1(tags)
    if not tokens:
        raise ValueError(f"{path}: empty; give sentences of one word a line")
    return TaggedSentences(tokens, tags, path, path)


def load_tagged(
    corpus: str, split: str, data_dir: str | None = None, column: str = "upos"
) -> TaggedSentences:
    """Loads a part of a corpus of tagged sentences that `seqjax.datasets` knows.

    Args:
      corpus: its name, such as "gum".
      split: "train", "dev" or "test".
      data_dir: see `seqjax.datasets.load`.
      column: which tags of a treebank, "upos" or "xpos".

    Raises:
      DataUnavailable: it was not found and could not be downloaded.
    """
    part = datasets.load(corpus, split, data_dir)
    table = part.records.columns()
    tags = table["tags"] if "tags" in table else table[column]
    return TaggedSentences(list(table["tokens"]), list(tags), part.origin)


def from_iob1(tags: list[list[str]]) -> list[list[str]]:
    """Tags of IOB1 as those of BIO; others as they are.

    In IOB1, the form of the published CoNLL 2003, `B-x` begins a span only where one of the same
    kind ends.

    Args:
      tags: of each sentence.
    """
    pairs = [pair for sentence in tags for pair in itertools.pairwise(["O", *sentence])]
    begun = [
        before[2:] == tag[2:] and before[:2] in ("B-", "I-")
        for before, tag in pairs
        if tag.startswith("B-")
    ]
    opened = any(tag.startswith("I-") and before[1:] != tag[1:] for before, tag in pairs)
    spans = all(tag == "O" or tag.startswith(("B-", "I-")) for _, tag in pairs)
    if not (spans and opened and all(begun)):
        return tags
    return [
        [
            f"B{tag[1:]}" if tag.startswith("I-") and before[1:] != tag[1:] else tag
            for before, tag in itertools.pairwise(["O", *sentence])
        ]
        for sentence in tags
    ]


def _are_numbered(sentences: list[list[str]]) -> bool:
    """Whether what should be words counts from 1 in every sentence."""
    counted = (words == [str(number) for number in range(1, len(words) + 1)] for words in sentences)
    return any(len(words) > 1 for words in sentences) and all(counted)


def word_lines(path: str) -> Iterator[int]:
    """The places of the lines that hold a word: not those of comments, marks, multiword tokens and empty nodes."""
    if not is_conllu(path):
        return (
            number - 1 for block in word_blocks(path, separator_of(path)) for number, _ in block
        )
    numbered = ((place, line, line.split("\t")[0]) for place, line in enumerate(read_lines(path)))
    return (
        place
        for place, line, number in numbered
        if line.strip(" \t") and not (line.startswith("#") or "-" in number or "." in number)
    )


def annotate(path: str, predictions: list[list[str]], column: str = "upos") -> str:
    """The text of a file with its tags replaced, or with tags added where it has words alone.

    Args:
      path: a file that `read_tagged` reads.
      predictions: new tags of its sentences.
      column: which tags of a CoNLL-U file to replace.
    """
    lines, treebank = read_lines(path), is_conllu(path)
    flat = itertools.chain.from_iterable(predictions)
    for place, tag in zip(word_lines(path), flat, strict=True):
        separator = "\t" if "\t" in lines[place] else " "
        fields = lines[place].split("\t" if separator == "\t" else None)
        if treebank:
            fields[CONLLU_COLUMN[column]] = tag
        else:
            fields, separator = (
                (fields + [tag], "\t") if len(fields) == 1 else ([*fields[:-1], tag], separator)
            )
        lines[place] = separator.join(fields)
    return "\n".join(lines) + "\n"


def in_columns(part: TaggedSentences, found: list[list[str]]) -> str:
    """Spells word, tag and prediction of every word, with tabs between, empty lines between sentences."""
    blocks = []
    for rows in zip(part.tokens, part.tags, found, strict=True):
        lines = ["\t".join(columns) + "\n" for columns in zip(*rows, strict=True)]
        blocks.append("".join(lines))
    return "\n".join(blocks)
