"""Warehouses, levels and allocations."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Moment, Quantity, one_of


class Warehouse(Base):
    """A place with stock; `capacity` is how many released orders it can work on at once, unlimited when unknown."""

    __tablename__ = "warehouse"
    code: Mapped[str] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(ForeignKey("entity.code"))
    name: Mapped[str]
    country: Mapped[str]
    region: Mapped[str | None]
    capacity: Mapped[int | None]


class StockLevel(Base):
    """Counted and bound stock in base units; the database refuses to bind more than there is."""

    __tablename__ = "stock_level"
    __table_args__ = (
        CheckConstraint("quantity_allocated >= 0", name="allocated_not_negative"),
        CheckConstraint("quantity_held >= 0", name="held_not_negative"),
        CheckConstraint("quantity_allocated + quantity_held <= quantity_on_hand", name="allocated_within_on_hand"),
        Index("ix_stock_level_sku", "sku"),
    )
    warehouse: Mapped[str] = mapped_column(ForeignKey("warehouse.code"), primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    quantity_on_hand: Mapped[Quantity]
    quantity_allocated: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_held: Mapped[Quantity] = mapped_column(default=0, server_default="0")


class Allocation(Base):
    """Stock bound to one order line."""

    __tablename__ = "allocation"
    __table_args__ = (
        one_of("status", ("reserved", "committed", "shipped", "expired", "released")),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        ForeignKeyConstraint(["order_number", "line"], ["order_line.order_number", "order_line.line"]),
        ForeignKeyConstraint(["warehouse", "sku"], ["stock_level.warehouse", "stock_level.sku"]),
        Index("ix_allocation_order_line", "order_number", "line"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    order_number: Mapped[str]
    line: Mapped[int]
    warehouse: Mapped[str]
    sku: Mapped[str]
    quantity: Mapped[Quantity]
    status: Mapped[str]
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment | None]
