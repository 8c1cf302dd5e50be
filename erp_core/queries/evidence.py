"""Facts that a decision is weighed with: how old debts are, how a customer pays, who else waits, what happened before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from erp_core.tables.billing import Invoice
from erp_core.tables.desk import Case


@dataclass(frozen=True)
class Age:
    """Unpaid invoices of one age, in the customer's currency."""

    words: str
    invoices: int
    amount: Decimal


AGEING = """
SELECT CASE WHEN late <= 0 THEN 'not due yet' WHEN late <= 30 THEN 'up to 30 days overdue' WHEN late <= 60 THEN '31 to 60 days overdue'
  ELSE 'more than 60 days overdue' END AS words, count(*) AS invoices, sum(amount - amount_settled) AS amount
FROM (SELECT i.amount, i.amount_settled, :today - (i.invoiced_at + c.payment_terms_days) AS late FROM invoice i
  JOIN customer c ON c.code = i.customer WHERE i.customer = :customer AND (i.paid_at IS NULL OR i.paid_at > :today)) x
GROUP BY 1 ORDER BY min(late)"""


def ageing(session: Session, customer: str, today: date) -> list[Age]:
    """Unpaid invoices by age, youngest first."""
    rows = session.execute(text(AGEING), {"customer": customer, "today": today})
    return [Age(row.words, row.invoices, row.amount) for row in rows]


@dataclass(frozen=True)
class OpenInvoice:
    """An unpaid invoice: when it is or was due, and what is open of it in the customer's currency."""

    number: str
    due: date
    amount: Decimal


OPEN_INVOICES = """
SELECT i.number, i.invoiced_at + c.payment_terms_days AS due, i.amount - i.amount_settled AS amount FROM invoice i
JOIN customer c ON c.code = i.customer WHERE i.customer = :customer AND (i.paid_at IS NULL OR i.paid_at > :today) ORDER BY due, i.number"""


def open_invoices(session: Session, customer: str, today: date) -> list[OpenInvoice]:
    """Unpaid invoices, those due longest first."""
    rows = session.execute(text(OPEN_INVOICES), {"customer": customer, "today": today})
    return [OpenInvoice(row.number, row.due, row.amount) for row in rows]


@dataclass(frozen=True)
class Paid:
    """How a customer paid in the last year: invoices, and days after the due date on average."""

    invoices: int
    days_late: float


PAID = """
SELECT count(*) AS invoices, coalesce(avg(i.paid_at - (i.invoiced_at + c.payment_terms_days)), 0) AS days FROM invoice i
JOIN customer c ON c.code = i.customer WHERE i.customer = :customer AND i.paid_at <= :today AND i.paid_at > :since"""


def payment_behaviour(session: Session, customer: str, today: date) -> Paid:
    """How a customer paid in the last year."""
    row = session.execute(
        text(PAID), {"customer": customer, "today": today, "since": today - timedelta(days=365)}
    ).one()
    return Paid(row.invoices, float(row.days))


WAITING = """
SELECT count(DISTINCT l.order_number) FROM order_line l JOIN sales_order o ON o.number = l.order_number
WHERE l.sku = :sku AND o.warehouse = :warehouse AND o.number <> :but AND o.status IN ('entered', 'validated', 'allocated')
 AND l.quantity_base > l.quantity_allocated + l.quantity_shipped"""


def others_waiting(session: Session, sku: str, warehouse: str, but: str) -> int:
    """How many other open orders lack the item at the warehouse."""
    return int(session.scalar(text(WAITING), {"sku": sku, "warehouse": warehouse, "but": but}) or 0)


def recent_invoices(session: Session, customer: str, since: date, limit: int) -> Sequence[Invoice]:
    """Invoices of a customer that are open or younger, newest first."""
    query = select(Invoice).where(
        Invoice.customer == customer, or_(Invoice.paid_at.is_(None), Invoice.invoiced_at >= since)
    )
    return session.scalars(query.order_by(Invoice.invoiced_at.desc(), Invoice.number).limit(limit)).all()


def cases_of_party(
    session: Session, customer: str | None, supplier: str | None, since: datetime, but: int | None, limit: int
) -> Sequence[Case]:
    """Cases of a customer or supplier, newest first."""
    if not customer and not supplier:
        return []
    whose = Case.customer == customer if customer else Case.supplier == supplier
    query = select(Case).where(whose, Case.opened_at >= since, Case.id != func.coalesce(but, 0))
    return session.scalars(query.order_by(Case.id.desc()).limit(limit)).all()
