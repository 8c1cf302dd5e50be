"""A small world of buying for tests: a supplier, an item that sells, three warehouses of two firms."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from erp_core.actions import execute
from erp_core.commands import (
    ApprovePurchase,
    ArrivedLine,
    BilledLine,
    BuyLine,
    DraftPurchase,
    ReceiveGoods,
    RecordBill,
)
from erp_core.db import Session
from erp_core.errors import RuleViolation
from erp_core.queries import purchasing as queries
from erp_core.tables.catalog import Item
from erp_core.tables.desk import Case
from erp_core.tables.parties import Entity, Supplier
from erp_core.tables.purchasing import Discrepancy, PurchaseOrder, SupplierInvoice
from erp_core.tables.stock import Quarantined, Warehouse
from erp_core.values import OPEN_CASE_STATUSES
from tests.conftest import TODAY
from tests.core.books import books_are_right
from tests.core.test_order_to_cash import World

BUYER, BOSS, DOCK, CLERK, PAYER = (f"{n}@northfieldsupply.example" for n in ("buyer", "boss", "dock", "clerk", "payer"))


class Buying(World):
    """Adds to the selling world what is needed to buy T-1 from S1 for its warehouse, near one more of the firm and one of another."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        here = session.get_one(Warehouse, self.warehouse)
        session.add(Entity(code="E9", name="Other Firm", currency="USD", country="US"))
        session.flush()
        for code, entity in (("T-NEAR", here.entity), ("T-OTHER", "E9")):
            session.add(Warehouse(code=code, entity=entity, name=code, country="US"))
        session.add(Supplier(code="S1", name="Supplier One", lead_time_days=10, risk="low", email="sales@s1.example"))
        session.add(
            Item(
                sku="T-2",
                name="Other test thing",
                uom="EA",
                units_per_case=Decimal(10),
                list_price=Decimal(10),
                unit_cost=Decimal(7),
                export_class="EAR99",
                hazmat=False,
                status="active",
            )
        )
        session.flush()

    def by(self, actor: str, command: Any, at: Any = TODAY) -> dict[str, Any]:
        self.turn += 1
        result = execute(self.session, command, key=f"b:{self.turn}", actor=actor, now=at)
        books_are_right(self.session)
        self.last = result.change.subject.split(":", 1)[1]
        return result.change.after or {}

    def buy(self, quantity: int = 100, sku: str = "T-1", cost: str = "6", days: int = 5, **more: Any) -> str:
        """An approved purchase order, its number."""
        line = BuyLine(sku=sku, quantity=Decimal(quantity), unit_cost=Decimal(cost))
        draft = DraftPurchase(
            supplier="S1",
            warehouse=self.warehouse,
            lines=[line],
            expected_date=TODAY.date() + timedelta(days=days),
            reason="stock runs low",
            **more,
        )
        self.by(BUYER, draft)
        number = self.last
        self.by(BOSS, ApprovePurchase(purchase_order=number))
        return number

    def arrive(
        self, order: str | None, quantity: int, receipt: str = "R1", sku: str = "T-1", last: bool = False, **more: Any
    ) -> dict[str, Any]:
        line = ArrivedLine(sku=sku, quantity=Decimal(quantity), **more)
        command = ReceiveGoods(
            receipt=receipt, warehouse=self.warehouse, purchase_order=order, lines=[line], last=last, occurred_at=TODAY
        )
        return self.by(DOCK, command)

    def billed(self, order: str | None, quantity: int, price: str = "6", number: str = "B1", **more: Any) -> str:
        line = BilledLine(sku="T-1", quantity=Decimal(quantity), unit_price=Decimal(price))
        more = {"invoiced_at": TODAY.date(), "currency": "USD", "lines": [line], **more}
        self.by(CLERK, RecordBill(supplier="S1", number=number, purchase_order=order, **more))
        return self.bill(number).status

    def bill(self, number: str = "B1") -> SupplierInvoice:
        self.session.expire_all()
        return queries.bill(self.session, "S1", number)

    def bought(self, number: str) -> str:
        return self.session.get_one(PurchaseOrder, number, populate_existing=True).status

    def differences(self) -> list[str]:
        query = select(Discrepancy.kind).where(Discrepancy.settled_at.is_(None)).order_by(Discrepancy.id)
        return list(self.session.scalars(query))

    def apart(self) -> dict[str, Decimal]:
        query = select(Quarantined).where(Quarantined.outcome.is_(None))
        return {x.reason: x.quantity for x in self.session.scalars(query)}

    def cases(self) -> dict[str, Case]:
        query = select(Case).where(Case.status.in_(OPEN_CASE_STATUSES), Case.disruption_id.is_not(None))
        return {c.kind: c for c in self.session.scalars(query.execution_options(populate_existing=True))}


def codes(world: Buying, actor: str, command: Any, **facts: Any) -> list[str]:
    """Why a command is refused; it leaves nothing behind."""
    with pytest.raises(RuleViolation) as told, world.session.begin_nested():
        execute(world.session, command, key=f"no:{world.turn}:{command.type}", actor=actor, now=TODAY, facts=facts)
    return [p.code for p in told.value.problems]
