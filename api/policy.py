"""`countersign policy`: the policy in force and who may sign what; its versions, and the way of one into force."""

from __future__ import annotations

import argparse
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from erp_core import clock, db
from erp_core.actions import requests
from erp_core.commands import ActivatePolicy, BacktestPolicy, Command, ProposePolicy, RollBackPolicy
from erp_core.errors import CountersignError
from erp_core.queries import policies
from erp_core.rules import desk as rules


def main(argv: list[str]) -> int:
    """Show rules and numbers, or run one of the policy's commands under somebody's authority."""
    parser = argparse.ArgumentParser(
        prog="countersign policy",
        description="Show the policy in force, its versions, or bring a version into force.",
        epilog='Example: countersign policy propose --numbers new.toml --as cara@example.com --reason "tolerance of five percent"',
    )
    parser.add_argument(
        "verb",
        nargs="?",
        default="show",
        choices=["show", "versions", "texts", "propose", "backtest", "activate", "rollback"],
    )
    parser.add_argument("version", nargs="?", type=int)
    parser.add_argument("--numbers", type=Path, metavar="FILE", help="policy.toml of the proposal; else as it is")
    parser.add_argument("--authority", type=Path, metavar="FILE", help="authority.cedar of the proposal; else as it is")
    parser.add_argument("--as", dest="actor", metavar="EMAIL")
    parser.add_argument("--reason", default="", help="what changes and why")
    parser.add_argument("--from", dest="start", metavar="TIME", help="for activate: when, in UTC; else at once")
    parser.add_argument("--days", type=int, default=30, help="for backtest")
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="FOLDER", help="for texts: where to write the two files"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.verb in ("propose", "backtest", "activate", "rollback") and not arguments.actor:
        parser.error(f"{arguments.verb} needs --as EMAIL")
    if arguments.verb in ("backtest", "activate", "rollback") and arguments.version is None:
        parser.error(f"{arguments.verb} needs the number of a version")
    with db.in_use(), db.transaction(db.API) as session:
        return _VERBS.get(arguments.verb, _act)(session, arguments)


def _show(session: db.Session, arguments: argparse.Namespace) -> int:
    active = policies.active(session)
    if arguments.json:
        print(json.dumps(active.model_dump(mode="json")))
        return 0
    print(f"{active.name}, hash {active.hash}\n")
    for code, text in rules.rule_names(active.authority).values():
        print(f"  {code}  {text}")
    print("\nTwo people sign above: " + ", ".join(f"{k} {v:,}" for k, v in active.four_eyes.items()))
    return 0


def _versions(session: db.Session, arguments: argparse.Namespace) -> int:
    for row in policies.versions(session, clock.now(session)):
        one = row.version
        told = {"version": one.id, "state": row.state, "summary": one.summary, "author": one.author, "hash": one.hash}
        print(json.dumps(told) if arguments.json else f"{one.id:>4}  {row.state:<10}{one.summary:<60}{one.author}")
    return 0


def _texts(session: db.Session, arguments: argparse.Namespace) -> int:
    number = arguments.version or policies.active_number(session, clock.now(session))
    found = policies.numbered(session, number)
    for name, content in (("policy.toml", found.numbers), ("authority.cedar", found.authority)):
        (arguments.out / name).write_text(content, "utf-8")
        print(arguments.out / name)
    return 0


def _act(session: db.Session, arguments: argparse.Namespace) -> int:
    now = clock.now(session)
    try:
        command = _command(session, arguments, now)
    except ValueError as error:
        raise CountersignError(
            f"{arguments.verb}: {str(error).splitlines()[-1 if 'input' in str(error) else 0].strip()}"
        ) from error
    key = f"policy:{command.type}:{uuid.uuid4().hex}"
    done = requests.act(session, command, key=key, actor=arguments.actor.lower(), now=now)
    told: dict[str, Any] = {"subject": done.change.subject, **(done.change.after or {})}
    print(json.dumps(told) if arguments.json else "\n".join(f"{k}: {v}" for k, v in told.items() if k != "changed"))
    return 0


def _command(session: db.Session, arguments: argparse.Namespace, now: datetime) -> Command:
    if arguments.verb == "propose":
        base = policies.numbered(session, policies.active_number(session, now))
        return ProposePolicy(
            numbers=_read(arguments.numbers) if arguments.numbers else base.numbers,
            authority=_read(arguments.authority) if arguments.authority else base.authority,
            summary=arguments.reason,
        )
    if arguments.verb == "backtest":
        return BacktestPolicy(version=arguments.version, days=arguments.days)
    if arguments.verb == "rollback":
        return RollBackPolicy(version=arguments.version, reason=arguments.reason)
    start = datetime.fromisoformat(arguments.start) if arguments.start else None
    start = start.replace(tzinfo=UTC) if start and start.tzinfo is None else start
    return ActivatePolicy(version=arguments.version, active_from=start, reason=arguments.reason)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CountersignError(f"{path} cannot be read: {error}") from error


_VERBS = {"show": _show, "versions": _versions, "texts": _texts}
