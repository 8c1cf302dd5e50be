"""What a customer asked for in a chat and said yes to, as a message that the desk works like any other: the words, and the request in typed fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.mail.fetch import Raw
from agent.mail.parse import Parsed, parse
from erp_core.policy import MailPolicy
from erp_core.values import Action, Intent


class Item(BaseModel):
    """Goods as they were read back."""

    model_config = ConfigDict(extra="forbid")
    sku: str
    quantity: str | None
    uom: str | None


class Request(BaseModel):
    """What was read back and confirmed. `customer` is named where a colleague asked on its behalf."""

    model_config = ConfigDict(extra="forbid")
    intent: Intent
    action: Action
    order: str | None
    items: list[Item]
    requested_date: str | None
    customer: str | None = None


def message(
    chat: int, turn: int, who: tuple[str, str], words: Sequence[str], read_back: str, policy: MailPolicy, now: datetime
) -> tuple[Raw, Parsed]:
    """The chat's words as a message from `who` (name, address); the same turn gives the same Message-ID."""
    mail = EmailMessage()
    mail["From"] = f"{who[0]} <{who[1]}>"
    mail["Date"] = format_datetime(now)
    mail["Subject"] = "Asked in the chat"
    mail["Message-ID"] = f"<chat-{chat}-asked-{turn}@countersign>"
    mail.set_content("\n".join([*words, "", "Read back, and confirmed with yes:", read_back]))
    raw = Raw(f"chat:{chat}", mail.as_bytes())
    return raw, parse(raw.data, policy)


def apply(found: dict[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was confirmed goes before what the words read like."""
    request = Request.model_validate(asked)
    if request.customer:  # a colleague asked, signed in with us, on this customer's behalf
        found = found | {"customer": request.customer, "customer_name": request.customer, "marks": []}
    items = [{**i.model_dump(), "part": "words", "start": 0, "end": 0} for i in request.items]
    return found | {
        "intent": request.intent.value,
        "forced_action": request.action.value,
        "confidence": 1.0,
        "strength": "strong",
        "secondary": [],
        "other_orders": [],
        "signs": [],
        "auto": False,
        "hostile": False,  # each turn was looked at when it was said; what looks hostile there goes to a person
        "order": request.order,
        "order_how": "what was confirmed in the chat",
        "order_as_called": request.order,
        "items": items,
        "requested_date": request.requested_date,
        "asked_in_chat": True,
    }
