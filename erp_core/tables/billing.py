"""Invoices and unapplied remittances."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, JsonList, Moment, Money, spelled


class Invoice(Base):
    """What we billed, in the customer's currency."""

    __tablename__ = "invoice"
    __table_args__ = (spelled("invoice", "number"),)
    number: Mapped[str] = mapped_column(primary_key=True)
    order_number: Mapped[str] = mapped_column(ForeignKey("sales_order.number"), index=True)
    shipment: Mapped[str | None] = mapped_column(ForeignKey("shipment.number"))
    invoiced_at: Mapped[date]
    amount: Mapped[Money]
    paid_at: Mapped[date | None]


class Remittance(Base):
    """An announced payment, not yet applied to invoices."""

    __tablename__ = "remittance"
    __table_args__ = (UniqueConstraint("customer", "reference"), CheckConstraint("amount > 0", name="amount_positive"))
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"))
    reference: Mapped[str]
    amount: Mapped[Money]
    paid_on: Mapped[date | None]
    invoices: Mapped[JsonList]
    recorded_at: Mapped[Moment]
