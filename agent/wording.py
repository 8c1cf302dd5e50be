"""Whether words of a language model may go to a customer: the same look for a letter and for an answer in a chat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from agent import grounding
from tools import world


@dataclass(frozen=True)
class Reader:
    """Who will read it: the customer or supplier, the language, and how the language of a text is told."""

    customer: str | None
    supplier: str | None
    language: str
    speaks: Callable[[str], str]


def problem(
    text: str, known: Sequence[str], commands: Sequence[Mapping[str, object]], reader: Reader, today: date
) -> str | None:
    """Why it may not go out as it is; None when it may. `known` may be told; `commands` go with it."""
    missing = grounding.unsupported(text, known, today)
    if missing:
        return f"names {', '.join(missing[:3])} without a fact that may be told"
    promised = grounding.false_promises(text, commands)
    if promised:
        return f"says “{promised[0]}”, which nothing beside it does"
    foreign = world.others_documents(text, reader.customer, reader.supplier)
    if foreign:
        return f"names {', '.join(foreign)}, which is somebody else's"
    if reader.speaks(text) != reader.language:
        return "is in another language than the sender's"
    return None
