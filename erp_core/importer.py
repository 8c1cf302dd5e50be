"""Import of a folder of CSV files: all of it or nothing, with a report that names file, line and column.

What is there already stays as it is, so that importing a folder twice changes nothing. New orders with status `new` go through
the same door as any other; the rest is history and stored as told.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from erp_core import clock, db
from erp_core.actions import accounts, clocks, ledger
from erp_core.actions.intake import IMPORT
from erp_core.errors import CountersignError
from erp_core.import_buying import NAMES as BOUGHT
from erp_core.import_buying import buying
from erp_core.import_files import FILES, ReadFile, Report, check_references, read_file, rows_of
from erp_core.import_orders import Told, orders, owed_by, place_new, shipped_quantities
from erp_core.rules.names import spelling
from erp_core.tables.desk import JournalEntry
from erp_core.tables.governance import Installation
from erp_core.values import digest


def import_folder(session: Session, folder: Path, now: datetime, *, partial: bool = False) -> Report:
    """Read every file, then write. With complaints and without `partial`, nothing is written."""
    if not folder.is_dir():
        raise CountersignError(f"There is no folder {folder}.")
    report = Report()
    files = [read_file(spec, folder / f"{spec.name}.csv", report) for spec in FILES]
    check_references(session, files, report)
    if report.complaints and not partial:
        return report
    new: list[Told] = []
    for read in files:
        if read.spec.name in ("sales_orders", "sales_order_lines", *BOUGHT):
            continue
        if read.spec.name == "shipments":
            new = orders(session, files, report, now)
        _store(session, read, report)
        if read.spec.name == "stock":
            ledger.open_balances(session, now)
    place_new(session, new, report, now)
    buying(session, files, report, now)
    shipped_quantities(session, [values["number"] for _, values, _ in rows_of(files, "sales_orders")])
    accounts.recount(session)
    if any(report.imported.values()):
        _journal(session, folder, report, now)
    return report


def _store(session: Session, read: ReadFile, report: Report) -> None:
    spec = read.spec
    records = [{(spec.columns[k].attribute or k): v for k, v in values.items()} for _, values, _ in read.rows]
    if spec.name == "invoices":
        owed_by(session, records)
    if "name_vector" in inspect(spec.table).columns:
        records = [{**record, "name_vector": spelling(record["name"])} for record in records]
    stored = 0
    for start in range(0, len(records), 1000):
        statement = insert(spec.table).values(records[start : start + 1000]).on_conflict_do_nothing()
        key = inspect(spec.table).primary_key[0]
        stored += len(session.execute(statement.returning(key)).all())
    report.imported[spec.name] += stored
    report.known[spec.name] += len(records) - stored


def _journal(session: Session, folder: Path, report: Report, now: datetime) -> None:
    after = {"folder": folder.name, "imported": dict(report.imported), "rejected": len(report.complaints)}
    key = f"import:{now.isoformat()}:{digest(after)[:12]}"
    entry = JournalEntry(
        at=now,
        actor=IMPORT,
        tag="installation:folder:imported",
        key=key,
        input_hash=digest(after),
        after=after,
        facts={},
    )
    session.add(entry)


def write_rejected(folder: Path, report: Report) -> Path:
    """The bad rows as CSV with a last column `reason`, in `rejected/` beside the files."""
    target = folder / "rejected"
    target.mkdir(exist_ok=True)
    for name, rows in report.rejected.items():
        with (target / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            columns = next(s for s in FILES if s.name == name).columns
            writer.writerow([*columns, "reason"])
            writer.writerows([*(raw.get(c) or "" for c in columns), reason] for _, raw, reason in rows)
    return target


def set_clock(session: Session, as_of: date, *, in_the_evening: bool = False) -> None:
    """Remember the installation's "now" as an offset in days; a trial world begins at 18:00 (UTC), whenever it is tried."""
    value: dict[str, int | str] = {"days": clock.offset_for(as_of), "as_of": as_of.isoformat()}
    if in_the_evening:
        value["seconds"] = clock.seconds_to(18)
    kept = session.get(Installation, "clock")
    if kept is None:
        session.add(Installation(name="clock", value=value))
    elif kept.value.get("as_of") != value["as_of"]:
        kept.value = value
    session.flush()
    clocks.renew_spans(session, clock.now(session))


def main(argv: list[str]) -> int:
    """`countersign import DIR`."""
    parser = argparse.ArgumentParser(
        prog="countersign import",
        description="Import a folder of CSV files. With errors nothing is imported.",
        epilog="Example: countersign import data/ --as-of 2026-06-15",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--as-of", type=date.fromisoformat, metavar="DATE", help="the installation's today from now on")
    parser.add_argument("--partial", action="store_true", help="import the good rows, write the bad ones to rejected/")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments = parser.parse_args(argv)
    with db.in_use(), db.transaction(db.API) as session:
        if arguments.as_of:
            set_clock(session, arguments.as_of)
        report = import_folder(session, arguments.folder, clock.now(session), partial=arguments.partial)
        refused = bool(report.complaints) and not arguments.partial
        if refused:
            session.rollback()
    if report.rejected and arguments.partial:
        print(f"Bad rows are in {write_rejected(arguments.folder, report)}.", file=sys.stderr)
    _print(report, refused, arguments.json)
    return 1 if report.complaints else 0


def _print(report: Report, refused: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.as_json()))
        return
    for complaint in report.complaints[:50]:
        print(complaint, file=sys.stderr)
    if len(report.complaints) > 50:
        print(f"... and {len(report.complaints) - 50} more", file=sys.stderr)
    if refused:
        print(f"{len(report.complaints)} errors: nothing was imported. Mend them, or use --partial.", file=sys.stderr)
        return
    for line in _counts(report):
        print(line)


def _counts(report: Report) -> Iterator[str]:
    for spec in FILES:
        if report.imported[spec.name] or report.known[spec.name]:
            known = f" ({report.known[spec.name]} known)" if report.known[spec.name] else ""
            yield f"{spec.name:<22}{report.imported[spec.name]:>7}{known}"
