"""Captions of images as files: tab-separated, or in the forms of Flickr8k and Flickr30k."""

import csv
import os
import re
from typing import NamedTuple

from seqjax.files.headers import header_order
from seqjax.files.text import read_filled_lines

CAPTION_FILES = (
    "captions.tsv",
    "captions.txt",
    "captions.csv",
    "Flickr8k.token.txt",
    "results_20130124.token",
    "results.csv",
)
"""What a file of captions is called, in the order in which it is looked for."""

NUMBER = re.compile(r"#\d+$")
BARS = re.compile(r"\s*image_name\s*\|\s*comment_number\s*\|\s*comment\s*", re.IGNORECASE)
BAR_ROW = re.compile(r"(?P<file>[^|]*)\|\s*\d+\s*\|?(?P<caption>.*)")
"""A row of Flickr30k's table; one of the published ones lacks its second bar."""


class Caption(NamedTuple):
    """Holds a caption, the name of its image's file, and the line that it stands in."""

    file: str
    text: str
    line: int


def read_captions(path: str | os.PathLike) -> list[Caption]:
    """Reads the captions of a file, in its order; an image may have several.

    Four forms are told apart: lines of a file's name, a tab and a caption; the same with a number
    behind the name, as in `dog.jpg#0` (Flickr8k's own); comma-separated values under the header
    `image,caption` (Flickr8k's other); and values between bars under the header
    `image_name| comment_number| comment` (Flickr30k's).

    Args:
      path: the file, UTF-8, plain or gzipped.

    Raises:
      ValueError: a line has not two filled columns (with its number), or there is no caption.
    """
    lines = read_filled_lines(path)
    between, rows = _rows(path, lines)
    order = header_order(rows[0][1], ("file", "caption")) if rows else None
    captions = []
    # A header is no caption.
    for number, row in rows[order is not None :]:
        fields = [field.strip() for field in row]
        if len(fields) != 2 or not all(fields):
            filled = sum(map(bool, fields))
            raise ValueError(
                f"{path}, line {number}: {filled} of {len(fields)} columns filled; "
                f"wanted an image's file name, {between}, a caption"
            )
        file, text = (fields[place] for place in order or (0, 1))
        captions.append(Caption(NUMBER.sub("", file), text, number))
    if not captions:
        raise ValueError(
            f"{path}: no caption; wanted lines of an image's file name, a tab, a caption"
        )
    return captions


def _rows(path: str | os.PathLike, lines: list[str]) -> tuple[str, list[tuple[int, list[str]]]]:
    """Returns what stands between two columns, and the fields of each line with its number."""
    if lines and BARS.fullmatch(lines[0]):
        rows = enumerate(lines[1:], start=2)
        return "a bar, a number, a bar", [(number, _between_bars(line)) for number, line in rows]
    if lines and header_order(lines[0].split(","), ("file", "caption")):
        return "a comma", _comma_separated(path, lines)
    return "a tab", [(number, line.split("\t")) for number, line in enumerate(lines, start=1)]


def _between_bars(line: str) -> list[str]:
    match = BAR_ROW.fullmatch(line)
    return [match["file"], match["caption"]] if match else [line]


def _comma_separated(path: str | os.PathLike, lines: list[str]) -> list[tuple[int, list[str]]]:
    reader = csv.reader(lines, strict=True)
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}; wanted comma-separated values"
        ) from None
