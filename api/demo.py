"""`countersign demo`: a sample distributor, its inbox worked, and the console to look at it. Running it twice changes nothing."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import jwt
from rich.console import Console
from rich.table import Table

from api import serve
from erp_core import clock, db, importer, migrate, settings
from erp_core.actions import access, requests
from erp_core.commands import COMMAND
from erp_core.db import Session
from erp_core.errors import BadSetting
from erp_core.queries import desk

SAMPLE = Path(__file__).parent.parent / "evals" / "sample"
AS_OF = "2026-06-15"
CUSTOMER = "sofia.lindqvist@redstoneelectric.example"
PASSWORD = "countersign-demo"  # noqa: S105 - printed on purpose; the demo listens on this machine only


def main(argv: list[str]) -> int:
    """Import, ingest, show; serve unless SERVE=0."""
    parser = argparse.ArgumentParser(
        prog="countersign demo",
        description="Import the sample distributor, work its inbox, print a table, serve the console (SERVE=0 ends before).",
        epilog="Example: SERVE=0 countersign demo",
    )
    parser.parse_args(argv)
    config = settings.load()
    if not config.embedded:
        raise BadSetting("The demo uses its own embedded database; unset the COUNTERSIGN_…DATABASE_URL variables.")
    started = time.monotonic()
    with db.in_use():
        migrate.migrate()
        _import()
        _events()
        # the agent is another role, so it is another process
        done = subprocess.run([sys.executable, "-m", "erp_core.cli", "ingest", str(SAMPLE / "inbox")], check=False)
        if done.returncode == 0:
            done = subprocess.run([sys.executable, "-m", "erp_core.cli", "work", "--once"], check=False)
        if done.returncode:
            return done.returncode
        with db.reading(db.API) as session:
            _table(session, time.monotonic() - started)
        if config.serve:
            _chat_link()
            serve.run()
    return 0


def _chat_link() -> None:
    """The demo sends no mail, so a customer comes in by a portal's word: the secret is of this run alone."""
    key = secrets.token_urlsafe(32)
    os.environ["COUNTERSIGN_PORTAL_SECRET"] = key
    token = jwt.encode({"email": CUSTOMER, "exp": int(time.time()) + 12 * 3600}, key, algorithm="HS256")
    config = settings.load()
    place = f"http://{config.host}:{config.port}/chat?token={token}"
    print(f"\nChat as a customer, {CUSTOMER}:\n  {place}\n", flush=True)


def _import() -> None:
    with db.transaction(db.API) as session:
        importer.set_clock(session, date.fromisoformat(AS_OF))
        report = importer.import_folder(session, SAMPLE / "world", clock.now(session))
        if report.complaints:
            raise BadSetting(f"The sample world is damaged: {report.complaints[0]}")
        if report.imported.get("users"):
            for user, _ in desk.people(session):
                access.set_password(session, user.email, PASSWORD)


def _events() -> None:
    """What happened at the dock and came by post that morning: by the people whose work it is, each once."""
    for number, line in enumerate((SAMPLE / "events.jsonl").read_text("utf-8").splitlines()):
        told = json.loads(line)
        with db.transaction(db.API) as session:
            command = COMMAND.validate_python(told["command"])
            requests.act(session, command, key=f"demo:{number}", actor=told["as"], now=clock.now(session))


def _table(session: Session, seconds: float) -> None:
    now = clock.now(session)
    table = Table("Queue", "Open", "Proposals to sign", "Late", title="Cases by queue")
    counts = sorted(desk.queue_counts(session, now), key=lambda q: -q.open)
    for q in counts:
        table.add_row(
            "machine mail" if q.queue == "none" else q.queue.replace("_", " "), str(q.open), str(q.to_sign), str(q.late)
        )
    totals = desk.totals(session)
    table.add_section()
    table.add_row(
        "all", str(sum(q.open for q in counts)), str(sum(q.to_sign for q in counts)), str(sum(q.late for q in counts))
    )
    out = Console()
    out.print(table)
    out.print(f"{totals.messages} messages, {totals.cases} cases, {totals.proposals} proposals, {seconds:.1f} s")
    out.print("\nSign in with any of these and the password [b]" + PASSWORD + "[/b]:")
    for user, _ in desk.people(session):
        out.print(f"  {user.email:<44}{', '.join(user.roles)}", highlight=False)
