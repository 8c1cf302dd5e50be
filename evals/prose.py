"""How a letter reads, as a language model grades it. The last and least of the marks: it never fails a sample, and needs a model."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from agent.llm import Line, Question
from erp_core.tables.desk import Proposal
from evals.judging import Result
from evals.samples import Sample
from prompts import files
from tools import world


class Graded(BaseModel):
    """What a strict reader says of a letter."""

    answers: bool
    language: bool
    plain: bool
    tone: bool
    faults: list[str]


def grade(sample: Sample, proposals: Sequence[Proposal], line: Line, result: Result) -> None:
    """Mark the letter of the last proposal, if the sample is a mail and there is one. Raises Failed when the model gives nothing usable."""
    letters = [c["body"] for c in (proposals[-1].commands if proposals else []) if c["type"] == "send_message"]
    if sample.event.mail is None or not letters:
        return
    told = "\n".join([files.untrusted("message", sample.event.mail.body), files.untrusted("letter", letters[0])])
    filled = files.filled(("judge",), world.prompts_in_use(), our_name=world.our_name())
    messages = ({"role": "system", "content": filled.text}, {"role": "user", "content": told})
    form = line.ask(Question("judge", filled.sha256, messages, Graded), None, f"judge {sample.id}").form
    assert isinstance(form, Graded)
    result.marks["prose"] = sum([form.answers, form.language, form.plain, form.tone]) / 4
    result.said["prose"] = form.faults[:3]
