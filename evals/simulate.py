"""`countersign simulate`: days of virtual time at a seeded distributor, every step through the real core.

Orders come in, warehouses ship, carriers deliver, customers pay as they use to, suppliers are late as they use to, people release what
they would release. The books are checked after every day; the same seed leaves the same journal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from erp_core import db, importer, migrate
from erp_core.actions import calendar, execute, execute_orders, upkeep
from erp_core.actions.intake import Asked
from erp_core.commands import (
    ApprovePurchase,
    ArrivedLine,
    BilledLine,
    BuyLine,
    CancelOrder,
    Command,
    ConfirmDelivery,
    ConfirmShipment,
    CreditReturn,
    DraftPurchase,
    HandledLine,
    NewLine,
    PlaceOrder,
    PostPayment,
    ReceiveGoods,
    ReceiveReturn,
    RecordBill,
    ReleaseHold,
    ReleasePayment,
    RequestReturn,
    ReturnedLine,
    SaveCustomer,
)
from erp_core.db import Session
from erp_core.errors import CountersignError
from erp_core.queries import books, policies, purchasing, simulation
from erp_core.values import HoldReason, ReturnReason
from evals import simulated
from evals.simulated import Buyer, Distributor, Source

ACTOR = "simulator"
START = date(2026, 1, 5)
PLACES = Decimal("0.0001")


@dataclass
class Days:
    """A running simulation: its chance, what is on its way, and how many commands it gave."""

    world: Distributor
    chance: random.Random
    orders_wanted: int
    days: int
    turn: int = 0
    refused: int = 0
    arriving: dict[date, list[str]] = field(default_factory=lambda: defaultdict(list))
    coming: dict[tuple[str, str], int] = field(default_factory=dict)
    paying: dict[date, list[tuple[str, str, Decimal]]] = field(default_factory=lambda: defaultdict(list))
    delivering: dict[date, list[str]] = field(default_factory=lambda: defaultdict(list))

    def run(self, session: Session, command: Command, now: datetime, actor: str = ACTOR) -> dict[str, Any] | None:
        """Give one command; None when the core refuses it."""
        self.turn += 1
        try:
            with session.begin_nested():
                result = execute(session, command, key=f"sim:{self.turn}", actor=actor, now=now)
        except CountersignError:
            session.expire_all()
            self.refused += 1
            return None
        return result.change.after

    def day(self, session: Session, number: int) -> None:
        """One day: goods arrive, orders come in, people decide, warehouses ship, customers pay."""
        today = self.world.start + timedelta(days=number)
        morning = datetime(today.year, today.month, today.day, 7, tzinfo=UTC)
        self._arrivals(session, today, morning)
        for hour in range(4):
            self._orders(session, today, morning + timedelta(hours=2 * hour))
        self._decide(session, morning + timedelta(hours=8))
        if today.isoweekday() < 6:
            self._ship(session, today, morning + timedelta(hours=9))
        self._deliver(session, today, morning + timedelta(hours=10))
        self._payments(session, today, morning + timedelta(hours=11))
        upkeep.expire_reservations(session, morning + timedelta(hours=12))
        while calendar.turn(session, morning + timedelta(hours=12)):
            pass
        self._reorder(session, today, morning + timedelta(hours=13))

    def _orders(self, session: Session, today: date, now: datetime) -> None:
        weight = 0.15 if today.isoweekday() > 5 else 1.0
        whole = sum(b.rate for b in self.world.buyers)
        asked = []
        for buyer in self.world.buyers:
            season = 1 + 0.4 * math.sin(2 * math.pi * ((today - START).days - buyer.season) / 365)
            mean = self.orders_wanted / (self.days * 0.757) / 4 * buyer.rate / whole * season * weight
            for _ in range(_poisson(self.chance, mean)):
                self.turn += 1
                asked.append(Asked(self._order(buyer, today), f"sim:{self.turn}"))
        if asked:
            execute_orders(session, asked, actor=ACTOR, now=now)

    def _order(self, buyer: Buyer, today: date) -> PlaceOrder:
        chance = self.chance
        count = max(1, round(chance.gauss(buyer.lines, 1)))
        lines = []
        for sku in chance.sample(buyer.skus, min(count, len(buyer.skus))):
            quantity = max(1, round(chance.lognormvariate(2, 0.7)))
            if chance.random() < 0.004:
                quantity *= 25  # somebody's finger slipped
            price = Decimal("0.50") if chance.random() < 0.004 else None
            lines.append(NewLine(sku=sku, quantity=Decimal(quantity), unit_price=price))
        channel = chance.choices([c for c, _ in simulated.CHANNELS], [w for _, w in simulated.CHANNELS])[0]
        number = "PO-AGAIN" if chance.random() < 0.003 else f"PO{self.turn}"
        return PlaceOrder(
            customer=buyer.code,
            channel=channel,
            customer_po=number,
            warehouse=buyer.warehouse,
            requested_date=today + timedelta(days=chance.randint(2, 9)),
            lines=lines,
        )

    def _decide(self, session: Session, now: datetime) -> None:
        """People look at holds that are a day old: duplicates and slips are mostly cancelled, the rest mostly released."""
        for order, line, reason, held_for in simulation.open_holds(session, now):
            if held_for < 0.5 or reason == "stock":
                continue
            cancel = {"duplicate": 0.7, "abnormal": 0.5, "price": 0.4, "margin": 0.4}.get(reason, 0.02)
            if self.chance.random() < cancel:
                self.run(session, CancelOrder(order=order, reason="not wanted"), now)
            elif reason != "credit" or self.chance.random() < 0.35:
                self.run(session, ReleaseHold(order=order, line=line, reason=HoldReason(reason), note="looked at"), now)

    def _ship(self, session: Session, today: date, now: datetime) -> None:
        for order, warehouse, lines in simulation.released(session):
            left = [HandledLine(line=x, quantity=q) for x, q in lines]
            if self.chance.random() < 0.01 and left[0].quantity > 1:
                left[0] = HandledLine(line=left[0].line, quantity=left[0].quantity - 1)  # one was not found
            shipment = f"SIM-{self.turn + 1}"
            command = ConfirmShipment(
                shipment=shipment, order=order, warehouse=warehouse, lines=left, carrier="SIMX", occurred_at=now
            )
            if self.run(session, command, now) is not None:
                self.delivering[today + timedelta(days=self.chance.randint(1, 5))].append(shipment)
                self._bill(session, shipment, today)

    def _bill(self, session: Session, shipment: str, today: date) -> None:
        bill = simulation.invoice_of(session, shipment)
        if bill is None:
            return
        number, customer, amount, due = bill
        habit = next(b for b in self.world.buyers if b.code == customer)
        late = max(-20, round(self.chance.gauss(habit.late, habit.spread)))
        self.paying[max(due + timedelta(days=late), today + timedelta(days=1))].append((customer, number, amount))

    def _deliver(self, session: Session, today: date, now: datetime) -> None:
        for shipment in self.delivering.pop(today, []):
            self.run(session, ConfirmDelivery(shipment=shipment, occurred_at=now), now)
            if self.chance.random() < 0.015:
                self._return(session, shipment, now)

    def _return(self, session: Session, shipment: str, now: datetime) -> None:
        order, warehouse, line, quantity = simulation.first_line_of(session, shipment)
        lines = [ReturnedLine(line=line, quantity=quantity)]
        reason = self.chance.choice(list(ReturnReason))
        if self.run(session, RequestReturn(order=order, reason=reason, lines=lines), now) is None:
            return
        number = simulation.last_return(session)
        if self.run(session, ReceiveReturn(return_number=number, warehouse=warehouse, lines=lines), now) is not None:
            self.run(session, CreditReturn(return_number=number), now)

    def _payments(self, session: Session, today: date, now: datetime) -> None:
        """A customer pays what is due in one transfer."""
        sums: dict[str, list[tuple[str, Decimal]]] = defaultdict(list)
        for customer, number, amount in self.paying.pop(today, []):
            sums[customer].append((number, amount))
        for customer, bills in sums.items():
            amount = sum((a for _, a in bills), Decimal(0))
            command = PostPayment(
                customer=customer,
                reference=f"W{self.turn + 1}",
                amount=amount,
                received_on=today,
                invoices=[n for n, _ in bills][:200],
            )
            self.run(session, command, now)

    def _reorder(self, session: Session, today: date, now: datetime) -> None:
        """What runs low is ordered from its source, one purchase order a supplier and warehouse, and takes its time."""
        wanted: dict[tuple[str, str], list[Source]] = defaultdict(list)
        for place, sku, free, waiting in simulation.low(session):
            source = self.world.sources[sku]
            on_its_way = self.coming.get((place, sku), 0)
            if free + on_its_way >= waiting + source.batch // 2:
                continue
            self.coming[place, sku] = on_its_way + source.batch
            wanted[place, source.supplier].append(source)
        for (place, supplier), sources in sorted(wanted.items()):
            lines = [BuyLine(sku=s.sku, quantity=Decimal(s.batch)) for s in sources]
            draft = DraftPurchase(supplier=supplier, warehouse=place, lines=lines, reason="runs low")
            self.run(session, draft, now, "buyer")
            number = simulation.last_purchase(session)
            self.run(session, ApprovePurchase(purchase_order=number), now, "boss")
            days = max(1, round(self.chance.gauss(sources[0].lead, sources[0].spread)))
            self.arriving[today + timedelta(days=days)].append(number)

    def _arrivals(self, session: Session, today: date, now: datetime) -> None:
        """Goods come, now and then too few or damaged; their invoice comes with them, now and then dearer."""
        for number in self.arriving.pop(today, []):
            order = purchasing.order(session, number)
            arrived, billed = [], []
            for one in order.lines:
                line, sku, quantity, cost = one.line, one.sku, one.quantity, one.unit_cost
                self.coming[order.warehouse, sku] -= int(quantity)
                came = (quantity * Decimal("0.7")).quantize(Decimal(1)) if self.chance.random() < 0.02 else quantity
                damaged = Decimal(self.chance.randint(1, 9)) if self.chance.random() < 0.01 else Decimal(0)
                arrived.append(ArrivedLine(line=line, sku=sku, quantity=came, damaged=damaged))
                price = cost * Decimal("1.1") if self.chance.random() < 0.01 else cost
                billed.append(
                    BilledLine(order_line=line, sku=sku, quantity=quantity, unit_price=price.quantize(PLACES))
                )
            receipt = ReceiveGoods(
                receipt=f"GR-{number}",
                warehouse=order.warehouse,
                purchase_order=number,
                lines=arrived,
                last=True,
                occurred_at=now,
            )
            self.run(session, receipt, now, "dock")
            bill = RecordBill(
                supplier=order.supplier,
                number=f"B-{number}",
                purchase_order=number,
                invoiced_at=today,
                currency="USD",
                lines=billed,
            )
            self.run(session, bill, now, "clerk")
            self.run(session, ReleasePayment(supplier=order.supplier, bill=bill.number), now, "payer")


def _poisson(chance: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count


def main(argv: list[str]) -> int:
    """Set up the world, run the days, print what came of it; 1 when the books were ever wrong."""
    parser = argparse.ArgumentParser(
        prog="countersign simulate",
        description="Run a seeded distributor through the real core, in an installation without orders.",
        epilog="Example: COUNTERSIGN_HOME=var/simulated countersign simulate --days 90 --orders 20000 --seed 1",
    )
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--orders", type=int, default=2000, help="orders to expect over all days")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        figures = simulate(arguments.days, arguments.orders, arguments.seed)
    print(json.dumps(figures, default=str) if arguments.json else "\n".join(_lines(figures)))
    return 1 if figures["books_wrong"] else 0


def simulate(days: int, orders: int, seed: int) -> dict[str, Any]:
    """Run it; figures of what came of it. Raises CountersignError when there are orders already."""
    with db.transaction(db.API) as session:
        if simulation.order_count(session):
            raise CountersignError(
                "There are orders here already; simulate in an installation of its own (COUNTERSIGN_HOME)."
            )
        with tempfile.TemporaryDirectory() as folder:
            customers = min(300, max(20, orders // 20))
            world = simulated.write(Path(folder), seed, START, customers, min(800, customers * 4))
            report = importer.import_folder(
                session, Path(folder), datetime(START.year, START.month, START.day, tzinfo=UTC)
            )
            assert not report.complaints, report.complaints[:3]
    run = Days(world, random.Random(f"days {seed}"), orders, days)  # noqa: S311
    with db.transaction(db.API) as session:
        begin = datetime(START.year, START.month, START.day, 6, tzinfo=UTC)
        for buyer in world.buyers[::2]:
            run.run(session, SaveCustomer(customer=buyer.code, ships_partial=True), begin)
    wrong: list[str] = []
    for number in track(
        range(days), description="Days", console=Console(stderr=True), disable=not Console(stderr=True).is_terminal
    ):
        with db.transaction(db.API) as session:
            run.day(session, number)
        with db.reading(db.API) as session:
            wrong += [f"day {number}: {text}" for text in books.wrong(session, policies.active(session))]
    with db.reading(db.API) as session:
        start = datetime(START.year, START.month, START.day, tzinfo=UTC)
        return {
            "seed": seed,
            "days": days,
            **simulation.figures(session, start, start + timedelta(days=days)),
            "commands_refused": run.refused,
            "books_wrong": wrong,
            "journal_digest": _digest(session),
        }


def _digest(session: Session) -> str:
    """Who did what to what, when and with what result, in order; technical numbers apart."""
    whole = hashlib.sha256()
    for row in simulation.journal(session):
        whole.update(json.dumps(list(row), default=str, sort_keys=True).encode())
    return whole.hexdigest()


def _one(value: Any) -> str:
    return ", ".join(f"{cut} {one}" for cut, one in value.items()) if isinstance(value, dict) else str(value)


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines += [f"{name}", *(f"  {key:<24}{_one(one)}" for key, one in value.items())]
        else:
            lines.append(f"{name:<26}{value}")
    return lines
