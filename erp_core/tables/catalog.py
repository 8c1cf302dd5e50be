"""Items, substitutes and prices."""

from __future__ import annotations

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, NameVector, Quantity, UnitPrice, neighbours, one_of


class Item(Base):
    """A thing we sell; `uom` is its base unit, a case holds `units_per_case` of them."""

    __tablename__ = "item"
    __table_args__ = (one_of("status", ("active", "discontinued")), neighbours("item"))
    sku: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    uom: Mapped[str]
    units_per_case: Mapped[Quantity]
    category: Mapped[str | None]
    list_price: Mapped[UnitPrice]
    unit_cost: Mapped[UnitPrice]
    export_class: Mapped[str | None]
    hazmat: Mapped[bool]
    lot_required: Mapped[bool] = mapped_column(default=False, server_default="false")
    quality_check: Mapped[bool] = mapped_column(default=False, server_default="false")
    status: Mapped[str]
    name_vector: Mapped[NameVector]


class ItemUnit(Base):
    """A further unit of an item: one of it holds exactly `numerator / denominator` base units."""

    __tablename__ = "item_unit"
    __table_args__ = (CheckConstraint("numerator > 0 AND denominator > 0", name="ratio_positive"),)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    uom: Mapped[str] = mapped_column(primary_key=True)
    numerator: Mapped[int]
    denominator: Mapped[int] = mapped_column(default=1, server_default="1")


class TierPrice(Base):
    """The price of a customer tier from a quantity on, valid inclusive of both dates; a contract price beats it."""

    __tablename__ = "tier_price"
    __table_args__ = (one_of("tier", ("A", "B", "C")), UniqueConstraint("tier", "sku", "min_quantity", "valid_from"))
    id: Mapped[int] = mapped_column(primary_key=True)
    tier: Mapped[str]
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), index=True)
    min_quantity: Mapped[Quantity]
    unit_price: Mapped[UnitPrice]
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]


class Substitute(Base):
    """What may go out instead, best first."""

    __tablename__ = "substitute"
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    substitute_sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), primary_key=True)
    priority: Mapped[int]
    customer_approval_required: Mapped[bool]


class Price(Base):
    """An agreed price of a customer from a quantity on, valid inclusive of both dates."""

    __tablename__ = "price"
    __table_args__ = (UniqueConstraint("customer", "sku", "min_quantity", "valid_from"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"))
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"), index=True)
    min_quantity: Mapped[Quantity]
    unit_price: Mapped[UnitPrice]
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]
