"""What warehouses and carriers report: picked, packed, shipped, delivered, late, counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from erp_core.actions import accounts, allocation, billing, cases, checks, ledger, messages, orders, segregation, stock
from erp_core.actions.context import Change, Context
from erp_core.commands import (
    AdjustStock,
    ConfirmDelivery,
    ConfirmPack,
    ConfirmPick,
    ConfirmShipment,
    OpenCase,
    ReportCount,
    ReportDelay,
    ReturnToShelf,
)
from erp_core.errors import IllegalTransition, NotFound, Problem, RuleViolation
from erp_core.queries import sales
from erp_core.tables.fulfilment import Shipment, ShipmentLine, WaitingEvent
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.tables.stock import StockLevel
from erp_core.values import ORDER_STEPS, OrderStatus, Priority, Queue, plain, transition


def pick(command: ConfirmPick, context: Context) -> Change:
    """Goods of a released order are off the shelf: from now on the warehouse has a say in changes."""
    _not_in_the_future(command.occurred_at, context)
    order = _workable(command.order, command.warehouse, context)
    before = order.picked_at
    order.picked_at = order.picked_at or command.occurred_at
    return _moved("order:goods:picked", order, {"picked_at": before}, {"picked_at": order.picked_at})


def pack(command: ConfirmPack, context: Context) -> Change:
    """Packed goods were picked, whether or not that was reported."""
    _not_in_the_future(command.occurred_at, context)
    order = _workable(command.order, command.warehouse, context)
    before = order.packed_at
    order.picked_at = order.picked_at or command.occurred_at
    order.packed_at = order.packed_at or command.occurred_at
    return _moved("order:goods:packed", order, {"packed_at": before}, {"packed_at": order.packed_at})


def return_to_shelf(command: ReturnToShelf, context: Context) -> Change:
    """The goods are back on the shelf; the order can be changed again."""
    order = orders.locked(command.order, context)
    if order.warehouse != command.warehouse or order.picked_at is None:
        text = f"{order.number} is not picked at {command.warehouse}."
        raise RuleViolation([Problem("not_picked", text, {"warehouse": order.warehouse})])
    before = {"picked_at": order.picked_at, "packed_at": order.packed_at}
    order.picked_at = order.packed_at = None
    return _moved("order:goods:returned_to_shelf", order, before, {"picked_at": None, "packed_at": None})


def _not_in_the_future(moment: datetime, context: Context) -> None:
    """Clocks differ by a little; what is reported of tomorrow is a mistake."""
    if moment > context.now + timedelta(days=1):
        text = f"{moment:%Y-%m-%d %H:%M} has not come yet."
        raise RuleViolation([Problem("from_the_future", text, {"occurred_at": moment.isoformat()})])


def _moved(tag: str, order: SalesOrder, before: dict[str, Any], after: dict[str, Any]) -> Change:
    order.version += 1
    return Change(tag, f"sales_order:{order.number}", _said(before), _said(after))


def _said(moments: dict[str, Any]) -> dict[str, str | None]:
    return {name: moment.isoformat() if moment else None for name, moment in moments.items()}


def _workable(number: str, warehouse: str, context: Context) -> SalesOrder:
    """The order, locked, when this warehouse may work on it now. Raises RuleViolation with every reason against it."""
    order = orders.locked(number, context)
    problems = []
    if order.status != OrderStatus.RELEASED:
        text = f"{number} is {order.status}, not released; nothing of it may leave."
        problems.append(Problem("not_released", text, {"status": order.status}))
    if order.warehouse != warehouse:
        text = f"{number} leaves from {order.warehouse}, not from {warehouse}."
        problems.append(Problem("wrong_warehouse", text, {"warehouse": order.warehouse}))
    for hold in [h for what in ("release", "ship") for h in checks.blocked(order, what, context) if h.line is None]:
        text = f"{number} has a {hold.reason} hold: {hold.problem.get('text', '')}"
        problems.append(Problem("held", text, {"reason": hold.reason}))
    if problems:
        raise RuleViolation(problems)
    return order


def ship(command: ConfirmShipment, context: Context) -> Change:
    """Goods left: stock, order, exposure and invoice follow at once, and whatever waited for this shipment."""
    session = context.session
    _not_in_the_future(command.occurred_at, context)
    order = _workable(command.order, command.warehouse, context)
    problems = [p for x in command.lines for p in _line_problems(order, x.line, x.quantity)]
    if session.get(Shipment, command.shipment) is not None:
        text = f"Shipment {command.shipment} is known already."
        problems.append(Problem("shipment_exists", text, {"shipment": command.shipment}))
    if problems:
        raise RuleViolation(problems)
    before, own = sales.snapshot_of(session, order), sales.own(order)
    shipment = _shipment(order, command, context)
    if command.last:
        _missing(order, context)
    if all(x.quantity_shipped >= x.quantity_base for x in order.lines):
        order.status = transition(ORDER_STEPS, OrderStatus.RELEASED, OrderStatus.SHIPPED)
    billing.finish(order, context)
    order.version += 1
    session.flush()
    accounts.carry(session, order.customer, own, sales.own(order))
    if order.status == OrderStatus.RELEASED and not any(x.quantity_released for x in order.lines):
        order.picked_at = order.packed_at = None
        checks.settle(order, context)
    if shipment is not None:
        _catch_up(shipment, context)
        messages.notify(order, shipment, "shipped", context)
    return Change("order:goods:shipped", f"sales_order:{order.number}", before, sales.snapshot_of(session, order))


def _line_problems(order: SalesOrder, number: int, quantity: Decimal) -> list[Problem]:
    line = next((x for x in order.lines if x.line == number), None)
    if line is None:
        return [Problem("line_unknown", f"{order.number} has no line {number}.", {"line": number})]
    if quantity > line.quantity_released:
        text = f"Line {number}: {plain(quantity)} left, {plain(line.quantity_released)} were released."
        return [Problem("more_than_released", text, {"line": number, "released": plain(line.quantity_released)})]
    return []


def _shipment(order: SalesOrder, command: ConfirmShipment, context: Context) -> Shipment | None:
    """The shipment with its goods; None when nothing left at all."""
    if not any(x.quantity > 0 for x in command.lines):
        return None
    shipment = Shipment(
        number=command.shipment,
        order_number=order.number,
        warehouse=order.warehouse,
        shipped_at=command.occurred_at,
        carrier=command.carrier,
        tracking=command.tracking,
    )
    context.session.add(shipment)
    context.session.flush()
    by_number = {x.line: x for x in order.lines}
    for handled in sorted(command.lines, key=lambda x: by_number[x.line].sku):
        line = by_number[handled.line]
        if handled.quantity > 0:
            stock.ship(order, line, handled.quantity, context)
            in_unit = handled.quantity * line.quantity_ordered / line.quantity_base
            row = ShipmentLine(
                shipment=shipment.number, line=line.line, sku=line.sku, quantity=in_unit, quantity_base=handled.quantity
            )
            context.session.add(row)
    context.session.flush()
    return shipment


def _missing(order: SalesOrder, context: Context) -> None:
    """Released and not shipped: it is not where the books have it. It can be promised to nobody until it was counted."""
    for line in sorted(order.lines, key=lambda x: x.sku):
        missing = line.quantity_released
        if missing > 0:
            stock.give_back(order, line, missing, context)
            level = context.session.get_one(StockLevel, (order.warehouse, line.sku), populate_existing=True)
            _hold_back(order.warehouse, line.sku, level.quantity_held + missing, context)
            _mismatch(
                order.warehouse, line.sku, f"{plain(missing)} of {line.sku} were not found for {order.number}.", context
            )


def _hold_back(warehouse: str, sku: str, quantity: Decimal, context: Context) -> None:
    """Keep at least `quantity` of the free stock from being promised; reporting the same twice holds it once."""
    level = context.session.get_one(StockLevel, (warehouse, sku), with_for_update=True, populate_existing=True)
    level.quantity_held += min(level.quantity_free, max(quantity - level.quantity_held, Decimal(0)))
    context.session.flush()


def _mismatch(warehouse: str, sku: str, text: str, context: Context) -> None:
    subject = f"{warehouse}:{sku}"
    command = OpenCase(
        kind="stock_mismatch",
        subject=subject,
        title=text[:200],
        queue=Queue.WAREHOUSE,
        priority=Priority.HIGH,
        details={"problems": [text]},
    )
    cases.open_or_add(command, context)


def _catch_up(shipment: Shipment, context: Context) -> None:
    """Apply what was reported of a shipment before the shipment itself."""
    query = select(WaitingEvent).where(
        WaitingEvent.subject == f"shipment:{shipment.number}", WaitingEvent.applied_at.is_(None)
    )
    for event in context.session.scalars(query.order_by(WaitingEvent.id)):
        delivered = ConfirmDelivery.model_validate(event.command)
        _deliver(shipment, delivered)
        event.applied_at = context.now
        context.also(Change("shipment:carrier:delivered", f"shipment:{shipment.number}", None, _dates(shipment)))


def deliver(command: ConfirmDelivery, context: Context) -> Change:
    """The goods arrived. A delivery of an unknown shipment waits for it."""
    _not_in_the_future(command.occurred_at, context)
    shipment = context.session.get(Shipment, command.shipment, with_for_update=True)
    subject = f"shipment:{command.shipment}"
    if shipment is None:
        waiting = WaitingEvent(
            subject=subject, key=context.key, command=command.model_dump(mode="json"), received_at=context.now
        )
        context.session.add(waiting)
        return Change("shipment:carrier:waiting", subject, None, command.model_dump(mode="json"))
    before = _dates(shipment)
    _deliver(shipment, command)
    return Change("shipment:carrier:delivered", subject, before, _dates(shipment))


def _deliver(shipment: Shipment, command: ConfirmDelivery) -> None:
    if shipment.delivered_at is None or command.occurred_at < shipment.delivered_at:
        shipment.delivered_at = max(command.occurred_at, shipment.shipped_at)


def _dates(shipment: Shipment) -> dict[str, Any]:
    return _said({"expected_at": shipment.expected_at, "delivered_at": shipment.delivered_at})


def delay(command: ReportDelay, context: Context) -> Change:
    """The carrier is late: who waits for the goods is told by a case, once a shipment."""
    shipment = context.session.get(Shipment, command.shipment, with_for_update=True)
    if shipment is None:
        raise NotFound(f"There is no shipment {command.shipment}.")
    if shipment.delivered_at is not None:
        raise IllegalTransition(f"Shipment {command.shipment} was delivered already.")
    before = _dates(shipment)
    shipment.expected_at = command.expected_at
    order = sales.order(context.session, shipment.order_number)
    text = f"{shipment.carrier or 'The carrier'} is late with {shipment.number}. {command.reason}".strip()
    late = command.expected_at and order.requested_date and command.expected_at.date() > order.requested_date
    cases.open_or_add(
        OpenCase(
            kind="shipment_delay",
            subject=shipment.number,
            title=text[:200],
            queue=Queue.CUSTOMER_SERVICE,
            priority=Priority.HIGH if late or command.expected_at is None else Priority.NORMAL,
            customer=order.customer,
            order=order.number,
            at_stake=sales.total(order),
            details={"problems": [text]},
        ),
        context,
    )
    messages.notify(order, shipment, "delayed", context)
    return Change("shipment:carrier:delayed", f"shipment:{shipment.number}", before, _dates(shipment))


def count(command: ReportCount, context: Context) -> Change:
    """A count that differs from the books is a case; what seems to be missing can be promised to nobody meanwhile."""
    level = ledger.level(context.session, command.warehouse, command.sku)
    before = _stock(level)
    difference = command.counted - level.quantity_on_hand
    if difference < 0:
        _hold_back(level.warehouse, level.sku, -difference, context)
    if difference != 0:
        books = plain(level.quantity_on_hand)
        text = f"{command.warehouse} counted {plain(command.counted)} of {command.sku}; the books have {books}."
        _mismatch(level.warehouse, level.sku, text, context)
    after = {**_stock(level), "counted": plain(command.counted)}
    return Change("stock:level:counted", f"stock:{level.warehouse}:{level.sku}", before, after)


def adjust(command: AdjustStock, context: Context) -> Change:
    """Set the books to what is there. Below what is bound, the newest allocations go back to the checks first."""
    segregation.of_count(command.warehouse, command.sku, context)
    accounts.lock_concerned(context.session, [command.sku], command.warehouse, bound=True)
    level = ledger.level(context.session, command.warehouse, command.sku, make=True)
    before = _stock(level)
    if command.on_hand < level.quantity_set_aside:
        words = f"{plain(level.quantity_set_aside)} of {command.sku} are set aside for transfers; cancel those first."
        raise RuleViolation([Problem("set_aside", words, {"set_aside": plain(level.quantity_set_aside)})])
    level.quantity_held = Decimal(0)
    context.session.flush()
    losers = _unbind(level, level.quantity_allocated + level.quantity_set_aside - command.on_hand, context)
    more, reference = command.on_hand - level.quantity_on_hand, f"stock:{level.warehouse}:{level.sku}"
    if more > 0:
        ledger.put(level, more, ledger.COUNT, reference, context)
    else:
        ledger.take(level, -more, ledger.COUNT, reference, context)
    context.session.flush()
    cases.end("stock_mismatch", f"{level.warehouse}:{level.sku}", context, "stock adjusted")
    checks.recheck(losers, context)
    if command.on_hand > Decimal(before["on_hand"]) or Decimal(before["held"]) > 0:
        allocation.give([level.sku], level.warehouse, context)
    context.session.refresh(level)
    after = {**_stock(level), "reason": command.reason}
    return Change("stock:level:adjusted", f"stock:{level.warehouse}:{level.sku}", before, after)


def _unbind(level: StockLevel, quantity: Decimal, context: Context) -> list[str]:
    """Take stock from orders, newest first, that have not been picked; the orders concerned."""
    losers: list[str] = []
    if quantity <= 0:
        return losers
    query = (
        select(OrderLine, SalesOrder)
        .join(SalesOrder, SalesOrder.number == OrderLine.order_number)
        .where(OrderLine.sku == level.sku, OrderLine.quantity_allocated > 0, SalesOrder.warehouse == level.warehouse)
        .order_by(SalesOrder.picked_at.is_not(None), SalesOrder.ordered_at.desc())
    )
    for line, order in context.session.execute(query):
        taken = min(quantity, line.quantity_allocated)
        stock.give_back(order, line, taken, context)
        lost = {str(line.line): f"{plain(taken)} of {line.sku} from {level.warehouse}"}
        context.also(Change("order:stock:taken", f"sales_order:{order.number}", None, lost))
        losers.append(order.number)
        quantity -= taken
        if quantity <= 0:
            break
    return losers


def _stock(level: StockLevel) -> dict[str, str]:
    return {
        "on_hand": plain(level.quantity_on_hand),
        "allocated": plain(level.quantity_allocated),
        "held": plain(level.quantity_held),
    }
