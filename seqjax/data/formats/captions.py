"""Captions of images as files: tab-separated, or in the two forms that Flickr8k is handed around in."""

import csv
import os
import re
from typing import NamedTuple

from seqjax.data.formats.text import read_lines

CAPTION_FILES = ("captions.tsv", "captions.txt", "Flickr8k.token.txt")
"""What a file of captions is called, in the order in which it is looked for."""

HEADERS = ({"image", "caption"}, {"file", "caption"})
NUMBER = re.compile(r"#\d+$")


class Caption(NamedTuple):
    """A caption, the name of its image's file, and the line that it stands in."""

    file: str
    text: str
    line: int


def read_captions(path: str | os.PathLike) -> list[Caption]:
    """The captions of a file, in its order; an image may have several.

    Three forms are told apart: lines of a file's name, a tab and a caption; the same with a number behind the name, as
    in `dog.jpg#0` (Flickr8k's own); and comma-separated values under the header `image,caption` (Flickr8k's other).

    Args:
      path: the file, UTF-8, plain or gzipped.

    Raises:
      ValueError: a line has not two filled columns (with its number), or there is no caption.
    """
    lines = read_lines(path)
    commas = bool(lines) and _is_header(lines[0].split(","))
    rows = _comma_separated(path, lines) if commas else enumerate((line.split("\t") for line in lines), start=1)
    captions = []
    for number, row in rows:
        fields = [field.strip() for field in row]
        if number == 1 and _is_header(fields):
            continue
        if len(fields) != 2 or not all(fields):
            between = "a comma" if commas else "a tab"
            raise ValueError(
                f"{path}, line {number}: {sum(map(bool, fields))} of {len(fields)} columns filled; wanted an image's "
                f"file name, {between}, a caption"
            )
        captions.append(Caption(NUMBER.sub("", fields[0]), fields[1], number))
    if not captions:
        raise ValueError(f"{path}: no caption; wanted lines of an image's file name, a tab, a caption")
    return captions


def _is_header(fields: list[str]) -> bool:
    return {field.strip().lower() for field in fields} in HEADERS


def _comma_separated(path, lines):
    reader = csv.reader(lines, strict=True)
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}; wanted comma-separated values") from None
