"""What customers owe, and their invoices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from erp_core.tables.billing import CreditMemo, CustomerAccount, Invoice
from erp_core.tables.parties import Customer


@dataclass(frozen=True)
class Exposure:
    """What a customer could owe us, in the customer's currency."""

    unpaid_invoices: Decimal
    open_orders: Decimal
    owed_elsewhere: Decimal

    @property
    def total(self) -> Decimal:
        return self.unpaid_invoices + self.open_orders + self.owed_elsewhere


def exposure(session: Session, customer: str, on: date) -> Exposure:
    """What is billed and not settled, what is ordered and not billed, and what finance reported of other books."""
    owed = select(func.coalesce(func.sum(Invoice.amount - Invoice.amount_settled), 0)).where(
        Invoice.customer == customer, or_(Invoice.paid_at.is_(None), Invoice.paid_at > on)
    )
    carried = select(func.coalesce(func.sum(CustomerAccount.open_orders), 0)).where(
        CustomerAccount.customer == customer
    )
    elsewhere = select(func.coalesce(func.sum(Customer.owed_elsewhere), 0)).where(Customer.code == customer)
    parts = [query.scalar_subquery() for query in (owed, carried, elsewhere)]
    return Exposure(*(Decimal(part) for part in session.execute(select(*parts)).one()))


def invoices_of_orders(session: Session, orders: list[str]) -> list[Invoice]:
    """Invoices of the orders, by number."""
    query = select(Invoice).where(Invoice.order_number.in_(orders)).order_by(Invoice.number)
    return list(session.scalars(query))


def customer_invoices(session: Session, customer: str, numbers: list[str]) -> list[Invoice]:
    """Those of the invoices that are the customer's own."""
    query = select(Invoice).where(Invoice.customer == customer, Invoice.number.in_(numbers)).order_by(Invoice.number)
    return list(session.scalars(query))


def credited(session: Session, invoice: str) -> Decimal:
    """What was given back on an invoice so far."""
    query = select(func.coalesce(func.sum(CreditMemo.amount), 0)).where(CreditMemo.invoice == invoice)
    return Decimal(session.scalar(query) or 0)
