"""Shipments: what left, with whom, and whether it arrived."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Json, Moment, Quantity, key_of


class Shipment(Base):
    """One departure of goods for one order."""

    __tablename__ = "shipment"
    number: Mapped[str] = mapped_column(primary_key=True)
    number_key: Mapped[str] = key_of("number")
    order_number: Mapped[str] = mapped_column(ForeignKey("sales_order.number"), index=True)
    warehouse: Mapped[str] = mapped_column(ForeignKey("warehouse.code"))
    shipped_at: Mapped[Moment] = mapped_column(index=True)
    carrier: Mapped[str | None]
    tracking: Mapped[str | None] = mapped_column(index=True)
    tracking_key: Mapped[str | None] = key_of("tracking")
    delivered_at: Mapped[Moment | None]
    expected_at: Mapped[Moment | None]


class WaitingEvent(Base):
    """An event that came before what it is about; it is applied when that arrives."""

    __tablename__ = "waiting_event"
    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(index=True)
    key: Mapped[str] = mapped_column(unique=True)
    command: Mapped[Json]
    received_at: Mapped[Moment]
    applied_at: Mapped[Moment | None]


class ShipmentLine(Base):
    """What of an order line a shipment held, in the line's unit, and exactly in base units (unknown for history)."""

    __tablename__ = "shipment_line"
    shipment: Mapped[str] = mapped_column(ForeignKey("shipment.number"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"))
    quantity: Mapped[Quantity]
    quantity_base: Mapped[Quantity | None]
