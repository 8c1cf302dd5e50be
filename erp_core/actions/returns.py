"""Returns: asked for, authorised, received and looked at, credited."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from erp_core.actions import accounts, allocation, billing, cases, ledger
from erp_core.actions.context import Change, Context
from erp_core.commands import (
    AuthoriseReturn,
    CreditReturn,
    OpenCase,
    ReceiveReturn,
    RefuseReturn,
    RequestReturn,
    ReturnedLine,
)
from erp_core.errors import NotFound, Problem, RuleViolation
from erp_core.queries import sales
from erp_core.rules import returns as rules
from erp_core.rules.returns import ShippedLine
from erp_core.tables.billing import Invoice
from erp_core.tables.fulfilment import Shipment
from erp_core.tables.returns import Return, ReturnLine
from erp_core.tables.sales import SalesOrder
from erp_core.values import RETURN_STEPS, Disposition, Priority, Queue, ReturnReason, ReturnStatus, plain, transition


def request(command: RequestReturn, context: Context) -> Change:
    """Within the rules and small enough it is authorised at once; else the returns queue decides."""
    session = context.session
    order = sales.order(session, command.order, lock=True)
    lines = [_shipped(order, x, context) for x in command.lines]
    problems = rules.problems(lines, _delivered_on(order, context), context.now.date(), context.policy.returns)
    if any(p.code == "more_than_delivered" for p in problems):
        raise RuleViolation(problems)
    made = Return(
        number=context.next_number("return_number", "RMA-"),
        order_number=order.number,
        customer=order.customer,
        reason=command.reason,
        note=command.note,
        status=ReturnStatus.REQUESTED,
        requested_at=context.now,
        lines=[ReturnLine(line=x.line, sku=x.sku, quantity=x.wanted, quantity_received=Decimal(0)) for x in lines],
    )
    session.add(made)
    session.flush()
    value = _value(order, made)
    value += sum(
        (_value(order, other) for other in _others(made, context)), Decimal(0)
    )  # many small ones are one large one
    if not problems and value <= context.policy.returns.approve_above:
        made.status = transition(RETURN_STEPS, ReturnStatus.REQUESTED, ReturnStatus.AUTHORISED)
        made.authorised_at = context.now
    else:
        words = [p.text for p in problems] or [f"A return worth {value:,} needs a signature."]
        _case(made, order, value, words, context)
    session.flush()
    return Change("return:desk:requested", f"return:{made.number}", None, snapshot(made))


def _shipped(order: SalesOrder, asked: ReturnedLine, context: Context) -> ShippedLine:
    line = next((x for x in order.lines if x.line == asked.line), None)
    if line is None:
        raise NotFound(f"{order.number} has no line {asked.line}.")
    query = (
        select(func.coalesce(func.sum(ReturnLine.quantity), 0))
        .join(Return, Return.number == ReturnLine.return_number)
        .where(
            Return.order_number == order.number,
            ReturnLine.line == line.line,
            Return.status.not_in([ReturnStatus.REFUSED, ReturnStatus.CLOSED]),
        )
    )
    returned = context.session.scalar(query) or Decimal(0)
    return ShippedLine(line.line, line.sku, line.quantity_shipped, returned, asked.quantity)


def _delivered_on(order: SalesOrder, context: Context) -> date | None:
    query = select(func.max(func.coalesce(Shipment.delivered_at, Shipment.shipped_at)))
    moment = context.session.scalar(query.where(Shipment.order_number == order.number))
    return moment.date() if moment else None


def _others(made: Return, context: Context) -> list[Return]:
    query = select(Return).where(
        Return.order_number == made.order_number,
        Return.number != made.number,
        Return.status.not_in([ReturnStatus.REFUSED, ReturnStatus.CLOSED]),
    )
    return list(context.session.scalars(query))


def _value(order: SalesOrder, made: Return) -> Decimal:
    prices = {x.line: x.unit_price * x.quantity_ordered / x.quantity_base for x in order.lines if x.quantity_base}
    return sum((prices[x.line] * x.quantity for x in made.lines), Decimal(0)).quantize(Decimal("0.01"))


def _case(made: Return, order: SalesOrder, value: Decimal, words: list[str], context: Context) -> None:
    cases.open_or_add(
        OpenCase(
            kind="return",
            subject=made.number,
            title=f"Return {made.number} of {order.number}: {words[0]}"[:200],
            queue=Queue.RETURNS,
            priority=Priority.NORMAL,
            customer=order.customer,
            order=order.number,
            at_stake=value,
            details={"problems": words},
        ),
        context,
    )


def authorise(command: AuthoriseReturn, context: Context) -> Change:
    """Somebody with the authority lets the goods come back."""
    made = _locked(command.return_number, context)
    return _step(made, ReturnStatus.AUTHORISED, "return:desk:authorised", context)


def refuse(command: RefuseReturn, context: Context) -> Change:
    """The goods stay where they are; the reason is written down."""
    made = _locked(command.return_number, context)
    made.note = f"{made.note} Refused: {command.reason}".strip()
    return _step(made, ReturnStatus.REFUSED, "return:desk:refused", context)


def receive(command: ReceiveReturn, context: Context) -> Change:
    """Count and look: what can be sold again goes to stock and to who waits for it; the rest is kept apart or written off."""
    made = _locked(command.return_number, context)
    by_line = {x.line: x for x in made.lines}
    problems = [p for x in command.lines for p in _receipt_problems(by_line.get(x.line), x)]
    if problems:
        raise RuleViolation(problems)
    accounts.lock_concerned(context.session, [x.sku for x in made.lines], command.warehouse)
    before = snapshot(made)
    made.status = transition(RETURN_STEPS, ReturnStatus(made.status), ReturnStatus.RECEIVED)
    made.received_at = context.now
    restocked = []
    for got in sorted(command.lines, key=lambda x: by_line[x.line].sku):
        line = by_line[got.line]
        line.quantity_received = got.quantity
        policy = rules.disposition(ReturnReason(made.reason), context.policy.returns)
        line.disposition = got.disposition or policy
        _to_its_place(made, command.warehouse, line, context)
        if line.disposition == Disposition.RESTOCK:
            restocked.append(line.sku)
    made.version += 1
    context.session.flush()
    if restocked:
        allocation.give(restocked, command.warehouse, context)
    return Change("return:goods:received", f"return:{made.number}", before, snapshot(made))


def _receipt_problems(line: ReturnLine | None, got: ReturnedLine) -> list[Problem]:
    if line is None:
        return [Problem("line_unknown", f"Line {got.line} is not part of this return.", {"line": got.line})]
    if got.quantity > line.quantity:
        words = f"Line {got.line}: {plain(got.quantity)} came back, {plain(line.quantity)} were authorised."
        return [Problem("more_than_authorised", words, {"line": got.line})]
    return []


def _to_its_place(made: Return, warehouse: str, line: ReturnLine, context: Context) -> None:
    """Onto the shelf, to scrap, or apart until somebody looked at it again or the supplier took it back."""
    source, reference = f"customer:{made.customer}", f"return:{made.number}"
    if line.disposition == Disposition.RESTOCK:
        level = ledger.level(context.session, warehouse, line.sku)
        ledger.put(level, line.quantity_received, source, reference, context)
    elif line.disposition == Disposition.SCRAP:
        ledger.move(line.sku, line.quantity_received, source, ledger.SCRAP, reference, context)
    else:
        ledger.set_apart(warehouse, line.sku, line.quantity_received, source, reference, str(line.disposition), context)
    context.session.flush()


def credit(command: CreditReturn, context: Context) -> Change:
    """Give back what was billed for what was received, less restocking; the return is done."""
    made = _locked(command.return_number, context)
    accounts.lock(context.session, made.customer)
    before = snapshot(made)
    status = transition(RETURN_STEPS, ReturnStatus(made.status), ReturnStatus.CREDITED)
    reason = ReturnReason(made.reason)
    amounts: dict[str, Decimal] = {}
    for line in made.lines:
        for number, billed in _billed(made, line, context):
            amounts[number] = amounts.get(number, Decimal(0)) + rules.credit(billed, reason, context.policy.returns)
    for number, amount in sorted(amounts.items()):
        if amount > 0:
            found = context.session.get_one(Invoice, number)
            memo = billing.credit(found, amount, f"{made.number}: {made.reason}", context)
            made.credit_memo = memo.number
    made.status, made.closed_at = status, context.now
    made.version += 1
    context.session.flush()
    cases.end("return", made.number, context, "credited")
    billing.reconsider(made.customer, context)
    after = {**snapshot(made), "credited": {n: str(a) for n, a in amounts.items()}}
    return Change("return:money:credited", f"return:{made.number}", before, after)


def _billed(made: Return, line: ReturnLine, context: Context) -> list[tuple[str, Decimal]]:
    """(invoice, amount with tax) that was billed for what came back of a line, newest bill first, each piece counted once."""
    query = (
        select(func.coalesce(func.sum(ReturnLine.quantity_received), 0))
        .join(Return, Return.number == ReturnLine.return_number)
        .where(
            Return.order_number == made.order_number,
            ReturnLine.line == line.line,
            Return.status == ReturnStatus.CREDITED,
            Return.number != made.number,
        )
    )
    before, left, found = context.session.scalar(query) or Decimal(0), line.quantity_received, []
    for invoice, billed in billing.invoiced_lines(made.order_number, line.line, context):
        open_here = max(billed.quantity - before, Decimal(0))
        before = max(before - billed.quantity, Decimal(0))
        taken = min(left, open_here)
        if taken > 0:
            net = invoice.amount - invoice.tax
            gross = billed.amount * (invoice.amount / net if net else 1)
            found.append((invoice.number, gross * taken / billed.quantity))
            left -= taken
    if left > 0:
        words = f"{plain(left)} of line {line.line} of {made.order_number} were not billed."
        raise RuleViolation([Problem("not_billed", words, {"line": line.line})])
    return found


def _locked(number: str, context: Context) -> Return:
    made = context.session.get(Return, number, with_for_update=True)
    if made is None:
        raise NotFound(f"There is no return {number}.")
    return made


def _step(made: Return, status: ReturnStatus, tag: str, context: Context) -> Change:
    before = snapshot(made)
    made.status = transition(RETURN_STEPS, ReturnStatus(made.status), status)
    if status == ReturnStatus.AUTHORISED:
        made.authorised_at = context.now
    else:
        made.closed_at = context.now
    made.version += 1
    context.session.flush()
    cases.end("return", made.number, context, status.value)
    return Change(tag, f"return:{made.number}", before, snapshot(made))


def snapshot(made: Return) -> dict[str, Any]:
    """The return in plain values."""
    return {
        "status": str(made.status),
        "reason": str(made.reason),
        "credit_memo": made.credit_memo,
        "lines": {
            str(x.line): {
                "sku": x.sku,
                "quantity": plain(x.quantity),
                "received": plain(x.quantity_received),
                "disposition": x.disposition,
            }
            for x in made.lines
        },
    }
