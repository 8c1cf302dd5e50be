"""Receipts and supplier invoices of an import folder: what came is history; a new invoice is matched like any other."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.actions import execute
from erp_core.actions.intake import IMPORT
from erp_core.commands import RecordBill
from erp_core.errors import CountersignError
from erp_core.import_files import FILES, Complaint, ReadFile, Report, Row, reject, rows_of
from erp_core.queries import policies
from erp_core.tables.purchasing import PurchaseOrder, Receipt, ReceiptLine, SupplierInvoice, SupplierInvoiceLine
from erp_core.values import BillStatus, PurchaseStatus, money

NAMES = ("receipts", "receipt_lines", "supplier_invoices", "supplier_invoice_lines")

# what receipts of the past brought; an order of history without any is taken to have come whole
PROGRESS = """
UPDATE purchase_order_line l SET quantity_received = r.quantity - r.damaged, quantity_damaged = r.damaged
FROM (SELECT c.purchase_order, x.order_line, sum(x.quantity) AS quantity, sum(x.quantity_damaged) AS damaged FROM receipt_line x
  JOIN receipt c ON c.number = x.receipt WHERE c.recorded_by = 'import' GROUP BY c.purchase_order, x.order_line) r
WHERE l.order_number = r.purchase_order AND l.line = r.order_line AND l.quantity_received = 0 AND l.quantity_damaged = 0
"""
WHOLE = """
UPDATE purchase_order_line l SET quantity_received = l.quantity FROM purchase_order o
WHERE o.number = l.order_number AND o.status IN ('received', 'closed') AND l.quantity_received = 0 AND l.quantity_damaged = 0
 AND NOT EXISTS (SELECT FROM receipt r WHERE r.purchase_order = o.number)
"""


def buying(session: Session, files: list[ReadFile], report: Report, now: datetime) -> None:
    """Receipts first, so that invoices find what came."""
    _receipts(session, files, report, now)
    session.flush()
    session.execute(text(PROGRESS))
    session.execute(text(WHOLE))
    session.expire_all()
    _bills(session, files, report, now)


def _receipts(session: Session, files: list[ReadFile], report: Report, now: datetime) -> None:
    """Stored as told: the stock file counts what is on the shelf already."""
    lines: dict[str, list[Row]] = defaultdict(list)
    for _, values, _ in rows_of(files, "receipt_lines"):
        lines[values["receipt"]].append(values)
    known = set(session.scalars(select(Receipt.number)))
    for _, values, _ in rows_of(files, "receipts"):
        own = lines[values["number"]]
        counts = report.known if values["number"] in known else report.imported
        counts["receipts"] += 1
        counts["receipt_lines"] += len(own)
        if values["number"] in known:
            continue
        made = Receipt(**values, recorded_at=now, recorded_by=IMPORT, put_away_at=values["received_at"])
        made.lines = [ReceiptLine(**{k: v for k, v in x.items() if k != "receipt"}, compliant=True) for x in own]
        session.add(made)
        order = session.get(PurchaseOrder, values["purchase_order"]) if values["purchase_order"] else None
        if order is not None and order.status in (PurchaseStatus.APPROVED, PurchaseStatus.SENT):
            order.status = PurchaseStatus.RECEIVING


def _bills(session: Session, files: list[ReadFile], report: Report, now: datetime) -> None:
    spec = next(s for s in FILES if s.name == "supplier_invoices")
    lines: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for _, values, _ in rows_of(files, "supplier_invoice_lines"):
        lines[values["supplier"], values["invoice"]].append(values)
    known = {(s, n) for s, n in session.execute(select(SupplierInvoice.supplier, SupplierInvoice.number))}
    for place, values, raw in rows_of(files, "supplier_invoices"):
        key = (values["supplier"], values["number"])
        own = sorted(lines.pop(key, []), key=lambda x: x["line"])
        complaint = None if own else f"{values['number']} has no lines"
        if key not in known and own:
            complaint = _bill(session, values, own, now)
        if complaint:
            reject(report, spec, place, raw, [Complaint(spec.name, place, "number", complaint)])
            continue
        counts = report.known if key in known else report.imported
        counts["supplier_invoices"] += 1
        counts["supplier_invoice_lines"] += len(own)
    _orphans(files, lines, report)


def _bill(session: Session, values: Row, own: list[Row], now: datetime) -> str | None:
    """One that is paid is history; a new one is recorded and matched. The reason when it cannot be."""
    goods: list[dict[str, Any]] = [
        {k: x[k] for k in ("order_line", "sku", "quantity", "unit_price") if x[k] is not None} for x in own
    ]
    told = {k: v for k, v in values.items() if k != "status" and v is not None}
    if values["status"] == "new":
        try:
            command = RecordBill(**told, lines=goods)
            key = f"import:bill:{values['supplier']}:{values['number']}"
            with session.begin_nested():
                execute(session, command, key=key, actor=IMPORT, now=now)
        except (ValueError, CountersignError) as error:
            return str(error)
        return None
    net = money(sum((x["quantity"] * x["unit_price"] for x in own), Decimal(0)))
    due = values["due_on"] or values["invoiced_at"] + timedelta(days=policies.active(session).match.terms_days)
    made = SupplierInvoice(
        **{**told, "due_on": due},
        amount=net + money(values["tax"]) + money(values["charges"]),
        status=BillStatus.PAID,
        recorded_at=now,
        recorded_by=IMPORT,
        paid_at=now,
    )
    made.lines = [SupplierInvoiceLine(line=n, **x) for n, x in enumerate(goods, start=1)]
    session.add(made)
    session.flush()
    return None


def _orphans(files: list[ReadFile], left: dict[tuple[str, str], list[Row]], report: Report) -> None:
    """Lines of invoices that the other file does not have."""
    spec = next(s for s in FILES if s.name == "supplier_invoice_lines")
    for place, values, raw in rows_of(files, "supplier_invoice_lines"):
        if (values["supplier"], values["invoice"]) in left:
            words = f"there is no {values['invoice']} of {values['supplier']} in supplier_invoices"
            reject(report, spec, place, raw, [Complaint(spec.name, place, "invoice", words)])
