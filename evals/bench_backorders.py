"""`countersign bench backorders`: one run of the allocation engine over many waiting lines."""

from __future__ import annotations

import argparse
import json
import random
import time
import uuid
from decimal import Decimal

from erp_core import db, migrate
from erp_core.actions import execute, execute_orders
from erp_core.actions.intake import Asked
from erp_core.commands import NewLine, PlaceOrder, RunBackorders
from erp_core.queries import books, measuring, policies
from evals import bench_orders

LINES, BATCH = 3, 200


def main(argv: list[str]) -> int:
    """Fill a world with orders that wait, bring half of what they need, run once."""
    parser = argparse.ArgumentParser(
        prog="countersign bench backorders",
        description="Measure a backorder run on this machine.",
        epilog="Example: countersign bench backorders --lines 100000",
    )
    parser.add_argument("--lines", type=int, default=30_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        with db.transaction(db.OWNER) as session:
            measuring.make_world(session)
            measuring.empty_shelves(session)
        _fill(arguments.lines)
        with db.transaction(db.OWNER) as session:
            measuring.half_fill_shelves(session)
            measuring.analyse(session)
        figures = _run()
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<28}{v}" for k, v in figures.items()))
    return 0


def _fill(lines: int) -> None:
    chance = random.Random(time.time())  # noqa: S311
    with db.transaction(db.API) as session:
        waiting = measuring.waiting_lines(session)
    while waiting < lines:
        asked = []
        for _ in range(BATCH):
            wanted = [
                NewLine(sku=f"B-{item}", quantity=Decimal(chance.randint(1, 40)))
                for item in chance.sample(range(1, measuring.ITEMS + 1), LINES)
            ]
            command = PlaceOrder(customer=f"BC{chance.randint(1, measuring.CUSTOMERS)}", channel="edi", lines=wanted)
            asked.append(Asked(command, f"bench:{uuid.uuid4()}"))
        with db.transaction(db.API) as session:
            execute_orders(session, asked, actor="bench", now=bench_orders.now(session))
        waiting += BATCH * LINES


def _run() -> dict[str, object]:
    with db.transaction(db.API) as session:
        waiting = measuring.waiting_lines(session)
        started = time.perf_counter()
        moment = bench_orders.now(session)
        result = execute(session, RunBackorders(), key=f"bench:{uuid.uuid4()}", actor="bench", now=moment)
        took = time.perf_counter() - started
        wrong = books.wrong(session, policies.active(session))
    return {"waiting_lines": waiting, "seconds": round(took, 2), **(result.change.after or {}), "books_wrong": wrong}
