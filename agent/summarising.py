"""Queues in the words of a language model, beside what SQL counts: it sees typed rows and the counts, and each sentence is checked before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from agent import grounding
from agent.llm import Answer, Line, Question
from erp_core import casework, clock, db
from erp_core.queries import digests
from erp_core.rules.digest import Figures
from erp_core.rules.digest import sentences as counted
from prompts import files
from tools import world

LEAST, MOST = 10, 120  # open cases of a queue that is worth words, and how many of them are shown
MOST_SENTENCES = 6


class Said(BaseModel):
    """A sentence and the cases it is about."""

    text: str
    cases: list[int]


class Themes(BaseModel):
    """What matters in a queue."""

    sentences: list[Said]


def summarise(queue: str, entity: str, line: Line) -> int:
    """Write down what matters in a firm's queue; how many sentences held. Raises Failed."""
    with db.reading(db.AGENT, (entity,)) as session:
        now = clock.now(session)
        figures, rows = digests.figures(session, queue, now), digests.rows(session, queue, entity, MOST)
    answer: Answer = line.ask(_question(queue, figures, rows), None, f"queue-{queue}-{entity}")
    assert isinstance(answer.form, Themes)
    held = [s for s in answer.form.sentences[:MOST_SENTENCES] if _holds(s, figures, rows)]
    kept = [{"text": s.text.strip()[:400], "cases": sorted(set(s.cases))[:50]} for s in held]
    with db.transaction(db.AGENT) as session:
        casework.keep_summary(session, queue, entity, answer.model, kept)
    return len(kept)


def _question(queue: str, figures: Figures, rows: Sequence[Any]) -> Question:
    filled = files.filled(("summarise",), world.prompts_in_use(), queue=queue.replace("_", " "))
    told = "\n".join(
        ["Counted:", *(f"- {s.text}" for s in counted(figures)), "", "Cases, in order of the queue:", *map(_row, rows)]
    )
    messages = ({"role": "system", "content": filled.text}, {"role": "user", "content": told})
    return Question("summarise", filled.sha256, messages, Themes)


def _row(row: Any) -> str:
    worth = f", {row.at_stake} at stake" if row.at_stake else ""
    due = f", due {row.due_at:%Y-%m-%d %H:%M}" if row.due_at else ""
    who = f", {row.customer_name}" if row.customer_name else ""
    order = f", order {row.order_number}" if row.order_number else ""
    return f"#{row.id}: {row.kind.replace('_', ' ')}, {row.priority}{who}{order}{worth}{due}, proposed: {row.action or 'nothing yet'}"


def _holds(said: Said, figures: Figures, rows: Sequence[Any]) -> bool:
    """It names cases of this queue, and no number, day or document that neither they nor the counts hold."""
    by_number = {row.id: row for row in rows}
    if not said.cases or not set(said.cases) <= by_number.keys():
        return False
    facts = [_row(by_number[n]) for n in said.cases] + [s.text for s in counted(figures)] + [str(len(set(said.cases)))]
    return not grounding.unsupported(
        said.text.replace("#", " "), [f.replace("#", " ") for f in facts], figures.now.date()
    )
