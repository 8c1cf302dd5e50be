"""`countersign bench model`: orders a second while an agent beside works mail, with a language model that stalls, refuses or rambles.

What a bad model may cost the ERP is compared with an agent that has none: both read mail with the local models on the same two cores.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.ingest import side_by_side, triage
from agent.llm import Endpoint, Line
from agent.mail import fetch
from agent.mail.fetch import Raw
from agent.worker import worker
from erp_core import db, migrate, settings
from erp_core.queries import measuring
from evals import bench_orders, model_server

SAMPLE = Path(__file__).parent / "sample" / "inbox"
PATIENCE = 2.0  # seconds that the agent waits for an answer
BAD: dict[str, Any] = {"stalls": "stall", "refuses": 429, "rambles": b'{"choices": [{"message": {"content": "{"}}]'}


def main(argv: list[str]) -> int:
    """Measure each kind of model in turn, several rounds."""
    parser = argparse.ArgumentParser(
        prog="countersign bench model",
        description="Measure order intake beside an agent whose language model misbehaves.",
        epilog="Example: countersign bench model --orders 500 --rounds 3 --json",
    )
    parser.add_argument("--orders", type=int, default=400, help="orders a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        with db.transaction(db.OWNER) as session:
            measuring.make_world(session)
        figures = _measure(arguments.orders, arguments.rounds)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<28}{v}" for k, v in figures.items()))
    return 0


def _measure(orders: int, rounds: int) -> dict[str, Any]:
    rates: dict[str, list[float]] = {"alone": [], "no model": [], **{name: [] for name in BAD}}
    for _ in range(rounds):
        for kind, found in rates.items():
            found.append(_beside(kind, orders))
    figures: dict[str, Any] = {f"orders_per_s, {k}": round(statistics.median(v), 1) for k, v in rates.items()}
    usual = statistics.median(rates["no model"])
    return figures | {f"of no model, {k}": round(statistics.median(rates[k]) / usual, 3) for k in BAD}


def _beside(kind: str, orders: int) -> float:
    """Orders a second on one connection, while an agent of this kind works mail in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    agent = context.Process(target=_agent, args=(kind, ready, over))
    if kind != "alone":
        agent.start()
        ready.wait(120)
    started = time.perf_counter()
    bench_orders.singly(str(time.time()), orders)
    lasted = time.perf_counter() - started
    over.set()
    if kind != "alone":
        agent.join()
    return orders / lasted


def _agent(kind: str, ready: Any, over: Any) -> None:
    """Work the sample inbox again and again until told to end."""
    mails = list(fetch.from_path(SAMPLE))
    with model_server.serving(lambda _: BAD.get(kind)) as (address, _):
        config = replace(settings.load(), model_url=address, model_key="none", model_seconds=PATIENCE)
        with worker(line=None if kind == "no model" else Line(Endpoint(config), PATIENCE)) as own:
            triage(own, Raw("warm", uuid.uuid4().bytes))
            ready.set()
            for _ in side_by_side(own, _endless(mails, over)):
                pass


def _endless(mails: list[Raw], over: Any) -> Iterator[Raw]:
    while True:
        mark = uuid.uuid4().hex.encode()
        for raw in mails:
            if over.is_set():
                return
            yield Raw(raw.name, b"Message-ID: <" + mark + raw.name.encode() + b"@bench>\r\n" + raw.data)
