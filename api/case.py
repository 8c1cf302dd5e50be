"""`countersign case ID`: one case with its mail, proposal, preview and journal."""

from __future__ import annotations

import argparse
import json

from api import words
from api.command_words import command_words
from api.views import case_json
from erp_core import clock, db
from erp_core.queries import desk


def main(argv: list[str]) -> int:
    """Show one case."""
    parser = argparse.ArgumentParser(
        prog="countersign case", description="Show one case.", epilog="Example: countersign case 17 --json"
    )
    parser.add_argument("number", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use(), db.transaction(db.API) as session:
        found = case_json(session, desk.case_file(session, arguments.number), clock.now(session))
        session.rollback()
    if arguments.json:
        print(json.dumps(found, default=str))
        return 0
    print(
        f"#{found['case']} {found['title']}\n{found['status']} in {found['queue']}, {found['priority']}, due {found['due_at']}\n"
    )
    for message in found["messages"]:
        print(f"From {message['from']}: {message['subject']}\n{message['text']}\n")
    if found["proposal"]:
        _print_proposal(found["proposal"])
    for entry in found["journal"]:
        print(f"{entry['at']:%Y-%m-%d %H:%M:%S}  {entry['actor']:<40}{words.tag_words(entry['tag'])}")
    return 0


def _print_proposal(proposal: dict[str, object]) -> None:
    print(f"Proposal {proposal['id']} ({proposal['status']}, {proposal['confidence']}): {proposal['rationale']}")
    for number, command in enumerate(proposal["commands"], start=1):  # type: ignore[arg-type, var-annotated]
        print(f"  {number}. {command_words(command)}")
    for change in proposal.get("preview", []):  # type: ignore[attr-defined]
        for row in change["rows"]:
            print(f"     {row['field']}: {row['was']} → {row['now']}")
    for problem in proposal.get("problems", []):  # type: ignore[attr-defined]
        print(f"     cannot run: {problem['text']}")
    print()
