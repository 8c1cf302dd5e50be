"""`countersign cases`: what is open."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Table

from api.views import row_json
from erp_core import clock, db
from erp_core.queries import desk
from erp_core.queries.desk import Filter


def main(argv: list[str]) -> int:
    """List cases by priority and due time."""
    parser = argparse.ArgumentParser(
        prog="countersign cases",
        description="List open cases.",
        epilog="Example: countersign cases --queue credit --json",
    )
    parser.add_argument("--queue")
    parser.add_argument("--search", default="", metavar="WORDS")
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use(), db.reading(db.API) as session:
        now = clock.now(session)
        wanted = Filter(queue=arguments.queue, words=arguments.search)
        rows = [row_json(row, now) for row in desk.case_rows(session, wanted, now, arguments.limit)]
    if arguments.json:
        print(json.dumps(rows, default=str))
        return 0
    table = Table("Case", "Left", "Priority", "Queue", "Who", "About", "Proposal")
    for row in rows:
        who = row["customer_name"] or row["sender"] or ""
        proposal = f"{row['proposal']}: {row['action']}" if row["proposal"] else ""
        table.add_row(str(row["case"]), row["time_left"], row["priority"], row["queue"], who, row["title"], proposal)
    Console().print(table)
    return 0
