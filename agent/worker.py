"""The agent process: fetches mail, claims cases, runs the graph. Role countersign_agent, never more."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from typing import Any

from langgraph.checkpoint.postgres import PostgresSaver

from agent import chatting, checkpoints, graph, llm, scoring, summarising
from agent.chatting import Assistant
from agent.llm import LettingGo, Line
from agent.mail import fetch
from agent.mail.fetch import Raw
from agent.mail.parse import parse
from erp_core import casework, db, settings
from erp_core.casework import Recorded
from erp_core.errors import CountersignError
from erp_core.queries import digests, policies
from ml.reader import Reader, current
from tools.registry import together

LEASE_SECONDS = 120
LONGEST_LEASE = 600
SUMMARY_SECONDS = 120.0
SPARE_SECONDS = 30  # of the lease, for all that is not a language model
PAUSE_SECONDS = 1.0
AT_ONCE = 8  # cases that one process works beside each other while a language model thinks about them


class Worker:
    """One worker with its graph. `name` is what claims are held under; `reader` reads mails, the one in use unless another is given;
    `line` leads to a language model, if there is one."""

    def __init__(
        self,
        saver: PostgresSaver,
        reader: Reader | None = None,
        line: Line | None = None,
        hands: threading.Lock | None = None,
    ) -> None:
        self.line = line
        self.lease = LEASE_SECONDS if line is None else lease_for(line.seconds)
        self.name = f"{os.uname().nodename}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
        self.hands = hands or threading.Lock()
        self.graph = graph.build(reader, saver, LettingGo(line, self.hands) if line else None)
        self._like = (saver, reader, line, self.hands)

    def crew(self) -> list[Worker]:
        """This worker and those that may work beside it in one process: one at a time, but for those who wait for a language model.

        However many cases wait, and however badly a model fails, the machine works on one of them.
        """
        return [self, *(Worker(*self._like) for _ in range(1, AT_ONCE if self.line else 1))]

    def take(self, raw: Raw) -> Recorded:
        """Parse and record a message; it has a case from then on, whatever it holds."""
        with db.transaction(db.AGENT) as session:
            return _record(session, raw)

    def take_and_claim(self, raw: Raw) -> tuple[Recorded, int | None]:
        """Record a message and claim its case when it is new."""
        with db.transaction(db.AGENT) as session:
            recorded = _record(session, raw)
            claimed = casework.claim_case(session, self.name, self.lease, recorded.case) if recorded.created else None
        return recorded, claimed

    def take_and_work(self, raw: Raw) -> tuple[Recorded, dict[str, Any] | None]:
        """Record a message and work its case at once when it is new."""
        recorded, claimed = self.take_and_claim(raw)
        return recorded, self.run(claimed) if claimed is not None else None

    def work(self, case: int | None = None) -> dict[str, Any] | None:
        """Claim and work a case, else the most urgent one; the run's final state, or None when nothing was to be claimed."""
        with db.transaction(db.AGENT) as session:
            claimed = casework.claim_case(session, self.name, self.lease, case)
        return self.run(claimed) if claimed is not None else None

    def run(self, case: int) -> dict[str, Any]:
        """Work a case that this worker has claimed; the run's final state, with its `error` when the case was given back."""
        run = f"{case}-{uuid.uuid4().hex[:8]}"
        started = time.monotonic()
        until = started + self.lease - SPARE_SECONDS
        # without a language model nothing is waited for, so all that is read is read in one transaction
        once = together() if self.line is None else nullcontext()
        try:
            with self.hands, once:
                state: dict[str, Any] = self.graph.invoke(
                    {"case": case, "worker": self.name, "run": run, "started": started, "until": until},
                    {"configurable": {"thread_id": f"case:{case}"}},
                    durability="exit",
                )
        except Exception as error:  # whatever a mail provokes, the case goes back with the reason
            reason = f"{type(error).__name__}: {error}"
            self._give_back(case, reason)
            return {"case": case, "error": reason}
        return state

    def _give_back(self, case: int, reason: str) -> None:
        with db.transaction(db.AGENT) as session:
            casework.give_back(session, case, self.name, f"The agent could not work this case. {reason}"[:2000])


def lease_for(seconds: float) -> int:
    """How long a case is held whose model may take so long an answer: reading it, planning, and looking a few things up."""
    return min(int(LEASE_SECONDS + 3 * seconds), LONGEST_LEASE)


def _record(session: db.Session, raw: Raw) -> Recorded:
    parsed = parse(raw.data, policies.active(session).mail)
    return casework.record_message(
        session,
        message_id=parsed.message_id,
        source=raw.name,
        sender=parsed.sender or None,
        sender_name=parsed.sender_name or None,
        subject=parsed.subject,
        sent_at=parsed.sent_at,  # type: ignore[arg-type]  # PostgreSQL reads ISO 8601
        raw=raw.data,
        parsed=parsed.as_json(),
    )


@contextmanager
def worker(reader: Reader | None = None, line: Line | None = None) -> Iterator[Worker]:
    """A worker with its connections; refuses to start as any role but the agent's. `line`: to a language model, if it is to ask one."""
    with db.reading(db.AGENT):
        pass
    if reader is None:
        _warm()
    pool = checkpoints.pool(db.dsn(db.AGENT))
    try:
        yield Worker(PostgresSaver(pool), reader, line)
    finally:
        pool.close()


def _warm() -> None:
    """Load the reader before the first mail comes, trained at the first use; one that is not what was recorded is told, and its cases go to people."""
    try:
        current()
    except CountersignError as error:
        print(f"Mail is not read: {error}", file=sys.stderr, flush=True)


def main(argv: list[str]) -> int:
    """`countersign work`: until stopped."""
    parser = argparse.ArgumentParser(
        prog="countersign work",
        description="Run the agent process: fetch mail (COUNTERSIGN_IMAP_URL) and work cases.",
        epilog="Example: countersign work",
    )
    parser.add_argument("--once", action="store_true", help="stop when no case waits")
    arguments = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with db.in_use(), worker(line=llm.configured()) as own:
        crew = own.crew()
        keep_loaded()
        if arguments.once:
            with ThreadPoolExecutor(len(crew)) as pool:
                list(pool.map(_all_that_waits, crew))
            return 0
        _fetch_in_background(own)
        scorer = threading.Thread(target=scoring.run, args=(stop,), name="scorer")
        scorer.start()
        talker = threading.Thread(target=_talk, args=(stop, own.line), name="chats")
        talker.start()
        if own.line is not None:
            threading.Thread(target=_summarise, args=(stop, own.line), name="summaries", daemon=True).start()
        with ThreadPoolExecutor(len(crew), "cases") as pool:
            ended = [pool.submit(_until_stopped, stop, member) for member in crew]
            for one in as_completed(ended):
                stop.set()  # whoever cannot go on ends the process: it is started anew, whole
                one.result()
        scorer.join()
        talker.join()
    return 0


def keep_loaded() -> None:
    """What a process has loaded it keeps: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


def _all_that_waits(own: Worker) -> None:
    while own.work() is not None:
        pass


def _until_stopped(stop: threading.Event, own: Worker) -> None:
    while not stop.is_set():
        try:
            idle = own.work() is None
        except db.Lost as error:  # the database restarts; leases run out by themselves
            print(f"The database cannot be reached: {error}", file=sys.stderr, flush=True)
            idle = True
        if idle:
            stop.wait(PAUSE_SECONDS)


def _talk(stop: threading.Event, line: Line | None) -> None:
    """Chats are answered on threads of their own, so that no case keeps a customer waiting."""
    with worker(line=line) as own:
        chatting.run(stop, lambda: Assistant(own, line), chatting.AT_ONCE if line is not None else 1)


def _summarise(stop: threading.Event, line: Line) -> None:
    """Queues that changed are put into words, now and then; what a model cannot do is left to the counts."""
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    while not stop.wait(SUMMARY_SECONDS):
        try:
            with db.reading(db.AGENT) as session:
                found = digests.busy(session, summarising.LEAST)
            for row in found:
                if seen.get((row.queue, row.entity)) != (row.open, row.newest) and not stop.is_set():
                    summarising.summarise(row.queue, row.entity, line)
                    seen[row.queue, row.entity] = (row.open, row.newest)
        except (CountersignError, db.Refused, db.Lost) as error:
            print(f"Queues are not put into words: {error}", file=sys.stderr, flush=True)


def _fetch_in_background(own: Worker) -> None:
    """Mail comes in on a thread of its own, so that a slow mailbox keeps no case waiting."""
    config = settings.load()
    if config.imap_url is None:
        return
    url, password = config.imap_url, config.imap_password

    def run() -> None:
        try:
            fetch.from_imap(url, password, once=False, taken=own.take)
        except Exception as error:  # the process goes on working cases; the operator sees why no mail comes
            print(f"Mail is not fetched: {error}", file=sys.stderr, flush=True)

    threading.Thread(target=run, name="mail", daemon=True).start()
