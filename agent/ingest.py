"""`countersign ingest SOURCE`: take mail in once, and with --json triage each message at once, one JSON object a line."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent import llm
from agent.mail import fetch
from agent.mail.fetch import Raw
from agent.worker import Worker, worker
from erp_core import db, settings
from erp_core.casework import Recorded
from tools import world


def main(argv: list[str]) -> int:
    """Entry of `countersign ingest`."""
    parser = argparse.ArgumentParser(
        prog="countersign ingest",
        description="Take in mail from a folder of .eml files, an mbox file, a Maildir or imap://user@host/FOLDER.",
        epilog="Example: countersign ingest inbox/ --json > triage.jsonl",
    )
    parser.add_argument("source")
    parser.add_argument("--json", action="store_true", help="one JSON object a message")
    arguments = parser.parse_args(argv)
    told: list[dict[str, Any]] = []
    with db.in_use(), worker(line=llm.configured()) as own, _bar(arguments.source) as advance:

        def tell(line: dict[str, Any]) -> None:
            told.append({"new": line.pop("new"), "error": line.get("error")})
            if arguments.json:
                print(json.dumps(line), flush=True)
            advance()

        if arguments.source.startswith(("imap://", "imaps://")):
            password = settings.load().imap_password
            fetch.from_imap(arguments.source, password, once=True, taken=lambda raw: tell(triage(own, raw)))
        else:
            for line in side_by_side(own, fetch.from_path(Path(arguments.source))):
                tell(line)
    new, failed = sum(t["new"] for t in told), sum(bool(t["error"]) for t in told)
    print(f"{len(told)} messages: {new} new, {len(told) - new} known, {failed} left to a person.", file=sys.stderr)
    return 0


@contextmanager
def _bar(source: str) -> Iterator[Callable[[], None]]:
    """A progress bar where the output is a terminal; call what it yields once a message."""
    total = fetch.count(Path(source)) if "://" not in source else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("Mail", total=total)
        yield lambda: bar.advance(task)


def side_by_side(own: Worker, mails: Iterable[Raw]) -> Iterator[dict[str, Any]]:
    """The lines of messages in the order of the messages; as many are worked at a time as the crew can."""
    free: SimpleQueue[Worker] = SimpleQueue()
    crew = own.crew()
    for member in crew:
        free.put(member)

    def work(member: Worker, raw: Raw, recorded: Recorded, claimed: int | None, started: float) -> dict[str, Any]:
        try:
            return _told(raw, recorded, member.run(claimed) if claimed is not None else None, started)
        finally:
            free.put(member)

    with ThreadPoolExecutor(len(crew)) as pool:
        begun: deque[Future[dict[str, Any]]] = deque()
        of_sender: dict[str, Future[dict[str, Any]]] = {}
        for raw in mails:
            sender = _sender(raw)
            if sender in of_sender:
                wait([of_sender[sender]])  # a second mail of somebody is to know what the first one was about
            of_sender = {who: work for who, work in of_sender.items() if not work.done()}
            member, started = free.get(), time.perf_counter()
            recorded, claimed = member.take_and_claim(raw)
            if not recorded.created:
                wait(begun)  # one of them may be the same message
            of_sender[sender] = pool.submit(work, member, raw, recorded, claimed, started)
            begun.append(of_sender[sender])
            while begun and begun[0].done():
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


SENDER = re.compile(rb"^from:[^\n]{0,300}?([\w.+-]{1,64}@[\w.-]{1,255})", re.I | re.M)


def _sender(raw: Raw) -> str:
    """Whose mail it is, as far as a glance tells: whom to keep in order, not whom to trust."""
    found = SENDER.search(raw.data[:20000])
    return found[1].decode("ascii", "replace").lower() if found else raw.name


def triage(own: Worker, raw: Raw) -> dict[str, Any]:
    """Record and work one message. A known one gives what was found the first time."""
    started = time.perf_counter()
    return _told(raw, *own.take_and_work(raw), started)


def _told(raw: Raw, recorded: Recorded, state: dict[str, Any] | None, started: float) -> dict[str, Any]:
    line = _line(raw.name, state) if state and not state.get("error") else None
    if line is None:
        line = {"file": raw.name, **_known(recorded.case)}
    line["case"] = recorded.case
    line["new"] = recorded.created
    if state and state.get("error"):
        line["error"] = state["error"]
    line["ms"] = round((time.perf_counter() - started) * 1000, 1)
    return line


def _line(name: str, state: dict[str, Any]) -> dict[str, Any]:
    """The output of formats: what was read, what is proposed, what policy says of it."""
    proposal = {"id": state["proposal"], "commands": state["commands"], "policy": state["policy"]}
    return _shape(name, state["read"], state["choice"], proposal)


def _shape(name: str, read: dict[str, Any], choice: dict[str, Any], proposal: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "file": name,
        "message_id": read["message_id"],
        "intent": read["intent"],
        "confidence": read["confidence"],
        "secondary": read["secondary"],
        "customer": read["customer"],
        "supplier": read["supplier"],
        "order": read["order"] or read["cited_order"],
        "refs": read["refs"],
        "items": [{"sku": i["sku"], "quantity": _number(i["quantity"]), "uom": i["uom"]} for i in read["items"]],
        "requested_date": read["requested_date"],
        "action": choice["action"],
        "queue": choice["queue"],
        "priority": choice["priority"],
        "language": read["language"],
        "auto": read["auto"],
        "suspicious": sorted({m["name"] for m in read["marks"]}),
        "proposal": proposal,
        "degraded": bool(read.get("degraded")),
    }


def _number(text: str | None) -> int | float | None:
    if text is None:
        return None
    return int(text) if text.isdigit() else float(text)


def _known(case: int) -> dict[str, Any]:
    """What the case of a known message holds."""
    found = world.case_result(case)
    if found["read"] is None:
        return {"message_id": found["message_id"], "intent": None, "queue": found["queue"], "proposal": None}
    choice = {"action": found["action"], "queue": found["first_queue"], "priority": found["priority"]}
    shaped = _shape("", found["read"], choice, found["proposal"])
    del shaped["file"]
    return shaped
