"""Orders that lack stock: name a day, bring goods from elsewhere, send a substitute, ask the customer, or drop what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from agent.alternatives import Option
from agent.draft import Draft
from agent.letters import expected, letter
from agent.ways import ASK, ask, bring
from erp_core.commands import (
    MOST_COMMANDS,
    AmendOrder,
    Command,
    LineChange,
    PromiseDate,
    SubstituteItem,
    TransferStock,
)
from erp_core.values import plain
from tools import world

Facts = Mapping[str, Any]
ZERO = Decimal(0)


def ways(draft: Draft, given: Facts, broken: Sequence[Facts]) -> list[Option]:
    """In this order: a day in time, goods from elsewhere, a permitted substitute, a later day, asking the customer."""
    order = draft.order or {}
    short = [line for line in order["lines"] if line["backordered"] != "0"]
    for line in short:
        elsewhere = ", ".join(f"{q} at {w}" for w, q in line["free_elsewhere"].items()) or "none elsewhere"
        fact = f"{line['sku']}: {line['backordered']} short at {order['warehouse']}, {elsewhere}, expected {line['promise'] or 'no date'}"
        draft.say(f"{fact} {draft.evidence.cite('stock ' + line['sku'], fact)}.")
    for case, skus in world.buying([x["sku"] for x in short if not x["promise"]], order["warehouse"]).items():
        text = f"Case {case} proposes to buy {', '.join(skus)} for {order['warehouse']}"
        draft.say(f"{text} {draft.evidence.cite('case', text)}.")
    supplies = [world.ways_to_supply(x["sku"], order["warehouse"], Decimal(x["backordered"])) for x in short]
    transfers = [[w for w in listed if w["kind"] == "transfer"] for listed in supplies]
    found = [_moved(order, short, transfers), _swapped(order, short)]
    dated = _dated(draft, given, order, short)
    in_time = dated is not None and dated[0] <= (order["requested_date"] or "")
    if dated is not None:
        found.insert(0 if in_time else 2, dated[1])
    found += [
        _partly(draft, given, order, short),
        _moved(order, short, transfers, between_firms=True),
        _cut(draft, given, order, short),
    ]
    able = [way for way in found if way is not None]
    if able[0].title == ASK:
        draft.say("Neither goods of this firm elsewhere nor a known day cover all of it, so the customer is asked.")
    return able


def _moved(
    order: Facts, short: Sequence[Facts], transfers: Sequence[Sequence[Facts]], *, between_firms: bool = False
) -> Option | None:
    """All that is missing from other warehouses, if that takes few moves; or from those of another firm of ours, which has to be billed for it."""
    moves: list[TransferStock] = []
    cost = ZERO
    for line, listed in zip(short, transfers, strict=True):
        usable = [w for w in listed if between_firms or w["intercompany"] == "false"]
        reason = f"{line['backordered']} missing on {order['number']}"
        made, left = bring(usable, line["sku"], order["warehouse"], Decimal(line["backordered"]), reason)
        if left > 0:
            return None
        moves += made
        cost += sum((Decimal(w["cost"]) for w in usable[: len(made)]), ZERO)
    if not moves or len(moves) > MOST_COMMANDS:
        return None
    told = ", ".join(f"{plain(m.quantity)} {m.sku} from {m.source}" for m in moves)
    return Option(f"Bring {told}", list(moves), "all lines are covered when they come", f"{cost:,} for the transfer")


def _swapped(order: Facts, short: Sequence[Facts]) -> Option | None:
    """Permitted substitutes for all that is missing, without asking."""
    swaps: list[Command] = []
    for line in short:
        free = world.free_substitutes(line["sku"], order["warehouse"], Decimal(line["backordered"]))
        if not free:
            return None
        swaps.append(SubstituteItem(order=order["number"], line=line["line"], substitute_sku=free[0]))
    if not swaps or len(swaps) > MOST_COMMANDS:
        return None
    told = ", ".join(s.substitute_sku for s in swaps if isinstance(s, SubstituteItem))
    return Option(f"Send {told} instead", swaps, "goes out at the price of the line")


def _dated(draft: Draft, given: Facts, order: Facts, short: Sequence[Facts]) -> tuple[str, Option] | None:
    """The day on which inbound goods cover all of it, and a letter that says so when it is later than wanted."""
    days = [line["promise"] for line in short]
    if not days or not all(days):
        return None
    day = max(d for d in days if d)
    draft.say(f"With inbound goods all lines are covered on {day}; that day can be promised.")
    commands: list[Command] = [PromiseDate(order=order["number"], promised_date=date.fromisoformat(day))]
    if order["requested_date"] is None or day > order["requested_date"]:
        told = letter(draft, given, "supply_delay", [f"{order['number']}: {expected(day)}"])
        commands += [told] if told else []
    return day, Option(
        f"Promise {day}", commands, f"all lines are covered on {day}; the hold ends when the goods are there"
    )


def _partly(draft: Draft, given: Facts, order: Facts, short: Sequence[Facts]) -> Option:
    """Which lines are ready, which are not, and what the customer would like; who takes part deliveries is only told."""
    told = []
    for line in order["lines"][:20]:
        name = f"{line['quantity']} {line['uom']} {line['sku']} ({line['name']})"
        missing = f"{line['backordered']} still to come, {'expected ' + line['promise'] if line['promise'] else 'no date yet'}"
        told.append(f"{name}: {'ready' if line['backordered'] == '0' else missing}")
    offers = [
        f"{sku} could be sent instead of {line['sku']}"
        for line in short
        for sku in world.free_substitutes(line["sku"], order["warehouse"], Decimal(line["backordered"]), asking=True)[
            :1
        ]
    ]
    takes_parts = world.takes_parts(order["customer"])
    if takes_parts:
        draft.say("The customer takes part deliveries: what is there is not kept back.")
    return ask(draft, given, "stock_told" if takes_parts and not offers else "stock_ask", told + offers)


def _cut(draft: Draft, given: Facts, order: Facts, short: Sequence[Facts]) -> Option | None:
    """Without what is missing the rest can leave; for customers who would have to wait for all of it."""
    changes, dropped = [], []
    for line in short:
        left = (Decimal(line["quantity"]) - Decimal(line["backordered"])) if line["base"] else ZERO
        changes.append(LineChange(line=line["line"], quantity=max(left, ZERO)))
        dropped.append(f"{line['backordered']} {line['sku']}")
    stays = len(order["lines"]) - sum(c.quantity == 0 for c in changes)
    if not changes or not stays:
        return None
    letter_ = letter(
        draft, given, "cut_told", [f"{d} cannot be delivered and are taken off the order" for d in dropped]
    )
    commands: list[Command] = [AmendOrder(order=order["number"], changes=changes)]
    commands += [letter_] if letter_ else []
    return Option("Drop what is missing", commands, f"{', '.join(dropped)} are taken off the order; the rest can leave")
