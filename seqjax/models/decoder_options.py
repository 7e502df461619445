"""What the options of `seqjax.models.Decoder` are, and which of them do not go together."""

from typing import Any, Literal, get_args

Form = Literal["luong", "bahdanau"]


def check_options(decoder: Any) -> None:
    """Refuses options of a `Decoder` that do not go together.

    Raises:
      ValueError: says which, or that the recurrence is not causal.
    """
    if not decoder.recurrence.causal:
        raise ValueError(
            f"{decoder.recurrence} reads the future; a decoder wants a causal recurrence"
        )
    if decoder.form not in get_args(Form):
        known = ", ".join(map(repr, get_args(Form)))
        raise ValueError(f"form={decoder.form!r} is unknown; choose one of {known}")
    if decoder.form == "bahdanau" and decoder.input_feeding:
        raise ValueError(
            "form='bahdanau' reads the context beside each token; input_feeding goes with 'luong'"
        )
    needs = {
        "input_feeding": decoder.input_feeding,
        "coverage": decoder.coverage,
        "copying": decoder.copying is not None,
        "form='bahdanau'": decoder.form == "bahdanau",
    }
    given = [name for name, needs_attention in needs.items() if needs_attention]
    if decoder.attention is None and given:
        raise ValueError(
            f"attention=None does not go with {given[0]}; choose a score, for example 'general'"
        )
    outputs = decoder.recurrence.output_size(decoder.embedding_size)
    if decoder.tied and decoder.attention is None and outputs != decoder.embedding_size:
        raise ValueError(
            f"tied=True without attention wants embedding_size={decoder.embedding_size} "
            f"to equal the recurrence's {outputs} features"
        )
