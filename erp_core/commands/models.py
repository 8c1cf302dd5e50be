"""Models and prompts: put up by one, measured by the evaluation, brought into use by another; and samples from feedback."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from erp_core.commands.base import Sentence, Strict
from erp_core.values import Intent, Queue

Why = Annotated[str, Field(min_length=3, max_length=500)]


class RecordPrompt(Strict):
    """Keep the text of a prompt as a version. Nothing uses it before it was measured and somebody else promoted it."""

    type: Literal["record_prompt"] = "record_prompt"
    name: Annotated[str, Field(min_length=1, max_length=80)]
    text: Annotated[str, Field(min_length=1, max_length=200_000)]


class NominateModel(Strict):
    """Put a version up for promotion: from now on it runs in the shadow of what is in use."""

    type: Literal["nominate_model"] = "nominate_model"
    version: int
    reason: Why


class ReportModel(Strict):
    """Keep what the evaluation measured of a version."""

    type: Literal["report_model"] = "report_model"
    version: int
    against: int | None = None
    figures: dict[str, Any]


class PromoteModel(Strict):
    """Bring a version into use. Not by who trained or nominated it, and only when it passed its gate."""

    type: Literal["promote_model"] = "promote_model"
    version: int
    reason: Why


class RollBackModel(Strict):
    """Return to the version that was in use before, at once."""

    type: Literal["roll_back_model"] = "roll_back_model"
    name: Annotated[str, Field(min_length=1, max_length=80)]
    reason: Sentence = ""


class KeepSample(Strict):
    """This case was handled wrongly: keep it, masked, as a sample for the evaluation."""

    type: Literal["keep_sample"] = "keep_sample"
    case: int
    why: Why
    intent: Intent | None = None
    queue: Queue | None = None


class ReviewSample(Strict):
    """Take a sample into the set, or leave it out. Not by who kept it."""

    type: Literal["review_sample"] = "review_sample"
    sample: int
    accept: bool
