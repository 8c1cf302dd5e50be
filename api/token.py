"""`countersign token EMAIL`: a bearer token for the API, shown once."""

from __future__ import annotations

import argparse

from erp_core import clock, db
from erp_core.actions import access


def main(argv: list[str]) -> int:
    """Print a new token; it lasts 90 days or until the password changes."""
    parser = argparse.ArgumentParser(
        prog="countersign token",
        description="Make an API token for a user.",
        epilog="Example: countersign token ida@example.com",
    )
    parser.add_argument("email")
    arguments = parser.parse_args(argv)
    with db.in_use(), db.transaction(db.API) as session:
        print(access.issue_token(session, arguments.email, clock.now(session)))
    return 0
