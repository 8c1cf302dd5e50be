"""`countersign bench inbox`: how long a mail takes from raw bytes to a filed proposal. Prints; a machine's speed is no test."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
import uuid
from pathlib import Path
from typing import Any

from agent.ingest import triage
from agent.mail import fetch
from agent.mail.fetch import Raw
from agent.worker import keep_loaded, worker
from erp_core import db, migrate
from erp_core.cli import run

SAMPLE = Path(__file__).parent / "sample"


def main(argv: list[str]) -> int:
    """Work the sample inbox several times under fresh Message-IDs."""
    parser = argparse.ArgumentParser(
        prog="countersign bench inbox",
        description="Measure mail triage on this machine.",
        epilog="Example: countersign bench inbox --rounds 3 --json",
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=1, help="agent processes side by side")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        run(["import", str(SAMPLE / "world"), "--as-of", "2026-06-15", "--json"])
        times, lasted = _side_by_side(arguments.processes, arguments.rounds)
    figures = {
        "mails": len(times),
        "ms_p50": times[len(times) // 2],
        "ms_p95": times[int(len(times) * 0.95)],
        "per_second": round(len(times) / lasted, 1),
    }
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<12}{v}" for k, v in figures.items()))
    return 0


def _side_by_side(processes: int, rounds: int) -> tuple[list[float], float]:
    """Milliseconds of every mail, sorted, and the seconds that all of it lasted, over agents in processes of their own."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(processes), context.Queue()
    agents = [context.Process(target=_agent, args=(rounds, ready, results)) for _ in range(processes)]
    for agent in agents:
        agent.start()
    found = [results.get() for _ in agents]
    for agent in agents:
        agent.join()
    lasted = max(end for _, end, _ in found) - min(start for start, _, _ in found)
    return sorted(t for _, _, times in found for t in times), lasted


def _agent(rounds: int, ready: Any, results: Any) -> None:
    mails = list(fetch.from_path(SAMPLE / "inbox"))
    with worker() as own:
        triage(own, _fresh(mails[0]))  # what every process loads once
        keep_loaded()
        ready.wait()
        started, times = time.time(), []
        for _ in range(rounds):
            for raw in mails:
                mail, begun = _fresh(raw), time.perf_counter()
                triage(own, mail)
                times.append(round((time.perf_counter() - begun) * 1000, 1))
        results.put((started, time.time(), times))


def _fresh(raw: Raw) -> Raw:
    """The same mail under a Message-ID of its own: the first header wins."""
    return Raw(raw.name, f"Message-ID: <{uuid.uuid4()}@bench>\r\n".encode() + raw.data)
