"""Invoices and unapplied remittances."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Json, JsonList, Moment, Money, Quantity, key_of


class Invoice(Base):
    """What we billed, in the customer's currency; `amount` is with tax, `amount_settled` is paid or credited.

    One invoice a shipment: the database refuses a second one.
    """

    __tablename__ = "invoice"
    __table_args__ = (
        Index("uq_invoice_shipment", "shipment", unique=True, postgresql_where=text("shipment IS NOT NULL")),
        Index("ix_invoice_owed", "customer", "paid_at"),
        CheckConstraint("amount_settled <= amount", name="settled_within_amount"),
    )
    number: Mapped[str] = mapped_column(primary_key=True)
    number_key: Mapped[str] = key_of("number")
    order_number: Mapped[str] = mapped_column(ForeignKey("sales_order.number"), index=True)
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"))
    shipment: Mapped[str | None] = mapped_column(ForeignKey("shipment.number"))
    invoiced_at: Mapped[date] = mapped_column(index=True)
    due_on: Mapped[date]
    amount: Mapped[Money]
    tax: Mapped[Money] = mapped_column(default=0, server_default="0")
    amount_settled: Mapped[Money] = mapped_column(default=0, server_default="0")
    paid_at: Mapped[date | None]


class InvoiceLine(Base):
    """What an invoice bills of an order line, in base units."""

    __tablename__ = "invoice_line"
    invoice: Mapped[str] = mapped_column(ForeignKey("invoice.number"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"))
    quantity: Mapped[Quantity]
    amount: Mapped[Money]


class CreditMemo(Base):
    """Money given back on an invoice."""

    __tablename__ = "credit_memo"
    __table_args__ = (CheckConstraint("amount > 0", name="amount_positive"),)
    number: Mapped[str] = mapped_column(primary_key=True)
    invoice: Mapped[str] = mapped_column(ForeignKey("invoice.number"), index=True)
    amount: Mapped[Money]
    reason: Mapped[str]
    issued_at: Mapped[Moment]


class Payment(Base):
    """Money received and the invoices it settled; `unapplied` is what is left of it."""

    __tablename__ = "payment"
    __table_args__ = (UniqueConstraint("customer", "reference"), CheckConstraint("amount > 0", name="amount_positive"))
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"))
    reference: Mapped[str]
    amount: Mapped[Money]
    unapplied: Mapped[Money]
    received_on: Mapped[date]
    applied: Mapped[Json]


class CustomerAccount(Base):
    """A customer's running figures: the row that whoever changes the customer's orders locks first.

    `open_orders` is the value, without tax, of what is ordered and neither invoiced nor cancelled.
    """

    __tablename__ = "customer_account"
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"), primary_key=True)
    open_orders: Mapped[Money] = mapped_column(default=0, server_default="0")
    order_count: Mapped[int] = mapped_column(default=0, server_default="0")
    order_value: Mapped[Money] = mapped_column(default=0, server_default="0")
    last_warehouse: Mapped[str | None]


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
