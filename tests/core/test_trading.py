"""Any history of buying, moving and selling leaves both books right: the selling machine joined with docks, suppliers and transfers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select

from erp_core.commands import (
    AmendPurchase,
    ApproveMatch,
    ArrivedLine,
    BuyChange,
    CancelPurchase,
    CancelTransfer,
    Command,
    ReceiveGoods,
    ReceiveTransfer,
    RecordBill,
    RejectBill,
    ReleasePayment,
    SettleQuarantine,
    ShipTransfer,
    TransferStock,
    UpdateExpectedDate,
)
from erp_core.db import Session
from erp_core.tables.desk import JournalEntry
from erp_core.tables.purchasing import PurchaseOrderLine, Receipt, ReceiptLine, SupplierInvoice, SupplierInvoiceLine
from erp_core.tables.stock import Quarantined, StockLevel, StockMovement
from erp_core.values import QuarantineOutcome
from tests.conftest import TODAY
from tests.core.buying import Buying
from tests.core.test_machine import COUNT, PICK, Selling
from tests.core.test_order_to_cash import on_the_shelf

OUTCOME = st.sampled_from(list(QuarantineOutcome))


class Trading(Selling):
    """The model: what is on both shelves, set apart, on its way, and what suppliers, customers and counts gave and took."""

    make = Buying

    def __init__(self) -> None:
        super().__init__()
        on_the_shelf(self.session, "T-NEAR", "T-1", 50)
        self.near, self.way, self.apart = Decimal(50), {}, Decimal(0)
        self.bought: list[str] = []
        self.transfers: list[str] = []
        self.receipts = self.bills = 0
        self.came = self.returned = Decimal(0)

    def last_of(self, command: Command) -> str | None:
        """The number of what a command made; None when it was refused."""
        if not self.attempt(command):
            return None
        entry = self.session.scalars(
            select(JournalEntry.subject).where(JournalEntry.key == f"m:{self.world.turn}")
        ).one()
        return str(entry).split(":", 1)[1]

    @rule(quantity=COUNT)
    def buy(self, quantity: int) -> None:
        assert isinstance(self.world, Buying)
        self.bought.append(self.world.buy(quantity))

    @precondition(lambda self: self.bought)
    @rule(pick=PICK, quantity=COUNT, damaged=st.integers(0, 5), last=st.booleans())
    def receive(self, pick: int, quantity: int, damaged: int, last: bool) -> None:
        self.receipts += 1
        line = ArrivedLine(sku="T-1", quantity=Decimal(quantity), damaged=Decimal(min(damaged, quantity)))
        number = self.bought[pick % len(self.bought)]
        command = ReceiveGoods(
            receipt=f"M-R{self.receipts}",
            warehouse=self.world.warehouse,
            purchase_order=number,
            lines=[line],
            last=last,
            occurred_at=TODAY,
        )
        if self.attempt(command):
            apart = select(func.coalesce(func.sum(Quarantined.quantity), 0)).where(
                Quarantined.reference == f"receipt:M-R{self.receipts}"
            )
            waits = Decimal(self.session.scalar(apart) or 0)
            self.apart += waits
            self.on_shelf += quantity - waits
            self.came += quantity

    @rule(pick=PICK, outcome=OUTCOME)
    def settle(self, pick: int, outcome: Any) -> None:
        waiting = list(
            self.session.scalars(select(Quarantined).where(Quarantined.outcome.is_(None)).order_by(Quarantined.id))
        )
        if not waiting:
            return
        one = waiting[pick % len(waiting)]
        quantity, here = one.quantity, one.warehouse == self.world.warehouse
        if self.attempt(SettleQuarantine(quarantined=one.id, outcome=outcome, note="looked at"), "judge"):
            self.apart -= quantity
            self.returned += quantity if outcome == QuarantineOutcome.RETURNED else 0
            if outcome == QuarantineOutcome.RELEASED and here:
                self.on_shelf += quantity

    @precondition(lambda self: self.bought)
    @rule(pick=PICK, days=st.integers(0, 40), quantity=COUNT)
    def change_what_is_bought(self, pick: int, days: int, quantity: int) -> None:
        number = self.bought[pick % len(self.bought)]
        day = TODAY.date().fromordinal(TODAY.date().toordinal() + days)
        choice: list[Command] = [
            UpdateExpectedDate(purchase_order=number, expected_date=day),
            AmendPurchase(
                purchase_order=number, changes=[BuyChange(line=1, quantity=Decimal(quantity))], reason="less"
            ),
            CancelPurchase(purchase_order=number, reason="not needed"),
        ]
        self.attempt(choice[pick % 3])

    @rule(quantity=COUNT, back=st.booleans())
    def transfer(self, quantity: int, back: bool) -> None:
        ends = (self.world.warehouse, "T-NEAR") if back else ("T-NEAR", self.world.warehouse)
        command = TransferStock(source=ends[0], target=ends[1], sku="T-1", quantity=Decimal(quantity), reason="move")
        number = self.last_of(command)
        if number is not None:
            self.transfers.append(number)
            self.way[number] = [back, Decimal(quantity), Decimal(0)]

    @precondition(lambda self: self.transfers)
    @rule(pick=PICK, share=st.integers(1, 100))
    def ship_transfer(self, pick: int, share: int) -> None:
        number = self.transfers[pick % len(self.transfers)]
        back, quantity, _ = self.way[number]
        gone = max((quantity * share / 100).quantize(Decimal(1)), Decimal(1))
        if self.attempt(ShipTransfer(transfer=number, quantity=gone, occurred_at=TODAY)):
            self.way[number][2] = gone
            if back:
                self.on_shelf -= gone
            else:
                self.near -= gone

    @precondition(lambda self: self.transfers)
    @rule(pick=PICK, share=st.integers(0, 100))
    def receive_transfer(self, pick: int, share: int) -> None:
        number = self.transfers[pick % len(self.transfers)]
        back, _, gone = self.way[number]
        came = (gone * share / 100).quantize(Decimal(1))
        if self.attempt(ReceiveTransfer(transfer=number, quantity=came, occurred_at=TODAY)):
            self.way[number][2] = Decimal(0)
            if back:
                self.near += came
            else:
                self.on_shelf += came

    @precondition(lambda self: self.transfers)
    @rule(pick=PICK)
    def cancel_transfer(self, pick: int) -> None:
        self.attempt(CancelTransfer(transfer=self.transfers[pick % len(self.transfers)], reason="not needed"))

    @precondition(lambda self: self.bought)
    @rule(pick=PICK, quantity=COUNT, price=st.sampled_from(["6", "6.5", "9"]))
    def bill(self, pick: int, quantity: int, price: str) -> None:
        self.bills += 1
        command = RecordBill(
            supplier="S1",
            number=f"M-B{self.bills}",
            purchase_order=self.bought[pick % len(self.bought)],
            invoiced_at=TODAY.date(),
            currency="USD",
            lines=[{"sku": "T-1", "quantity": quantity, "unit_price": price}],  # type: ignore[list-item]
        )
        self.attempt(command)

    @precondition(lambda self: self.bills)
    @rule(pick=PICK, what=st.sampled_from([ApproveMatch, RejectBill, ReleasePayment]))
    def judge(self, pick: int, what: Any) -> None:
        number = f"M-B{pick % self.bills + 1}"
        note = {} if what is ReleasePayment else {"note": "looked at"}
        self.attempt(what(supplier="S1", bill=number, **note), "payer" if what is ReleasePayment else "judge")

    @invariant()
    def both_shelves_the_way_and_the_quarantine_hold_what_the_model_says(self) -> None:
        near = self.session.get_one(StockLevel, ("T-NEAR", "T-1"), populate_existing=True)
        assert near.quantity_on_hand == self.near
        assert self._at("quarantine:%") == self.apart
        assert self._at("transfer:%") == sum((gone for _, _, gone in self.way.values()), Decimal(0))

    def _at(self, places: str) -> Decimal:
        into = select(func.coalesce(func.sum(StockMovement.quantity), 0)).where(
            StockMovement.sku == "T-1", StockMovement.target.like(places)
        )
        out = select(func.coalesce(func.sum(StockMovement.quantity), 0)).where(
            StockMovement.sku == "T-1", StockMovement.source.like(places)
        )
        return Decimal(self.session.scalar(into) or 0) - Decimal(self.session.scalar(out) or 0)

    @invariant()
    def suppliers_gave_what_was_received(self) -> None:
        assert self._at("supplier:%") == self.returned - self.came  # what suppliers gave, less what they took back
        received = self.session.scalar(select(func.coalesce(func.sum(ReceiptLine.quantity), 0)).join(
            Receipt, Receipt.number == ReceiptLine.receipt
        ).where(Receipt.number.like("M-R%")))  # fmt: skip
        assert Decimal(received or 0) == self.came

    @invariant()
    def nobody_pays_for_more_than_came_or_was_accepted(self) -> None:
        free = SupplierInvoice.status.in_(["matched", "paid"]) & SupplierInvoice.approved_by.is_(None)
        billed = (
            select(SupplierInvoice.purchase_order, func.sum(SupplierInvoiceLine.quantity))
            .join(SupplierInvoiceLine, SupplierInvoiceLine.invoice_id == SupplierInvoice.id)
            .where(free)
            .group_by(SupplierInvoice.purchase_order)
        )
        for number, quantity in self.session.execute(billed):
            line = self.session.get_one(PurchaseOrderLine, (number, 1), populate_existing=True)
            assert quantity <= line.quantity_received * Decimal("1.02") + 1


def run(api: Session, examples: int, steps: int, **more: Any) -> None:
    Trading.session = api
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Trading,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )


def test_any_history_of_trading_leaves_both_books_right(api: Session) -> None:
    run(api, 12, 25, derandomize=True)


@pytest.mark.campaign
def test_any_history_of_trading_in_a_full_campaign(api: Session) -> None:
    run(api, 150, 40)
