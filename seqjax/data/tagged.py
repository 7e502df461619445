"""Tagged sentences from files of any CoNLL kind, and back into them."""

import dataclasses
import itertools
from collections.abc import Iterator

from seqjax.data.formats import read_conll, read_conllu, read_lines

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

    def place(self, count: int) -> str:
        """Where the `count`-th word of all stands, from 0, fit for a complaint."""
        if self.path is None:
            return f"{self.origin}, word {count + 1}"
        return f"{self.path}, line {next(itertools.islice(word_lines(self.path), count, None)) + 1}"


def read_tagged(path: str, column: str = "upos", tagged: bool = True) -> TaggedSentences:
    """Tagged sentences of any file in columns.

    Args:
      path: CoNLL-U where the name ends in `.conllu`, else CoNLL: a word first, its tag last, with tabs or blanks
        between; either may be gzipped.
      column: which tags of a CoNLL-U file, "upos" or "xpos".
      tagged: False reads CoNLL files of words alone, too; the tags then mean nothing.

    Raises:
      ValueError: the file is empty, not UTF-8, or a line is not what it should be (which).
    """
    if is_conllu(path):
        sentences = read_conllu(path)
        tokens, tags = [s.form for s in sentences], [getattr(s, column) for s in sentences]
    else:
        first = next((line for line in read_lines(path) if line.strip()), "")
        separator = "\t" if "\t" in first else None
        width = len(first.split(separator)) or 1
        if first and tagged and width == 1:
            line = next(word_lines(path)) + 1
            raise ValueError(f"{path}, line {line}: one column; wanted a word, a tab or blank, and its tag")
        columns = ("word", *(f"column {number}" for number in range(2, width)), "tag")[:width]
        table = read_conll(path, columns, separator)
        tokens, tags = table["word"], table.get("tag", table["word"])
    if not tokens:
        raise ValueError(f"{path}: empty; give sentences of one word a line")
    return TaggedSentences(tokens, tags, path, path)


def is_conllu(path: str) -> bool:
    """Whether a file is CoNLL-U, by its name."""
    return path.removesuffix(".gz").endswith(".conllu")


def word_lines(path: str) -> Iterator[int]:
    """The places of the lines that hold a word: not those of comments, multiword tokens and empty nodes."""
    for place, line in enumerate(read_lines(path)):
        number = line.split("\t")[0]
        if line.strip(" \t") and not (is_conllu(path) and (line.startswith("#") or "-" in number or "." in number)):
            yield place


def annotate(path: str, predictions: list[list[str]], column: str = "upos") -> str:
    """The text of a file with its tags replaced, or with tags added where it has words alone.

    Args:
      path: a file that `read_tagged` reads.
      predictions: new tags of its sentences.
      column: which tags of a CoNLL-U file to replace.
    """
    lines = read_lines(path)
    flat = itertools.chain.from_iterable(predictions)
    for place, tag in zip(word_lines(path), flat, strict=True):
        separator = "\t" if "\t" in lines[place] else " "
        fields = lines[place].split("\t" if separator == "\t" else None)
        if is_conllu(path):
            fields[CONLLU_COLUMN[column]] = tag
        else:
            fields, separator = (fields + [tag], "\t") if len(fields) == 1 else ([*fields[:-1], tag], separator)
        lines[place] = separator.join(fields)
    return "\n".join(lines) + "\n"
