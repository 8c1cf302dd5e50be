"""`countersign bench console`: how long the server takes for a page at many open cases, what a page weighs, and when a browser first shows it.

Over HTTP on loopback, signed in, one request at a time. The browser's part is measured where chromium and playwright are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import random
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any

import httpx
import uvicorn

from api.app import make_app
from api.clock import Counting, Figuring
from erp_core import clock, db, migrate
from erp_core.actions import access, clocks, execute, requests
from erp_core.commands import NewLine, PlaceHold, PlaceOrder, ReleaseHold
from erp_core.queries import measuring
from erp_core.values import HoldReason
from evals import bench_desk

PASSWORD = uuid.uuid4().hex
WARM = 3
ORDERS_STEP = 50_000


def main(argv: list[str]) -> int:
    """Fill, serve, measure."""
    parser = argparse.ArgumentParser(
        prog="countersign bench console",
        description="Measure the console's pages on this machine.",
        epilog="Example: countersign bench console --cases 1000000 --orders 100000 --json",
    )
    parser.add_argument("--cases", type=int, default=100_000, help="open cases to have")
    parser.add_argument(
        "--orders", type=int, default=0, help="orders of the past to have, with lines, shipments and invoices"
    )
    parser.add_argument("--looks", type=int, default=60, help="requests a page")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        with db.transaction(db.OWNER) as session:
            measuring.make_world(session)
            measuring.make_signer(session, bench_desk.SIGNER)
        for number in range(bench_desk.STEP, arguments.cases + bench_desk.STEP, bench_desk.STEP):
            with db.transaction(db.OWNER) as session:
                measuring.make_cases(session, min(number, arguments.cases))
        _fill(arguments.orders)
        with db.transaction(db.OWNER) as session:
            measuring.analyse(session)
        cases, order = _with_proposals(30)
        with db.transaction(db.API) as session:
            access.set_password(session, bench_desk.SIGNER, PASSWORD)
            clocks.count_queues(session, clock.now(session))
        counting = time.perf_counter()
        Figuring().look()
        figures: dict[str, Any] = {
            "open_cases": arguments.cases,
            "orders": arguments.orders,
            "figures_counted_s": round(time.perf_counter() - counting, 1),
        }
        with _beside(_serve) as pages, _beside(_count) as counts:
            counts.recv()
            figures |= _measure(f"http://127.0.0.1:{pages.recv()}", cases, order, arguments.looks)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<34}{v}" for k, v in figures.items()))
    return 0


def _fill(orders: int) -> None:
    """Bring the orders of the past to so many."""
    with db.transaction(db.OWNER) as session:
        had = measuring.orders_made(session)
    for first in range(had + 1, orders + 1, ORDERS_STEP):
        with db.transaction(db.OWNER) as session:
            measuring.make_orders(session, first, min(first + ORDERS_STEP - 1, orders))


def _with_proposals(number: int) -> tuple[list[int], str]:
    """Cases with a proposal that waits for a signature, and an order."""
    found, order = [], ""
    for _ in range(number):
        with db.transaction(db.API) as session:
            now = clock.now(session)
            line = NewLine(sku="B-1", quantity=Decimal(1))
            placed = execute(
                session,
                PlaceOrder(customer="BC1", channel="edi", lines=[line]),
                key=f"bench:{uuid.uuid4()}",
                actor="bench",
                now=now,
            )
            order = placed.change.subject.split(":")[1]
            hold = PlaceHold(order=order, reason=HoldReason.MANUAL, note="bench")
            execute(session, hold, key=f"bench:{uuid.uuid4()}", actor="bench", now=now)
            made = requests.propose(
                session,
                [ReleaseHold(order=order, reason=HoldReason.MANUAL, note="bench")],
                key=uuid.uuid4().hex,
                reason="bench",
                actor=bench_desk.SIGNER,
                now=now,
            )
            found.append(made.case_id)
    return found, order


@contextmanager
def _beside(work: Callable[[Connection], None]) -> Iterator[Connection]:
    """A process of its own, as the API and the clock are: a page's time is not that of whoever asks for it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there,))
    process.start()
    try:
        yield here
    finally:
        here.send("stop")
        process.join(timeout=20)
        process.terminate()


def _serve(told: Connection) -> None:
    """Serve pages, tell the port, go on until told to stop."""
    server = uvicorn.Server(uvicorn.Config(make_app(), port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    told.send(server.servers[0].sockets[0].getsockname()[1])
    told.recv()
    server.should_exit = True
    thread.join(timeout=10)


def _count(told: Connection) -> None:
    """Count the queues as the clock does it."""
    counting = Counting()
    counting.look()
    told.send("counted")
    while not told.poll(1.0):
        counting.look()


def _measure(address: str, cases: list[int], order: str, looks: int) -> dict[str, Any]:
    chance = random.Random(3)  # noqa: S311 - a repeatable walk
    with httpx.Client(base_url=address, timeout=60) as client:
        client.post("/signin", data={"email": bench_desk.SIGNER, "password": PASSWORD})
        pages: dict[str, list[str]] = {
            "queue": ["/", "/?queue=credit", "/?queue=pricing", "/?queue=allocation"],
            "filtered": ["/?queue=credit&priority=high", "/?late=1", "/?queue=credit&sort=money"],
            "case": [f"/cases/{c}" for c in cases],
            "order": [f"/orders/{order}"],
            "figures": ["/figures", "/figures?role=supply", "/figures?days=90"],
            "figure": ["/figures/touchless-rate", "/figures/cases-open"],
        }
        found: dict[str, Any] = {}
        for name, paths in pages.items():
            for path in paths[:WARM]:
                client.get(path).raise_for_status()
            times = []
            for _ in range(looks):
                started = time.perf_counter()
                client.get(chance.choice(paths)).raise_for_status()
                times.append((time.perf_counter() - started) * 1000)
            times.sort()
            found[f"{name}_ms_p50"] = round(times[len(times) // 2], 1)
            found[f"{name}_ms_p95"] = round(times[int(len(times) * 0.95)], 1)
        for name, path in (("queue", "/?queue=credit"), ("case", f"/cases/{cases[0]}"), ("figures", "/figures")):
            found[f"{name}_kB"] = round(_weight(client, path) / 1000)
    return found | _first_paint(address, cases[0])


def _weight(client: httpx.Client, path: str) -> int:
    """Bytes of a page with all that it asks for."""
    page = client.get(path)
    assets = set(re.findall(r'(?:src|href)="(/static/[^"#]+)"', page.text))
    return len(page.content) + sum(len(client.get(a).content) for a in assets)


def _first_paint(address: str, case: int) -> dict[str, Any]:
    """Milliseconds until a browser shows something, at the median of nine loads; nothing where there is no browser."""
    browser = shutil.which("chromium")
    if browser is None or importlib.util.find_spec("playwright") is None:
        return {}
    from playwright.sync_api import sync_playwright

    found = {}
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = window.new_context(bypass_csp=True).new_page()  # what measures is no script of ours
        page.goto(f"{address}/signin")
        page.fill("#e", bench_desk.SIGNER)
        page.fill("#p", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector(".rail")
        for name, path in (("queue", "/?queue=credit"), ("case", f"/cases/{case}"), ("figures", "/figures")):
            times = []
            for _ in range(9):
                page.goto(f"{address}{path}")
                page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
                times.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            found[f"{name}_first_paint_ms"] = round(sorted(times)[4])
        window.close()
    return found
