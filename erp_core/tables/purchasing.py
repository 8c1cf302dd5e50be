"""Our own demand: purchase orders, what arrived, what we are billed, and how the three differ."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from erp_core.tables.base import Base, Moment, Money, Percent, Quantity, UnitPrice, key_of, one_of
from erp_core.values import BillStatus, DiscrepancyKind, PurchaseStatus


class PurchaseOrder(Base):
    """What we ask a supplier for, in our firm's currency. `asked_by` wrote it, `approved_by` is somebody else.

    `agreed_date` is the day it was confirmed for, or ordered for when another is expected since: punctuality is judged by it.
    """

    __tablename__ = "purchase_order"
    __table_args__ = (one_of("status", PurchaseStatus),)
    number: Mapped[str] = mapped_column(primary_key=True)
    number_key: Mapped[str] = key_of("number")
    supplier: Mapped[str] = mapped_column(ForeignKey("supplier.code"), index=True)
    warehouse: Mapped[str] = mapped_column(ForeignKey("warehouse.code"))
    ordered_at: Mapped[date]
    expected_date: Mapped[date | None]
    agreed_date: Mapped[date | None]
    status: Mapped[str]
    reason: Mapped[str] = mapped_column(default="", server_default="")
    asked_by: Mapped[str | None]
    approved_by: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    lines: Mapped[list[PurchaseOrderLine]] = relationship(order_by="PurchaseOrderLine.line")


class PurchaseOrderLine(Base):
    """One item of a purchase order, in the item's base unit. Received counts what was usable, damaged what was not."""

    __tablename__ = "purchase_order_line"
    __table_args__ = (
        CheckConstraint("quantity_received >= 0", name="received_not_negative"),
        CheckConstraint("quantity_invoiced >= 0", name="invoiced_not_negative"),
    )
    order_number: Mapped[str] = mapped_column(ForeignKey("purchase_order.number"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), index=True)
    quantity: Mapped[Quantity]
    unit_cost: Mapped[UnitPrice]
    expected_date: Mapped[date | None]
    quantity_received: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_damaged: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_invoiced: Mapped[Quantity] = mapped_column(default=0, server_default="0")


class ItemSource(Base):
    """A supplier an item can be bought from, best first; quantities in base units. Without a lead time the supplier's own applies."""

    __tablename__ = "item_source"
    __table_args__ = (CheckConstraint("pack_size > 0", name="pack_positive"),)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    supplier: Mapped[str] = mapped_column(ForeignKey("supplier.code"), primary_key=True)
    priority: Mapped[int] = mapped_column(default=1, server_default="1")
    unit_cost: Mapped[UnitPrice]
    pack_size: Mapped[Quantity] = mapped_column(default=1, server_default="1")
    minimum_quantity: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    lead_time_days: Mapped[int | None]


class Receipt(Base):
    """Goods at the dock: when they came (`received_at`) and when the system was told (`recorded_at`).

    `order_named` is the order as it was told, also when we know none of that number.
    """

    __tablename__ = "receipt"
    __table_args__ = (Index("ix_receipt_purchase_order", "purchase_order"),)
    number: Mapped[str] = mapped_column(primary_key=True)
    purchase_order: Mapped[str | None] = mapped_column(ForeignKey("purchase_order.number"))
    order_named: Mapped[str | None]
    warehouse: Mapped[str] = mapped_column(ForeignKey("warehouse.code"))
    received_at: Mapped[Moment]
    recorded_at: Mapped[Moment]
    recorded_by: Mapped[str]
    put_away_at: Mapped[Moment | None]
    lines: Mapped[list[ReceiptLine]] = relationship(order_by="ReceiptLine.line")


class ReceiptLine(Base):
    """One item of a receipt, in base units: what came, of it damaged, of it set apart for a check or as too much."""

    __tablename__ = "receipt_line"
    receipt: Mapped[str] = mapped_column(ForeignKey("receipt.number"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    order_line: Mapped[int | None]
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), index=True)
    quantity: Mapped[Quantity]
    quantity_damaged: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_set_apart: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    lot: Mapped[str | None]
    compliant: Mapped[bool] = mapped_column(default=True, server_default="true")


class SupplierInvoice(Base):
    """What a supplier bills us; `amount` is with tax and charges. `facts_hash` is what an approval of its differences stands on."""

    __tablename__ = "supplier_invoice"
    __table_args__ = (
        one_of("status", BillStatus),
        # sent back, it may come again under its number
        Index(
            "uq_supplier_invoice_standing",
            "supplier",
            "number",
            unique=True,
            postgresql_where=text("status <> 'rejected'"),
        ),
        Index("ix_supplier_invoice_order", "purchase_order"),
        Index(
            "ix_supplier_invoice_due", "due_on", postgresql_where=text("status IN ('blocked', 'matched', 'approved')")
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    supplier: Mapped[str] = mapped_column(ForeignKey("supplier.code"))
    number: Mapped[str]
    purchase_order: Mapped[str | None] = mapped_column(ForeignKey("purchase_order.number"))
    order_named: Mapped[str | None]
    invoiced_at: Mapped[date]
    due_on: Mapped[date]
    currency: Mapped[str]
    amount: Mapped[Money]
    tax: Mapped[Money] = mapped_column(default=0, server_default="0")
    charges: Mapped[Money] = mapped_column(default=0, server_default="0")
    status: Mapped[str]
    recorded_at: Mapped[Moment]
    recorded_by: Mapped[str]
    facts_hash: Mapped[str | None]
    approved_by: Mapped[str | None]
    paid_at: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    lines: Mapped[list[SupplierInvoiceLine]] = relationship(order_by="SupplierInvoiceLine.line")

    @property
    def key(self) -> str:
        """What names it among all invoices that stand; subjects of cases and of the journal are made of it."""
        return f"{self.supplier}:{self.number}"

    @property
    def subject(self) -> str:
        """Its name in the journal."""
        return f"bill:{self.key}"


class SupplierInvoiceLine(Base):
    """One item billed, in base units; `order_line` is the line of the purchase order it is for."""

    __tablename__ = "supplier_invoice_line"
    invoice_id: Mapped[int] = mapped_column(ForeignKey("supplier_invoice.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    order_line: Mapped[int | None]
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"))
    quantity: Mapped[Quantity]
    unit_price: Mapped[UnitPrice]


class Disruption(Base):
    """One thing that went wrong and what it caused in several functions; it ends when the last of its cases does."""

    __tablename__ = "disruption"
    __table_args__ = (Index("uq_disruption_open", "subject", unique=True, postgresql_where=text("closed_at IS NULL")),)
    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
    title: Mapped[str]
    supplier: Mapped[str | None] = mapped_column(ForeignKey("supplier.code"), index=True)
    purchase_order: Mapped[str | None] = mapped_column(ForeignKey("purchase_order.number"), index=True)
    opened_at: Mapped[Moment]
    closed_at: Mapped[Moment | None]


class Discrepancy(Base):
    """Expected and actual of one line of a receipt or of a supplier's invoice; `amount` is what it is worth."""

    __tablename__ = "discrepancy"
    __table_args__ = (
        one_of("kind", DiscrepancyKind),
        Index("ix_discrepancy_order", "purchase_order"),
        Index("ix_discrepancy_invoice", "invoice_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    disruption_id: Mapped[int | None] = mapped_column(ForeignKey("disruption.id"), index=True)
    purchase_order: Mapped[str | None] = mapped_column(ForeignKey("purchase_order.number"))
    receipt: Mapped[str | None] = mapped_column(ForeignKey("receipt.number"), index=True)
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("supplier_invoice.id"))
    sku: Mapped[str | None] = mapped_column(ForeignKey("item.sku"))
    expected: Mapped[str]
    actual: Mapped[str]
    amount: Mapped[Money]
    text: Mapped[str]
    found_at: Mapped[Moment]
    settled_at: Mapped[Moment | None]
    settled_how: Mapped[str | None]


class Tolerance(Base):
    """How much may differ before somebody must look, for an entity, a supplier or an item; empty: the wider scope's, at last policy's."""

    __tablename__ = "tolerance"
    __table_args__ = (one_of("scope", ("entity", "supplier", "item")),)
    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    short_percent: Mapped[Percent | None]
    over_percent: Mapped[Percent | None]
    price_percent: Mapped[Percent | None]
    amount: Mapped[Money | None]
    block_percent: Mapped[Percent | None]
