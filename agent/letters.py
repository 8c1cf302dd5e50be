"""Letters of our own accord: to a customer's contact about what the core found, composed from facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent import replies
from agent.draft import Draft
from erp_core.commands import SendMessage
from prompts.replies import first_name, reply
from tools import world


def letter(draft: Draft, given: Mapping[str, Any], name: str, lines: Sequence[str], **slots: str) -> SendMessage | None:
    """A letter to the customer's first contact; None, and a word why, when there is none."""
    contact = world.contact_of(given["customer"]) if given["customer"] else None
    if contact is None:
        draft.say("The customer has no contact to write to.")
        return None
    text = reply(
        name,
        "en",
        to=first_name(contact["name"]),
        signature=world.policy_in_force().proposals.signature("en"),
        reference=_called(draft, given),
        facts="\n".join(f"- {line}" for line in lines),
        **slots,
    )
    draft.told[text] = [*lines, *(f"{name}: {value}" for name, value in slots.items())]
    subject = f"Your order {given['order']}" if given["order"] else "Your orders"
    return SendMessage(case=draft.case, to=contact["email"], subject=subject, body=text)


def expected(day: str | None) -> str:
    """When goods come, in a letter's words; a day as YYYY-MM-DD."""
    return f"now expected on {replies.day(day, 'en')}" if day else "we will name a new date"


def _called(draft: Draft, given: Mapping[str, Any]) -> str:
    """The order as the customer knows it, and as we do."""
    po = (draft.order or {}).get("customer_po")
    if not given["order"]:
        return ""
    return f" {po} (our {given['order']})" if po not in (None, given["order"]) else f" {given['order']}"


def say_to_whom(draft: Draft) -> None:
    """Whom the letter of the proposal goes to; what it tells becomes evidence."""
    for sent in (c for c in draft.commands if isinstance(c, SendMessage)):
        for fact in draft.told.get(sent.body, []):
            draft.evidence.cite(f"order {draft.order['number']}" if draft.order else "letter", fact)
        draft.say(f"The letter goes to {sent.to} {draft.evidence.cite('contact', sent.to)}.")
