"""Orders of an import folder: history is stored as told, new orders are placed through the door that every order takes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.actions import accounts, execute_orders
from erp_core.actions.intake import IMPORT, Asked
from erp_core.commands import NewLine, PlaceOrder
from erp_core.import_files import FILES, Complaint, ReadFile, Report, Row, reject, rows_of
from erp_core.queries import catalog as catalog_queries
from erp_core.queries import sales as sales_queries
from erp_core.rules.catalog import to_base
from erp_core.tables.fulfilment import Shipment, ShipmentLine
from erp_core.tables.parties import Customer
from erp_core.tables.sales import OrderLine, SalesOrder

BATCH = 200


def orders(session: Session, files: list[ReadFile], report: Report, now: datetime) -> list[Told]:
    """History as it is told, and those new orders that a shipment or an invoice is for already. Returns the other new ones, oldest first:
    they are placed by `place_new` once all invoices are there, so that credit is checked against what is owed."""
    lines: dict[str, list[tuple[int, Row, Row]]] = defaultdict(list)
    for line in rows_of(files, "sales_order_lines"):
        lines[line[1]["order"]].append(line)
    known = set(session.scalars(select(SalesOrder.number)))
    begun = {values["order"] for name in ("shipments", "invoices") for _, values, _ in rows_of(files, name)}
    new: list[Told] = []
    for number_of_line, values, raw in sorted(rows_of(files, "sales_orders"), key=lambda r: r[1]["ordered_at"]):
        told = Told(
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
    place_new(session, [told for told in new if told.values["number"] in begun], report, now)
    return [told for told in new if told.values["number"] not in begun]


def place_new(session: Session, new: list[Told], report: Report, now: datetime) -> None:
    """In batches, oldest first, so that stock and credit go to whom they went."""
    accounts.recount(session)
    _last_number(session)
    for start in range(0, len(new), BATCH):
        _place(session, new[start : start + BATCH], report, now)
    _last_number(session)


@dataclass(frozen=True)
class Told:
    """An order as the files tell it."""

    place: int
    values: Row
    raw: Row
    lines: list[Row]


def _place(session: Session, told: list[Told], report: Report, now: datetime) -> None:
    """New orders through the door that every order takes."""
    asked: list[tuple[Told, Asked]] = []
    for one in told:
        try:
            asked.append((one, Asked(_command(one), f"import:{one.values['number']}")))
        except ValueError as error:
            _reject_order(report, one, str(error))
    if not asked:
        return
    verdicts = execute_orders(session, [a for _, a in asked], actor=IMPORT, now=now)
    for (one, _), verdict in zip(asked, verdicts, strict=True):
        _count(report, one, "; ".join(p.text for p in verdict.problems) or None)


def _command(told: Told) -> PlaceOrder:
    new = [NewLine(sku=x["sku"], quantity=x["quantity"], uom=x["uom"], unit_price=x["unit_price"]) for x in told.lines]
    return PlaceOrder(**{k: v for k, v in told.values.items() if k != "status"}, lines=new)


def _count(report: Report, told: Told, complaint: str | None) -> None:
    if complaint:
        _reject_order(report, told, complaint)
        return
    report.imported["sales_orders"] += 1
    report.imported["sales_order_lines"] += len(told.lines)


def _reject_order(report: Report, told: Told, complaint: str) -> None:
    spec = next(s for s in FILES if s.name == "sales_orders")
    reject(report, spec, told.place, told.raw, [Complaint("sales_orders", told.place, "number", complaint)])


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


def shipped_quantities(session: Session, numbers: list[str]) -> None:
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


def owed_by(session: Session, records: list[Row]) -> None:
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
