"""Goods set apart: checked, let in, sent back or scrapped by somebody who did not receive them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import select

from erp_core.actions import accounts, allocation, cases, disruptions, ledger, matching, segregation
from erp_core.actions.context import Change, Context
from erp_core.commands import OpenCase, SettleQuarantine
from erp_core.errors import IllegalTransition, NotFound
from erp_core.queries import purchasing as queries
from erp_core.tables.purchasing import Discrepancy, PurchaseOrder, Receipt
from erp_core.tables.stock import Quarantined
from erp_core.values import Priority, QuarantineOutcome, Queue, plain

KIND = "quality_check"


def have_checked(made: Receipt, context: Context) -> None:
    """Goods that wait for nothing but a check differ in nothing, so nobody else is told of them: a case of their own."""
    waiting = _to_check(made.number, context)
    if not waiting:
        return
    goods = [f"{plain(x.quantity)} {x.sku} of {made.number} wait at {x.warehouse} to be checked." for x in waiting]
    details: dict[str, Any] = {"problems": goods, "purchase_order": made.purchase_order, "warehouse": made.warehouse}
    command = OpenCase(
        kind=KIND,
        subject=made.number,
        title=goods[0][:200],
        queue=Queue.RECEIVING,
        priority=Priority.NORMAL,
        details=details,
    )
    cases.open_or_add(command, context)


def _to_check(receipt: str, context: Context) -> list[Quarantined]:
    query = select(Quarantined).where(
        Quarantined.reference == f"receipt:{receipt}", Quarantined.reason == KIND, Quarantined.outcome.is_(None)
    )
    return list(context.session.scalars(query.order_by(Quarantined.id)))


def settle(command: SettleQuarantine, context: Context) -> Change:
    """Goods set apart come in and go to who waits, or leave for good; their order and its invoices follow.

    Letting in what was too much or unordered is ordering it.
    """
    session = context.session
    known = session.get(Quarantined, command.quarantined)
    if known is None:
        raise NotFound(f"Nothing is set apart under number {command.quarantined}.")
    receipt = session.get(Receipt, known.reference.removeprefix("receipt:"))
    order = None
    if receipt is not None:
        segregation.of_quarantine(receipt.number, context)
        order = queries.order(session, receipt.purchase_order, lock=True) if receipt.purchase_order else None
    accounts.lock_concerned(session, [known.sku], known.warehouse)
    found = session.get_one(Quarantined, command.quarantined, with_for_update=True, populate_existing=True)
    if found.outcome is not None:
        raise IllegalTransition(f"Goods {found.id} were {found.outcome} already.")
    before = _apart(found)
    found.outcome, found.settled_at = command.outcome, context.now
    place = ledger.quarantine(found.warehouse)
    if command.outcome == QuarantineOutcome.RELEASED:
        level = ledger.level(session, found.warehouse, found.sku, make=True)
        ledger.put(level, found.quantity, place, found.reference, context)
        session.flush()
        allocation.give([found.sku], found.warehouse, context)
        disruptions.relieve([found.sku], found.warehouse, context)
    else:
        supplier = order.supplier if order else "unknown"
        target = f"supplier:{supplier}" if command.outcome == QuarantineOutcome.RETURNED else ledger.SCRAP
        ledger.move(found.sku, found.quantity, place, target, found.reference, context)
    session.flush()
    if receipt is not None:
        _end_differences(found, receipt, command, context)
        if not _to_check(receipt.number, context):
            cases.end(KIND, receipt.number, context, "checked")
    if order is not None:
        _recount(found, order, command.outcome)
        session.flush()
        matching.rematch(order, context)
        order.version += 1
    return Change(
        "stock:quarantine:settled", f"quarantined:{found.id}", before, {**_apart(found), "note": command.note}
    )


def _recount(found: Quarantined, order: PurchaseOrder, outcome: QuarantineOutcome) -> None:
    """What the order has received, now that somebody decided."""
    line = next((x for x in order.lines if x.line == found.order_line), None)
    line = line or next((x for x in order.lines if x.sku == found.sku), None)
    if line is None:
        return
    let_in = outcome == QuarantineOutcome.RELEASED
    if found.reason == "damaged":
        if let_in and found.order_line is not None:
            line.quantity_damaged -= found.quantity
            line.quantity_received += found.quantity
    elif found.order_line is not None and found.reason not in ("over", "unordered"):
        line.quantity_received -= Decimal(0) if let_in else found.quantity
    elif let_in:
        line.quantity += found.quantity  # taking it is ordering it
        line.quantity_received += found.quantity


def _end_differences(found: Quarantined, receipt: Receipt, command: SettleQuarantine, context: Context) -> None:
    """Differences of the item are settled when nothing of it is left apart for their reason."""
    same = select(Quarantined.reason).where(
        Quarantined.reference == found.reference, Quarantined.sku == found.sku, Quarantined.outcome.is_(None)
    )
    waiting = set(context.session.scalars(same))
    kinds = {"damaged": "damaged", "compliance": "compliance", "lot_missing": "compliance"}
    kept = {kinds.get(reason, reason) for reason in waiting} | ({"over", "unordered"} if waiting else set())
    query = select(Discrepancy).where(
        Discrepancy.receipt == receipt.number,
        Discrepancy.sku == found.sku,
        Discrepancy.settled_at.is_(None),
        Discrepancy.kind.in_(["damaged", "compliance", "over", "unordered"]),
        Discrepancy.kind.not_in(kept),
    )
    for one in context.session.scalars(query):
        one.settled_at, one.settled_how = context.now, f"{command.outcome}: {command.note}"
    context.session.flush()
    if receipt.purchase_order:
        disruptions.settle(receipt.purchase_order, [], "settled", context)


def _apart(found: Quarantined) -> dict[str, Any]:
    return {
        "sku": found.sku,
        "quantity": plain(found.quantity),
        "warehouse": found.warehouse,
        "reason": found.reason,
        "outcome": found.outcome,
    }
