"""`countersign bench receipts`: a 100-line receipt while 500 order lines wait, and matching supplier invoices in bulk.

Each receipt takes in 100 items, ten of them short: stock, allocation of 500 waiting lines, released orders, discrepancies, linked
cases and journal in one transaction with a commit of its own. fsync and synchronous_commit are on.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from erp_core import clock, db, migrate
from erp_core.actions import execute, execute_orders
from erp_core.actions.intake import Asked
from erp_core.commands import (
    ApprovePurchase,
    ArrivedLine,
    BilledLine,
    BuyLine,
    Command,
    DraftPurchase,
    NewLine,
    PlaceOrder,
    ReceiveGoods,
    RecordBill,
)
from erp_core.queries import measuring, simulation

ITEMS, WAITING, SHORT = 100, 500, 10
PLACE = "B1"


def main(argv: list[str]) -> int:
    """Set up a world of its own, then measure."""
    parser = argparse.ArgumentParser(
        prog="countersign bench receipts",
        description="Measure receiving and invoice matching on this machine.",
        epilog="Example: countersign bench receipts --receipts 20 --lines 10000",
    )
    parser.add_argument("--receipts", type=int, default=20)
    parser.add_argument("--lines", type=int, default=10_000, help="invoice lines to match, 100 an invoice")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        with db.transaction(db.OWNER) as session:
            measuring.make_world(session)
            measuring.make_supplier(session)
        figures = {**_receipts(arguments.receipts), **_matches(arguments.lines)}
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<28}{v}" for k, v in figures.items()))
    return 0


def _now() -> datetime:
    with db.reading(db.API) as session:
        return clock.now(session)


def _run(command: Command, actor: str) -> str:
    with db.transaction(db.API) as session:
        result = execute(session, command, key=f"bench:{uuid.uuid4()}", actor=actor, now=clock.now(session))
    return result.change.subject.split(":", 1)[1]


def _buy(quantity: int) -> str:
    """An approved purchase order for 100 items."""
    lines = [BuyLine(sku=f"B-{n}", quantity=Decimal(quantity), unit_cost=Decimal(5)) for n in range(1, ITEMS + 1)]
    number = _run(DraftPurchase(supplier="BS1", warehouse=PLACE, lines=lines, reason="bench"), "buyer")
    _run(ApprovePurchase(purchase_order=number), "boss")
    return number


def _wait(turn: int) -> None:
    """500 orders of one line that find nothing on the shelf: five customers for each item."""
    with db.transaction(db.OWNER) as session:
        measuring.empty_shelves(session)
    asked = []
    for n in range(turn * WAITING, (turn + 1) * WAITING):
        line = NewLine(sku=f"B-{n % ITEMS + 1}", quantity=Decimal(10))
        customer = f"BC{n // ITEMS % measuring.CUSTOMERS + 1}"
        order = PlaceOrder(
            customer=customer, channel="edi", customer_po=uuid.uuid4().hex[:12], warehouse=PLACE, lines=[line]
        )
        asked.append(Asked(order, f"bench:{uuid.uuid4()}"))
    with db.transaction(db.API) as session:
        execute_orders(session, asked, actor="bench", now=clock.now(session))


def _receive(number: str) -> float:
    """Seconds of one receipt: what was ordered of 90 items, three fifths of ten."""
    lines = [ArrivedLine(line=n, sku=f"B-{n}", quantity=Decimal(50 if n > SHORT else 30)) for n in range(1, ITEMS + 1)]
    command = ReceiveGoods(
        receipt=f"BR-{uuid.uuid4().hex[:12]}",
        warehouse=PLACE,
        purchase_order=number,
        lines=lines,
        last=True,
        occurred_at=_now(),
    )
    started = time.perf_counter()
    _run(command, "dock")
    return time.perf_counter() - started


def _receipts(number: int) -> dict[str, Any]:
    times, waiting, left = [], [], []
    with db.reading(db.API) as session:
        first = simulation.order_count(session) // WAITING
    for turn in range(number):
        order = _buy(50)
        _wait(first + turn)
        with db.reading(db.API) as session:
            waiting.append(measuring.waiting_lines(session))
        times.append(_receive(order))
        with db.reading(db.API) as session:
            left.append(measuring.waiting_lines(session))
        if turn == 0:
            with db.transaction(db.OWNER) as session:
                measuring.analyse(session)
    times.sort()
    return {
        "receipts": number,
        "lines_a_receipt": ITEMS,
        "waiting_lines_before": max(waiting),
        "waiting_lines_after": max(left),
        "ms_p50": round(times[len(times) // 2] * 1000, 1),
        "ms_p95": round(times[min(int(len(times) * 0.95), len(times) - 1)] * 1000, 1),
    }


def _matches(lines: int) -> dict[str, Any]:
    """Record and match invoices of 100 lines each, in one transaction: orders that came whole."""
    bills = max(lines // ITEMS, 1)
    orders = [_buy(1) for _ in range(bills)]
    for number in orders:
        arrived = [ArrivedLine(line=n, sku=f"B-{n}", quantity=Decimal(1)) for n in range(1, ITEMS + 1)]
        _run(
            ReceiveGoods(
                receipt=f"BR-{uuid.uuid4().hex[:12]}",
                warehouse=PLACE,
                purchase_order=number,
                lines=arrived,
                last=True,
                occurred_at=_now(),
            ),
            "dock",
        )
    started = time.perf_counter()
    with db.transaction(db.API) as session:
        now = clock.now(session)
        for number in orders:
            goods = [
                BilledLine(order_line=n, sku=f"B-{n}", quantity=Decimal(1), unit_price=Decimal(5))
                for n in range(1, ITEMS + 1)
            ]
            bill = RecordBill(
                supplier="BS1",
                number=f"BB-{uuid.uuid4().hex[:12]}",
                purchase_order=number,
                invoiced_at=now.date(),
                currency="USD",
                lines=goods,
            )
            execute(session, bill, key=f"bench:{uuid.uuid4()}", actor="clerk", now=now)
    seconds = time.perf_counter() - started
    with db.reading(db.API) as session:
        matched = measuring.matched_bills(session, orders)
    return {"invoice_lines_matched": bills * ITEMS, "invoices_matched": matched, "seconds": round(seconds, 2)}
