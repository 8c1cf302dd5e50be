"""`countersign ingest SOURCE`: take mail in once, and with --json triage each message at once, one JSON object a line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent.mail import fetch
from agent.mail.fetch import Raw
from agent.worker import Worker, worker
from erp_core import db, settings
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
    with db.in_use(), worker() as own:
        new = known = failed = 0
        for raw in _with_bar(arguments.source, quiet=False):
            line = triage(own, raw)
            new, known = new + line["new"], known + (not line["new"])
            failed += bool(line.get("error"))
            if arguments.json:
                print(json.dumps({k: v for k, v in line.items() if k != "new"}), flush=True)
    print(f"{new + known} messages: {new} new, {known} known, {failed} left to a person.", file=sys.stderr)
    return 0


def _messages(source: str) -> Iterator[Raw]:
    if not source.startswith(("imap://", "imaps://")):
        yield from fetch.from_path(Path(source))
        return
    taken: list[Raw] = []
    fetch.from_imap(source, settings.load().imap_password, once=True, taken=taken.append)
    yield from taken


def _with_bar(source: str, *, quiet: bool) -> Iterator[Raw]:
    total = fetch.count(Path(source)) if "://" not in source else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task("Mail", total=total)
        for raw in _messages(source):
            yield raw
            bar.advance(task)


def triage(own: Worker, raw: Raw) -> dict[str, Any]:
    """Record and work one message. A known one gives what was found the first time."""
    started = time.perf_counter()
    recorded = own.take(raw)
    state = own.work(recorded.case) if recorded.created else None
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
        "degraded": False,
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
