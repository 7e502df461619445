"""Column formats for tagged sentences: one token a line, a blank line between sentences."""

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Sequence

from seqjax.files.headers import NAMES
from seqjax.files.text import read_lines

MARKERS = re.compile(r"-DOCSTART-(\s|$)|#(begin|end) document")
"""How the lines begin that CoNLL 2003 and 2012 set between documents."""

FIRST_ID = re.compile(r"1(-\d+)?|0\.1")

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def read_conll(
    path: str | os.PathLike,
    columns: Sequence[str] = ("tokens", "tags"),
    separator: str | None = "\t",
) -> dict[str, list[list[str]]]:
    """Reads sentences of columns, such as tokens with BIO entity tags.

    Lines of blanks and tabs alone separate sentences. What is no word is left out: a first line
    that names the columns, `-DOCSTART-` and other marks between documents, comments of a `#` that
    stand above sentences.

    Args:
      path: the file, UTF-8, plain or gzipped.
      columns: names of the columns, in the order of the file.
      separator: what stands between two columns; None for any number of blanks, as in the files of
        CoNLL 2003.

    Returns:
      Column name to sentences, each a list of strings; all columns agree in every length.

    Raises:
      ValueError: a line has more or fewer columns, or an empty one (with its number).
    """
    sentences = {name: [] for name in columns}
    for block in word_blocks(path, separator):
        rows = _rows(path, block, columns, separator)
        for name, column in zip(columns, zip(*rows, strict=True), strict=True):
            sentences[name].append(list(column))
    return sentences


def word_blocks(
    path: str | os.PathLike, separator: str | None = "\t"
) -> list[list[tuple[int, str]]]:
    """Reads the lines that hold words, each with its number from 1, by sentence.

    Args:
      path: the file, UTF-8, plain or gzipped.
      separator: what stands between two columns; None for any number of blanks.
    """
    blocks = []
    for block in _blocks(path):
        said = [(number, line) for number, line in block if not MARKERS.match(line)]
        if said:
            blocks.append(said)
    blocks = _without_comments(blocks, separator)
    # A first line that names the columns.
    if blocks and _names_columns(blocks[0][0][1].split(separator)):
        blocks[0] = blocks[0][1:]
    return [block for block in blocks if block]


def separator_of(path: str | os.PathLike) -> str | None:
    """Returns what separates the columns: a tab where words have one; else None, for any blanks."""
    lines = (line for block in _blocks(path) for _, line in block if not MARKERS.match(line))
    said = list(itertools.islice(lines, 100))
    words = [line for line in said if line.split()[0] != "#"] or said
    return "\t" if words and "\t" in words[0] else None


def is_conllu(path: str | os.PathLike) -> bool:
    """Tells whether a file is CoNLL-U, by its name or by a first word of ten columns."""
    if os.fspath(path).removesuffix(".gz").endswith(".conllu"):
        return True
    lines = (line for block in _blocks(path) for _, line in block if not line.startswith("#"))
    fields = next(lines, "").split("\t")
    return len(fields) == len(CONLLU_COLUMNS) and bool(FIRST_ID.fullmatch(fields[0]))


def _names_columns(fields: list[str]) -> bool:
    first, last = fields[0].strip().lower(), fields[-1].strip().lower()
    return len(fields) > 1 and first in NAMES["token"] and last in NAMES["tag"]


def _without_comments(
    blocks: list[list[tuple[int, str]]], separator: str | None
) -> list[list[tuple[int, str]]]:
    """Returns the sentences without the comments above them.

    A `#` may be a word as well. It is a comment where the line has not as many columns as words
    have; or, where most sentences begin so, where its last column is the tag of no other word.
    """
    lines = [line for _, line in itertools.chain.from_iterable(blocks)]
    fields = [line.split(separator) for line in lines if line.split()[0] != "#"]
    widths = {len(row) for row in fields}
    tags = {row[-1] for row in fields}
    # Sentences whose first line begins with a #: most of them?
    begin_so = sum(block[0][1].split()[0] == "#" for block in blocks)
    usual = 2 * begin_so > len(blocks)

    def is_comment(numbered: tuple[int, str]) -> bool:
        row = numbered[1].split(separator)
        if numbered[1].split()[0] != "#" or not fields:
            return False
        return len(row) not in widths or (usual and len(row) > 1 and row[-1] not in tags)

    return [list(itertools.dropwhile(is_comment, block)) for block in blocks]


@dataclasses.dataclass(frozen=True)
class Sentence:
    """Holds a sentence of a CoNLL-U file: words, tags, and comments without the leading `#`."""

    form: list[str]
    lemma: list[str]
    upos: list[str]
    xpos: list[str]
    comments: dict[str, str]


def read_conllu(path: str | os.PathLike) -> list[Sentence]:
    """Reads sentences of a Universal Dependencies treebank, https://universaldependencies.org.

    Words are the syntactic words: lines of multiword tokens (`3-4`) and of empty nodes (`3.1`)
    carry no part of speech of their own and are left out.

    Args:
      path: the file, UTF-8, plain or gzipped.

    Raises:
      ValueError: a line has not ten columns, or an id out of turn (with its number).
    """
    return [_sentence(path, block) for block in _blocks(path)]


def _sentence(path: str | os.PathLike, block: list[tuple[int, str]]) -> Sentence:
    comments = {}
    for _, line in block:
        if line.startswith("#"):
            key, _, value = line.lstrip("# ").partition("=")
            comments[key.strip()] = value.strip()
    lines = [(number, line) for number, line in block if not line.startswith("#")]
    words = []
    for (number, _), fields in zip(lines, _rows(path, lines, CONLLU_COLUMNS), strict=True):
        # Multiword tokens and empty nodes.
        if "-" in fields[0] or "." in fields[0]:
            continue
        words.append(fields)
        if fields[0] != str(len(words)):
            raise ValueError(
                f"{path}, line {number}: id {fields[0]!r} where {len(words)} is due; "
                "number the words of a sentence from 1 and end it with a blank line"
            )
    if not words:
        raise ValueError(
            f"{path}, line {block[0][0]}: a block of comments without words; "
            "take it out or add its words"
        )
    _, form, lemma, upos, xpos, *_ = (list(column) for column in zip(*words, strict=True))
    return Sentence(form, lemma, upos, xpos, comments)


def _blocks(path: str | os.PathLike) -> Iterator[list[tuple[int, str]]]:
    """Gives the lines between blank ones, each with its number."""
    block = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _rows(
    path: str | os.PathLike,
    lines: list[tuple[int, str]],
    columns: Sequence[str],
    separator: str | None = "\t",
) -> list[list[str]]:
    """Returns the fields of each line, checked."""
    rows = [line.split(separator) for _, line in lines]
    for (number, _), fields in zip(lines, rows, strict=True):
        if len(fields) != len(columns):
            between = "tabs" if separator else "blanks"
            wanted = f"{len(columns)} separated by {between} ({', '.join(columns)})"
            raise ValueError(f"{path}, line {number}: {len(fields)} columns; wanted {wanted}")
        if "" in fields:
            empty = columns[fields.index("")]
            raise ValueError(
                f"{path}, line {number}: the column {empty!r} is empty; write _ for a missing value"
            )
    return rows
