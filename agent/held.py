"""Held orders: the ways that people have with each reason of a hold, the one we would take first.

Every way ends in something that can be signed: let the order go, correct it, move goods, name a day, or ask the customer and let the case wait for
the answer. Only what is no matter of judgement between these is handed to the desk as it is. The numbers that decide stand in the policy ([proposals]).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agent import credit, pricing, shortage
from agent.alternatives import Option
from agent.draft import Draft
from agent.letters import say_to_whom
from agent.ways import ask, leave_to_desk, release
from erp_core.commands import (
    AmendOrder,
    CancelOrder,
    LineChange,
    RouteCase,
)
from erp_core.values import HoldReason
from tools import world

Facts = Mapping[str, Any]


def propose(draft: Draft, given: Facts) -> None:
    """Say why the order is held, and find the ways; the first becomes the proposal."""
    reason = HoldReason(given["kind"].removeprefix("hold_"))
    order = draft.order
    if order is None:
        draft.add(*leave_to_desk(draft, given, [])[0].commands)
        return
    if reason != HoldReason.STOCK:  # there each line is told with what could be done about it
        for text in given["details"].get("problems", []):
            draft.say(f"{text} {draft.evidence.cite('check', text)}")
    broken = world.broken(order["number"], reason)
    first, *draft.ways = _WAYS.get(reason, leave_to_desk)(draft, given, broken)
    if isinstance(first.commands[0], RouteCase):
        draft.say("Whether it may go on is a judgement for the desk; nothing but the hand-over is proposed.")
    draft.title = first.title
    draft.add(*first.commands)
    say_to_whom(draft)


def _abnormal(draft: Draft, given: Facts, broken: Sequence[Facts]) -> list[Option]:
    """Who orders far more than ever is asked whether it is meant; each line can be cut to what is usual."""
    order = draft.order or {}
    lines = [f"{x['quantity']} {x['uom']} {x['sku']} ({x['name']})" for x in order["lines"][:20]]
    ways = [ask(draft, given, "abnormal_ask", lines)]
    ways.append(release(draft, HoldReason.ABNORMAL, "meant as ordered"))
    by_line = {line["line"]: line for line in order["lines"]}
    cut = [
        LineChange(line=b["line"], quantity=Decimal(b["facts"]["usual"]).to_integral_value())
        for b in broken
        if b["code"] == "quantity_abnormal" and by_line[b["line"]]["quantity"] == b["facts"]["quantity"]
    ]
    if cut:
        ways.append(
            Option(
                "Cut to what is usual", [AmendOrder(order=order["number"], changes=cut)], "the customer must be told"
            )
        )
    return ways


def _duplicate(draft: Draft, given: Facts, broken: Sequence[Facts]) -> list[Option]:
    """Whether an order was meant twice, only the customer knows."""
    order = draft.order or {}
    others = [n for b in broken for n in b["facts"].get("orders", [])]
    lines = [f"{order['number']}, PO {order['customer_po'] or 'none'}", *(f"{n}" for n in others[:5])]
    ways = [ask(draft, given, "duplicate_ask", lines)]
    ways.append(
        Option(
            "Cancel it as a duplicate",
            [CancelOrder(order=order["number"], reason=f"same as {', '.join(others[:3]) or 'another order'}")],
            "nothing of it ships",
        )
    )
    ways.append(release(draft, HoldReason.DUPLICATE, "meant as a second order"))
    return ways


_WAYS: dict[HoldReason, Callable[[Draft, Facts, Sequence[Facts]], list[Option]]] = {
    HoldReason.CREDIT: credit.ways,
    HoldReason.STOCK: shortage.ways,
    HoldReason.PRICE: pricing.price_ways,
    HoldReason.MARGIN: pricing.margin_ways,
    HoldReason.ABNORMAL: _abnormal,
    HoldReason.DUPLICATE: _duplicate,
}
