"""Goods between our own warehouses: set aside, shipped, received. Two firms of ours: a price, and both books right."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from erp_core.actions import accounts, allocation, cases, disruptions, ledger
from erp_core.actions.context import Change, Context
from erp_core.commands import CancelTransfer, OpenCase, ReceiveTransfer, ShipTransfer, TransferStock
from erp_core.errors import NotFound, Problem, RuleViolation
from erp_core.rules import supply as rules
from erp_core.tables.catalog import Item
from erp_core.tables.stock import StockLevel, Transfer, Warehouse
from erp_core.values import TRANSFER_STEPS, Priority, Queue, TransferStatus, money, plain, transition


def order(command: TransferStock, context: Context) -> Change:
    """Set free stock aside for another warehouse. What is bound or held there stays."""
    session = context.session
    ends = [session.get(Warehouse, code) for code in (command.source, command.target)]
    item = session.get(Item, command.sku)
    if ends[0] is None or ends[1] is None or item is None:
        raise NotFound(f"There is no such thing as {command.sku} between {command.source} and {command.target}.")
    if command.source == command.target:
        raise RuleViolation([Problem("same_warehouse", "A transfer goes from one warehouse to another.")])
    level = ledger.level(session, command.source, command.sku)
    if command.quantity > level.quantity_free:
        words = f"{plain(level.quantity_free)} of {command.sku} are free at {command.source}."
        raise RuleViolation([Problem("not_free", words, {"free": plain(level.quantity_free)})])
    value = money(item.unit_cost * command.quantity)
    intercompany = ends[0].entity != ends[1].entity
    price = command.price if command.price is not None else value
    level.quantity_set_aside += command.quantity
    made = Transfer(
        number=context.next_number("transfer_number", "TR-"),
        source=command.source,
        target=command.target,
        sku=command.sku,
        quantity=command.quantity,
        quantity_shipped=Decimal(0),
        quantity_received=Decimal(0),
        status=TransferStatus.ORDERED,
        reason=command.reason,
        cost=rules.transfer_cost(value, context.policy.supply),
        price=money(price) if intercompany else None,
        intercompany=intercompany,
        expected_date=context.now.date() + timedelta(days=context.policy.supply.transfer_days),
        ordered_at=context.now,
        ordered_by=context.actor,
        version=1,
    )
    session.add(made)
    session.flush()
    return Change("transfer:stock:ordered", f"transfer:{made.number}", None, snapshot(made))


def ship(command: ShipTransfer, context: Context) -> Change:
    """What was set aside leaves the books of its warehouse; what was not found is held there until it is counted."""
    known = _known(command.transfer, context)
    level = ledger.level(
        context.session, known.source, known.sku
    )  # stock before transfers: the order that everybody keeps
    made = _locked(command.transfer, context)
    before = snapshot(made)
    made.status = transition(TRANSFER_STEPS, TransferStatus(made.status), TransferStatus.SHIPPED)
    gone = made.quantity if command.quantity is None else command.quantity
    if gone > made.quantity:
        words = f"{plain(made.quantity)} were set aside for {made.number}."
        raise RuleViolation([Problem("more_than_set_aside", words, {"set_aside": plain(made.quantity)})])
    level.quantity_set_aside -= made.quantity
    ledger.take(level, gone, f"transfer:{made.number}", f"transfer:{made.number}", context)
    made.quantity_shipped, made.shipped_at = gone, command.occurred_at
    if gone < made.quantity:
        level.quantity_held += made.quantity - gone
        _case(
            made, made.source, f"{plain(made.quantity - gone)} of {made.sku} were not found for {made.number}.", context
        )
    return _done("transfer:goods:shipped", made, before, context)


def receive(command: ReceiveTransfer, context: Context) -> Change:
    """Goods arrive and go to who waits for them. What did not arrive is a count at nobody's: a case, and out of both books."""
    session = context.session
    known = _known(command.transfer, context)
    accounts.lock_concerned(session, [known.sku], known.target)
    made = _locked(command.transfer, context)
    before = snapshot(made)
    made.status = transition(TRANSFER_STEPS, TransferStatus(made.status), TransferStatus.RECEIVED)
    came = made.quantity_shipped if command.quantity is None else command.quantity
    if came > made.quantity_shipped or command.damaged > came:
        words = f"{plain(made.quantity_shipped)} of {made.sku} left {made.source} for {made.number}."
        raise RuleViolation([Problem("more_than_shipped", words, {"shipped": plain(made.quantity_shipped)})])
    way, reference = f"transfer:{made.number}", f"transfer:{made.number}"
    level = ledger.level(session, made.target, made.sku, make=True)
    ledger.put(level, came - command.damaged, way, reference, context)
    ledger.set_apart(made.target, made.sku, command.damaged, way, reference, "damaged", context)
    lost = made.quantity_shipped - came
    ledger.move(made.sku, lost, way, ledger.COUNT, reference, context)
    made.quantity_received, made.received_at = came, command.occurred_at
    session.flush()
    if lost or command.damaged:
        words = f"{made.number}: {plain(lost)} of {made.sku} did not arrive, {plain(command.damaged)} are damaged."
        _case(made, made.target, words, context)
    allocation.give([made.sku], made.target, context)
    disruptions.relieve([made.sku], made.target, context)
    return _done("transfer:goods:received", made, before, context)


def cancel(command: CancelTransfer, context: Context) -> Change:
    """Before it leaves, what was set aside is free again, for who waits there first."""
    session = context.session
    known = _known(command.transfer, context)
    accounts.lock_concerned(session, [known.sku], known.source)
    made = _locked(command.transfer, context)
    before = snapshot(made)
    made.status = transition(TRANSFER_STEPS, TransferStatus(made.status), TransferStatus.CANCELLED)
    level = session.get_one(StockLevel, (made.source, made.sku), populate_existing=True)
    level.quantity_set_aside -= made.quantity
    session.flush()
    allocation.give([made.sku], made.source, context)
    return _done("transfer:stock:cancelled", made, before, context)


def _known(number: str, context: Context) -> Transfer:
    found = context.session.get(Transfer, number)
    if found is None:
        raise NotFound(f"There is no transfer {number}.")
    return found


def _locked(number: str, context: Context) -> Transfer:
    return context.session.get_one(Transfer, number, with_for_update=True, populate_existing=True)


def _case(made: Transfer, warehouse: str, words: str, context: Context) -> None:
    cases.open_or_add(
        OpenCase(
            kind="transfer_discrepancy",
            subject=made.number,
            title=words[:200],
            queue=Queue.WAREHOUSE,
            priority=Priority.HIGH,
            details={"problems": [words], "transfer": made.number, "warehouse": warehouse},
        ),
        context,
    )


def _done(tag: str, made: Transfer, before: dict[str, Any], context: Context) -> Change:
    made.version += 1
    context.session.flush()
    return Change(tag, f"transfer:{made.number}", before, snapshot(made))


def snapshot(made: Transfer) -> dict[str, Any]:
    """A transfer in plain values."""
    return {
        "status": made.status,
        "from": made.source,
        "to_warehouse": made.target,
        "sku": made.sku,
        "quantity": plain(made.quantity),
        "shipped": plain(made.quantity_shipped),
        "received": plain(made.quantity_received),
        "cost": str(made.cost),
        "price": str(made.price) if made.price is not None else None,
    }
