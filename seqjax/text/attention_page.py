"""A page of texts whose words are shaded by how much each weighed in the answer."""

import html
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqjax.files.disk import write_atomically

STYLE = """
body { font: 17px/1.7 Georgia, serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
body { color: #222; background: #fff }
b { font: 600 13px sans-serif; color: #555; margin-right: .6em }
span { padding: .1em .15em; border-radius: .2em }
.unknown { font-style: italic; text-decoration: underline dotted }
"""

LEGEND = (
    "The darker a word, the more it weighed; the darkest of each text is at full colour. "
    "Words in italics the model does not know."
)


class Explained(NamedTuple):
    """An answer, and where the model looked.

    Attributes:
      label: the class.
      probability: of that class.
      words: the tokens that were read.
      weights: of each token, `[tokens]`; None where the model does not pool by attention.
      known: whether the model knows each token.
    """

    label: Any
    probability: float
    words: list[str]
    weights: np.ndarray | None
    known: list[bool]


def write_attention_page(
    path: str | os.PathLike, title: str, sections: Mapping[str, Sequence[str]]
) -> None:
    """Writes one self-contained HTML page, whole or not at all.

    Args:
      path: the file.
      title: of the page.
      sections: lines from `attention_line`, by heading.
    """
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{LEGEND}</p>"]
    for name, lines in sections.items():
        parts += [f"<h2>{html.escape(name)}</h2>", *lines]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>"
    )
    body = "\n".join(parts)
    page = f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'
    write_atomically(path, page.encode())


def attention_line(explained: Explained, truth: Any = None) -> str:
    """Spells a text in HTML: each token shaded by its weight, unknown ones in italics.

    Args:
      explained: the text and its answer.
      truth: its class, where it is known; said where the answer is another one.
    """
    note = f"{html.escape(str(explained.label))} {explained.probability:.0%}"
    if truth is not None and truth != explained.label:
        note += f", in truth {html.escape(str(truth))}"
    spans = []
    for place, (word, known) in enumerate(zip(explained.words, explained.known, strict=True)):
        kind = "" if known else ' class="unknown"'
        spans.append(f"<span{kind}{_shade(explained.weights, place)}>{html.escape(word)}</span>")
    return f"<p><b>{note}</b> {' '.join(spans)}</p>"


def _shade(weights: np.ndarray | None, place: int) -> str:
    """Spells the attributes that colour a token."""
    if weights is None:
        return ""
    share = (weights[place] / weights.max()) ** 2
    return f' style="background:rgba(255,170,0,{share:.2f})" title="{weights[place]:.1%}"'
