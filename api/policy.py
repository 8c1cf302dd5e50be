"""`countersign policy`: the policy in force, and who may sign what."""

from __future__ import annotations

import argparse
import json

from erp_core import db
from erp_core.queries import policies
from erp_core.rules import desk as rules


def main(argv: list[str]) -> int:
    """Show rules and numbers."""
    parser = argparse.ArgumentParser(
        prog="countersign policy", description="Show the policy in force.", epilog="Example: countersign policy --json"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use(), db.reading(db.API) as session:
        active = policies.active(session)
    if arguments.json:
        print(json.dumps(active.model_dump(mode="json")))
        return 0
    print(f"{active.name}, hash {active.hash}\n")
    for code, text in rules.rule_names(active.authority).values():
        print(f"  {code}  {text}")
    print("\nTwo people sign above: " + ", ".join(f"{k} {v:,}" for k, v in active.four_eyes.items()))
    return 0
