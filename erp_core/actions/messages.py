"""Mail that leaves: written to the outbox by a signed command, delivered by the clock."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from erp_core.actions.context import Change, Context
from erp_core.commands import SendMessage
from erp_core.errors import Problem, RuleViolation
from erp_core.queries.desk import first_contact
from erp_core.tables.billing import Invoice
from erp_core.tables.desk import OutboxMail
from erp_core.tables.fulfilment import Shipment
from erp_core.tables.sales import SalesOrder
from erp_core.values import digest


def send(command: SendMessage, context: Context) -> Change:
    """Queue the mail. Invoices named are attached as the core renders them."""
    texts = [_invoice_text(number, context) for number in command.invoices]
    name = digest([context.key, command.to, command.subject])[:24]
    context.session.add(
        OutboxMail(
            case_id=command.case,
            message_id=f"<{name}@countersign>",
            to=command.to,
            subject=command.subject,
            body=command.body,
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
        "body": command.body,
        "attachments": [text["name"] for text in texts],
    }
    return Change("message:outbox:queued", f"mail:{command.to}", None, after)


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
