"""Column formats for tagged sentences: one token a line, a blank line between sentences."""

import dataclasses
import os
from collections.abc import Iterator, Sequence

from seqjax.data.formats.text import read_lines

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def read_conll(
    path: str | os.PathLike, columns: Sequence[str] = ("tokens", "tags"), separator: str | None = "\t"
) -> dict[str, list[list[str]]]:
    """Sentences of columns, such as tokens with BIO entity tags.

    Lines of blanks and tabs alone separate sentences.

    Args:
      path: the file, UTF-8, plain or gzipped.
      columns: names of the columns, in the order of the file.
      separator: what stands between two columns; None for any number of blanks, as in the files of CoNLL 2003.

    Returns:
      Column name to sentences, each a list of strings; all columns agree in every length.

    Raises:
      ValueError: a line has more or fewer columns, or an empty one (with its number).
    """
    sentences = {name: [] for name in columns}
    for block in _blocks(path):
        rows = _rows(path, block, columns, separator)
        for name, column in zip(columns, zip(*rows, strict=True), strict=True):
            sentences[name].append(list(column))
    return sentences


@dataclasses.dataclass(frozen=True)
class Sentence:
    """One sentence of a CoNLL-U file: its words, their tags, and its comments without the leading `#`."""

    form: list[str]
    lemma: list[str]
    upos: list[str]
    xpos: list[str]
    comments: dict[str, str]


def read_conllu(path: str | os.PathLike) -> list[Sentence]:
    """Sentences of a Universal Dependencies treebank (ten columns, https://universaldependencies.org/format.html).

    Words are the syntactic words: lines of multiword tokens (`3-4`) and of empty nodes (`3.1`) carry no part of speech
    of their own and are left out.

    Args:
      path: the file, UTF-8, plain or gzipped.

    Raises:
      ValueError: a line has not ten columns, or an id out of turn (with its number).
    """
    return [_sentence(path, block) for block in _blocks(path)]


def _sentence(path, block: list[tuple[int, str]]) -> Sentence:
    comments = {}
    for _, line in block:
        if line.startswith("#"):
            key, _, value = line.lstrip("# ").partition("=")
            comments[key.strip()] = value.strip()
    lines = [(number, line) for number, line in block if not line.startswith("#")]
    words = []
    for (number, _), fields in zip(lines, _rows(path, lines, CONLLU_COLUMNS), strict=True):
        if "-" in fields[0] or "." in fields[0]:
            continue
        words.append(fields)
        if fields[0] != str(len(words)):
            raise ValueError(
                f"{path}, line {number}: id {fields[0]!r} where {len(words)} is due; "
                "number the words of a sentence from 1 and end it with a blank line"
            )
    if not words:
        raise ValueError(f"{path}, line {block[0][0]}: a block of comments without words; take it out or add its words")
    _, form, lemma, upos, xpos, *_ = (list(column) for column in zip(*words, strict=True))
    return Sentence(form, lemma, upos, xpos, comments)


def _blocks(path) -> Iterator[list[tuple[int, str]]]:
    """The lines between blank ones, each with its number."""
    block = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _rows(path, lines: list[tuple[int, str]], columns: Sequence[str], separator: str | None = "\t") -> list[list[str]]:
    """The fields of each line, checked."""
    rows = [line.split(separator) for _, line in lines]
    for (number, _), fields in zip(lines, rows, strict=True):
        if len(fields) != len(columns):
            wanted = f"{len(columns)} separated by {'tabs' if separator else 'blanks'} ({', '.join(columns)})"
            raise ValueError(f"{path}, line {number}: {len(fields)} columns; wanted {wanted}")
        if "" in fields:
            empty = columns[fields.index("")]
            raise ValueError(f"{path}, line {number}: the column {empty!r} is empty; write _ for a missing value")
    return rows
