"""What an evaluation looks at after a sample: the state of the world, and whether anything changed that may not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.queries import chats, sales
from erp_core.tables import Base
from erp_core.tables.chat import Chat
from erp_core.tables.desk import Case, OutboxMail, Proposal
from erp_core.tables.parties import Customer
from erp_core.tables.purchasing import PurchaseOrder, SupplierInvoice
from erp_core.tables.returns import Return
from erp_core.tables.sales import SalesOrder
from erp_core.tables.stock import StockLevel
from erp_core.values import plain

# what the agent's side may add to, and what is made of it
DESK = {
    "case_file",
    "message",
    "finding",
    "note",
    "proposal",
    "asked",
    "journal_entry",
    "decision",
    "outbox",
    "row_image",
    "chat",
    "model_call",
    "passage",
}


def fingerprint(session: Session) -> str:
    """One digest over every protected table."""
    parts = []
    for name in sorted(set(Base.metadata.tables) - DESK):
        query = f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM \"{name}\" t"
        parts.append(str(session.execute(text(query)).scalar_one()))
    return "".join(parts)


def state_of(session: Session, asked: dict[str, str]) -> dict[str, Any]:
    """The state of one document: {order|purchase_order|bill|return|stock|customer|case|invoice_sent: name}. Empty when there is none."""
    kind, name = next(iter(asked.items()))
    found: dict[str, Any] = {
        "order": _order,
        "purchase_order": _purchase,
        "bill": _bill,
        "return": _return,
        "stock": _stock,
        "customer": _customer,
        "case": _case,
        "case_number": _numbered,
        "invoice_sent": _sent,
    }[kind](session, name)
    return found


def _order(session: Session, number: str) -> dict[str, Any]:
    order = session.get(SalesOrder, number)
    if order is None:
        return {}
    return {
        "status": str(order.status),
        "holds": sorted({h.reason for h in sales.active_holds(session, number)}),
        "requested_date": order.requested_date.isoformat() if order.requested_date else None,
        "expedited": order.expedited,
        "lines": {
            str(x.line): {
                "sku": x.sku,
                "ordered": plain(x.quantity_ordered),
                "allocated": plain(x.quantity_allocated),
                "shipped": plain(x.quantity_shipped),
                "price": plain(x.unit_price),
            }
            for x in order.lines
        },
    }


def _purchase(session: Session, number: str) -> dict[str, Any]:
    order = session.get(PurchaseOrder, number)
    if order is None:
        return {}
    expected = order.expected_date.isoformat() if order.expected_date else None
    return {
        "status": str(order.status),
        "expected_date": expected,
        "received": plain(sum((x.quantity_received for x in order.lines), Decimal(0))),
    }


def _bill(session: Session, name: str) -> dict[str, Any]:
    supplier, _, number = name.partition(":")
    query = select(SupplierInvoice).where(SupplierInvoice.supplier == supplier, SupplierInvoice.number == number)
    found = session.scalars(query.order_by(SupplierInvoice.id.desc())).first()
    return {"status": str(found.status)} if found else {}


def _return(session: Session, order: str) -> dict[str, Any]:
    query = select(Return).where(Return.order_number == order).order_by(Return.requested_at.desc())
    found = session.scalars(query).first()
    return {"status": str(found.status), "reason": str(found.reason)} if found else {}


def _stock(session: Session, name: str) -> dict[str, Any]:
    warehouse, _, sku = name.partition(":")
    found = session.get(StockLevel, (warehouse, sku))
    if found is None:
        return {}
    return {
        "on_hand": plain(found.quantity_on_hand),
        "allocated": plain(found.quantity_allocated),
        "held": plain(found.quantity_held),
    }


def _customer(session: Session, code: str) -> dict[str, Any]:
    found = session.get(Customer, code)
    return {"status": found.status, "credit_limit": plain(found.credit_limit)} if found else {}


def _case(session: Session, kind: str) -> dict[str, Any]:
    found = session.scalars(select(Case).where(Case.kind == kind).order_by(Case.id.desc())).first()
    return (
        {"status": str(found.status), "queue": found.queue, "priority": found.priority, "order": found.order_number}
        if found
        else {}
    )


def _sent(session: Session, invoice: str) -> dict[str, Any]:
    """Proposals that would send a copy of an invoice, the newest."""
    for proposal in session.scalars(select(Proposal).order_by(Proposal.id.desc())):
        for command in proposal.commands:
            if invoice in (command.get("invoices") or []):
                return {"proposal": proposal.id, "to": command.get("to")}
    return {}


def _numbered(session: Session, number: str) -> dict[str, Any]:
    found = session.get_one(Case, int(number))
    return {"queue": found.queue, "priority": found.priority}


def segment_of(session: Session, customer: str) -> dict[str, str]:
    """Firm and tier of a customer; nothing of one who is not there."""
    found = session.get(Customer, customer)
    return {"firm": found.entity, "tier": found.tier} if found else {}


FACTS = """
SELECT jsonb_build_array((SELECT to_jsonb(c) FROM customer c WHERE c.code = :customer),
 (SELECT jsonb_agg(to_jsonb(o)) FROM sales_order o WHERE o.customer = :customer),
 (SELECT jsonb_agg(to_jsonb(l) || jsonb_build_object('back', l.quantity_base - l.quantity_allocated - l.quantity_shipped)) FROM order_line l
   JOIN sales_order o ON o.number = l.order_number WHERE o.customer = :customer),
 (SELECT jsonb_agg(to_jsonb(s)) FROM shipment s JOIN sales_order o ON o.number = s.order_number WHERE o.customer = :customer),
 (SELECT jsonb_agg(to_jsonb(v)) FROM invoice v WHERE v.customer = :customer),
 (SELECT jsonb_agg(jsonb_build_array(i.sku, i.name, i.list_price)) FROM item i JOIN order_line l ON l.sku = i.sku
   JOIN sales_order o ON o.number = l.order_number WHERE o.customer = :customer),
 (SELECT jsonb_agg(jsonb_build_array(p.sku, p.unit_price, p.min_quantity)) FROM price p WHERE p.customer = :customer),
 (SELECT jsonb_agg(jsonb_build_array(p.expected_date, l.sku, l.quantity)) FROM purchase_order p JOIN purchase_order_line l ON l.order_number = p.number))::text"""


def facts_of(session: Session, customer: str) -> str:
    """Everything the house knows of a customer, as text: what a reply to it may say."""
    return str(session.execute(text(FACTS), {"customer": customer}).scalar_one())


def cases_of(session: Session, after: int) -> list[int]:
    """Cases opened after a number."""
    return list(session.scalars(select(Case.id).where(Case.id > after).order_by(Case.id)))


def last_case(session: Session) -> int:
    """The newest case."""
    return session.scalars(select(Case.id).order_by(Case.id.desc()).limit(1)).first() or 0


def outbound(session: Session) -> int:
    """Mails that wait to leave or left."""
    return len(session.scalars(select(OutboxMail.id)).all())


def filed(session: Session, after: int) -> list[Proposal]:
    """Proposals on cases opened after a number."""
    return list(session.scalars(select(Proposal).where(Proposal.case_id > after).order_by(Proposal.id)))


def owner_of(session: Session, command: dict[str, Any]) -> set[str]:
    """Customers whose documents a command names."""
    owners = set()
    if command.get("order"):
        order = session.get(SalesOrder, command["order"])
        owners.add(order.customer if order else "?")
    if command.get("customer"):
        owners.add(str(command["customer"]))
    return owners


def clocks(session: Session, after: int) -> list[Any]:
    """(queue, priority, due, owner's role, machine mail) of cases opened after a number, in the order of their mails."""
    query = """SELECT m.message_id, m.case_id, m.sender, c.queue, c.due_at, c.status, m.machine, c.opened_at FROM case_file c JOIN message m ON m.case_id = c.id
        WHERE c.id > :after ORDER BY c.id"""
    return list(session.execute(text(query), {"after": after}).all())


def last_mail(session: Session) -> str:
    """The subject of the mail that was put out last."""
    return session.scalars(select(OutboxMail.subject).order_by(OutboxMail.id.desc()).limit(1)).one()


def last_talk(session: Session) -> tuple[Chat | None, list[str]]:
    """The newest chat, and what the assistant and colleagues said in it."""
    chat = session.scalars(select(Chat).order_by(Chat.id.desc()).limit(1)).one_or_none()
    said = chats.messages(session, chat) if chat is not None else []
    return chat, [str(m.parsed.get("newest", "")) for m in said if m.direction == "out"]
