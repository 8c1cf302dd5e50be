"""`countersign user`: list colleagues, or set a password."""

from __future__ import annotations

import argparse
import getpass
import json
import sys

from erp_core import db
from erp_core.actions import access
from erp_core.queries import desk


def main(argv: list[str]) -> int:
    """Passwords are read from the terminal or from standard input, never from the command line."""
    parser = argparse.ArgumentParser(
        prog="countersign user",
        description="List users, or set a password.",
        epilog="Example: countersign user password ida@example.com",
    )
    parser.add_argument("verb", choices=["list", "password"])
    parser.add_argument("email", nargs="?")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.verb == "password" and not arguments.email:
        parser.error("password needs an e-mail address")
    with db.in_use(), db.transaction(db.API) as session:
        if arguments.verb == "list":
            users = [
                {"email": u.email, "name": u.name, "roles": u.roles, "limit": str(u.approval_limit)}
                for u, _ in desk.people(session)
            ]
            for user in users:
                print(
                    json.dumps(user)
                    if arguments.json
                    else f"{user['email']:<44}{', '.join(user['roles']):<28}{user['limit']:>12}"
                )
            return 0
        password = getpass.getpass("New password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        access.set_password(session, arguments.email, password)
    print("The password is set; earlier sessions of this user have ended.")
    return 0
