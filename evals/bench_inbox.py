"""`countersign bench inbox`: how long a mail takes from raw bytes to a filed proposal. Prints; a machine's speed is no test."""

from __future__ import annotations

import argparse
import json
import time
import uuid
from pathlib import Path

from agent.ingest import triage
from agent.mail import fetch
from agent.mail.fetch import Raw
from agent.worker import worker
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
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        run(["import", str(SAMPLE / "world"), "--as-of", "2026-06-15", "--json"])
        times = _measure(arguments.rounds)
    figures = {
        "mails": len(times),
        "ms_p50": times[len(times) // 2],
        "ms_p95": times[int(len(times) * 0.95)],
        "per_second": round(1000 * len(times) / sum(times), 1),
    }
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<12}{v}" for k, v in figures.items()))
    return 0


def _measure(rounds: int) -> list[float]:
    mails = list(fetch.from_path(SAMPLE / "inbox"))
    times = []
    with worker() as own:
        for _ in range(rounds):
            mark = uuid.uuid4().hex.encode()
            for raw in mails:
                # the first header wins, so each round is new mail
                fresh = Raw(raw.name, b"Message-ID: <" + mark + raw.name.encode() + b"@bench>\r\n" + raw.data)
                started = time.perf_counter()
                triage(own, fresh)
                times.append(round((time.perf_counter() - started) * 1000, 1))
    return sorted(times)
