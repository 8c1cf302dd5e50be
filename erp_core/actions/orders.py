"""Orders that were entered: changed, cancelled. Each change runs all checks anew."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from erp_core.actions import accounts, billing, cases, checks, stock
from erp_core.actions.context import Change, Context
from erp_core.commands import (
    AmendOrder,
    CancelOrder,
    DeclineSubstitution,
    ExpediteOrder,
    LineChange,
    NewLine,
    OpenCase,
    PromiseDate,
    RequestChange,
    SubstituteItem,
)
from erp_core.errors import IllegalTransition, NotFound, Problem, RuleViolation
from erp_core.queries import catalog, sales
from erp_core.queries.sales import Own
from erp_core.rules import changes
from erp_core.rules.catalog import to_base
from erp_core.tables.catalog import Substitute
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.values import ORDER_STEPS, OrderStatus, Priority, plain, transition

PRICE_PLACES = Decimal("0.0001")


def amend(command: AmendOrder, context: Context) -> Change:
    """Apply every change of the amendment, or none."""
    order, before = _changeable(command.order, context)
    problems = [p for change in command.changes for p in _change_problems(context, order, change)]
    if problems:
        raise RuleViolation(problems)
    for change in command.changes:
        _apply(context, order, change)
    if not order.lines:
        raise RuleViolation([Problem("no_lines_left", f"{order.number} would have no line left; cancel it instead.")])
    if command.requested_date is not None:
        order.requested_date = command.requested_date
    if command.ship_to is not None:
        order.ship_to = command.ship_to
    return _changed("order:sales:amended", order, before, context)


def cancel(command: CancelOrder, context: Context) -> Change:
    """Cancel the order and free its stock; its holds end with it. Of an order that left in part, the rest is cancelled."""
    order, before = _changeable(command.order, context)
    stock.free(order, context)
    if any(line.quantity_shipped > 0 for line in order.lines):
        return _cancel_rest(order, before, context)
    checks.end_all(order, "order cancelled", context)
    cases.end("service_recovery", order.number, context, "order cancelled")
    order.status = transition(ORDER_STEPS, OrderStatus(order.status), OrderStatus.CANCELLED)
    return _closed("order:sales:cancelled", order, before, context)


def _cancel_rest(order: SalesOrder, before: _Before, context: Context) -> Change:
    """What left stays sold; every line ends at what was shipped of it."""
    for line in order.lines:
        _cut(line, context)
    checks.end_all(order, "the rest was cancelled", context, but="invoice")
    _finish_shipped(order, context)
    return _closed("order:sales:rest_cancelled", order, before, context)


def _cut(line: OrderLine, context: Context) -> None:
    """A line ends at what was shipped of it, counted in base units so that nothing is rounded."""
    if line.quantity_base == line.quantity_shipped:
        return
    item = catalog.item_facts(context.session, line.sku)
    if item is not None and line.uom != item.uom and line.quantity_base:
        line.unit_price = (line.unit_price * line.quantity_ordered / line.quantity_base).quantize(PRICE_PLACES)
        line.uom = item.uom
    line.quantity_ordered = line.quantity_base = line.quantity_shipped


def _finish_shipped(order: SalesOrder, context: Context) -> None:
    """An order of which everything that is still ordered has left goes on to be billed."""
    left = any(line.quantity_shipped > 0 for line in order.lines)
    if not left or any(line.quantity_shipped < line.quantity_base for line in order.lines):
        return
    path = [OrderStatus.VALIDATED, OrderStatus.ALLOCATED, OrderStatus.RELEASED, OrderStatus.SHIPPED]
    if order.status not in path:
        return
    for step in path[path.index(OrderStatus(order.status)) + 1 :]:
        order.status = transition(ORDER_STEPS, OrderStatus(order.status), step)
    billing.finish(order, context)


def expedite(command: ExpediteOrder, context: Context) -> Change:
    """Mark the order as urgent, take over the date, and keep what the haste costs."""
    order, before = _changeable(command.order, context)
    order.expedited = True
    order.expedite_cost += command.cost or Decimal(0)
    if command.needed_by is not None:
        order.requested_date = command.needed_by
    return _changed("order:sales:expedited", order, before, context)


def substitute(command: SubstituteItem, context: Context) -> Change:
    """Deliver another item on the line, at the line's price."""
    order, before = _changeable(command.order, context)
    line = line_of(order, command.line)
    allowed = context.session.get(Substitute, (line.sku, command.substitute_sku))
    item = catalog.item_facts(context.session, command.substitute_sku)
    if allowed is None or item is None:
        detail = f"{command.substitute_sku} is no permitted substitute for {line.sku}."
        raise RuleViolation([Problem("substitute_not_permitted", detail, {"sku": line.sku})])
    if allowed.customer_approval_required and not command.customer_agreed:
        detail = f"The customer must agree to {item.sku} instead of {line.sku} first."
        raise RuleViolation([Problem("customer_must_agree", detail, {"sku": line.sku})])
    if line.quantity_shipped > 0:
        raise RuleViolation([_partly_shipped(line)])
    base = to_base(line.quantity_ordered, line.uom, item)
    if base is None:
        raise RuleViolation([Problem("unit_unknown", f"{item.sku} is not sold by {line.uom}.", {"sku": item.sku})])
    stock.free_line(order, line, context)
    line.sku, line.quantity_base = item.sku, base
    return _changed("order:line:substituted", order, before, context)


def decline_substitution(command: DeclineSubstitution, context: Context) -> Change:
    """The customer waits for the item ordered: nothing moves, but it is written down."""
    order, before = _changeable(command.order, context)
    if command.line is not None:
        line_of(order, command.line)
    after = {**before.shown, "substitution": f"declined; {command.note}".strip("; ")}
    order.version += 1
    return Change("order:substitution:declined", f"sales_order:{order.number}", before.shown, after)


def promise(command: PromiseDate, context: Context) -> Change:
    """Write down the date promised."""
    order, before = _changeable(command.order, context)
    if command.promised_date < context.now.date():
        detail = f"{command.promised_date} is past."
        raise RuleViolation([Problem("date_past", detail, {"date": command.promised_date.isoformat()})])
    problems = _promise_problems(order, command, context)
    if problems:
        raise RuleViolation(problems)
    order.promised_date = command.promised_date
    return _closed("order:date:promised", order, before, context)


def _promise_problems(order: SalesOrder, command: PromiseDate, context: Context) -> list[Problem]:
    """No promise goes beyond what stock and goods on their way cover after everybody else."""
    short = [line for line in order.lines if sales.backordered(line) > 0]
    picture = catalog.stock_picture(context.session, {line.sku for line in short})
    found = []
    for line in short:
        day = picture.promise(line.sku, order.warehouse, sales.backordered(line), context.now.date())
        if day is None or day > command.promised_date:
            when = f"is there on {day.isoformat()} at the earliest" if day else "is covered by nothing known"
            text = f"Line {line.line}: what is missing of {line.sku} {when}."
            found.append(
                Problem("promise_not_covered", text, {"sku": line.sku, "earliest": day.isoformat() if day else None})
            )
    return found


def request_change(command: RequestChange, context: Context) -> Change:
    """Pass a change on to whoever has the goods, when it is too late to simply make it. Nothing of the order changes."""
    order = locked(command.change.order, context)
    late = changes.too_late(order.number, order.status, picked=order.picked_at is not None)
    if late is None:
        words = f"{order.number} can simply be changed; nobody needs to be asked."
        raise RuleViolation([Problem("not_too_late", words, {"order": order.number})])
    if late.queue is None:
        raise IllegalTransition(late.text)
    wanted = command.change.model_dump(mode="json", exclude_none=True)
    cost = _cost(order, command.change, late, context)
    cases.open_or_add(
        OpenCase(
            kind="order_change",
            subject=order.number,
            title=late.text[:200],
            queue=late.queue,
            priority=Priority.HIGH,
            customer=order.customer,
            order=order.number,
            at_stake=sales.total(order),
            details={"problems": [late.text], "wanted": wanted, "cost": str(cost), "note": command.note},
        ),
        context,
    )
    after = {"wanted": wanted, "now": late.text, "cost": str(cost), "queue": late.queue.value}
    return Change("order:change:asked", f"sales_order:{order.number}", None, after)


def _cost(order: SalesOrder, change: AmendOrder | CancelOrder, late: changes.Late, context: Context) -> Decimal:
    """What the lines concerned cost us: all of them, unless single ones are named."""
    named = {x.line for x in change.changes} if isinstance(change, AmendOrder) else set()
    lines = [x for x in order.lines if x.line in named] or order.lines
    left = [x.unit_price * x.quantity_ordered * x.quantity_shipped / x.quantity_base for x in lines if x.quantity_base]
    return changes.cost(late, len(lines), sum(left, Decimal(0)), context.policy)


def locked(number: str, context: Context) -> SalesOrder:
    """The order, locked, between its customer and the stock of its items: the order that everybody keeps."""
    accounts.lock(context.session, sales.customer_of(context.session, number))
    order = sales.order(context.session, number, lock=True)
    accounts.lock_levels(context.session, [number])
    return order


@dataclass(frozen=True)
class _Before:
    """An order before a change: what the journal shows, and what it stood with in the customer's figures."""

    shown: dict[str, Any]
    own: Own


def _changeable(number: str, context: Context) -> tuple[SalesOrder, _Before]:
    order = locked(number, context)
    late = changes.too_late(number, order.status, picked=order.picked_at is not None)
    if late is not None and late.queue is None:
        raise IllegalTransition(late.text)
    if late is not None:
        raise RuleViolation([Problem(late.code, late.text, {"order": number, "instead": "request_change"})])
    return order, _Before(sales.snapshot_of(context.session, order), sales.own(order))


def _changed(tag: str, order: SalesOrder, before: _Before, context: Context) -> Change:
    order.basket = sales.draft_of(order, before.own.open_value).basket
    checks.settle(order, context, before.own)
    _finish_shipped(order, context)
    return _closed(tag, order, before, context)


def resettle(order: SalesOrder, context: Context) -> None:
    """Check an order anew after something around it changed."""
    checks.settle(order, context)
    order.version += 1
    context.session.flush()


def _closed(tag: str, order: SalesOrder, before: _Before, context: Context) -> Change:
    order.version += 1
    context.session.flush()
    accounts.carry(
        context.session, order.customer, before.own, sales.own(order), ended=order.status == OrderStatus.CANCELLED
    )
    return Change(tag, f"sales_order:{order.number}", before.shown, sales.snapshot_of(context.session, order))


def line_of(order: SalesOrder, number: int) -> OrderLine:
    """A line by its number. Raises NotFound."""
    found = next((line for line in order.lines if line.line == number), None)
    if found is None:
        raise NotFound(f"{order.number} has no line {number}.")
    return found


def _line_problems(context: Context, line: NewLine) -> list[Problem]:
    item = catalog.item_facts(context.session, line.sku)
    if item is None:
        return [Problem("item_unknown", f"There is no item {line.sku}.", {"sku": line.sku})]
    if to_base(line.quantity, line.uom, item) is None:
        detail = f"{line.sku} is not sold by {line.uom} (its unit is {item.uom})."
        return [Problem("unit_unknown", detail, {"sku": line.sku, "uom": line.uom})]
    return []


def _partly_shipped(line: OrderLine) -> Problem:
    text = f"Line {line.line}: {plain(line.quantity_shipped)} of {line.sku} have left; it cannot become less or other than that."
    return Problem("partly_shipped", text, {"line": line.line, "shipped": plain(line.quantity_shipped)})


def _change_problems(context: Context, order: SalesOrder, change: LineChange) -> list[Problem]:
    if change.line is not None:
        line = line_of(order, change.line)
        item = catalog.item_facts(context.session, line.sku)
        wanted = (
            to_base(change.quantity, change.uom or line.uom, item) if item and change.quantity is not None else None
        )
        if wanted is not None and wanted < line.quantity_shipped:
            return [_partly_shipped(line)]
        sku, uom = line.sku, change.uom or line.uom
    else:
        sku, uom = change.sku or "", change.uom or "EA"
    return _line_problems(context, NewLine(sku=sku, quantity=change.quantity or Decimal(1), uom=uom))


def _apply(context: Context, order: SalesOrder, change: LineChange) -> None:
    if change.line is None:
        position = max((line.line for line in order.lines), default=0) + 1
        new = NewLine(sku=change.sku or "", quantity=change.quantity or Decimal(1), uom=change.uom or "EA")
        made = _new_line(context, order, position, new)
        made.requested_date = change.requested_date
        order.lines.append(made)
        return
    line = line_of(order, change.line)
    stock.free_line(order, line, context)
    if change.quantity == 0:
        checks.end_line(order, line.line, context)
        stock.forget_line(order, line, context)
        order.lines.remove(line)
        return
    if change.quantity is not None:
        _requantify(context, line, change.quantity, change.uom or line.uom)
    if change.requested_date is not None:
        line.requested_date = change.requested_date
    if change.reprice:
        line.unit_price = _our_price(context, order, line.sku, line.quantity_ordered, line.quantity_base)


def _our_price(context: Context, order: SalesOrder, sku: str, quantity: Decimal, base: Decimal) -> Decimal:
    """What the customer's agreement or the list says for it on the day of the order, per unit as ordered."""
    item = catalog.item_facts(context.session, sku)
    assert item is not None
    found = catalog.price_found(context.session, order.customer, item, base, order.ordered_at.date())
    return (found.unit_price * base / quantity).quantize(PRICE_PLACES)


def _requantify(context: Context, line: OrderLine, quantity: Decimal, uom: str) -> None:
    """New quantity, perhaps in another unit; the price per base unit stays."""
    item = catalog.item_facts(context.session, line.sku)
    base = to_base(quantity, uom, item) if item else None
    if base is None:
        raise RuleViolation([Problem("unit_unknown", f"{line.sku} is not sold by {uom}.", {"sku": line.sku})])
    if uom != line.uom:
        per_base = line.unit_price * line.quantity_ordered / line.quantity_base
        line.unit_price = (per_base * base / quantity).quantize(Decimal("0.0001"))
    line.quantity_ordered, line.uom, line.quantity_base = quantity, uom, base


def _new_line(context: Context, order: SalesOrder, position: int, line: NewLine) -> OrderLine:
    item = catalog.item_facts(context.session, line.sku)
    assert item is not None
    base = to_base(line.quantity, line.uom, item)
    assert base is not None
    price = line.unit_price
    if price is None:
        price = _our_price(context, order, line.sku, line.quantity, base)
    return OrderLine(
        line=position,
        sku=line.sku,
        quantity_ordered=line.quantity,
        uom=line.uom,
        quantity_base=base,
        quantity_allocated=Decimal(0),
        quantity_released=Decimal(0),
        quantity_shipped=Decimal(0),
        quantity_invoiced=Decimal(0),
        unit_price=price,
    )
