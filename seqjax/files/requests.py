"""Requests to a machine: words, the slots that they fill, and what is wanted, in three aligned files."""

import os

from seqjax.files.text import read_aligned


def read_requests(
    words: str | os.PathLike, slots: str | os.PathLike, intents: str | os.PathLike
) -> dict[str, list]:
    """Reads requests in the form of ATIS and SNIPS: line i of each file is about one of them.

    Args:
      words: file of the words, with blanks between (`seq.in`).
      slots: file of the tags of the words, with blanks between (`seq.out`).
      intents: file of the intents (`label`).

    Returns:
      `tokens` and `tags`, lists of strings for each request, and `intent`, a string.

    Raises:
      ValueError: the files differ in their number of lines, a line is empty, or a request has more
        or fewer tags than words (which, and where).
    """
    sides = read_aligned({"tokens": words, "tags": slots, "intent": intents})
    tokens = [line.split() for line in sides["tokens"]]
    tags = [line.split() for line in sides["tags"]]
    for number, (said, marked) in enumerate(zip(tokens, tags, strict=True), start=1):
        if len(said) != len(marked):
            raise ValueError(
                f"{slots}, line {number}: {len(marked)} tags for the {len(said)} words of {words}; "
                "give one for each"
            )
    return {"tokens": tokens, "tags": tags, "intent": sides["intent"]}
