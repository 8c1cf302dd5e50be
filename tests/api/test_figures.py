"""Every figure from one definition: what days add up to is what the rows say, cut or whole, drilled into or taken away."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.clock import Figuring
from erp_core import clock, db
from erp_core.actions import access, figures
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.db import Session
from erp_core.queries import desk, kpis
from erp_core.queries.kpis import BY_SLUG, CUTS, KPIS, Narrow
from erp_core.tables.desk import Proposal
from erp_core.values import Verdict
from tests.api.test_http import client as made
from tests.conftest import TODAY
from tests.core.test_decisions import file, free_order, to_one

client = made
AVA, PASSWORD = "ava.stone@northfieldsupply.example", "a long password"


@pytest.fixture
def ava(client: TestClient) -> TestClient:
    with db.transaction(db.API) as session:
        access.set_password(session, AVA, PASSWORD)
    client.post("/signin", data={"email": AVA, "password": PASSWORD})
    Figuring().look()
    return client


@pytest.mark.parametrize("kpi", KPIS, ids=lambda k: k.slug)
def test_days_add_up_to_what_the_rows_say(database: str, api: Session, kpi: kpis.Kpi) -> None:
    now = clock.now(api)
    figures.count(api, kpi, now, figures.BACK)
    first = now.date() - timedelta(days=399)
    for by in ("", *CUTS):
        live = dict(kpis.live(api, kpi, now - timedelta(days=399), now, by=by).values)
        counted = dict(kpis.counted(api, kpi, first, now.date(), by=by))
        assert set(live) == set(counted), by
        # a day begins at midnight, the period at this hour: what is a mean moves by that much at most
        if kpi.how == "sum" and not kpi.now and by == "":
            assert counted.get(None, 0) >= live.get(None, 0)  # type: ignore[operator]
        if kpi.now and kpi.unit in ("count", "money"):
            assert {k: round(float(v or 0), 2) for k, v in live.items()} == {
                k: round(float(v or 0), 2) for k, v in counted.items()
            }


def test_a_figure_leads_to_its_rows_and_they_can_be_taken_away(ava: TestClient, api: Session) -> None:
    page = ava.get("/figures/touchless-rate?days=90&warehouse=W01")
    assert page.status_code == 200
    assert "/orders/SO-" in page.text
    assert BY_SLUG["touchless-rate"].words in page.text
    rows = list(csv.DictReader(io.StringIO(ava.get("/figures/touchless-rate/rows.csv?days=90&warehouse=W01").text)))
    assert rows
    assert {r["warehouse"] for r in rows} == {"W01"}
    now = clock.now(api)
    told = kpis.live(api, BY_SLUG["touchless-rate"], now - timedelta(days=90), now, Narrow(warehouse="W01")).values[0][
        1
    ]
    assert told is not None
    assert abs(sum(float(r["value"]) for r in rows) / len(rows) - float(told)) < 0.001


def test_every_role_has_its_page_and_its_figures_as_csv(ava: TestClient) -> None:
    for role, slugs in kpis.ROLES.items():
        assert set(slugs) <= set(BY_SLUG)
        assert ava.get(f"/figures?role={role}&days=365").status_code == 200, role
        lines = list(csv.DictReader(io.StringIO(ava.get(f"/figures.csv?role={role}&days=365").text)))
        assert {line["figure"] for line in lines} <= {BY_SLUG[s].name for s in slugs}


def test_a_spreadsheet_takes_no_cell_for_a_formula(ava: TestClient) -> None:
    from api.figures import _csv

    assert b"'=1+1" in _csv("x", ["a"], [["=1+1"]]).body


def test_a_look_at_one_firm_shows_no_other(ava: TestClient) -> None:
    text = ava.get("/figures/stock-at-cost?entity=NS2").text
    assert "/items/" in text
    both = ava.get("/api/v1/figures?days=90").json()
    own = ava.get("/api/v1/figures?days=90&entity=NS2").json()
    assert both != own


def test_where_margin_erodes_is_added_up_from_the_days(api: Session) -> None:
    """Of two halves of a period: what was billed less what it cost, by what was billed, as the days of the one figure have it."""
    first, last = date(2026, 3, 1), date(2026, 3, 31)
    days = [
        (first, "hospital", 30, 100),
        (last, "hospital", 10, 50),
        (last, "school", 40, 100),
        (last, "hospital", 5, 50),
    ]
    keep = "INSERT INTO kpi_day VALUES ('gross-margin', :day, 'NFS', 'W01', :channel, :segment, '', 'valves', :value, :weight, :at)"
    for number, (day, segment, value, weight) in enumerate(days):
        told = {"day": day, "segment": segment, "value": value, "weight": weight, "channel": f"c{number}"}
        api.execute(text(keep), {**told, "at": clock.now(api)})
    found = {row["cut"]: row for row in kpis.margins(api, first, last)["segment"]}
    assert [found["hospital"][k] for k in ("value_now", "margin_now", "margin_before")] == [100, 15, 30]
    assert [found["school"][k] for k in ("value_now", "margin_now", "margin_before")] == [100, 40, None]
    assert [r["cut"] for r in kpis.margins(api, first, last, Narrow(segment="school"))["product family"]] == ["valves"]


def test_a_proposal_that_was_amended_and_then_signed_is_one_override(database: str, api: Session) -> None:
    order = free_order(api)
    number = file(order, [to_one(order)])
    other = {**to_one(order), "changes": [{"line": order.lines[0].line, "quantity": "2"}]}

    def counted(slug: str) -> list[float]:
        found = kpis.rows(api, BY_SLUG[slug], TODAY - timedelta(days=30), TODAY + timedelta(days=1), Narrow(), 50)
        case = str(api.get_one(Proposal, number).case_id)
        return [float(r.value) for r in found if r.ref == case]

    decisions.decide(api, number, Said(Verdict.AMEND, "two of them", None, [other]), actor=AVA, now=TODAY)
    assert counted("overrides") == [1]
    seen = decisions.preview(api, desk.proposal(api, number), TODAY)
    decisions.decide(api, number, Said(Verdict.APPROVE, "", seen.digest), actor=AVA, now=TODAY)
    assert counted("overrides") == [1]
    assert counted("signed-as-filed") == [0]
