"""Which first lines name columns, and in which order: no name of a column is learnt as data."""

from collections.abc import Sequence

LANGUAGES = frozenset(
    "ar cs da de en es fi fr hi hu it ja ko nl no pl pt ro ru sv tr uk vi zh "
    "arabic chinese czech dutch english finnish french german hindi hungarian italian japanese "
    "korean polish "
    "portuguese romanian russian spanish swedish turkish ukrainian vietnamese".split()
)

NAMES: dict[str, frozenset[str]] = {
    "label": frozenset("label labels class category sentiment polarity intent target y".split()),
    "text": frozenset(
        "text texts sentence sentences review document content utterance question phrase x".split()
    ),
    "path": frozenset("path file filename file_name audio wav recording".split()),
    "transcript": frozenset("transcript transcription text sentence words".split()),
    "file": frozenset("file filename file_name image image_name path".split()),
    "caption": frozenset("caption captions text description comment".split()),
    "source": frozenset("source src input original".split()) | LANGUAGES,
    "target": frozenset("target tgt trg output translation".split()) | LANGUAGES,
    "word": frozenset(
        "word words spelling grapheme graphemes letters orthography headword".split()
    ),
    "sounds": frozenset("sounds phonemes phones pronunciation transcription ipa arpabet".split()),
    "token": frozenset("token tokens word words form".split()),
    "tag": frozenset(
        "tag tags label labels ner ner_tag ner_tags pos pos_tag upos xpos chunk entity".split()
    ),
}
"""Role of a column to what files call it, in small letters."""


def header_order(fields: Sequence[str], roles: Sequence[str]) -> tuple[int, ...] | None:
    """Returns the place of each role in a first line that names columns; None where it is data.

    Args:
      fields: of the line.
      roles: wanted columns, such as "label" and "text"; see `NAMES`. Another name stands for
        itself.

    Returns:
      For each role the index of its field: every field is one role's, and they may stand in any
      order.

    Example:
      >>> header_order(["sentence", "label"], ["label", "text"]), header_order(["good", "1"], ["label", "text"])
      ((1, 0), None)
    """
    said = [field.strip().lower().replace(" ", "_") for field in fields]
    if len(said) != len(roles) or len(set(said)) != len(said):
        return None
    places, free = [], list(range(len(said)))
    for role in roles:
        # A name that two roles share goes to the first one: "source" and "target" both hold the
        # languages.
        place = next((place for place in free if said[place] in NAMES.get(role, {role})), None)
        if place is None:
            return None
        free.remove(place)
        places.append(place)
    return tuple(places)
