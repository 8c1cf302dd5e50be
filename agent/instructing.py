"""What a reviewer says overrules what was read: understood by patterns, or by a language model that returns typed fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel

from agent import core_cases, dates, goods, quantities, references
from agent.cancelling import WHOLE_ORDER
from agent.choosing import Choice
from agent.llm import Ask, Question
from agent.quarantine import day_of, quantity_of
from erp_core.commands import SaveCustomer
from erp_core.queries.references import key
from erp_core.values import Action, Intent, Queue, plain
from prompts import files
from tools import world
from tools.registry import together

Facts = Mapping[str, Any]
ROUTE = re.compile(r"\b(?:route|send|give|hand|pass|forward)\b[^.\n]{0,30}\bto\s+(?:the\s+)?([a-z_ ]{4,24})", re.I)
WORDS: list[tuple[re.Pattern[str], Action, Intent]] = [
    (re.compile(r"\bcancel\b", re.I), Action.CANCEL_ORDER, Intent.ORDER_CANCELLATION),
    (re.compile(r"\b(?:expedite|rush)\b", re.I), Action.EXPEDITE_ORDER, Intent.EXPEDITE_REQUEST),
    (re.compile(r"\b(?:close|no action|nothing to do)\b", re.I), Action.NO_ACTION, Intent.OTHER),
    (re.compile(r"\b(?:return|rma)\b", re.I), Action.CREATE_RETURN, Intent.RETURN_REQUEST),
    (re.compile(r"\b(?:status|answer|reply|tell (?:him|her|them))\b", re.I), Action.ANSWER_STATUS, Intent.ORDER_STATUS),
    (re.compile(r"\b(?:enter|place|new order)\b", re.I), Action.CREATE_ORDER, Intent.ORDER_SUBMISSION),
    (
        re.compile(r"\b(?:change|amend|instead|quantity|make it|only|move|push|date)\b", re.I),
        Action.CHANGE_ORDER,
        Intent.ORDER_CHANGE,
    ),
    (re.compile(r"\bdecline\b", re.I), Action.DECLINE_SUBSTITUTION, Intent.SUBSTITUTION_RESPONSE),
    (re.compile(r"\b(?:substitute|accept)\b", re.I), Action.APPLY_SUBSTITUTION, Intent.SUBSTITUTION_RESPONSE),
]


INTENTS = {action: intent for _, action, intent in WORDS} | {
    Action.OPEN_DISCREPANCY_CASE: Intent.DELIVERY_DISCREPANCY,
    Action.REVIEW_PRICE: Intent.PRICE_DISPUTE,
    Action.SEND_INVOICE_COPY: Intent.INVOICE_QUERY,
    Action.REVIEW_INVOICE: Intent.INVOICE_QUERY,
    Action.REVIEW_CREDIT_HOLD: Intent.CREDIT_AND_PAYMENT,
    Action.RECORD_REMITTANCE: Intent.CREDIT_AND_PAYMENT,
    Action.QUOTE_AVAILABILITY: Intent.AVAILABILITY_QUOTE,
    Action.UPDATE_ACCOUNT: Intent.ACCOUNT_CHANGE,
    Action.ESCALATE_COMPLAINT: Intent.COMPLAINT,
}


class ItemWanted(BaseModel):
    """Goods as a colleague wants them."""

    sku: str
    quantity: str | None
    uom: Literal["EA", "BX", "CS"] | None


class InstructionRead(BaseModel):
    """What a colleague wants done, in closed sets."""

    action: Action | None
    queue: Queue | None
    order: str | None
    items: list[ItemWanted]
    only: bool
    requested_date: str | None


def read(found: dict[str, Any], text: str, ask: Ask) -> dict[str, Any]:
    """As `apply`, understood by a language model: what it says is checked against our records. Raises Failed."""
    with together():  # over before it is asked
        told = _told(found, text)
    filled = files.filled(("instruct",), world.prompts_in_use(), our_name=world.our_name())
    messages = ({"role": "system", "content": filled.text}, {"role": "user", "content": told})
    said = ask(Question("read", filled.sha256, messages, InstructionRead)).form
    assert isinstance(said, InstructionRead)
    made = _instructed(found, text)
    if said.order and (number := _own_order(found, said.order)):
        made |= _meant(found, number)
    wanted = _wanted(said)
    named = {item["sku"] for item in wanted}
    if len(wanted) < len(said.items):
        # acting on the rest would be acting on something else than was said
        made["unclear"] = "The instruction names goods that are not in the catalogue; say them by number."
    elif wanted:
        made["items"] = [*([] if said.only else [i for i in found["items"] if i["sku"] not in named]), *wanted]
    elif said.action == Action.CANCEL_ORDER:
        made["items"] = []  # an order that is to be cancelled, without a word of goods, is cancelled whole
    if said.requested_date and (day := day_of(said.requested_date)):
        made["requested_date"] = day.isoformat()
    if said.action:
        intent = INTENTS.get(said.action, Intent(found["intent"])).value
        made |= {"forced_action": said.action.value, "intent": intent}
        kept = [] if said.action == Action.NO_ACTION and not said.queue else found["secondary"]
        made["secondary"] = [i for i in kept if i != intent]
    if said.queue and said.queue != Queue.NONE:
        made["forced_queue"] = said.queue.value
    return made


def _told(found: Facts, text: str) -> str:
    """Typed fields, the order's lines, and what the colleague said."""
    today = world.now()
    order = world.order_facts(found["order"], today) if found["order"] else None
    lines = (
        [f"- {x['line']} {x['sku']} {x['name']}, {x['quantity']} {x['uom']}" for x in order["lines"]] if order else []
    )
    items = [f"- {i['sku']}, {i['quantity'] or 'no number'} {i['uom'] or ''}" for i in found["items"]]
    return "\n".join(
        [
            f"Today is {today:%A}, {today.date().isoformat()}. The message was read as {found['intent']}, wanted by {found['requested_date'] or 'no day'}.",
            "Goods that were read:" if items else "No goods were read.",
            *items,
            f"Lines of {found['order']}:" if lines else "No order is linked.",
            *lines,
            files.of_colleague(text),
        ]
    )


def _own_order(found: Facts, said: str) -> str | None:
    """The order of the case's customer that a number means."""
    hits = world.resolve([key(said)]).get(key(said), [])
    return next((h.order for h in hits if h.order and h.party == found["customer"]), None)


def _wanted(said: InstructionRead) -> list[dict[str, Any]]:
    known = world.world().skus
    found = []
    for item in said.items:
        sku = known.get(key(item.sku))
        if sku is not None:
            found.append(goods.Goods(sku, quantity_of(item.quantity), item.uom, "words", 0, 0).as_json())
    return found


def _meant(read: Facts, number: str) -> dict[str, Any]:
    """Another order than was read: all that follows from which one it is."""
    called = number if number != read["order"] else read["order_as_called"]
    return {
        "order": number,
        "order_how": "the instruction",
        "order_as_called": called,
        "cited_order": None,
        "other_orders": [n for n in read["other_orders"] if n != number],
    }


def _speaks_of_a_part(text: str, numbers: list[str]) -> bool:
    for number in numbers:
        text = text.replace(number, "")
    return bool(PART.search(text)) and not WHOLE_ORDER.search(text)


PART = re.compile(r"\d|\b(?:lines?|items?|only|rest|part|some|first|second|third|last|except|but)\b", re.I)


def _instructed(read: Facts, text: str) -> dict[str, Any]:
    made = {**read, "instructed": True, "hostile": False, "auto": False, "confidence": 1.0, "strength": "strong"}
    return made | {"instruction": text}


def apply(read: dict[str, Any], text: str) -> dict[str, Any]:
    """What a reviewer says overrules what was read: order, items, date, action, queue. The mail's sender stays who it is."""
    slow = world.world()
    found = _instructed(read, text)
    numbers = references.find("instruction", text, slow.shapes, of_supplier=False)
    hits = world.resolve({k for f in numbers for k in references.keys_of(f, slow.shapes)})
    orders = [
        h.order
        for f in numbers
        for k in references.keys_of(f, slow.shapes)
        for h in hits.get(k, [])
        if h.order and h.party == read["customer"]
    ]
    if orders:
        found |= _meant(read, orders[0])
    found["items"] = _items(read, text, slow.skus, slow.shapes.get("sku", []), slow.names)
    day = dates.find(
        text, date.fromisoformat(read["sent_day"]) if read["sent_day"] else world.now().date(), day_first=False
    )
    if day:
        found["requested_date"] = day[-1].day.isoformat()
    for pattern, action, intent in WORDS:
        if pattern.search(text):
            found |= {"forced_action": action.value, "intent": intent.value}
            if action == Action.CANCEL_ORDER and found["items"] == read["items"]:
                if _speaks_of_a_part(text, [f.written for f in numbers]):
                    found["unclear"] = "Which goods the instruction means does not show; say them by number."
                found["items"] = []  # cancelled without a word of goods: cancelled whole
            if action == Action.NO_ACTION:
                found["secondary"] = []
            break
    routed = ROUTE.search(text)
    queue = routed.group(1).strip().lower().replace(" ", "_") if routed else ""
    match = next((q.value for q in Queue if q.value and queue.startswith(q.value)), None)
    if match and match != Queue.NONE:
        found["forced_queue"] = match
    return found


ALWAYS = re.compile(r"\b(?:always|from now on|in (?:the )?future|generally|every time)\b", re.I)
NEVER = re.compile(r"\b(?:never|no|not|don'?t|without)\b", re.I)
PARTIALS = re.compile(r"\b(?:partials?|part(?:ial)? (?:deliver\w+|shipments?)|split (?:deliver\w+|shipments?))\b", re.I)


def preference(read: Facts, text: str) -> SaveCustomer | None:
    """What a reviewer says of a customer for good becomes a row that somebody signs, never words for a model."""
    if not read["customer"] or not ALWAYS.search(text) or not PARTIALS.search(text):
        return None
    return SaveCustomer(customer=read["customer"], ships_partial=not NEVER.search(text))


def _items(
    read: Facts, text: str, skus: Mapping[str, str], shapes: list[str], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Items named in the instruction; or the one item of the mail with the instruction's quantity."""
    named = goods.by_number({"instruction": text}, skus, shapes, names)
    if named:
        said = {g.sku: g for g in named}
        kept = [i for i in read["items"] if i["sku"] not in said]
        new = [g.as_json() for g in named]
        return new if re.search(r"\bonly\b", text, re.I) else [*kept, *new]
    pair = quantities.change(text)
    new_quantity = pair[1] if pair else quantities.only_new(text)
    if new_quantity is None and (counted := quantities.counts(text)) and len(counted) == 1 and counted[0].uom:
        new_quantity = counted[0].value
    if new_quantity is not None and len(read["items"]) == 1:
        return [{**read["items"][0], "quantity": plain(new_quantity)}]
    return list(read["items"])


def override(choice: Choice, read: Facts, given: Facts) -> Choice:
    """The reviewer's action and queue instead of the agent's choice; a case of the core stays in the core's queue."""
    if given["parsed"] is None:
        return core_cases.choice(given)
    if read.get("forced_queue"):
        return Choice(
            Action.NO_ACTION, Queue(read["forced_queue"]), choice.priority, "no request: routed as instructed"
        )
    if read.get("forced_action"):
        return replace(
            choice,
            action=Action(read["forced_action"]),
            why="confirmed in the chat" if read.get("asked_in_chat") else "as instructed",
        )
    return choice
