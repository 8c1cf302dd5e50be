"""`countersign token`: bearer tokens for the API, each shown once."""

from __future__ import annotations

import argparse
import getpass
import json

from erp_core import clock, db
from erp_core.actions import access


def main(argv: list[str]) -> int:
    """Make, list or end tokens."""
    parser = argparse.ArgumentParser(
        prog="countersign token",
        description="Make an API token for a user, list tokens, or end one.",
        epilog="Example: countersign token wms@example.com --name warehouse --scope read --scope write --days 30",
    )
    parser.add_argument("email", metavar="EMAIL|list|revoke")
    parser.add_argument("handle", nargs="?", help="for revoke: the token as `list` shows it")
    parser.add_argument("--name", default="", help="what it is for")
    parser.add_argument(
        "--scope", action="append", choices=sorted(access.SCOPES), help="may be said again; default: all"
    )
    parser.add_argument("--days", type=int, help="how long it lasts; default: as long as policy lets it")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use(), db.transaction(db.API) as session:
        now = clock.now(session)
        if arguments.email == "list":
            _list(session, as_json=arguments.json)
        elif arguments.email == "revoke":
            access.revoke_token(session, arguments.handle or "", getpass.getuser(), now)
            print("The token has ended.")
        else:
            scopes = arguments.scope or [access.EVERYTHING]
            print(
                access.issue_token(
                    session, arguments.email, now, name=arguments.name, scopes=scopes, days=arguments.days
                )
            )
    return 0


def _list(session: db.Session, *, as_json: bool) -> None:
    for t in access.tokens(session, clock.now(session)):
        told = {
            "token": t.token_hash[:12],
            "email": t.email,
            "name": t.name,
            "scopes": list(t.scopes),
            "until": t.expires_at.isoformat(),
        }
        line = f"{told['token']}  {t.email:<40}{t.name:<20}{', '.join(t.scopes):<16}until {t.expires_at:%Y-%m-%d}"
        print(json.dumps(told) if as_json else line)
