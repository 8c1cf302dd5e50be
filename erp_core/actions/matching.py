"""Supplier invoices: recorded, matched with order and receipts at once, accepted or sent back, paid."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from erp_core.actions import cases, disruptions, segregation
from erp_core.actions.context import Change, Context
from erp_core.commands import ApproveMatch, OpenCase, RecordBill, RejectBill, ReleasePayment
from erp_core.errors import NotFound, Problem, RuleViolation
from erp_core.queries import catalog
from erp_core.queries import purchasing as queries
from erp_core.rules import matching as rules
from erp_core.rules.matching import Match
from erp_core.tables.parties import Supplier
from erp_core.tables.purchasing import Discrepancy, Disruption, PurchaseOrder, SupplierInvoice, SupplierInvoiceLine
from erp_core.values import BILL_STEPS, PURCHASE_STEPS, BillStatus, Priority, PurchaseStatus, Queue, money, transition

OPEN = (BillStatus.BLOCKED, BillStatus.MATCHED, BillStatus.APPROVED)


def record(command: RecordBill, context: Context) -> Change:
    """Write it down and match it. An order of another supplier, or none that we know, is a difference and no refusal."""
    session = context.session
    if session.get(Supplier, command.supplier) is None:
        raise NotFound(f"There is no supplier {command.supplier}.")
    order = _ordered(command.purchase_order, command.supplier, context)
    standing = select(SupplierInvoice.id).where(
        SupplierInvoice.supplier == command.supplier,
        SupplierInvoice.number == command.number,
        SupplierInvoice.status != BillStatus.REJECTED,
    )
    problems = []
    if session.scalars(standing).first() is not None:
        words = f"Invoice {command.number} of {command.supplier} is recorded already."
        problems.append(Problem("bill_known", words, {"bill": command.number}))
    items = catalog.items(session, {x.sku for x in command.lines})
    problems += [Problem("item_unknown", f"There is no item {x.sku}.") for x in command.lines if x.sku not in items]
    if problems:
        raise RuleViolation(problems)
    net = money(sum((x.quantity * x.unit_price for x in command.lines), Decimal(0)))
    made = SupplierInvoice(
        supplier=command.supplier,
        number=command.number,
        purchase_order=order.number if order else None,
        order_named=command.purchase_order,
        invoiced_at=command.invoiced_at,
        due_on=command.due_on or command.invoiced_at + timedelta(days=context.policy.match.terms_days),
        currency=command.currency,
        amount=net + money(command.tax) + money(command.charges),
        tax=money(command.tax),
        charges=money(command.charges),
        status=BillStatus.BLOCKED,
        recorded_at=context.now,
        recorded_by=context.actor,
        version=1,
    )
    made.lines = _lines(command, order, context)
    session.add(made)
    session.flush()
    _judge(made, order, context)
    return Change("bill:supplier:recorded", made.subject, None, _snapshot(made, context))


def _ordered(number: str | None, supplier: str, context: Context) -> PurchaseOrder | None:
    """The order a bill is for, locked; none when it is not this supplier's."""
    if number is None or context.session.get(PurchaseOrder, number) is None:
        return None
    order = queries.order(context.session, number, lock=True)
    return order if order.supplier == supplier else None


def _lines(command: RecordBill, order: PurchaseOrder | None, context: Context) -> list[SupplierInvoiceLine]:
    """The lines as they will be matched, each with the line of the order it is for."""
    room: dict[int, tuple[str, Decimal]] = {}
    if order is not None:
        billed = queries.billed_of(context.session, order.number)
        room = {x.line: (x.sku, max(x.quantity - billed.get(x.line, Decimal(0)), Decimal(0))) for x in order.lines}
    asked = [
        rules.Billed(n, x.order_line, x.sku, x.quantity, x.unit_price) for n, x in enumerate(command.lines, start=1)
    ]
    return [
        SupplierInvoiceLine(
            line=x.line, order_line=x.order_line, sku=x.sku, quantity=x.quantity, unit_price=x.unit_price
        )
        for x in rules.split(room, asked)
    ]


def _judge(bill: SupplierInvoice, order: PurchaseOrder | None, context: Context) -> None:
    """Match it as things are: free when nothing differs, with a case for accounts payable when something does."""
    seen, lines, limits = queries.match_facts(context.session, bill, order, context.policy)
    found = rules.match(seen, lines, limits)
    if bill.facts_hash == found.facts_hash:
        return  # it stands as it stood: matched, blocked or accepted for exactly this
    _write_down(bill, found, context)
    bill.facts_hash = found.facts_hash
    bill.version += 1  # a signature given to the differences of before does not cover these
    if not found.differences:
        if bill.status == BillStatus.BLOCKED:
            _free(bill, order, context)
        return
    if bill.status != BillStatus.BLOCKED:
        bill.status = transition(BILL_STEPS, BillStatus(bill.status), BillStatus.BLOCKED)
        bill.approved_by = None
        cases.end("payment_due", bill.key, context, "it no longer matches")
    _case(bill, order, found, context)


def _write_down(bill: SupplierInvoice, found: Match, context: Context) -> None:
    """The differences of now; what was found earlier and is gone is settled."""
    now = {(d.kind.value, d.sku, d.expected, d.actual) for d in found.differences}
    query = select(Discrepancy).where(Discrepancy.invoice_id == bill.id, Discrepancy.settled_at.is_(None))
    standing = set()
    for old in context.session.scalars(query):
        if (old.kind, old.sku, old.expected, old.actual) in now:
            standing.add((old.kind, old.sku, old.expected, old.actual))
        else:
            old.settled_at, old.settled_how = context.now, "the difference is gone"
    for d in found.differences:
        if (d.kind.value, d.sku, d.expected, d.actual) not in standing:
            disruptions.note(d, context, purchase_order=bill.purchase_order, invoice_id=bill.id)
    context.session.flush()


def _free(bill: SupplierInvoice, order: PurchaseOrder | None, context: Context) -> None:
    bill.status = transition(BILL_STEPS, BillStatus.BLOCKED, BillStatus.MATCHED)
    context.session.flush()
    cases.end("three_way_mismatch", bill.key, context, "it matches now")
    _close(order, context)


def _close(order: PurchaseOrder | None, context: Context) -> None:
    """An order that came and is billed for all that came is done."""
    if order is None:
        return
    accepted = queries.billed_of(
        context.session, order.number, BillStatus.MATCHED, BillStatus.APPROVED, BillStatus.PAID
    )
    for line in order.lines:
        line.quantity_invoiced = accepted.get(line.line, Decimal(0))
    billed = all(x.quantity_invoiced >= x.quantity_received for x in order.lines)
    if order.status == PurchaseStatus.RECEIVED and billed and any(x.quantity_invoiced for x in order.lines):
        order.status = transition(PURCHASE_STEPS, PurchaseStatus.RECEIVED, PurchaseStatus.CLOSED)
        order.version += 1
        cases.end("match_context", order.number, context, "billed and matched")
    context.session.flush()


def _case(bill: SupplierInvoice, order: PurchaseOrder | None, found: Match, context: Context) -> None:
    """What differs, with what was received when: nobody has to look it up."""
    words = [d.text for d in found.differences]
    came = queries.receipts(context.session, order.number) if order else []
    details: dict[str, Any] = {
        "problems": words,
        "supplier": bill.supplier,
        "bill": bill.number,
        "purchase_order": bill.purchase_order,
        "approvable": found.approvable,
        "kinds": sorted({d.kind.value for d in found.differences}),
        "receipts": [f"{r.number} on {r.received_at:%Y-%m-%d} at {r.warehouse}" for r in came],
    }
    worth = sum((abs(d.amount) for d in found.differences), Decimal(0))
    disruption = _disruption(bill.purchase_order, context)
    cases.open_or_refresh(
        OpenCase(
            kind="three_way_mismatch",
            subject=bill.key,
            title=f"{bill.number} of {bill.supplier}: {words[0]}"[:200],
            queue=Queue.ACCOUNTS_PAYABLE,
            priority=Priority.NORMAL if found.approvable else Priority.HIGH,
            at_stake=worth,
            details=details,
        ),
        context,
        supplier=bill.supplier,
        disruption=disruption,
    )


def _disruption(purchase_order: str | None, context: Context) -> int | None:
    """The open disruption that the order is part of: the receiving side of the same trouble."""
    query = select(Disruption.id).where(Disruption.purchase_order == purchase_order, Disruption.closed_at.is_(None))
    return context.session.scalars(query.order_by(Disruption.id.desc()).limit(1)).first()


def rematch(order: PurchaseOrder, context: Context) -> None:
    """Look at the order's invoices again: goods came, or the order changed."""
    for bill in queries.bills(context.session, order.number):
        if bill.status in OPEN:
            _judge(bill, order, context)
    _close(order, context)


def approve(command: ApproveMatch, context: Context) -> Change:
    """Accept the differences as they are; others than these need another approval."""
    bill, order = _locked(command.supplier, command.bill, context)
    segregation.of_match(bill, context)
    seen, lines, limits = queries.match_facts(context.session, bill, order, context.policy)
    found = rules.match(seen, lines, limits)
    if not found.approvable:
        words = " ".join(d.text for d in found.differences)
        text = f"Nobody may accept this: {words} Have the order amended, or send the invoice back."
        raise RuleViolation([Problem("not_acceptable", text, {"bill": bill.number})])
    before = _snapshot(bill, context)
    bill.status = transition(BILL_STEPS, BillStatus(bill.status), BillStatus.APPROVED)
    bill.approved_by, bill.facts_hash = context.actor, found.facts_hash
    _settle(bill, f"accepted: {command.note}", context)
    cases.end("three_way_mismatch", bill.key, context, "accepted")
    _close(order, context)
    return _done("bill:match:approved", bill, before, context)


def reject(command: RejectBill, context: Context) -> Change:
    """Send it back; what it billed can be billed by another one."""
    bill, order = _locked(command.supplier, command.bill, context)
    before = _snapshot(bill, context)
    bill.status = transition(BILL_STEPS, BillStatus(bill.status), BillStatus.REJECTED)
    _settle(bill, f"rejected: {command.note}", context)
    for kind in ("three_way_mismatch", "payment_due"):
        cases.end(kind, bill.key, context, "rejected")
    context.session.flush()
    if order is not None:
        rematch(order, context)
    return _done("bill:match:rejected", bill, before, context)


def pay(command: ReleasePayment, context: Context) -> Change:
    """Let it be paid; one that does not match must be accepted first."""
    bill, order = _locked(command.supplier, command.bill, context)
    segregation.of_payment(bill, context)
    if context.session.get_one(Supplier, bill.supplier).status != "active":
        raise RuleViolation([Problem("supplier_blocked", f"Supplier {bill.supplier} is blocked.")])
    was = bill.status
    if was in OPEN:
        _judge(bill, order, context)
    if was != BillStatus.BLOCKED and bill.status == BillStatus.BLOCKED:
        text = f"{bill.number} no longer matches what was ordered, received and accepted."
        raise RuleViolation([Problem("no_longer_matches", text, {"bill": bill.number})])
    before = _snapshot(bill, context)
    bill.status = transition(BILL_STEPS, BillStatus(bill.status), BillStatus.PAID)
    bill.paid_at = context.now
    cases.end("payment_due", bill.key, context, "paid")
    return _done("bill:payment:released", bill, before, context)


def put_up(bill: SupplierInvoice, context: Context) -> None:
    """An invoice that may be paid and is due soon: a case of its own, for whoever may pay it."""
    why = f"its differences were accepted by {bill.approved_by}" if bill.approved_by else "it matches"
    words = f"{bill.number} of {bill.supplier} for {bill.amount:,} {bill.currency} is due on {bill.due_on}; {why}."
    details: dict[str, Any] = {
        "problems": [words],
        "supplier": bill.supplier,
        "bill": bill.number,
        "purchase_order": bill.purchase_order,
        "version": bill.version,
    }
    command = OpenCase(
        kind="payment_due",
        subject=bill.key,
        title=words[:200],
        queue=Queue.ACCOUNTS_PAYABLE,
        priority=Priority.HIGH if bill.due_on < context.now.date() else Priority.NORMAL,
        at_stake=bill.amount,
        details=details,
    )
    cases.open_or_refresh(command, context, supplier=bill.supplier)


def _locked(supplier: str, number: str, context: Context) -> tuple[SupplierInvoice, PurchaseOrder | None]:
    """The order first, then its invoice: the order that everybody keeps."""
    known = queries.bill(context.session, supplier, number)
    order = _ordered(known.purchase_order, supplier, context)
    return queries.bill(context.session, supplier, number, lock=True), order


def _settle(bill: SupplierInvoice, how: str, context: Context) -> None:
    query = select(Discrepancy).where(Discrepancy.invoice_id == bill.id, Discrepancy.settled_at.is_(None))
    for one in context.session.scalars(query):
        one.settled_at, one.settled_how = context.now, how


def _done(tag: str, bill: SupplierInvoice, before: dict[str, Any], context: Context) -> Change:
    bill.version += 1
    context.session.flush()
    return Change(tag, bill.subject, before, _snapshot(bill, context))


def _snapshot(bill: SupplierInvoice, context: Context) -> dict[str, Any]:
    query = select(Discrepancy.text).where(Discrepancy.invoice_id == bill.id, Discrepancy.settled_at.is_(None))
    return {
        "status": bill.status,
        "purchase_order": bill.purchase_order,
        "amount": str(bill.amount),
        "due_on": bill.due_on.isoformat(),
        "differences": sorted(context.session.scalars(query)),
    }
