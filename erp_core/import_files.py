"""The files of an import folder: their columns, and reading them with a complaint for every place that is wrong."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from erp_core.tables import Base
from erp_core.tables.billing import Invoice
from erp_core.tables.catalog import Item, Price, Substitute
from erp_core.tables.fulfilment import Shipment, ShipmentLine
from erp_core.tables.parties import Contact, Customer, Entity, Supplier, User
from erp_core.tables.purchasing import (
    ItemSource,
    PurchaseOrder,
    PurchaseOrderLine,
    Receipt,
    ReceiptLine,
    SupplierInvoice,
    SupplierInvoiceLine,
)
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.tables.stock import StockLevel, Warehouse

Convert = Callable[[str], Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A CSV column: how its text becomes a value, whether it may be empty (and what that means) or left out, and whose key it must name."""

    convert: Convert
    optional: bool = False
    refers: str | None = None
    attribute: str | None = None
    left_out: bool = False
    empty: object = None


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


def _purchase_status(value: str) -> str:
    """`open` is what other systems call an order that was sent."""
    return str(_word("sent", "approved", "received")("sent" if value == "open" else value))


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
            "lot_required": Column(FLAG.convert, True, left_out=True, empty=False),
            "quality_check": Column(FLAG.convert, True, left_out=True, empty=False),
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
            "email": Column(_email, True, left_out=True),
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
            "status": Column(_purchase_status),
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
        "item_sources",
        ItemSource,
        ("sku", "supplier"),
        {
            "sku": _to("items"),
            "supplier": _to("suppliers"),
            "priority": INTEGER,
            "unit_cost": DECIMAL,
            "pack_size": DECIMAL,
            "minimum_quantity": DECIMAL,
            "lead_time_days": Column(_integer, True),
        },
    ),
    FileSpec(
        "receipts",
        Receipt,
        ("number",),
        {
            "number": TEXT,
            "purchase_order": _to("purchase_orders", optional=True),
            "warehouse": _to("warehouses"),
            "received_at": MOMENT,
        },
    ),
    FileSpec(
        "receipt_lines",
        ReceiptLine,
        ("receipt", "line"),
        {
            "receipt": _to("receipts"),
            "line": INTEGER,
            "order_line": Column(_integer, True),
            "sku": _to("items"),
            "quantity": DECIMAL,
            "quantity_damaged": DECIMAL,
            "lot": MAYBE,
        },
    ),
    FileSpec(
        "supplier_invoices",
        SupplierInvoice,
        ("supplier", "number"),
        {
            "supplier": _to("suppliers"),
            "number": TEXT,
            "purchase_order": _to("purchase_orders", optional=True),
            "invoiced_at": DAY,
            "due_on": MAYBE_DAY,
            "currency": TEXT,
            "tax": DECIMAL,
            "charges": DECIMAL,
            "status": Column(_word("new", "paid")),
        },
    ),
    FileSpec(
        "supplier_invoice_lines",
        SupplierInvoiceLine,
        ("supplier", "invoice", "line"),
        {
            "supplier": _to("suppliers"),
            "invoice": TEXT,
            "line": INTEGER,
            "order_line": Column(_integer, True),
            "sku": _to("items"),
            "quantity": DECIMAL,
            "unit_price": DECIMAL,
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
class ReadFile:
    """A file's good rows by line, before anything is written."""

    spec: FileSpec
    rows: list[tuple[int, Row, Row]] = field(default_factory=list)


def read_file(spec: FileSpec, path: Path, report: Report) -> ReadFile:
    """The good rows of a file; what is wrong goes to the report."""
    read = ReadFile(spec)
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
    missing = [name for name, column in spec.columns.items() if name not in header and not column.left_out]
    report.complaints += [Complaint(spec.name, 1, name, "unknown column") for name in unknown]
    report.complaints += [Complaint(spec.name, 1, name, "column missing") for name in missing]
    if not unknown and not missing:
        _read_rows(read, reader, report)
    return read


def _read_rows(read: ReadFile, reader: csv.DictReader[str], report: Report) -> None:
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
                reject(report, read.spec, reader.line_num, raw, complaints)
            else:
                read.rows.append((reader.line_num, values, raw))
    except csv.Error as error:
        report.complaints.append(Complaint(read.spec.name, reader.line_num, "-", str(error)))


def reject(report: Report, spec: FileSpec, line: int, raw: Row, complaints: list[Complaint]) -> None:
    """Put a row aside with what is wrong with it."""
    report.complaints += complaints
    report.rejected[spec.name].append((line, raw, "; ".join(f"{c.column}: {c.text}" for c in complaints)))


def _row(spec: FileSpec, line: int, raw: dict[str, Any]) -> tuple[Row, list[Complaint]]:
    if None in raw or None in raw.values():
        return {}, [Complaint(spec.name, line, "-", f"{len(spec.columns)} columns expected")]
    values: Row = {}
    complaints: list[Complaint] = []
    for name, column in spec.columns.items():
        text = raw.get(name, "").strip()
        if not text and not column.optional:
            complaints.append(Complaint(spec.name, line, name, "empty"))
            continue
        try:
            values[name] = column.convert(text) if text else column.empty
        except ValueError as error:
            complaints.append(Complaint(spec.name, line, name, str(error)))
    return values, complaints


def check_references(session: Session, files: list[ReadFile], report: Report) -> None:
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
                reject(report, spec, line, raw, complaints)
            else:
                good.append((line, values, raw))
        read.rows = good
        if len(spec.key) == 1:
            column_of = getattr(spec.table, spec.columns[spec.key[0]].attribute or spec.key[0])
            known[spec.name] = set(session.scalars(select(column_of))) | {v[spec.key[0]] for _, v, _ in good}


def rows_of(files: list[ReadFile], name: str) -> list[tuple[int, Row, Row]]:
    """The good rows of one file: (line of the file, values, text)."""
    return next(read.rows for read in files if read.spec.name == name)
