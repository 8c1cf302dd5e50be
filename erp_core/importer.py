"""Import of a folder of CSV files: all of it or nothing, with a report that names file, line and column.

What is there already stays as it is, so that importing a folder twice changes nothing. New orders with status `new` go through
the same door as any other; the rest is history and stored as told.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from erp_core import clock, db
from erp_core.actions import accounts, execute_orders
from erp_core.actions.intake import Asked
from erp_core.commands import NewLine, PlaceOrder
from erp_core.errors import CountersignError
from erp_core.queries import catalog as catalog_queries
from erp_core.queries import sales as sales_queries
from erp_core.rules.catalog import to_base
from erp_core.tables import Base
from erp_core.tables.billing import Invoice
from erp_core.tables.catalog import Item, Price, Substitute
from erp_core.tables.desk import JournalEntry
from erp_core.tables.fulfilment import Shipment, ShipmentLine
from erp_core.tables.governance import Installation
from erp_core.tables.parties import Contact, Customer, Entity, Supplier, User
from erp_core.tables.purchasing import PurchaseOrder, PurchaseOrderLine
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.tables.stock import StockLevel, Warehouse
from erp_core.values import digest

ACTOR = "import"
Convert = Callable[[str], Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A CSV column: how its text becomes a value, whether it may be empty, and whose key it must name."""

    convert: Convert
    optional: bool = False
    refers: str | None = None
    attribute: str | None = None


@dataclass(frozen=True)
class FileSpec:
    """One file of the folder: its table, key columns and columns."""

    name: str
    table: type[Base]
    key: tuple[str, ...]
    columns: dict[str, Column]


@dataclass(frozen=True)
class Complaint:
    """Something wrong with one place of one file."""

    file: str
    line: int
    column: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}.csv line {self.line}, column {self.column}: {self.text}"


@dataclass
class Report:
    """What came in, what was there already, and what is wrong."""

    imported: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    known: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    rejected: dict[str, list[tuple[int, Row, str]]] = field(default_factory=lambda: defaultdict(list))
    complaints: list[Complaint] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "imported": dict(self.imported),
            "known": dict(self.known),
            "errors": [c.__dict__ for c in self.complaints],
        }


def _text(value: str) -> str:
    if "\0" in value or len(value) > 500:
        raise ValueError("text of up to 500 characters expected")
    return value


def _decimal(value: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"'{value}' is no number; write 1234.50") from None
    if not number.is_finite() or number < 0 or number > 10**12:
        raise ValueError(f"'{value}' is out of range")
    return number


def _integer(value: str) -> int:
    number = _decimal(value)
    if number != number.to_integral_value():
        raise ValueError(f"'{value}' is no whole number")
    return int(number)


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"'{value}' is no date; write 2026-06-15") from None


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"'{value}' is no time; write 2026-06-15T14:30:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _flag(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError(f"'{value}' is neither true nor false")
    return value.lower() == "true"


def _word(*words: str) -> Convert:
    def convert(value: str) -> str:
        if value not in words:
            raise ValueError(f"'{value}' is not one of {', '.join(words)}")
        return value

    return convert


def _roles(value: str) -> list[str]:
    return [role.strip() for role in value.split(";") if role.strip()]


def _email(value: str) -> str:
    if value.count("@") != 1:
        raise ValueError(f"'{value}' is no e-mail address")
    return value.strip().lower()


TEXT, DECIMAL, INTEGER, DAY, MOMENT, FLAG = (
    Column(_text),
    Column(_decimal),
    Column(_integer),
    Column(_day),
    Column(_moment),
    Column(_flag),
)
MAYBE, MAYBE_DAY, MAYBE_MOMENT = Column(_text, True), Column(_day, True), Column(_moment, True)


def _to(file: str, attribute: str | None = None, optional: bool = False) -> Column:
    return Column(_text, optional, file, attribute)


FILES = [
    FileSpec("entities", Entity, ("code",), {"code": TEXT, "name": TEXT, "currency": TEXT, "country": TEXT}),
    FileSpec(
        "warehouses",
        Warehouse,
        ("code",),
        {"code": TEXT, "entity": _to("entities"), "name": TEXT, "country": TEXT, "region": MAYBE},
    ),
    FileSpec(
        "customers",
        Customer,
        ("code",),
        {
            "code": TEXT,
            "entity": _to("entities"),
            "name": TEXT,
            "tier": Column(_word("A", "B", "C")),
            "segment": MAYBE,
            "payment_terms_days": INTEGER,
            "credit_limit": DECIMAL,
            "currency": TEXT,
            "country": TEXT,
            "email_domain": MAYBE,
            "status": Column(_word("active", "blocked")),
        },
    ),
    FileSpec(
        "contacts",
        Contact,
        ("customer", "email"),
        {"customer": _to("customers"), "name": TEXT, "email": Column(_email), "role": MAYBE},
    ),
    FileSpec(
        "items",
        Item,
        ("sku",),
        {
            "sku": TEXT,
            "name": TEXT,
            "uom": TEXT,
            "units_per_case": DECIMAL,
            "category": MAYBE,
            "list_price": DECIMAL,
            "unit_cost": DECIMAL,
            "export_class": MAYBE,
            "hazmat": FLAG,
            "status": Column(_word("active", "discontinued")),
        },
    ),
    FileSpec(
        "substitutes",
        Substitute,
        ("sku", "substitute_sku"),
        {
            "sku": _to("items"),
            "substitute_sku": _to("items"),
            "priority": INTEGER,
            "customer_approval_required": FLAG,
        },
    ),
    FileSpec(
        "prices",
        Price,
        ("customer", "sku", "min_quantity", "valid_from"),
        {
            "customer": _to("customers"),
            "sku": _to("items"),
            "min_quantity": DECIMAL,
            "unit_price": DECIMAL,
            "valid_from": DAY,
            "valid_to": MAYBE_DAY,
        },
    ),
    FileSpec(
        "suppliers",
        Supplier,
        ("code",),
        {
            "code": TEXT,
            "name": TEXT,
            "lead_time_days": INTEGER,
            "risk": Column(_word("low", "medium", "high")),
            "email_domain": MAYBE,
        },
    ),
    FileSpec(
        "stock",
        StockLevel,
        ("warehouse", "sku"),
        {
            "warehouse": _to("warehouses"),
            "sku": _to("items"),
            "on_hand": Column(_decimal, attribute="quantity_on_hand"),
        },
    ),
    FileSpec(
        "sales_orders",
        SalesOrder,
        ("number",),
        {
            "number": TEXT,
            "customer": _to("customers"),
            "channel": Column(_word("email", "edi", "portal", "sales_rep", "ecommerce")),
            "customer_po": MAYBE,
            "ordered_at": MOMENT,
            "requested_date": MAYBE_DAY,
            "warehouse": _to("warehouses"),
            "ship_to_country": TEXT,
            "status": Column(_word("new", "shipped", "invoiced", "cancelled")),
        },
    ),
    FileSpec(
        "sales_order_lines",
        OrderLine,
        ("order", "line"),
        {
            "order": _to("sales_orders", "order_number"),
            "line": INTEGER,
            "sku": _to("items"),
            "quantity": Column(_decimal, attribute="quantity_ordered"),
            "uom": TEXT,
            "unit_price": DECIMAL,
        },
    ),
    FileSpec(
        "shipments",
        Shipment,
        ("number",),
        {
            "number": TEXT,
            "order": _to("sales_orders", "order_number"),
            "warehouse": _to("warehouses"),
            "shipped_at": MOMENT,
            "carrier": MAYBE,
            "tracking": MAYBE,
            "delivered_at": MAYBE_MOMENT,
        },
    ),
    FileSpec(
        "shipment_lines",
        ShipmentLine,
        ("shipment", "line"),
        {"shipment": _to("shipments"), "line": INTEGER, "sku": _to("items"), "quantity": DECIMAL},
    ),
    FileSpec(
        "invoices",
        Invoice,
        ("number",),
        {
            "number": TEXT,
            "order": _to("sales_orders", "order_number"),
            "shipment": _to("shipments", optional=True),
            "invoiced_at": DAY,
            "amount": DECIMAL,
            "paid_at": MAYBE_DAY,
        },
    ),
    FileSpec(
        "purchase_orders",
        PurchaseOrder,
        ("number",),
        {
            "number": TEXT,
            "supplier": _to("suppliers"),
            "warehouse": _to("warehouses"),
            "ordered_at": DAY,
            "expected_date": MAYBE_DAY,
            "status": Column(_word("open", "approved", "received")),
        },
    ),
    FileSpec(
        "purchase_order_lines",
        PurchaseOrderLine,
        ("order", "line"),
        {
            "order": _to("purchase_orders", "order_number"),
            "line": INTEGER,
            "sku": _to("items"),
            "quantity": DECIMAL,
            "unit_cost": DECIMAL,
        },
    ),
    FileSpec(
        "users",
        User,
        ("email",),
        {"email": Column(_email), "name": TEXT, "roles": Column(_roles), "approval_limit": DECIMAL},
    ),
]


@dataclass
class _Read:
    """A file's good rows by line, before anything is written."""

    spec: FileSpec
    rows: list[tuple[int, Row, Row]] = field(default_factory=list)


def import_folder(session: Session, folder: Path, now: datetime, *, partial: bool = False) -> Report:
    """Read every file, then write. With complaints and without `partial`, nothing is written."""
    if not folder.is_dir():
        raise CountersignError(f"There is no folder {folder}.")
    report = Report()
    files = [_read(spec, folder / f"{spec.name}.csv", report) for spec in FILES]
    _check_references(session, files, report)
    if report.complaints and not partial:
        return report
    for read in files:
        if read.spec.name in ("sales_orders", "sales_order_lines"):
            continue
        if read.spec.name == "shipments":
            _orders(session, files, report, now)
        _store(session, read, report)
    _shipped_quantities(session, [values["number"] for _, values, _ in _rows(files, "sales_orders")])
    accounts.recount(session)
    if any(report.imported.values()):
        _journal(session, folder, report, now)
    return report


def _read(spec: FileSpec, path: Path, report: Report) -> _Read:
    read = _Read(spec)
    if not path.exists():
        return read
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        report.complaints.append(Complaint(spec.name, line, "-", "not UTF-8; save the file as UTF-8"))
        return read
    reader = csv.DictReader(text.splitlines(), strict=True)
    header = reader.fieldnames or []
    unknown = [name for name in header if name not in spec.columns]
    missing = [name for name in spec.columns if name not in header]
    report.complaints += [Complaint(spec.name, 1, name, "unknown column") for name in unknown]
    report.complaints += [Complaint(spec.name, 1, name, "column missing") for name in missing]
    if not unknown and not missing:
        _read_rows(read, reader, report)
    return read


def _read_rows(read: _Read, reader: csv.DictReader[str], report: Report) -> None:
    seen: set[tuple[str, ...]] = set()
    try:
        for raw in reader:
            values, complaints = _row(read.spec, reader.line_num, raw)
            key = tuple(str(values.get(name)) for name in read.spec.key)
            if not complaints and key in seen:
                complaints = [
                    Complaint(read.spec.name, reader.line_num, read.spec.key[0], f"{'/'.join(key)} stands here twice")
                ]
            seen.add(key)
            if complaints:
                _reject(report, read.spec, reader.line_num, raw, complaints)
            else:
                read.rows.append((reader.line_num, values, raw))
    except csv.Error as error:
        report.complaints.append(Complaint(read.spec.name, reader.line_num, "-", str(error)))


def _reject(report: Report, spec: FileSpec, line: int, raw: Row, complaints: list[Complaint]) -> None:
    report.complaints += complaints
    report.rejected[spec.name].append((line, raw, "; ".join(f"{c.column}: {c.text}" for c in complaints)))


def _row(spec: FileSpec, line: int, raw: dict[str, Any]) -> tuple[Row, list[Complaint]]:
    if None in raw or None in raw.values():
        return {}, [Complaint(spec.name, line, "-", f"{len(spec.columns)} columns expected")]
    values: Row = {}
    complaints: list[Complaint] = []
    for name, column in spec.columns.items():
        text = raw[name].strip()
        if not text and not column.optional:
            complaints.append(Complaint(spec.name, line, name, "empty"))
            continue
        try:
            values[name] = column.convert(text) if text else None
        except ValueError as error:
            complaints.append(Complaint(spec.name, line, name, str(error)))
    return values, complaints


def _check_references(session: Session, files: list[_Read], report: Report) -> None:
    """A row that names something neither in the database nor among the good rows goes, and so do those that name it."""
    known: dict[str, set[str]] = {}
    for read in files:
        spec = read.spec
        good = []
        for line, values, raw in read.rows:
            complaints = [
                Complaint(spec.name, line, name, f"there is no {values[name]} in {column.refers}")
                for name, column in spec.columns.items()
                if column.refers and values[name] is not None and values[name] not in known[column.refers]
            ]
            if complaints:
                _reject(report, spec, line, raw, complaints)
            else:
                good.append((line, values, raw))
        read.rows = good
        if len(spec.key) == 1:
            column_of = getattr(spec.table, spec.columns[spec.key[0]].attribute or spec.key[0])
            known[spec.name] = set(session.scalars(select(column_of))) | {v[spec.key[0]] for _, v, _ in good}


def _rows(files: list[_Read], name: str) -> list[tuple[int, Row, Row]]:
    return next(read.rows for read in files if read.spec.name == name)


def _store(session: Session, read: _Read, report: Report) -> None:
    spec = read.spec
    records = [{(spec.columns[k].attribute or k): v for k, v in values.items()} for _, values, _ in read.rows]
    if spec.name == "invoices":
        _owed_by(session, records)
    stored = 0
    for start in range(0, len(records), 1000):
        statement = insert(spec.table).values(records[start : start + 1000]).on_conflict_do_nothing()
        key = inspect(spec.table).primary_key[0]
        stored += len(session.execute(statement.returning(key)).all())
    report.imported[spec.name] += stored
    report.known[spec.name] += len(records) - stored


def _owed_by(session: Session, records: list[Row]) -> None:
    """An invoice belongs to the customer of its order and is due by the customer's terms."""
    query = select(SalesOrder.number, Customer.code, Customer.payment_terms_days).join(
        Customer, Customer.code == SalesOrder.customer
    )
    owner = {
        n: (c, days)
        for n, c, days in session.execute(query.where(SalesOrder.number.in_({r["order_number"] for r in records})))
    }
    for record in records:
        record["customer"], days = owner[record["order_number"]]
        record["due_on"] = record["invoiced_at"] + timedelta(days=days)
        record["amount_settled"] = record["amount"] if record["paid_at"] else Decimal(0)


BATCH = 200


def _orders(session: Session, files: list[_Read], report: Report, now: datetime) -> None:
    """History first, then the new orders in batches, oldest first, so that stock and credit go to whom they went."""
    lines: dict[str, list[tuple[int, Row, Row]]] = defaultdict(list)
    for line in _rows(files, "sales_order_lines"):
        lines[line[1]["order"]].append(line)
    known = set(session.scalars(select(SalesOrder.number)))
    new: list[_Told] = []
    for number_of_line, values, raw in sorted(_rows(files, "sales_orders"), key=lambda r: r[1]["ordered_at"]):
        told = _Told(
            number_of_line, values, raw, sorted((x for _, x, _ in lines[values["number"]]), key=lambda x: x["line"])
        )
        if values["number"] in known:
            report.known["sales_orders"] += 1
            report.known["sales_order_lines"] += len(told.lines)
        elif not told.lines:
            _reject_order(report, told, f"{values['number']} has no lines")
        elif values["status"] == "new":
            new.append(told)
        else:
            _count(report, told, _history(session, values, told.lines))
    session.flush()
    accounts.recount(session)
    _last_number(session)
    for start in range(0, len(new), BATCH):
        _place(session, new[start : start + BATCH], report, now)
    _last_number(session)


@dataclass(frozen=True)
class _Told:
    """An order as the files tell it."""

    place: int
    values: Row
    raw: Row
    lines: list[Row]


def _place(session: Session, told: list[_Told], report: Report, now: datetime) -> None:
    """New orders through the door that every order takes."""
    asked: list[tuple[_Told, Asked]] = []
    for one in told:
        try:
            asked.append((one, Asked(_command(one), f"import:{one.values['number']}")))
        except ValueError as error:
            _reject_order(report, one, str(error))
    if not asked:
        return
    verdicts = execute_orders(session, [a for _, a in asked], actor=ACTOR, now=now)
    for (one, _), verdict in zip(asked, verdicts, strict=True):
        _count(report, one, "; ".join(p.text for p in verdict.problems) or None)


def _command(told: _Told) -> PlaceOrder:
    new = [NewLine(sku=x["sku"], quantity=x["quantity"], uom=x["uom"], unit_price=x["unit_price"]) for x in told.lines]
    return PlaceOrder(**{k: v for k, v in told.values.items() if k != "status"}, lines=new)


def _count(report: Report, told: _Told, complaint: str | None) -> None:
    if complaint:
        _reject_order(report, told, complaint)
        return
    report.imported["sales_orders"] += 1
    report.imported["sales_order_lines"] += len(told.lines)


def _reject_order(report: Report, told: _Told, complaint: str) -> None:
    spec = next(s for s in FILES if s.name == "sales_orders")
    _reject(report, spec, told.place, told.raw, [Complaint("sales_orders", told.place, "number", complaint)])


def _last_number(session: Session) -> None:
    """Our own series goes on after the highest number that came in."""
    session.execute(
        text(
            "SELECT setval('order_number', greatest((SELECT last_value FROM order_number), "
            "(SELECT max(substring(number FROM '^SO-([0-9]{1,15})$')::bigint) FROM sales_order)))"
        )
    )


def _history(session: Session, values: Row, lines: list[Row]) -> str | None:
    """Store an order of the past as it is told; the reason when it cannot be."""
    order = SalesOrder(**values)
    for line in lines:
        item = catalog_queries.item_facts(session, line["sku"])
        base = to_base(line["quantity"], line["uom"], item) if item else None
        if base is None:
            return f"{values['number']}: {line['sku']} is not sold by {line['uom']}"
        order.lines.append(
            OrderLine(
                line=line["line"],
                sku=line["sku"],
                quantity_ordered=line["quantity"],
                uom=line["uom"],
                quantity_base=base,
                unit_price=line["unit_price"],
            )
        )
    order.basket = sales_queries.draft_of(order, Decimal(0)).basket
    session.add(order)
    return None


def _shipped_quantities(session: Session, numbers: list[str]) -> None:
    """What left, per line, in base units, from the shipments."""
    query = (
        select(OrderLine, ShipmentLine.quantity)
        .join(Shipment, Shipment.order_number == OrderLine.order_number)
        .join(ShipmentLine, (ShipmentLine.shipment == Shipment.number) & (ShipmentLine.line == OrderLine.line))
        .where(OrderLine.order_number.in_(numbers))
    )
    shipped: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    found: dict[tuple[str, int], OrderLine] = {}
    for line, quantity in session.execute(query):
        key = (line.order_number, line.line)
        found[key] = line
        shipped[key] += quantity * line.quantity_base / line.quantity_ordered
    for key, line in found.items():
        if line.quantity_shipped != shipped[key]:
            line.quantity_shipped = shipped[key]
    session.flush()


def _journal(session: Session, folder: Path, report: Report, now: datetime) -> None:
    after = {"folder": folder.name, "imported": dict(report.imported), "rejected": len(report.complaints)}
    key = f"import:{now.isoformat()}:{digest(after)[:12]}"
    entry = JournalEntry(
        at=now,
        actor=ACTOR,
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


def set_clock(session: Session, as_of: date) -> None:
    """Remember the installation's "now" as an offset in days."""
    value = {"days": clock.offset_for(as_of), "as_of": as_of.isoformat()}
    kept = session.get(Installation, "clock")
    if kept is None:
        session.add(Installation(name="clock", value=value))
    elif kept.value.get("as_of") != value["as_of"]:
        kept.value = value
    session.flush()


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
