"""Warehouses, levels and allocations."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, Computed, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Moment, Money, Quantity, one_of
from erp_core.values import QuarantineOutcome, TransferStatus


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
    """Counted and bound stock in base units; the database refuses to bind more than there is.

    Held is kept from being promised until it is counted, set aside waits for a transfer to leave, free is what is left of it all.
    """

    __tablename__ = "stock_level"
    __table_args__ = (
        CheckConstraint("quantity_allocated >= 0", name="allocated_not_negative"),
        CheckConstraint("quantity_held >= 0", name="held_not_negative"),
        CheckConstraint("quantity_set_aside >= 0", name="set_aside_not_negative"),
        CheckConstraint(
            "quantity_allocated + quantity_held + quantity_set_aside <= quantity_on_hand",
            name="allocated_within_on_hand",
        ),
        Index("ix_stock_level_sku", "sku"),
    )
    warehouse: Mapped[str] = mapped_column(ForeignKey("warehouse.code"), primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    quantity_on_hand: Mapped[Quantity]
    quantity_allocated: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_held: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_set_aside: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_free: Mapped[Quantity] = mapped_column(
        Computed("quantity_on_hand - quantity_allocated - quantity_held - quantity_set_aside", persisted=True)
    )


class StockMovement(Base):
    """Goods that went from one place to another, in base units: every movement has both sides, so that all places sum to zero.

    A place is `warehouse:WH1` (the shelf), `quarantine:WH1`, `transfer:TR-1` (between two), `supplier:S1`, `customer:C1`, `scrap`, or
    `count`, where what was miscounted comes from and goes to.
    """

    __tablename__ = "stock_movement"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("source <> target", name="goes_somewhere"),
        Index("ix_stock_movement_source", "source", "sku"),
        Index("ix_stock_movement_target", "target", "sku"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[Moment]
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"))
    quantity: Mapped[Quantity]
    source: Mapped[str]
    target: Mapped[str]
    reference: Mapped[str]


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


class Quarantined(Base):
    """Goods set apart at a warehouse, in base units: not stock until somebody lets them in; `outcome` says what became of them."""

    __tablename__ = "quarantined"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        one_of("outcome", QuarantineOutcome),
        Index("ix_quarantined_open", "warehouse", "sku", postgresql_where=text("outcome IS NULL")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    warehouse: Mapped[str] = mapped_column(ForeignKey("warehouse.code"))
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"))
    quantity: Mapped[Quantity]
    lot: Mapped[str | None]
    order_line: Mapped[int | None]
    reference: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    since: Mapped[Moment]
    outcome: Mapped[str | None]
    settled_at: Mapped[Moment | None]


class Transfer(Base):
    """An item on its way between two of our warehouses, in base units: two movements, each by who does it.

    `price` is what one firm of ours bills the other for it, `cost` what the way costs.
    """

    __tablename__ = "transfer"
    __table_args__ = (
        one_of("status", TransferStatus),
        CheckConstraint("source <> target", name="goes_somewhere"),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        Index("ix_transfer_open", "sku", postgresql_where=text("status IN ('ordered', 'shipped')")),
    )
    number: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(ForeignKey("warehouse.code"))
    target: Mapped[str] = mapped_column(ForeignKey("warehouse.code"), index=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"))
    quantity: Mapped[Quantity]
    quantity_shipped: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_received: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    status: Mapped[str]
    reason: Mapped[str]
    cost: Mapped[Money]
    price: Mapped[Money | None]
    intercompany: Mapped[bool]
    expected_date: Mapped[date | None]
    ordered_at: Mapped[Moment]
    ordered_by: Mapped[str]
    shipped_at: Mapped[Moment | None]
    received_at: Mapped[Moment | None]
    version: Mapped[int] = mapped_column(default=1, server_default="1")
