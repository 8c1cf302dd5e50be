"""Purchase orders: our own demand."""

from __future__ import annotations

from datetime import date

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Quantity, UnitPrice, one_of, spelled


class PurchaseOrder(Base):
    """What we asked a supplier for."""

    __tablename__ = "purchase_order"
    __table_args__ = (one_of("status", ("open", "approved", "received")), spelled("purchase_order", "number"))
    number: Mapped[str] = mapped_column(primary_key=True)
    supplier: Mapped[str] = mapped_column(ForeignKey("supplier.code"), index=True)
    warehouse: Mapped[str] = mapped_column(ForeignKey("warehouse.code"))
    ordered_at: Mapped[date]
    expected_date: Mapped[date | None]
    status: Mapped[str]


class PurchaseOrderLine(Base):
    """One item of a purchase order, in the item's base unit."""

    __tablename__ = "purchase_order_line"
    order_number: Mapped[str] = mapped_column(ForeignKey("purchase_order.number"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), index=True)
    quantity: Mapped[Quantity]
    unit_cost: Mapped[UnitPrice]
