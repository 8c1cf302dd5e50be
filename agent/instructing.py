"""Cases that start from a person's instruction or from the core, rather than from a mail alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from agent import dates, goods, quantities, references
from agent.choosing import Choice
from agent.proposing import Draft, hand_over
from erp_core.commands import Matter, PromiseDate, ReleaseHold, RouteCase
from erp_core.values import Action, HoldReason, Intent, Priority, Queue, plain
from tools import world

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


def apply(read: dict[str, Any], text: str) -> dict[str, Any]:
    """What a reviewer says overrules what was read: order, items, date, action, queue. The mail's sender stays who it is."""
    slow = world.world()
    found = {**read, "instructed": True, "hostile": False, "auto": False, "confidence": 1.0, "strength": "strong"}
    found["instruction"] = text
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
        found |= {"order": orders[0], "order_how": "the instruction", "cited_order": None}
    found["items"] = _items(read, text, slow.skus, slow.shapes.get("sku", []), slow.names)
    day = dates.find(
        text, date.fromisoformat(read["sent_day"]) if read["sent_day"] else world.now().date(), day_first=False
    )
    if day:
        found["requested_date"] = day[-1].day.isoformat()
    for pattern, action, intent in WORDS:
        if pattern.search(text):
            found |= {"forced_action": action.value, "intent": intent.value}
            break
    routed = ROUTE.search(text)
    queue = routed.group(1).strip().lower().replace(" ", "_") if routed else ""
    match = next((q.value for q in Queue if q.value and queue.startswith(q.value)), None)
    if match and match != Queue.NONE:
        found["forced_queue"] = match
    return found


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
        action = {
            "hold_credit": Action.REVIEW_CREDIT_HOLD,
            "hold_price": Action.REVIEW_PRICE,
            "hold_margin": Action.REVIEW_PRICE,
        }
        return Choice(
            action.get(given["kind"], Action.CHANGE_ORDER),
            Queue(given["queue"]),
            Priority(given["priority"]),
            "a held order",
        )
    if read.get("forced_queue"):
        return Choice(
            Action.NO_ACTION, Queue(read["forced_queue"]), choice.priority, "no request: routed as instructed"
        )
    if read.get("forced_action"):
        return replace(choice, action=Action(read["forced_action"]), why="as instructed")
    return choice


def of_core_case(given: Facts) -> dict[str, Any]:
    """A case that the core opened: what is known stands in its details."""
    problems = given["details"].get("problems", [])
    return {
        "intent": Intent.OTHER.value,
        "confidence": 1.0,
        "strength": "strong",
        "secondary": [],
        "language": "en",
        "auto": False,
        "hostile": False,
        "instructed": True,
        "sender": "",
        "first_name": "",
        "message_id": "",
        "subject": "",
        "sent_day": "",
        "own_words": "\n".join(problems),
        "customer": given["customer"],
        "customer_name": given["customer_name"],
        "country": "US",
        "supplier": None,
        "blocked": False,
        "credit": {},
        "order": given["order"],
        "cited_order": None,
        "order_how": "the held order",
        "order_as_called": given["order"],
        "po_known_on": None,
        "refs": {k: [] for k in ("sales_order", "customer_po", "invoice", "shipment", "purchase_order", "tracking")},
        "refs_unknown": False,
        "invoices": [],
        "purchase_orders": [],
        "items": [],
        "skus_said": [],
        "requested_date": None,
        "marks": [],
        "problems": [],
        "places": [],
    }


def propose_for_hold(draft: Draft, given: Facts) -> None:
    """A held order: say why, and propose the step that its reason calls for."""
    reason = HoldReason(given["kind"].removeprefix("hold_"))
    order = draft.order
    if order is None:
        draft.add(hand_over(draft))
        return
    for text in given["details"].get("problems", []):
        draft.say(f"{text} {draft.evidence.cite('check', text)}")
    if reason == HoldReason.STOCK:
        _stock(draft, order)
    if not draft.commands and _mended(reason, draft.gathered):
        draft.say("The reason no longer holds on today's figures.")
        draft.add(ReleaseHold(order=order["number"], reason=reason, note="reason gone on today's figures"))
    if not draft.commands:
        kinds = {
            HoldReason.CREDIT: "credit_review",
            HoldReason.PRICE: "price_review",
            HoldReason.MARGIN: "price_review",
        }
        matter = Matter(
            kind=kinds.get(reason, "hand_over"),
            order=order["number"],
            note="; ".join(given["details"].get("problems", []))[:2000],
        )
        queue = Queue(given["queue"])
        draft.add(RouteCase(case=draft.case, queue=queue, priority=Priority(given["priority"]), matter=matter))
        draft.say("Whether it may go on is a judgement for the desk; nothing but the hand-over is proposed.")


def _stock(draft: Draft, order: Facts) -> None:
    short = [line for line in order["lines"] if line["backordered"] != "0"]
    days = [line["promise"] for line in short]
    for line in short:
        elsewhere = ", ".join(f"{q} at {w}" for w, q in line["free_elsewhere"].items()) or "none elsewhere"
        fact = f"{line['sku']}: {line['backordered']} short at {order['warehouse']}, {elsewhere}, expected {line['promise'] or 'no date'}"
        draft.say(f"{fact} {draft.evidence.cite('stock ' + line['sku'], fact)}.")
    if short and all(days):
        day = max(d for d in days if d)
        draft.add(PromiseDate(order=order["number"], promised_date=date.fromisoformat(day)))
        draft.say(f"With inbound goods all lines are covered on {day}; that day can be promised.")


def _mended(reason: HoldReason, gathered: Facts) -> bool:
    credit = gathered.get("credit") or {}
    return reason == HoldReason.CREDIT and bool(credit) and Decimal(credit["exposure"]) <= Decimal(credit["limit"])
