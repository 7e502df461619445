"""Text files: UTF-8, plain or gzipped, whole, by line, or several aligned by line."""

import gzip
import os
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"


def read_bytes(path: str | os.PathLike) -> bytes:
    """Reads a file, unzipped when its first bytes, whatever its name, say that it is gzipped.

    Raises:
      ValueError: there is no such file, or its gzip stream is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    data = path.read_bytes()
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file ({error}); fetch it again") from None


def read_text(path: str | os.PathLike) -> str:
    """Reads a UTF-8 file, plain or gzipped; no byte order mark, line feeds at line ends.

    A carriage return alone ends a line where the file has no line feed at all, as on old
    Macintoshes.

    Raises:
      ValueError: there is no such file, or it is not UTF-8 (with the line of the first wrong byte).
    """
    data = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wrong = data[error.start]
        raise ValueError(
            f"{path}, line {line}: byte 0x{wrong:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    return text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")


def read_lines(path: str | os.PathLike) -> list[str]:
    """Reads the lines of a UTF-8 file, plain or gzipped, without their ends.

    Only what ends the lines of this file does so: line feeds, with or without a carriage return
    before them. The Unicode separators that `str.splitlines` also takes occur inside sentences and
    would shift every later line.

    Raises:
      ValueError: there is no such file, or it is not UTF-8.
    """
    lines = read_text(path).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_stdin() -> list[str]:
    """Reads the lines of the standard input, which line feeds alone end, without their ends.

    Raises:
      ValueError: it is not UTF-8 (in which line).
    """
    text = sys.stdin.read()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ValueError(
            f"standard input, line {line}: not UTF-8; write the sentences in UTF-8"
        ) from None
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_filled_lines(path: str | os.PathLike) -> list[str]:
    """Reads the lines of a file without the blank ones that editors leave at its end.

    Raises:
      ValueError: there is no such file, or it is not UTF-8.
    """
    lines = read_lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def read_aligned(paths: Mapping[str, str | os.PathLike]) -> dict[str, list[str]]:
    """Reads files that say the same line by line, as the sides of a parallel corpus.

    Args:
      paths: name of a side, for example its language, to file.

    Returns:
      Name to sentences, stripped of blanks at both ends; line i of each side belongs together.

    Raises:
      ValueError: the files differ in their number of lines, or a line is empty (which, and where).
    """
    sides = {}
    for name, path in paths.items():
        sides[name] = [line.strip() for line in read_lines(path)]
    sides = _without_end(sides)
    counts = {str(paths[name]): len(lines) for name, lines in sides.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{path} has {count:,}" for path, count in counts.items())
        raise ValueError(
            f"aligned files differ in their number of lines: {listed}; "
            "line i of each must be one sentence"
        )
    for name, lines in sides.items():
        if "" in lines:
            number = lines.index("") + 1
            raise ValueError(
                f"{paths[name]}, line {number}: empty; take this line out of every aligned file"
            )
    return sides


def _without_end(sides: dict[str, list[str]]) -> dict[str, list[str]]:
    """Returns the sides without blank lines beyond the last filled line of all."""
    end = 0
    for lines in sides.values():
        filled = [place for place, line in enumerate(lines, start=1) if line]
        end = max([end, *filled])
    return {name: lines[:end] for name, lines in sides.items()}


def read_labelled(path: str | os.PathLike, labels: tuple[str, ...]) -> tuple[list[int], list[str]]:
    """Reads lines of a label, a blank and a sentence, as in the Stanford Sentiment Treebank.

    Args:
      path: the file.
      labels: the labels that may stand first, in the order of their numbers.

    Returns:
      `(numbers, sentences)`: of each line the position of its label in `labels`, and its sentence.

    Raises:
      ValueError: a line has another label, or no sentence (with its number).
    """
    numbers, sentences = [], []
    for number, line in enumerate(read_filled_lines(path), start=1):
        label, _, sentence = line.partition(" ")
        if label not in labels:
            raise ValueError(
                f"{path}, line {number}: begins with {label!r}; "
                f"wanted one of {', '.join(labels)}, a blank, text"
            )
        if not sentence.strip():
            raise ValueError(
                f"{path}, line {number}: no sentence after the label {label!r}; "
                "add it or take the line out"
            )
        numbers.append(labels.index(label))
        sentences.append(sentence.strip())
    return numbers, sentences
