"""Sales orders, their lines and holds."""

from __future__ import annotations

from datetime import date

from pgvector.sqlalchemy import Vector
from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from erp_core.tables.base import Base, Json, Moment, Money, Quantity, UnitPrice, key_of, one_of
from erp_core.values import CHANGEABLE_ORDER_STATUSES, HoldReason, OrderStatus

CHANNELS = ("email", "edi", "portal", "sales_rep", "ecommerce")
OPEN_LIST = ", ".join(f"'{status}'" for status in CHANGEABLE_ORDER_STATUSES)


class SalesOrder(Base):
    """What a customer asked for; `version` counts every change of the order, its lines and holds.

    `basket` is a digest of the items ordered, whatever their quantities: it finds orders for the same things.
    """

    __tablename__ = "sales_order"
    __table_args__ = (
        one_of("status", OrderStatus),
        one_of("channel", CHANNELS),
        Index("ix_sales_order_own_po", "customer", text("lower(customer_po)")),
        Index("ix_sales_order_basket", "customer", "basket", "ordered_at"),
        Index("ix_sales_order_promised", "promised_date", postgresql_where=text(f"status IN ({OPEN_LIST})")),
        Index("ix_sales_order_ordered_at", "ordered_at"),
        Index("ix_sales_order_open", "status", postgresql_where=text(f"status IN ({OPEN_LIST})")),
    )
    number: Mapped[str] = mapped_column(primary_key=True)
    number_key: Mapped[str] = key_of("number")
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"), index=True)
    channel: Mapped[str]
    customer_po: Mapped[str | None] = mapped_column(index=True)
    customer_po_key: Mapped[str | None] = key_of("customer_po")
    ordered_at: Mapped[Moment]
    requested_date: Mapped[date | None]
    promised_date: Mapped[date | None]
    warehouse: Mapped[str] = mapped_column(ForeignKey("warehouse.code"))
    ship_to_country: Mapped[str]
    ship_to: Mapped[str | None]
    payment_terms_days: Mapped[int | None]
    basket: Mapped[str | None]
    expedite_cost: Mapped[Money] = mapped_column(default=0, server_default="0")
    picked_at: Mapped[Moment | None]
    packed_at: Mapped[Moment | None]
    expedited: Mapped[bool] = mapped_column(default=False, server_default="false")
    status: Mapped[str]
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    lines: Mapped[list[OrderLine]] = relationship(
        order_by="OrderLine.line", cascade="all, delete-orphan", passive_deletes=True
    )


class OrderLine(Base):
    """One item of an order. `quantity_ordered` is in `uom`; all other quantities are in the item's base unit.

    Allocated is what is bound and has not left; released is the part of it that the warehouse may work on.
    """

    __tablename__ = "order_line"
    __table_args__ = (
        CheckConstraint("quantity_ordered >= 0", name="ordered_not_negative"),
        CheckConstraint("unit_price >= 0", name="price_not_negative"),
        CheckConstraint("quantity_allocated >= 0", name="allocated_not_negative"),
        CheckConstraint("quantity_released <= quantity_allocated", name="released_within_allocated"),
        CheckConstraint("quantity_invoiced <= quantity_shipped", name="invoiced_within_shipped"),
        Index(
            "ix_order_line_short", "sku", postgresql_where=text("quantity_base > quantity_allocated + quantity_shipped")
        ),
    )
    order_number: Mapped[str] = mapped_column(ForeignKey("sales_order.number", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), index=True)
    quantity_ordered: Mapped[Quantity]
    uom: Mapped[str]
    quantity_base: Mapped[Quantity]
    quantity_allocated: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_released: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_shipped: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    quantity_invoiced: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    unit_price: Mapped[UnitPrice]
    requested_date: Mapped[date | None]


class Hold(Base):
    """Stops an order or one of its lines for one reason, until somebody with the authority releases it."""

    __tablename__ = "hold"
    __table_args__ = (
        one_of("reason", HoldReason),
        ForeignKeyConstraint(["order_number"], ["sales_order.number"]),
        Index(
            "uq_hold_active",
            "order_number",
            "line",
            "reason",
            unique=True,
            postgresql_where="released_at IS NULL",
            postgresql_nulls_not_distinct=True,
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    order_number: Mapped[str]
    line: Mapped[int | None]
    reason: Mapped[str]
    problem: Mapped[Json]
    placed_by: Mapped[str]
    placed_at: Mapped[Moment]
    released_by: Mapped[str | None]
    released_at: Mapped[Moment | None]
    release_note: Mapped[str | None]
    waived_until: Mapped[Moment | None]


class OrderGoods(Base):
    """What a new order holds, as a vector: finds orders of other accounts for the same goods. Kept by the agent for some days, for itself."""

    __tablename__ = "order_goods"
    __table_args__ = (
        Index("ix_order_goods_placed_at", "placed_at"),
        Index("ix_order_goods_goods", "goods", postgresql_using="hnsw", postgresql_ops={"goods": "vector_cosine_ops"}),
    )
    order_number: Mapped[str] = mapped_column(ForeignKey("sales_order.number", ondelete="CASCADE"), primary_key=True)
    customer: Mapped[str]
    placed_at: Mapped[Moment]
    goods: Mapped[list[float]] = mapped_column(Vector(256))


class CustomerItem(Base):
    """What a customer has ordered of an item so far, in base units: what is usual, at no cost that grows."""

    __tablename__ = "customer_item"
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"), primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    orders: Mapped[int]
    quantity: Mapped[Quantity]
    last_price: Mapped[UnitPrice]
