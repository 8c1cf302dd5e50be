"""`countersign bench desk`: authority, a decision, the queue at many open cases, and the sequencer of the journal."""

from __future__ import annotations

import argparse
import json
import random
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from erp_core import clock, db, migrate
from erp_core.actions import clocks, execute, requests, sealing
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.commands import NewLine, PlaceHold, PlaceOrder, ReleaseHold
from erp_core.queries import desk, measuring, policies
from erp_core.queries.desk import Filter
from erp_core.rules import desk as rules
from erp_core.rules.desk import Person, Subject
from erp_core.values import HoldReason, Verdict

STEP = 50_000  # cases a transaction
SIGNER = "bench.signer@countersign.example"


def main(argv: list[str]) -> int:
    """Set up a world of its own with so many open cases, then measure."""
    parser = argparse.ArgumentParser(
        prog="countersign bench desk",
        description="Measure authority, decisions, queues and the journal's sequencer on this machine.",
        epilog="Example: countersign bench desk --cases 1000000",
    )
    parser.add_argument("--cases", type=int, default=100_000, help="open cases to have")
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--entries", type=int, default=30_000, help="journal entries for the sequencer")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        with db.transaction(db.OWNER) as session:
            measuring.make_world(session)
            measuring.make_signer(session, SIGNER)
        for number in range(STEP, arguments.cases + STEP, STEP):
            with db.transaction(db.OWNER) as session:
                measuring.make_cases(session, min(number, arguments.cases))
        with db.transaction(db.OWNER) as session:
            measuring.analyse(session)
        figures = {
            **_authority(),
            **_decisions(arguments.decisions),
            "open_cases": arguments.cases,
            **_queues(),
            **_sequencer(arguments.entries),
        }
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<32}{v}" for k, v in figures.items()))
    return 0


def _spread(name: str, times: list[float]) -> dict[str, Any]:
    times = sorted(times)
    return {
        f"{name}_ms_p50": round(times[len(times) // 2] * 1000, 3),
        f"{name}_ms_p95": round(times[int(len(times) * 0.95)] * 1000, 3),
    }


def _timed(work: Callable[[], Any], number: int) -> list[float]:
    times = []
    for _ in range(number):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return times


def _authority() -> dict[str, Any]:
    """Cedar's answer on a parsed policy, each time on a subject that was never asked about."""
    with db.reading(db.API) as session:
        policy = policies.active(session)
    me = Person("x@y", ("credit_manager",), Decimal(100_000))
    amounts = iter(range(10**9))

    def ask() -> None:
        rules.authority(policy, me, Subject("release_hold", Decimal(next(amounts)) / 100, "credit"))

    _timed(ask, 50)
    return _spread("authority", _timed(ask, 2000))


def _decisions(number: int) -> dict[str, Any]:
    """Sign the release of a hold: authority, preview, execution, journal and commit, as the console does it."""
    chance = random.Random(1)  # noqa: S311 - a repeatable world
    times = []
    for _ in range(number):
        with db.transaction(db.API) as session:
            now = clock.now(session)
            line = NewLine(sku=f"B-{chance.randint(1, measuring.ITEMS)}", quantity=Decimal(1))
            order = PlaceOrder(customer=f"BC{chance.randint(1, measuring.CUSTOMERS)}", channel="edi", lines=[line])
            placed = execute(session, order, key=f"bench:{uuid.uuid4()}", actor="bench", now=now)
            number_ = placed.change.subject.split(":")[1]
            hold = PlaceHold(order=number_, reason=HoldReason.MANUAL, note="bench")
            execute(session, hold, key=f"bench:{uuid.uuid4()}", actor="bench", now=now)
            command = ReleaseHold(order=number_, reason=HoldReason.MANUAL, note="bench")
            made = requests.propose(session, [command], key=uuid.uuid4().hex, reason="bench", actor=SIGNER, now=now)
            proposal, shown = made.id, decisions.preview(session, made, now).digest
        started = time.perf_counter()
        with db.transaction(db.API) as session:
            result = decisions.decide(
                session, proposal, Said(Verdict.APPROVE, "bench", shown), actor=SIGNER, now=clock.now(session)
            )
        times.append(time.perf_counter() - started)
        assert result.outcome == "executed", result.text
    return _spread("decision", times)


def _queues() -> dict[str, Any]:
    """The page of a queue: its cases in order, and the counts of the rail."""
    queues = ["credit", "pricing", "customer_service", "allocation", None]
    chance = random.Random(2)  # noqa: S311

    def look() -> None:
        with db.transaction(db.API) as session:
            now = clock.now(session)
            desk.case_rows(session, Filter(queue=chance.choice(queues)), now, 101)
            desk.queue_counts(session, now)

    with db.transaction(db.API) as session:  # as the clock does it all the time
        clocks.count_queues(session, clock.now(session))
    _timed(look, 5)
    found = _spread("queue_page", _timed(look, 100))
    started = time.perf_counter()
    with db.transaction(db.API) as session:
        clocks.count_queues(session, clock.now(session))
    return {**found, "count_all_queues_ms": round((time.perf_counter() - started) * 1000)}


def _sequencer(number: int) -> dict[str, Any]:
    """Link what is new, then so many entries at once."""
    sequencer = sealing.sequencer()
    seal(sequencer)
    with db.transaction(db.OWNER) as session:
        measuring.make_entries(session, number)
    started = time.perf_counter()
    linked = seal(sequencer)
    rate = linked / (time.perf_counter() - started)
    return {"sequencer_entries_per_s": round(rate)}


def seal(sequencer: sealing.Sequencer) -> int:
    """Link and seal all that is new; how many."""
    first = last = 0
    while True:
        with db.transaction(db.API) as session:
            before = sequencer.position(session)
            made = sequencer.step(session, clock.now(session), time.monotonic())
        if made is None:
            return last - first
        first, last = first or before, made.position
