"""Orders held for their prices: what is not our price is corrected, let go or asked about; what was agreed binds us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from agent.alternatives import Option
from agent.draft import Draft
from agent.ways import ask, leave_to_desk, limits, release
from erp_core.commands import (
    MOST_COMMANDS,
    AmendOrder,
    LineChange,
)
from erp_core.values import HoldReason, plain
from tools import world

Facts = Mapping[str, Any]
ZERO = Decimal(0)


def price_ways(draft: Draft, given: Facts, broken: Sequence[Facts]) -> list[Option]:
    """Charged too much is corrected; a little too little is let go; otherwise the customer is told our price, or gets the keyed one."""
    order = draft.order or {}
    gaps = [(b["line"], b["facts"]) for b in broken if b["code"] == "price_differs"]
    if not gaps:
        return leave_to_desk(draft, given, broken)
    gap = sum(((Decimal(f["expected"]) - Decimal(f["price"])) * Decimal(f["quantity"]) for _, f in gaps), ZERO)
    gap = gap.quantize(Decimal("0.01"))
    told = f"{abs(gap):,} {'less' if gap > 0 else 'more'} than at our prices"
    draft.say(f"The lines come to {told} {draft.evidence.cite('price', told)}.")
    changes = [LineChange(line=line, reprice=True) for line, _ in gaps]
    correct = Option(
        "Take our prices",
        [AmendOrder(order=order["number"], changes=changes)],
        f"the customer pays {abs(gap):,} {'more' if gap > 0 else 'less'} than the order says",
    )
    keep = [release(draft, HoldReason.PRICE, "keyed price kept", _given_away(gap), line) for line, _ in gaps]
    go = Option(
        "Let it go as it is",
        [c for k in keep for c in k.commands][:MOST_COMMANDS],
        keep[0].consequence,
        _given_away(gap),
    )
    if all(Decimal(f["expected"]) < Decimal(f["price"]) for _, f in gaps):
        return [correct, go]
    for _, f in gaps:
        margin = world.margin_at(f["sku"], Decimal(f["price"]))
        text = f"{f['sku']} at {f['price']} leaves a margin of {margin:.1f} percent"
        draft.say(f"{text} {draft.evidence.cite('price ' + f['sku'], text, internal=True)}.")
    apart = sum((abs(Decimal(f["expected"]) - Decimal(f["price"])) * Decimal(f["quantity"]) for _, f in gaps), ZERO)
    if apart <= limits().low_below_amount:  # a line too dear does not make good for one too cheap
        draft.say("That is less than asking about it costs.")
        return [go, correct]
    draft.say("What was meant, only the customer can say; so we ask.")
    lines = [f"{f['sku']}: your order says {f['price']}, our price is {f['expected']}" for _, f in gaps]
    return [ask(draft, given, "price_ask", lines), go, correct]


def _given_away(gap: Decimal) -> str:
    return f"{gap:,} less than at our prices" if gap > 0 else ""


def margin_ways(draft: Draft, given: Facts, broken: Sequence[Facts]) -> list[Option]:
    """A price that was agreed binds us, whatever is left of it; other prices are for the pricing desk."""
    order = draft.order or {}
    low = [(b["line"], b["facts"]) for b in broken if b["code"] == "margin_below_floor"]
    ways = [release(draft, HoldReason.MARGIN, "price kept", line=line) for line, _ in low]
    if not ways:
        return leave_to_desk(draft, given, broken)
    by_line = {line["line"]: line for line in order["lines"]}
    agreed = True
    for number, facts in low:
        line = by_line[number]
        ordered = datetime.fromisoformat(order["ordered_at"]).date()
        price, source = world.price_of(order["customer"], line["sku"], Decimal(facts["quantity"]), ordered)
        agreed = agreed and source != "list" and price == Decimal(line["price"])
        text = f"{line['sku']} at {plain(Decimal(line['price']))}, {source} price {plain(price)}"
        draft.say(f"{text} {draft.evidence.cite('price ' + line['sku'], text)}.")
    go = Option(
        "Let it go as it is",
        [c for w in ways for c in w.commands][:MOST_COMMANDS],
        ways[0].consequence,
        "the margin stays below the floor",
    )
    if agreed:
        draft.say("The price was agreed with the customer and binds us; whether to agree it again is another matter.")
        return [go]
    return [*leave_to_desk(draft, given, broken), go]
