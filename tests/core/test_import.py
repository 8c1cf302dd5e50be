"""Import: all or nothing, twice changes nothing, errors name the place."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from erp_core import importer
from erp_core.db import Session
from erp_core.tables import Base
from erp_core.tables.desk import Case
from erp_core.tables.parties import Customer
from erp_core.tables.purchasing import PurchaseOrderLine, SupplierInvoice
from tests.conftest import SAMPLE, TODAY
from tests.core.books import books_are_right


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "world"
    shutil.copytree(SAMPLE / "world", target)
    return target


def digest_of_everything(session: Session) -> dict[str, str]:
    """A fingerprint of each table's rows."""
    query = "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM \"{}\" t"
    return {name: session.execute(text(query.format(name))).scalar_one() for name in Base.metadata.tables}


def change(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / f"{name}.csv"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def test_importing_the_same_folder_again_changes_nothing(api: Session, folder: Path) -> None:
    before = digest_of_everything(api)
    report = importer.import_folder(api, folder, TODAY)
    assert not report.complaints
    assert sum(report.imported.values()) == 0
    assert digest_of_everything(api) == before


def test_new_orders_went_through_the_rules(api: Session) -> None:
    kinds = set(api.scalars(select(Case.kind)))
    assert {"hold_credit", "hold_stock", "hold_price"} <= kinds
    assert api.scalar(select(func.count()).select_from(Case).where(Case.due_at.is_(None))) == 0


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("customers", "18000.00", "lots", "customers.csv line 2, column credit_limit: 'lots' is no number"),
        ("contacts", "C1001,", "C9999,", "contacts.csv line 2, column customer: there is no C9999 in customers"),
        (
            "sales_orders",
            "2026-05-25",
            "25.05.2026",
            "sales_orders.csv line 2, column requested_date: '25.05.2026' is no date",
        ),
        ("items", "uom", "unit", "items.csv line 1, column unit: unknown column"),
        ("customers", "active", "asleep", "'asleep' is not one of active, blocked"),
    ],
)
def test_one_bad_value_stops_the_whole_folder_and_names_its_place(
    api: Session, folder: Path, name: str, old: str, new: str, said: str
) -> None:
    (folder / "entities.csv").write_text((folder / "entities.csv").read_text() + "NS9,New Firm,USD,US\n")
    change(folder, name, old, new)
    report = importer.import_folder(api, folder, TODAY)
    assert any(said in str(complaint) for complaint in report.complaints)
    assert not report.imported


def test_partial_takes_the_good_rows_and_writes_the_bad_ones_with_reasons(api: Session, folder: Path) -> None:
    path = folder / "customers.csv"
    good = "C7001,NS1,Good Firm,A,mro,30,100.00,USD,US,good.example,active\n"
    bad = "C7002,NS1,Bad Firm,A,mro,30,minus,USD,US,bad.example,active\n"
    path.write_text(path.read_text() + good + bad)
    report = importer.import_folder(api, folder, TODAY, partial=True)
    assert api.get(Customer, "C7001") is not None
    assert api.get(Customer, "C7002") is None
    written = (importer.write_rejected(folder, report) / "customers.csv").read_text()
    assert "C7002" in written
    assert "no number" in written


def test_a_missing_file_is_skipped(api: Session, folder: Path) -> None:
    (folder / "substitutes.csv").unlink()
    assert not importer.import_folder(api, folder, TODAY).complaints


def test_bytes_that_are_not_utf8_are_reported(api: Session, folder: Path) -> None:
    (folder / "items.csv").write_bytes(b"sku,name\nX,caf\xe9\n")
    assert "not UTF-8" in str(importer.import_folder(api, folder, TODAY).complaints[0])


BOUGHT = {
    "item_sources": "sku,supplier,priority,unit_cost,pack_size,minimum_quantity,lead_time_days\n{sku},{supplier},1,3.00,1,0,\n",
    "receipts": "number,purchase_order,warehouse,received_at\nGR-1,{po},{warehouse},2026-06-14T09:00:00Z\n",
    "receipt_lines": "receipt,line,order_line,sku,quantity,quantity_damaged,lot\nGR-1,1,1,{sku},{quantity},2,L1\n",
    "supplier_invoices": "supplier,number,purchase_order,invoiced_at,due_on,currency,tax,charges,status\n"
    "{supplier},INV-A,{po},2026-06-14,,{currency},0,0,new\n{supplier},INV-B,,2026-01-10,2026-02-10,USD,0,0,paid\n",
    "supplier_invoice_lines": "supplier,invoice,line,order_line,sku,quantity,unit_price\n"
    "{supplier},INV-A,1,1,{sku},{quantity},{cost}\n{supplier},INV-B,1,,{sku},5,1.00\n",
}


def bought(session: Session, folder: Path) -> dict[str, object]:
    query = """SELECT o.number AS po, o.supplier, o.warehouse, l.sku, l.quantity, l.unit_cost AS cost, e.currency FROM purchase_order o
        JOIN purchase_order_line l ON l.order_number = o.number AND l.line = 1 JOIN warehouse w ON w.code = o.warehouse
        JOIN entity e ON e.code = w.entity WHERE o.status = 'sent' ORDER BY o.number LIMIT 1"""
    facts = dict(session.execute(text(query)).one()._mapping)
    for name, content in BOUGHT.items():
        (folder / f"{name}.csv").write_text(content.format(**facts))
    return facts


def test_receipts_are_history_and_new_supplier_invoices_are_matched_with_them(api: Session, folder: Path) -> None:
    facts = bought(api, folder)
    report = importer.import_folder(api, folder, TODAY)
    assert report.complaints == []
    assert {n: report.imported[n] for n in BOUGHT if n != "item_sources"} == {
        "receipts": 1,
        "receipt_lines": 1,
        "supplier_invoices": 2,
        "supplier_invoice_lines": 2,
    }
    line = api.get_one(PurchaseOrderLine, (str(facts["po"]), 1), populate_existing=True)
    assert (line.quantity_damaged, line.quantity_received) == (2, line.quantity - 2)
    status = dict(api.execute(select(SupplierInvoice.number, SupplierInvoice.status)).all())  # type: ignore[arg-type]
    assert status == {"INV-A": "blocked", "INV-B": "paid"}  # two of those billed came damaged
    books_are_right(api)
    before = digest_of_everything(api)
    again = importer.import_folder(api, folder, TODAY)
    assert (again.complaints, sum(again.imported.values())) == ([], 0)
    assert digest_of_everything(api) == before


def test_an_invoice_line_without_its_invoice_is_named(api: Session, folder: Path) -> None:
    bought(api, folder)
    path = folder / "supplier_invoice_lines.csv"
    path.write_text(path.read_text().replace("INV-B,1", "INV-C,1"))
    said = [str(c) for c in importer.import_folder(api, folder, TODAY).complaints]
    assert any("supplier_invoices.csv line 3, column number: INV-B has no lines" in s for s in said)
    assert any("supplier_invoice_lines.csv line 3, column invoice: there is no INV-C" in s for s in said)


def test_a_new_order_is_checked_against_what_its_customer_owes(api: Session, folder: Path) -> None:
    """The invoices of a folder count for its new orders; an order that has a shipment already is there before it."""
    facts = "SELECT facts -> 'order' -> 'credit' FROM journal_entry WHERE tag = 'order:sales:placed' AND subject = 'sales_order:SO-40395'"
    unpaid = "SELECT sum(amount - amount_settled) FROM invoice WHERE customer = (SELECT customer FROM sales_order WHERE number = 'SO-40395')"
    owed = api.execute(text(unpaid)).scalar_one()
    assert owed > 0
    assert Decimal(api.execute(text(facts)).scalar_one()["unpaid"]) == owed
    with (folder / "sales_orders.csv").open("a") as orders, (folder / "sales_order_lines.csv").open("a") as lines:
        orders.write("SO-49001,C1006,portal,EV-9,2026-06-14T10:00:00Z,2026-06-20,W01,US,new\n")
        lines.write("SO-49001,1,ELC-4712,2,EA,50.58\n")
    with (folder / "shipments.csv").open("a") as shipments, (folder / "shipment_lines.csv").open("a") as shipped:
        shipments.write("SH-79001,SO-49001,W01,2026-06-15T10:00:00Z,Estes,PRO1,\n")
        shipped.write("SH-79001,1,ELC-4712,1\n")
    report = importer.import_folder(api, folder, TODAY)
    assert not report.complaints
    left = "SELECT quantity_shipped FROM order_line WHERE order_number = 'SO-49001'"
    assert api.execute(text(left)).scalar_one() == 1
