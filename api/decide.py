"""`countersign decide PROPOSAL VERDICT --as EMAIL`: the same decision as in the console."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from api import words
from erp_core import clock, db
from erp_core.actions import desk as decisions
from erp_core.actions.desk import DecisionResult, Said
from erp_core.errors import CountersignError
from erp_core.queries import desk
from erp_core.values import Outcome, ProposalStatus, Verdict

FAILED = (Outcome.REFUSED, Outcome.STALE)


def main(argv: list[str]) -> int:
    """Exit status 1 when the decision is refused or stale."""
    parser = argparse.ArgumentParser(
        prog="countersign decide",
        description="Approve, amend, reject, instruct, escalate or snooze a proposal.",
        epilog='Example: countersign decide 9 approve --as ava@example.com --reason "confirmed by phone"',
    )
    parser.add_argument("proposal", type=int)
    parser.add_argument("verdict", choices=[v.value for v in Verdict])
    parser.add_argument("--as", dest="actor", required=True, metavar="EMAIL")
    parser.add_argument(
        "--reason", default="", help="the reason, or the instruction to the agent; needed unless you approve or snooze"
    )
    parser.add_argument("--digest", help="of the preview you saw; without it the present one is shown and taken")
    parser.add_argument("--commands", type=Path, metavar="FILE", help="JSON file with the amended commands")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    verdict = Verdict(arguments.verdict)
    if verdict == Verdict.AMEND and not arguments.commands:
        parser.error("amend needs --commands FILE")
    amended = _read(arguments.commands) if arguments.commands else None
    with db.in_use(), db.transaction(db.API) as session:
        now = clock.now(session)
        shown = arguments.digest
        if verdict == Verdict.APPROVE and shown is None:
            shown = _show(session, arguments.proposal, quiet=arguments.json)
        said = Said(verdict, arguments.reason, shown, amended)
        result = decisions.decide(session, arguments.proposal, said, actor=arguments.actor.lower(), now=now)
    _print(result, as_json=arguments.json)
    return 1 if result.outcome in FAILED else 0


def _read(path: Path) -> list[dict[str, object]]:
    try:
        commands: list[dict[str, object]] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CountersignError(f"{path} cannot be read: {error}") from error
    return commands


def _show(session: db.Session, number: int, *, quiet: bool) -> str | None:
    """Print what signing would do now; the digest of exactly that."""
    proposal = desk.proposal(session, number)
    if proposal.status != ProposalStatus.PENDING:
        return None
    seen = decisions.preview(session, proposal, clock.now(session))
    for change in () if quiet else seen.changes:
        print(words.tag_words(change.tag))
        for row in words.diff_rows(change.before, change.after):
            print(f"  {row['field']}: {row['was']} → {row['now']}")
    return seen.digest


def _print(result: DecisionResult, *, as_json: bool) -> None:
    if as_json:
        print(
            json.dumps(
                {"outcome": result.outcome, "text": result.text, "detail": result.detail, "decision": result.decision}
            )
        )
    else:
        print(f"{result.outcome}: {result.text}")
