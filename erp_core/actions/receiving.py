"""Goods at the dock: counted, accepted or set apart, given to who waits, and everybody told, all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from erp_core.actions import accounts, allocation, cases, disruptions, ledger, matching, quarantine
from erp_core.actions.context import Change, Context
from erp_core.actions.disruptions import Cause
from erp_core.commands import OpenCase, PutAway, ReceiveGoods
from erp_core.errors import NotFound, Problem, RuleViolation
from erp_core.queries import catalog, supply
from erp_core.queries import purchasing as queries
from erp_core.rules import receiving as rules
from erp_core.rules.catalog import to_base
from erp_core.rules.receiving import Accepted, Arrived, Difference
from erp_core.tables.purchasing import PurchaseOrder, Receipt, ReceiptLine
from erp_core.tables.stock import StockLevel, Warehouse
from erp_core.values import (
    INBOUND_PURCHASE_STATUSES,
    PURCHASE_STEPS,
    DiscrepancyKind,
    Priority,
    PurchaseStatus,
    Queue,
    plain,
    transition,
)


def receive(command: ReceiveGoods, context: Context) -> Change:
    """Take goods in. What was not ordered, is too much, damaged or to be checked is there, but apart; nothing is turned away unseen."""
    session = context.session
    order = _ordered(command, context)
    arrived = _arrived(command, context)
    skus = sorted({x.sku for x in arrived} | ({x.sku for x in order.lines} if order else set()))
    accounts.lock_concerned(session, skus, command.warehouse)
    was = supply.coverage(session, skus, command.warehouse, context.policy, context.now.date())
    supplier = order.supplier if order else None
    limits = queries.limits(session, skus, supplier, command.warehouse, context.policy)
    ordered = queries.ordered_lines(order) if order else []
    # of an order that came, what was damaged or missing may still be replaced
    is_open = order is not None and order.status in (*INBOUND_PURCHASE_STATUSES, PurchaseStatus.RECEIVED)
    arrived = rules.split(ordered if is_open else [], arrived)
    accepted, differences = rules.receive(ordered, arrived, limits, open_order=is_open)
    if command.purchase_order and order is None:
        differences = [replace(d, text=f"{d.text} {command.purchase_order} is not known.") for d in differences]
    made = _write(command, order, arrived, accepted, context)
    if order is not None and is_open:
        differences += _progress(order, command, limits, context)
    differences += _logged_late(command, context)
    shelved = sorted({by.sku for by, got in zip(arrived, accepted, strict=True) if got.to_shelf})
    if shelved:
        allocation.give(shelved, command.warehouse, context)
    _follow(made, order, differences, was, skus, context)
    if order is not None:
        matching.rematch(order, context)
        order.version += 1
    session.flush()
    return Change("receipt:goods:recorded", f"receipt:{made.number}", None, _snapshot(made, differences))


def _ordered(command: ReceiveGoods, context: Context) -> PurchaseOrder | None:
    """The order, locked; none when it is unknown: the goods are there all the same. Raises RuleViolation with every reason against it."""
    session = context.session
    place = session.get(Warehouse, command.warehouse)
    if place is None:
        raise NotFound(f"There is no warehouse {command.warehouse}.")
    number, problems = command.purchase_order, []
    order = None
    if number is not None and session.get(PurchaseOrder, number) is not None:
        order = queries.order(session, number, lock=True)
        ours = session.get_one(Warehouse, order.warehouse)
        if ours.entity != place.entity:
            words = f"{number} is an order of {ours.entity}; {place.code} belongs to {place.entity}."
            problems.append(Problem("other_entity", words, {"entity": ours.entity}))
        elif ours.code != place.code:
            words = f"{number} is to be delivered to {ours.code}, not to {place.code}."
            problems.append(Problem("wrong_warehouse", words, {"warehouse": ours.code}))
        if order.status == PurchaseStatus.DRAFT:
            problems.append(Problem("not_approved", f"{number} is a draft; nobody approved it."))
    if session.get(Receipt, command.receipt) is not None:
        words = f"Receipt {command.receipt} is recorded already."
        problems.append(Problem("receipt_exists", words, {"receipt": command.receipt}))
    if command.occurred_at > context.now + timedelta(days=1):
        words = f"{command.occurred_at:%Y-%m-%d %H:%M} has not come yet."
        problems.append(Problem("from_the_future", words, {"occurred_at": command.occurred_at.isoformat()}))
    if problems:
        raise RuleViolation(problems)
    return order


def _arrived(command: ReceiveGoods, context: Context) -> list[Arrived]:
    """What was counted, in base units. Raises RuleViolation for items and units that nobody knows."""
    items = catalog.items(context.session, {x.sku for x in command.lines})
    facts = catalog.facts_of(context.session, items.values())
    found, problems = [], []
    for position, line in enumerate(command.lines, start=1):
        item = items.get(line.sku)
        if item is None:
            problems.append(Problem("item_unknown", f"There is no item {line.sku}.", {"sku": line.sku}))
            continue
        uom = line.uom or item.uom
        quantity, damaged = (to_base(count, uom, facts[line.sku]) for count in (line.quantity, line.damaged))
        if quantity is None or damaged is None:
            words = f"{line.sku} is not counted by {line.uom} (its unit is {item.uom})."
            problems.append(Problem("unit_unknown", words, {"sku": line.sku, "uom": line.uom}))
            continue
        found.append(
            Arrived(
                position,
                line.line,
                line.sku,
                quantity,
                damaged,
                line.lot,
                line.compliant,
                item.lot_required,
                item.quality_check,
                item.unit_cost,
            )
        )
    if problems:
        raise RuleViolation(problems)
    return found


def _write(
    command: ReceiveGoods,
    order: PurchaseOrder | None,
    arrived: Sequence[Arrived],
    accepted: Sequence[Accepted],
    context: Context,
) -> Receipt:
    """The receipt with its lines, stock and what is set apart, and how far the order's lines are."""
    session, source = context.session, f"supplier:{order.supplier if order else 'unknown'}"
    made = Receipt(
        number=command.receipt,
        purchase_order=order.number if order else None,
        order_named=command.purchase_order,
        warehouse=command.warehouse,
        received_at=command.occurred_at,
        recorded_at=context.now,
        recorded_by=context.actor,
    )
    levels = _levels(command.warehouse, {x.sku for x in arrived}, context)
    by_line = {x.line: x for x in order.lines} if order else {}
    reference = f"receipt:{made.number}"
    for one, got in zip(arrived, accepted, strict=True):
        if got.to_shelf:
            ledger.put(levels[one.sku], got.to_shelf, source, reference, context)
        for reason, quantity in got.apart.items():
            ledger.set_apart(
                command.warehouse, one.sku, quantity, source, reference, reason, context, one.lot, got.order_line
            )
        apart = sum(got.apart.values(), Decimal(0)) - got.damaged
        made.lines.append(
            ReceiptLine(
                line=one.line,
                order_line=got.order_line,
                sku=one.sku,
                quantity=one.quantity,
                quantity_damaged=got.damaged,
                quantity_set_apart=apart,
                lot=one.lot,
                compliant=one.compliant,
            )
        )
        line = by_line.get(got.order_line or 0)
        if line is not None:
            waits = sum((q for why, q in got.apart.items() if why not in ("damaged", "over")), Decimal(0))
            line.quantity_received += got.to_shelf + waits
            line.quantity_damaged += got.damaged
    session.add(made)
    session.flush()
    return made


def _levels(warehouse: str, skus: set[str], context: Context) -> dict[str, StockLevel]:
    """The levels, which are locked by now; an item new to the warehouse gets one."""
    query = select(StockLevel).where(StockLevel.warehouse == warehouse, StockLevel.sku.in_(skus))
    found = {x.sku: x for x in context.session.scalars(query.execution_options(populate_existing=True))}
    for sku in sorted(skus - found.keys()):
        found[sku] = ledger.level(context.session, warehouse, sku, make=True)
    return found


def _progress(
    order: PurchaseOrder, command: ReceiveGoods, limits: dict[str, rules.Tolerances], context: Context
) -> list[Difference]:
    """How far the order is now, and what is missing when nothing more will come."""
    left = queries.ordered_lines(order)
    if all(x.open == x.ordered and not x.damaged for x in left):
        return []  # nothing of what was ordered came
    done, before = all(x.open <= x.damaged for x in left), PurchaseStatus(order.status)
    if before not in (PurchaseStatus.RECEIVING, PurchaseStatus.RECEIVED):
        order.status = transition(PURCHASE_STEPS, before, PurchaseStatus.RECEIVING)
    if order.status == PurchaseStatus.RECEIVING and (done or command.last):
        order.status = transition(PURCHASE_STEPS, PurchaseStatus.RECEIVING, PurchaseStatus.RECEIVED)
    if done:
        disruptions.settle(order.number, ["short"], "the rest came", context)
    return rules.missing(left, limits) if command.last and before != PurchaseStatus.RECEIVED else []


def _logged_late(command: ReceiveGoods, context: Context) -> list[Difference]:
    """Stock that was there and nobody knew of: told apart from goods that came late."""
    hours = (context.now - command.occurred_at) / timedelta(hours=1)
    if hours <= context.policy.supply.log_hours:
        return []
    text = f"{command.receipt} came on {command.occurred_at:%Y-%m-%d %H:%M} and was recorded {hours:.0f} hours later."
    at, told = f"{command.occurred_at:%Y-%m-%d %H:%M}", f"{context.now:%Y-%m-%d %H:%M}"
    cases.open_or_add(
        OpenCase(
            kind="late_logging",
            subject=command.warehouse,
            title=text[:200],
            queue=Queue.RECEIVING,
            priority=Priority.LOW,
            details={"problems": [text], "warehouse": command.warehouse},
        ),
        context,
    )
    return [Difference(DiscrepancyKind.LATE, None, at, told, Decimal(0), text)]


def _follow(
    made: Receipt,
    order: PurchaseOrder | None,
    differences: Sequence[Difference],
    was: dict[Any, Any],
    skus: Sequence[str],
    context: Context,
) -> None:
    """Write the differences down and tell everybody whom they or the missing goods concern."""
    session = context.session
    now = supply.coverage(session, list(skus), made.warehouse, context.policy, context.now.date())
    hurt = supply.affected(session, was, now)
    real = [d for d in differences if d.kind != DiscrepancyKind.LATE]
    disruption = None
    if real or hurt:
        number = order.number if order else None
        subject = f"purchase_order:{number}" if number else f"receipt:{made.number}"
        cause = Cause(subject, _title(made, real), order.supplier if order else None, number, made.warehouse)
        disruption = disruptions.fan_out(cause, real, hurt, context)
    for d in differences:
        written = disruptions.note(
            d,
            context,
            disruption_id=disruption.id if disruption else None,
            purchase_order=made.purchase_order,
            receipt=made.number,
        )
        if d.kind == DiscrepancyKind.LATE:
            written.settled_at, written.settled_how = context.now, "told to receiving"
    session.flush()
    if disruption is not None and order is not None:
        disruptions.respond(order.supplier, context)
    quarantine.have_checked(made, context)
    disruptions.relieve(list(skus), made.warehouse, context)


def _title(made: Receipt, real: Sequence[Difference]) -> str:
    if len(real) == 1:
        return real[0].text
    what = f"came with {len(real)} discrepancies" if real else "does not cover what waits"
    return f"{made.purchase_order or made.number} {what}."


def put_away(command: PutAway, context: Context) -> Change:
    """The goods of a receipt are where they belong."""
    made = context.session.get(Receipt, command.receipt, with_for_update=True)
    if made is None:
        raise NotFound(f"There is no receipt {command.receipt}.")
    before = {"put_away_at": made.put_away_at.isoformat() if made.put_away_at else None}
    made.put_away_at = made.put_away_at or command.occurred_at
    after = {"put_away_at": made.put_away_at.isoformat()}
    return Change("receipt:goods:put_away", f"receipt:{made.number}", before, after)


def _snapshot(made: Receipt, differences: Sequence[Difference]) -> dict[str, Any]:
    return {
        "purchase_order": made.purchase_order,
        "warehouse": made.warehouse,
        "received_at": made.received_at.isoformat(),
        "lines": {
            str(x.line): {
                "sku": x.sku,
                "quantity": plain(x.quantity),
                "damaged": plain(x.quantity_damaged),
                "set_apart": plain(x.quantity_set_apart),
                "lot": x.lot,
            }
            for x in made.lines
        },
        "differences": [d.text for d in differences],
    }
