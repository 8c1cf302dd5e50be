"""Mail that leaves: written to the outbox by a signed command, delivered by the clock."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from erp_core.actions.context import Change, Context
from erp_core.commands import SendMessage
from erp_core.errors import Problem, RuleViolation
from erp_core.queries import sales
from erp_core.queries.desk import first_contact
from erp_core.rules import letters
from erp_core.rules.letters import OrderState
from erp_core.tables.billing import Invoice
from erp_core.tables.desk import Case, OutboxMail
from erp_core.tables.fulfilment import Shipment
from erp_core.tables.sales import SalesOrder
from erp_core.values import OrderStatus, digest


def send(command: SendMessage, context: Context) -> Change:
    """Queue the mail, its slots filled in from the state as it is now. Invoices named are attached as the core renders them."""
    body = _filled(command, context)
    texts = [_invoice_text(number, context) for number in command.invoices]
    name = digest([context.key, command.to, command.subject])[:24]
    context.session.add(
        OutboxMail(
            case_id=_case_of(command, context),
            message_id=f"<{name}@countersign>",
            to=command.to,
            subject=command.subject,
            body=body,
            in_reply_to=command.in_reply_to,
            attachments=texts,
            status="waiting",
            queued_at=context.now,
        )
    )
    context.session.flush()
    after = {
        "to": command.to,
        "subject": command.subject,
        "body": body,
        "attachments": [text["name"] for text in texts],
    }
    return Change("message:outbox:queued", f"mail:{command.to}", None, after)


def _case_of(command: SendMessage, context: Context) -> int | None:
    return command.case or context.case


def _filled(command: SendMessage, context: Context) -> str:
    """The body without slots. Raises RuleViolation for a slot that cannot be told to the case's customer."""
    numbers = letters.orders_in(command.body)
    if not numbers:
        return command.body
    number = _case_of(command, context)
    case = context.session.get(Case, number) if number else None
    told = {}
    for found in sales.orders(context.session, sorted(numbers)):
        held = bool(sales.active_holds(context.session, found.number))
        gone = found.status in (OrderStatus.SHIPPED, OrderStatus.INVOICED, OrderStatus.CLOSED)
        open_state = "held" if held else "open"
        state = "cancelled" if found.status == OrderStatus.CANCELLED else "gone" if gone else open_state
        total = f"{sales.total(found):,}"
        told[found.number] = OrderState(found.customer, found.promised_date, found.requested_date, state, total)
    body, problems = letters.fill(command.body, told, case.customer if case else None)
    if problems:
        raise RuleViolation(problems)
    return body


def put_out(
    session: Session, name: str, to: str, subject: str, body: str, now: datetime, case: int | None = None
) -> None:
    """A mail of the core's own words waits in the outbox; `name` makes its Message-ID."""
    session.add(
        OutboxMail(
            case_id=case,
            message_id=f"<{name}@countersign>",
            to=to,
            subject=subject,
            body=body,
            attachments=[],
            status="waiting",
            queued_at=now,
        )
    )
    session.flush()


def notify(order: SalesOrder, shipment: Shipment, what: Literal["shipped", "delayed"], context: Context) -> None:
    """Tell the customer what happened, in the words of the policy; a customer without a contact is told nothing."""
    words = context.policy.notices.get(what, "").strip()
    contact = first_contact(context.session, order.customer)
    if not words or contact is None:
        return
    slots = {
        "order": order.number,
        "customer_po": order.customer_po or "-",
        "shipment": shipment.number,
        "carrier": shipment.carrier or "our carrier",
        "tracking": shipment.tracking or "",
        "expected": f"{shipment.expected_at:%B %d}" if shipment.expected_at else "a later day",
    }
    subject = f"{order.number}: {'on its way' if what == 'shipped' else 'late'}"
    name = digest([context.key, contact.email, what])[:24]
    put_out(context.session, name, contact.email, subject, words.format_map(slots), context.now)
    context.also(Change("message:notice:queued", f"mail:{contact.email}", None, {"what": what, "order": order.number}))


def _invoice_text(number: str, context: Context) -> dict[str, str]:
    invoice = context.session.get(Invoice, number)
    if invoice is None:
        raise RuleViolation([Problem("invoice_unknown", f"There is no invoice {number}.", {"invoice": number})])
    query = select(SalesOrder).where(SalesOrder.number == invoice.order_number)
    order = context.session.scalars(query).one()
    rows = [
        f"{line.line:>4}  {line.sku:<16} {line.quantity_ordered.normalize():f} {line.uom} x {line.unit_price:f}"
        for line in order.lines
    ]
    head = [
        f"Invoice {invoice.number}",
        f"Date {invoice.invoiced_at.isoformat()}",
        f"Order {order.number}, your PO {order.customer_po or '-'}",
        "",
    ]
    return {"name": f"{invoice.number}.txt", "text": "\n".join([*head, *rows, "", f"Amount due {invoice.amount:,}"])}
