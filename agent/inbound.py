"""What a supplier's message changes of a purchase order: another day, less, dearer, no more of it; and whom that hurts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent import dates
from erp_core.commands import MOST_COMMANDS, AmendPurchase, BuyChange, UpdateExpectedDate
from erp_core.queries.supply import WhatIf
from erp_core.values import INBOUND_PURCHASE_STATUSES
from tools import world

if TYPE_CHECKING:
    from agent.draft import Draft

Facts = Mapping[str, Any]
ENDED = re.compile(r"\b(?:discontinu\w+|no longer (?:made|produced|available|manufactured)|end[- ]of[- ]life|descontinuad\w+|ne (?:sera|est) plus (?:fabriqu|disponible)\w*|eingestellt|abgekündigt)\b", re.I)  # fmt: skip
PARTIAL = re.compile(r"\b(?:only (?:ship|send|deliver|supply|\d)|can ship (?:only )?\d|partial\w*|short[- ]ship\w*|solo (?:podemos|\d)|seulement|nur \d|teilliefer\w+)\b", re.I)  # fmt: skip
DEARER = re.compile(r"\b(?:price (?:increase|adjust\w*|change)|new price|surcharge|aumento de precio|hausse de prix|preiserhöhung)\b", re.I)  # fmt: skip
LATER = re.compile(r"\b(?:delay\w*|late\b|slip\w*|push\w*|postpon\w*|unable|cannot|will not|new (?:ship|delivery|eta|date)|revised|reschedul\w*|verzög\w*|verzug|retras\w*|demora\w*|retard\w*|behind|force majeure|backorder\w*)\b", re.I)  # fmt: skip
WHOLE = re.compile(r"\b(?:in full|complete(?:ly)?|as ordered|as confirmed)\b", re.I)
PRICE = re.compile(r"[$€£]\s?(\d{1,6}(?:,\d{3})*\.\d{2,4})\b")


def changes(draft: Draft) -> None:
    """Commands for the one purchase order that is meant; nothing when it is not clear which one or what."""
    found = draft.gathered.get("purchase_orders", [])
    if len(found) != 1 or found[0]["status"] not in INBOUND_PURCHASE_STATUSES:
        return
    order, text = found[0], draft.read["own_words"]
    said = {item["sku"]: item for item in draft.read["items"]}
    lines = [line for line in order["lines"] if line["sku"] in said]
    amended = _amended(order, lines, said, text)
    if amended is not None:
        draft.add(amended)
        for line in lines:
            draft.span("item", line["sku"])
        cut = amended.changes[0]
        if cut.quantity is not None:
            line = next(x for x in order["lines"] if x["line"] == cut.line)
            left = cut.quantity - Decimal(line["received"])
            _hurts(draft, WhatIf(order["number"], open_quantity={line["sku"]: left}))
    _redate(draft, order, lines, text)


def _amended(order: Facts, lines: list[Facts], said: Mapping[str, Facts], text: str) -> AmendPurchase | None:
    """One line, and only what is said of it beyond doubt."""
    if len(lines) != 1 and len(order["lines"]) != 1:
        return None
    line = (lines or order["lines"])[0]
    quantity = said.get(line["sku"], {}).get("quantity")
    change: BuyChange | None = None
    if ENDED.search(text) and not WHOLE.search(text):
        change = BuyChange(line=line["line"], quantity=Decimal(line["received"]))
    elif (
        PARTIAL.search(text) and quantity and Decimal(line["received"]) <= Decimal(quantity) < Decimal(line["quantity"])
    ):
        change = BuyChange(line=line["line"], quantity=Decimal(quantity))
    elif DEARER.search(text):
        prices = [Decimal(p.replace(",", "")) for p in PRICE.findall(text)]
        dearer = [p for p in prices if p > Decimal(line["unit_cost"])]
        change = BuyChange(line=line["line"], unit_cost=dearer[0]) if len(set(dearer)) == 1 else None
    if change is None:
        return None
    return AmendPurchase(purchase_order=order["number"], changes=[change], reason="the supplier says so")


def _redate(draft: Draft, order: Facts, lines: list[Facts], text: str) -> None:
    """Another day, when the supplier says it is late; with whom it hurts and what else could be done."""
    if not LATER.search(text):
        return
    today = date.fromisoformat(draft.gathered["today"])
    days = _line_days(draft, lines, text, today)
    if not days and (whole := _whole_day(draft, order, lines, text, today)):
        days = dict([whole])
    if not 0 < len(days) <= MOST_COMMANDS - len(draft.commands):
        return
    for line, day in days.items():
        change = {"line": line, "expected_date": day, "reason": "the supplier says so"}
        draft.add(UpdateExpectedDate(purchase_order=order["number"], **change))
        fact = f"{order['number']}{f' line {line}' if line else ''} comes on {day}"
        draft.say(f"{fact} {draft.evidence.cite('mail', fact)}.")
    skus = {line["line"]: line["sku"] for line in order["lines"]}
    of_goods = {skus[line]: day for line, day in days.items() if line is not None}
    _hurts(draft, WhatIf(order["number"], day=days.get(None), days=of_goods))


def _hurts(draft: Draft, what: WhatIf) -> None:
    """Whom the change makes late, and what else could be done, each with its cost."""
    moment = datetime.fromisoformat(f"{draft.gathered['today']}T12:00:00+00:00")
    impact = world.change_impact(what, moment)
    if not impact["orders"]:
        fact = "no customer order that waits becomes later"
        draft.say(f"Impact: {fact} {draft.evidence.cite('impact', fact)}.")
        return
    fact = f"{impact['orders_hurt']} customer orders worth {impact['value']} become later"
    draft.say(f"Impact: {fact} {draft.evidence.cite('impact', fact)}.")
    for row in impact["orders"][:5]:
        broken = ", a promise breaks" if row["breaks_promise"] else ""
        fact = f"{row['order']} of {row['customer']}: {row['sku']} on {row['after'] or 'no known day'} instead of {row['before']}{broken}"
        draft.say(f"{fact} {draft.evidence.cite('impact', fact)}.")
    for choice in impact["options"]:
        draft.say(f"Option: {choice} {draft.evidence.cite('option', choice)}.")


def _days(draft: Draft, text: str, today: date) -> list[date]:
    """Days to come that a text names, in its own order."""
    sent = date.fromisoformat(draft.read["sent_day"]) if draft.read["sent_day"] else today
    return [d.day for d in dates.find(text, sent, day_first=draft.language != "en") if d.day >= today]


def _line_days(draft: Draft, lines: list[Facts], text: str, today: date) -> dict[int | None, date]:
    """Lines of the order that a line of the mail names together with a day; none when one is named with several."""
    named: dict[int | None, set[date]] = {}
    for row in text.splitlines():
        here = [line for line in lines if line["sku"].lower() in row.lower()]
        days = _days(draft, row, today)
        if len(here) == 1 and days:
            named.setdefault(here[0]["line"], set()).add(days[-1])
    return {line: days.pop() for line, days in named.items()} if all(len(d) == 1 for d in named.values()) else {}


def _whole_day(
    draft: Draft, order: Facts, lines: list[Facts], text: str, today: date
) -> tuple[int | None, date] | None:
    """The latest day named, for the order or the only line meant: who says several is believed for the last."""
    days = [day for day in _days(draft, text, today) if day.isoformat() != order["expected_date"]]
    if not days:
        return None
    return (lines[0]["line"] if len(lines) == 1 < len(order["lines"]) else None, max(days))
