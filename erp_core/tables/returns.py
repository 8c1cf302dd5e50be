"""Returns: asked for, authorised, received, inspected, credited."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from erp_core.tables.base import Base, Moment, Quantity, one_of
from erp_core.values import Disposition, ReturnReason, ReturnStatus


class Return(Base):
    """Goods of an order on their way back; `policy_rule` says by which rule it was authorised or refused."""

    __tablename__ = "return_order"
    __table_args__ = (one_of("status", ReturnStatus), one_of("reason", ReturnReason))
    number: Mapped[str] = mapped_column(primary_key=True)
    order_number: Mapped[str] = mapped_column(ForeignKey("sales_order.number"), index=True)
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"))
    reason: Mapped[str]
    note: Mapped[str]
    status: Mapped[str]
    requested_at: Mapped[Moment]
    authorised_at: Mapped[Moment | None]
    received_at: Mapped[Moment | None]
    closed_at: Mapped[Moment | None]
    credit_memo: Mapped[str | None] = mapped_column(ForeignKey("credit_memo.number"))
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    lines: Mapped[list[ReturnLine]] = relationship(order_by="ReturnLine.line")


class ReturnLine(Base):
    """One order line of a return, in base units."""

    __tablename__ = "return_line"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        one_of("disposition", Disposition),
    )
    return_number: Mapped[str] = mapped_column(ForeignKey("return_order.number"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("item.sku"))
    quantity: Mapped[Quantity]
    quantity_received: Mapped[Quantity] = mapped_column(default=0, server_default="0")
    disposition: Mapped[str | None]
