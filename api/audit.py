"""`countersign audit`: check the journal, or write the evidence of a case into a folder that anybody can check."""

from __future__ import annotations

import argparse
import getpass
import json
from pathlib import Path
from typing import Any

from api import evidence, witness
from erp_core import clock, db, settings
from erp_core.queries import proof
from erp_core.queries.proof import Fault

CHECKS = ("chain", "rows", "doors")


def main(argv: list[str]) -> int:
    """Exit status 1 when something is not as it was sealed."""
    parser = argparse.ArgumentParser(
        prog="countersign audit",
        description="Check the journal against its seals and the house against the journal, or write a case's evidence pack.",
        epilog="Example: countersign audit verify --seal /mnt/witness/seals.jsonl; countersign audit pack 17 --out case-17",
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("verify", help="follow the chain, rebuild the rows, look for changes past the door")
    check.add_argument(
        "--seal", type=Path, metavar="FILE", help="seals kept elsewhere; else the witness file of this installation"
    )
    check.add_argument("--chain-only", action="store_true", help="leave the rows out")
    check.add_argument("--json", action="store_true")
    pack = verbs.add_parser("pack", help="everything on a case, with its stretch of the chain")
    pack.add_argument("case", type=int)
    pack.add_argument("--out", type=Path, metavar="FOLDER", help="default: case-<number>")
    arguments = parser.parse_args(argv)
    return _verify(arguments) if arguments.verb == "verify" else _pack(arguments.case, arguments.out)


def _verify(arguments: argparse.Namespace) -> int:
    path = arguments.seal or settings.load().witness
    seals = witness.read(path) if arguments.seal or path.exists() else []
    with db.in_use(), db.reading(db.API) as session:
        found = proof.verify(session, seals)
        rows: list[Fault] = [] if arguments.chain_only else proof.rebuilt(session)
        doors: list[Fault] = [] if arguments.chain_only else [*proof.unwatched(session), *proof.unexplained(session)]
        said: list[Fault] = [] if arguments.chain_only else proof.altered(session)
        tables = len(proof.kept_tables())
    faults = {"chain": found.faults, "rows": rows, "doors": doors, "said": said}
    wrong = sum(len(f) for f in faults.values())
    told: dict[str, Any] = {
        "position": found.position,
        "hash": found.hash,
        "seals": len(seals),
        "waiting": found.waiting,
        "tables": tables,
        "faults": {name: [f.__dict__ for f in listed] for name, listed in faults.items()},
    }
    if arguments.json:
        print(json.dumps(told))
        return 1 if wrong else 0
    print(f"Chain: {found.position:,} positions, ends in {found.hash}")
    print(
        f"Witness: {len(seals):,} seals of {path}"
        if seals
        else f"Witness: no seals in {path}; the chain was checked by itself only"
    )
    if found.waiting:
        print(f"Not in the chain yet: {found.waiting:,}; the clock takes them in within a second while it runs")
    if not arguments.chain_only:
        print(f"Rows: {tables} tables rebuilt from their images and compared; each change looked up in the journal")
    for name, listed in faults.items():
        for fault in listed:
            print(f"  {name}: {fault.where} {fault.what}")
    print("All is as it was sealed." if not wrong else f"{wrong} thing{'s are' if wrong > 1 else ' is'} not as sealed.")
    return 1 if wrong else 0


def _pack(case: int, out: Path | None) -> int:
    folder = out or Path(f"case-{case}")
    with db.in_use(), db.transaction(db.API) as session:
        files = evidence.pack(session, case, actor=getpass.getuser(), now=clock.now(session))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    print(f"{folder}: {len(files)} files. Open index.html; check with: python3 {folder}/verify.py")
    return 0
