"""Cases and messages."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from erp_core.commands.base import Amount, Code, Quantity, Sentence, Strict, Uom
from erp_core.values import Priority, Queue

MatterKind = Literal[
    "delivery_discrepancy",
    "return",
    "price_review",
    "invoice_review",
    "credit_review",
    "inbound_supply",
    "account_update",
    "complaint",
    "security",
    "order_entry",
    "hand_over",
]


class MatterLine(Strict):
    """An item the matter is about; unknown quantities stay unknown."""

    sku: Code
    quantity: Quantity | None = None
    uom: Uom | None = None


class Matter(Strict):
    """What a routed case is about, in typed fields, so that nobody reads the mail twice."""

    kind: MatterKind
    order: str | None = None
    purchase_order: str | None = None
    shipment: str | None = None
    invoices: Annotated[list[str], Field(max_length=50)] = []
    lines: Annotated[list[MatterLine], Field(max_length=200)] = []
    expected_date: date | None = None
    marks: Annotated[list[str], Field(max_length=20)] = []
    note: Sentence = ""


class OpenCase(Strict):
    """Open an exception case."""

    type: Literal["open_case"] = "open_case"
    kind: Code
    subject: Annotated[str, Field(min_length=1, max_length=200)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    queue: Queue
    priority: Priority = Priority.NORMAL
    customer: str | None = None
    order: str | None = None
    at_stake: Amount | None = None
    details: Annotated[dict[str, object], Field(max_length=50)] = {}


class RouteCase(Strict):
    """Hand a case to the queue that owns its matter."""

    type: Literal["route_case"] = "route_case"
    case: int
    queue: Queue
    priority: Priority
    matter: Matter


class CloseCase(Strict):
    """End a case that was seen to, with a resolution."""

    type: Literal["close_case"] = "close_case"
    case: int
    resolution: Annotated[str, Field(min_length=1, max_length=500)]
    root_cause: str | None = Field(None, max_length=100)


class DismissCase(Strict):
    """End a case that needs nobody: nothing of what it asks for is done, and what is proposed for it is withdrawn."""

    type: Literal["dismiss_case"] = "dismiss_case"
    case: int
    reason: Annotated[str, Field(min_length=3, max_length=500)]


class PauseCase(Strict):
    """Let the due time stand still while the case waits for somebody outside."""

    type: Literal["pause_case"] = "pause_case"
    case: int
    waits_for: Code
    until: datetime
    note: Sentence = ""


class ResumeCase(Strict):
    """Let the due time run on."""

    type: Literal["resume_case"] = "resume_case"
    case: int


class CheckStep(Strict):
    """Check off a step of the case's playbook; the first step is 1."""

    type: Literal["check_step"] = "check_step"
    case: int
    step: int = Field(ge=1, le=50)


class SendMessage(Strict):
    """Send a mail. It waits in the outbox until the clock delivers it."""

    type: Literal["send_message"] = "send_message"
    case: int | None = None
    to: Annotated[str, Field(pattern=r"^[^@\s,;]+@[^@\s,;]+$", max_length=254)]
    subject: Annotated[str, Field(min_length=1, max_length=300)]
    body: Annotated[str, Field(min_length=1, max_length=20000)]
    in_reply_to: str | None = Field(None, max_length=998)
    invoices: Annotated[list[Code], Field(max_length=20)] = []
