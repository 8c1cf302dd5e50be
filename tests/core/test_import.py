"""Import: all or nothing, twice changes nothing, errors name the place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from erp_core import importer
from erp_core.db import Session
from erp_core.tables import Base
from erp_core.tables.desk import Case
from erp_core.tables.parties import Customer
from tests.conftest import SAMPLE, TODAY


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
