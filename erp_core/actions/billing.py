"""Money: invoices by shipment, payments, credit memos. Exposure follows at once, and held orders are looked at again."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import func, select

from erp_core.actions import accounts, cases, checks
from erp_core.actions.context import Change, Context
from erp_core.commands import IssueCreditMemo, OpenCase, PostPayment, RecordRemittance
from erp_core.errors import NotFound, Problem, RuleViolation
from erp_core.queries import sales
from erp_core.tables.billing import CreditMemo, Invoice, InvoiceLine, Payment, Remittance
from erp_core.tables.fulfilment import Shipment, ShipmentLine
from erp_core.tables.parties import Customer, Entity
from erp_core.tables.sales import Hold, OrderLine, SalesOrder
from erp_core.values import CHANGEABLE_ORDER_STATUSES, ORDER_STEPS, OrderStatus, Priority, Queue, money, transition


def invoice(order: SalesOrder, shipment: Shipment, context: Context) -> Invoice | None:
    """Bill a shipment, once. A hold that blocks invoicing leaves it to the billing queue."""
    session = context.session
    stopped = checks.blocked(order, "invoice", context)
    if stopped:
        reasons = ", ".join(hold.reason for hold in stopped)
        _invoice_case(order, f"{shipment.number} left but cannot be billed: {reasons} hold on {order.number}.", context)
        return None
    query = select(ShipmentLine).where(ShipmentLine.shipment == shipment.number).order_by(ShipmentLine.line)
    billed = [(row, next(x for x in order.lines if x.line == row.line)) for row in session.scalars(query)]
    customer = session.get_one(Customer, order.customer)
    percent = _tax_percent(order, customer, context)
    if percent is None:
        _invoice_case(order, f"{shipment.number} left but no tax rate is known for {order.ship_to_country}.", context)
        return None
    net = sum((_amount(row, line) for row, line in billed), Decimal(0))
    tax = money(net * percent / 100)
    terms = order.payment_terms_days if order.payment_terms_days is not None else customer.payment_terms_days
    day = context.now.date()
    made = Invoice(
        number=context.next_number("invoice_number", "INV-"),
        order_number=order.number,
        customer=order.customer,
        shipment=shipment.number,
        invoiced_at=day,
        due_on=day + timedelta(days=terms),
        amount=net + tax,
        tax=tax,
        paid_at=day if net == 0 else None,
    )
    session.add(made)
    session.flush()
    for row, line in billed:
        base = _base(row, line)
        line.quantity_invoiced += base
        session.add(
            InvoiceLine(invoice=made.number, line=line.line, sku=line.sku, quantity=base, amount=_amount(row, line))
        )
    session.flush()
    after = {"invoice": made.number, "shipment": shipment.number, "amount": str(made.amount), "tax": str(tax)}
    context.also(
        Change("invoice:billing:posted", f"invoice:{made.number}", None, {**after, "due_on": made.due_on.isoformat()})
    )
    return made


def invoice_rest(order: SalesOrder, context: Context) -> None:
    """Bill the shipments that a hold kept back."""
    before = sales.own(order)
    finish(order, context)
    context.session.flush()
    accounts.carry(context.session, order.customer, before, sales.own(order))


def finish(order: SalesOrder, context: Context) -> None:
    """Everything left: bill what a hold kept back, and call the order invoiced when all of it is billed."""
    if any(line.quantity_shipped > 0 for line in order.lines):
        for shipment in unbilled(order, context):
            invoice(order, shipment, context)
    if order.status == OrderStatus.SHIPPED and all(x.quantity_invoiced >= x.quantity_base for x in order.lines):
        order.status = transition(ORDER_STEPS, OrderStatus.SHIPPED, OrderStatus.INVOICED)
        checks.end_all(order, "order invoiced", context)
        for kind in ("invoice_hold", "service_recovery"):
            cases.end(kind, order.number, context, "shipped and billed")


def _base(row: ShipmentLine, line: OrderLine) -> Decimal:
    """Base quantity of a shipment's line; history was told in the line's own unit."""
    return (
        row.quantity_base
        if row.quantity_base is not None
        else row.quantity * line.quantity_base / line.quantity_ordered
    )


def _amount(row: ShipmentLine, line: OrderLine) -> Decimal:
    return money(line.unit_price * line.quantity_ordered * _base(row, line) / line.quantity_base)


def unbilled(order: SalesOrder, context: Context) -> list[Shipment]:
    """Shipments of an order without an invoice, oldest first."""
    query = (
        select(Shipment)
        .outerjoin(Invoice, Invoice.shipment == Shipment.number)
        .where(Shipment.order_number == order.number, Invoice.number.is_(None))
    )
    return list(context.session.scalars(query.order_by(Shipment.shipped_at, Shipment.number)))


def _tax_percent(order: SalesOrder, customer: Customer, context: Context) -> Decimal | None:
    home = context.session.get_one(Entity, customer.entity).country
    if customer.tax_exempt or order.ship_to_country != home:
        return Decimal(0)
    return context.policy.tax_percent.get(order.ship_to_country)


def _invoice_case(order: SalesOrder, words: str, context: Context) -> None:
    cases.open_or_add(
        OpenCase(
            kind="invoice_hold",
            subject=order.number,
            title=words[:200],
            queue=Queue.BILLING,
            priority=Priority.NORMAL,
            customer=order.customer,
            order=order.number,
            at_stake=sales.total(order),
            details={"problems": [words]},
        ),
        context,
    )


def post_payment(command: PostPayment, context: Context) -> Change:
    """Settle the invoices named, then the oldest; orders whose credit hold this mends go on."""
    session = context.session
    accounts.lock(session, command.customer)
    problems = [p for number in command.invoices for p in _invoice_problems(command.customer, number, context)]
    same = select(Payment).where(Payment.customer == command.customer, Payment.reference == command.reference)
    if session.scalars(same).first() is not None:
        words = f"Payment {command.reference} of {command.customer} is posted already."
        problems.append(Problem("payment_known", words, {"reference": command.reference}))
    if problems:
        raise RuleViolation(problems)
    left, applied = money(command.amount), {}
    for due in _owed(command, context):
        taken = min(left, due.amount - due.amount_settled)
        if taken > 0:
            applied[due.number] = str(taken)
            _settle(due, taken, context)
            left -= taken
    session.add(
        Payment(
            customer=command.customer,
            reference=command.reference,
            amount=money(command.amount),
            unapplied=left,
            received_on=command.received_on,
            applied=applied,
        )
    )
    session.flush()
    reconsider(command.customer, context)
    after = {"reference": command.reference, "amount": str(command.amount), "applied": applied, "unapplied": str(left)}
    return Change("payment:customer:posted", f"customer:{command.customer}", None, after)


def _owed(command: PostPayment, context: Context) -> list[Invoice]:
    """Open invoices: those named first, then by due date."""
    query = select(Invoice).where(Invoice.customer == command.customer, Invoice.paid_at.is_(None))
    found = list(context.session.scalars(query.order_by(Invoice.due_on, Invoice.number).with_for_update()))
    return sorted(found, key=lambda i: (i.number not in command.invoices, i.due_on, i.number))


def _settle(due: Invoice, amount: Decimal, context: Context) -> None:
    due.amount_settled += amount
    if due.amount_settled < due.amount:
        return
    due.paid_at = context.now.date()
    context.session.flush()
    order = sales.order(context.session, due.order_number, lock=True)
    unpaid = select(Invoice).where(Invoice.order_number == order.number, Invoice.paid_at.is_(None))
    if order.status == OrderStatus.INVOICED and context.session.scalars(unpaid).first() is None:
        order.status = transition(ORDER_STEPS, OrderStatus.INVOICED, OrderStatus.CLOSED)
        order.version += 1


def reconsider(customer: str, context: Context) -> None:
    """Look again at the customer's orders under a credit hold: a fact they rest on changed."""
    query = (
        select(SalesOrder.number)
        .join(Hold, Hold.order_number == SalesOrder.number)
        .where(
            SalesOrder.customer == customer,
            SalesOrder.status.in_(CHANGEABLE_ORDER_STATUSES),
            Hold.reason == "credit",
            Hold.released_at.is_(None),
        )
        .order_by(SalesOrder.ordered_at, SalesOrder.number)
    )
    checks.recheck(list(dict.fromkeys(context.session.scalars(query))), context)


def issue_credit_memo(command: IssueCreditMemo, context: Context) -> Change:
    """Never more than the invoice in sum. What is not paid yet is owed no longer."""
    found = context.session.get(Invoice, command.invoice)
    if found is None:
        raise NotFound(f"There is no invoice {command.invoice}.")
    accounts.lock(context.session, found.customer)
    made = credit(found, money(command.amount), command.reason, context)
    reconsider(found.customer, context)
    after = {"credit_memo": made.number, "amount": str(made.amount), "reason": command.reason}
    return Change("invoice:credit:issued", f"invoice:{found.number}", None, after)


def credit(found: Invoice, amount: Decimal, reason: str, context: Context) -> CreditMemo:
    """A credit memo on an invoice. Raises RuleViolation when the invoice has not so much left to give back."""
    session = context.session
    session.refresh(found, with_for_update=True)
    given = session.scalar(
        select(func.coalesce(func.sum(CreditMemo.amount), 0)).where(CreditMemo.invoice == found.number)
    )
    left = found.amount - (given or Decimal(0))
    if amount > left:
        words = f"{amount:,} is more than the {left:,} left on {found.number}."
        raise RuleViolation([Problem("credit_too_large", words, {"left": str(left)})])
    number = context.next_number("credit_memo_number", "CM-")
    made = CreditMemo(number=number, invoice=found.number, amount=amount, reason=reason, issued_at=context.now)
    session.add(made)
    session.flush()
    if found.paid_at is None:
        _settle(found, min(amount, found.amount - found.amount_settled), context)
    return made


def invoiced_lines(order: str, line: int, context: Context) -> list[tuple[Invoice, InvoiceLine]]:
    """What bills an order line, newest first."""
    query = (
        select(Invoice, InvoiceLine)
        .join(InvoiceLine, InvoiceLine.invoice == Invoice.number)
        .where(Invoice.order_number == order, InvoiceLine.line == line)
        .order_by(Invoice.invoiced_at.desc(), func.length(Invoice.number).desc(), Invoice.number.desc())
    )
    return [(row[0], row[1]) for row in context.session.execute(query)]


def record_remittance(command: RecordRemittance, context: Context) -> Change:
    """Write the payment down, unapplied; credit applies it when the money is there."""
    session = context.session
    if session.get(Customer, command.customer) is None:
        raise NotFound(f"There is no customer {command.customer}.")
    problems = [p for number in command.invoices for p in _invoice_problems(command.customer, number, context)]
    same = select(Remittance).where(Remittance.customer == command.customer, Remittance.reference == command.reference)
    if session.scalars(same).first() is not None:
        words = f"Remittance {command.reference} of {command.customer} is recorded already."
        problems.append(Problem("remittance_known", words, {"reference": command.reference}))
    if problems:
        raise RuleViolation(problems)
    session.add(
        Remittance(
            customer=command.customer,
            reference=command.reference,
            amount=money(command.amount),
            paid_on=command.paid_on,
            invoices=list(command.invoices),
            recorded_at=context.now,
        )
    )
    after = command.model_dump(mode="json", exclude={"type"})
    return Change("payment:remittance:recorded", f"customer:{command.customer}", None, after)


def _invoice_problems(customer: str, number: str, context: Context) -> list[Problem]:
    found = context.session.get(Invoice, number)
    if found is None or found.customer != customer:
        return [Problem("invoice_unknown", f"{number} is no invoice of {customer}.", {"invoice": number})]
    return []
