"""`countersign bench orders`: a 3-line order through the whole path, one by one on one and two connections, and in bulk.

Each order is validated by all rules, priced, checked for credit, allocated and journaled, and has a commit of its own (in bulk: one a
batch). fsync and synchronous_commit are on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import threading
import time
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from erp_core import clock, db, migrate
from erp_core.actions import execute, execute_orders, sealing
from erp_core.actions.intake import Asked
from erp_core.commands import NewLine, PlaceOrder
from erp_core.queries import measuring, simulation
from evals import bench_desk

BATCH = 100
SEAL_SECONDS = 0.3  # as the clock process does it


def main(argv: list[str]) -> int:
    """Set up a world of its own, then measure."""
    parser = argparse.ArgumentParser(
        prog="countersign bench orders",
        description="Measure order intake on this machine.",
        epilog="Example: countersign bench orders --orders 2000 --fill 100000",
    )
    parser.add_argument("--orders", type=int, default=1500, help="orders a measurement")
    parser.add_argument("--fill", type=int, default=0, help="bring the database to so many orders first")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        with db.transaction(db.OWNER) as session:
            measuring.make_world(session)
        fill(arguments.fill)
        figures = {"orders_in_database": _count(), **_measure(arguments.orders)}
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<28}{v}" for k, v in figures.items()))
    return 0


def _count() -> int:
    with db.reading(db.API) as session:
        return simulation.order_count(session)


def fill(wanted: int) -> None:
    """Bring the database to so many orders."""
    chance = random.Random(0)  # noqa: S311 - a repeatable world
    missing = wanted - _count()
    while missing > 0:
        _bulk(chance, min(missing, BATCH))
        missing -= BATCH
    with db.transaction(db.OWNER) as session:
        measuring.analyse(session)


def now(session: db.Session) -> datetime:
    """The installation's present moment."""
    return clock.now(session)


def _order(chance: random.Random) -> PlaceOrder:
    lines = [
        NewLine(sku=f"B-{item}", quantity=Decimal(chance.randint(1, 40)))
        for item in chance.sample(range(1, measuring.ITEMS + 1), 3)
    ]
    customer = f"BC{chance.randint(1, measuring.CUSTOMERS)}"
    return PlaceOrder(customer=customer, channel="edi", customer_po=uuid.uuid4().hex[:12], lines=lines)


def _bulk(chance: random.Random, number: int) -> int:
    asked = [Asked(_order(chance), f"bench:{uuid.uuid4()}") for _ in range(number)]
    with db.transaction(db.API) as session:
        verdicts = execute_orders(session, asked, actor="bench", now=now(session))
    return sum(not v.problems for v in verdicts)


def singly(seed: str, number: int) -> list[float]:
    """Seconds of each order, through execute, each in a transaction of its own."""
    chance, times = random.Random(seed), []  # noqa: S311
    for _ in range(number):
        command, started = _order(chance), time.perf_counter()
        with db.transaction(db.API) as session:
            execute(session, command, key=f"bench:{uuid.uuid4()}", actor="bench", now=now(session))
        times.append(time.perf_counter() - started)
    return times


def _worker(seed: str, number: int, ready: Any, results: Any) -> None:
    db.forget_engines()
    singly(f"warm {seed}", 50)
    ready.wait()
    started = time.time()
    times = singly(seed, number)
    results.put((started, time.time(), times))


def _side_by_side(connections: int, number: int) -> tuple[float, list[float]]:
    """Orders a second over all connections, each in a process of its own, and every order's seconds."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(connections), context.Queue()
    workers = [
        context.Process(target=_worker, args=(f"{connections} {i} {time.time()}", number, ready, results))
        for i in range(connections)
    ]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    lasted = max(end for _, end, _ in found) - min(start for start, _, _ in found)
    return connections * number / lasted, sorted(t for _, _, times in found for t in times)


def _bare(number: int) -> int:
    """Transactions a second of twelve one-row reads, one insert and a commit on this machine now: what to compare with."""
    started = time.perf_counter()
    for position in range(number):
        with db.transaction(db.API) as session:
            measuring.thirteen_statements(session, position)
    return round(number / (time.perf_counter() - started))


def _sealing(chance: random.Random, seconds: float = 5.0) -> dict[str, Any]:
    """Orders in bulk while the sequencer of the journal runs beside them: the longest time from a commit to its seal."""
    sequencer, stop, worst = sealing.sequencer(), threading.Event(), [0.0]
    bench_desk.seal(sequencer)

    def beside() -> None:
        while not stop.wait(SEAL_SECONDS):
            started = time.perf_counter()
            bench_desk.seal(sequencer)
            worst[0] = max(worst[0], SEAL_SECONDS + time.perf_counter() - started)

    thread, started, entered = threading.Thread(target=beside), time.perf_counter(), 0
    thread.start()
    while time.perf_counter() - started < seconds:
        entered += _bulk(chance, BATCH)
    rate = entered / (time.perf_counter() - started)
    stop.set()
    thread.join()
    return {"orders_per_s_bulk_sealing": round(rate), "seal_lag_ms_worst": round(worst[0] * 1000)}


def _measure(number: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"bare_13_statements_per_s": _bare(number)}
    for connections in (1, 2):
        rate, times = _side_by_side(connections, number)
        figures[f"orders_per_s_{connections}"] = round(rate)
        figures[f"ms_p50_{connections}"] = round(times[len(times) // 2] * 1000, 2)
        figures[f"ms_p95_{connections}"] = round(times[int(len(times) * 0.95)] * 1000, 2)
    chance = random.Random(time.time())  # noqa: S311
    _bulk(chance, BATCH)
    started = time.perf_counter()
    entered = sum(_bulk(chance, BATCH) for _ in range(max(number // BATCH, 10)))
    figures["orders_per_s_bulk"] = round(entered / (time.perf_counter() - started))
    figures |= _sealing(chance)
    with db.reading(db.API) as session:
        figures["orders_held"] = measuring.held_orders(session)
    return figures
