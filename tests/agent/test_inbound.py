"""A supplier's message about one of our purchase orders becomes the change it asks for, with whom it hurts; a doubt is handed over."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from agent.ingest import triage
from agent.mail.fetch import Raw
from erp_core import db
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.queries import desk
from erp_core.tables.desk import Case, Proposal
from erp_core.tables.purchasing import PurchaseOrder
from erp_core.values import Outcome, Verdict
from tests.conftest import TODAY

GUS = "gus.hale@northfieldsupply.example"
DOMAIN = {"PO-5113": "boltco0.example", "PO-5134": "valveworks1.example"}


def mail(number: str, body: str, name: str) -> Raw:
    head = f"From: Sam Sender <sam@{DOMAIN[number]}>\nTo: {GUS}\nSubject: {number}\nMessage-ID: <{name}@x>\nDate: Mon, 15 Jun 2026 09:00:00 +0000\n"
    return Raw(name, f"{head}\n{body}\n".encode())


@pytest.mark.parametrize(
    ("number", "body", "commands"),
    [
        (
            "PO-5113",
            "Hi Gus,\n\nwe are sorry, PO-5113 is delayed at the foundry. The new ship date is July 6.\n\nSam",
            [("update_expected_date", None, "2026-07-06")],
        ),
        (
            "PO-5134",
            "PO-5134 is running behind:\n\nFST-8255: new delivery date June 26\nVAL-6331: as confirmed\n\nSam",
            [("update_expected_date", "FST-8255", "2026-06-26")],
        ),
        (
            "PO-5134",
            "PO-5134 is running behind:\n\nFST-8255: new delivery date June 26\nVAL-6331: new delivery date July 3\n\nSam",
            [("update_expected_date", "FST-8255", "2026-06-26"), ("update_expected_date", "VAL-6331", "2026-07-03")],
        ),
        (
            "PO-5134",
            "We can only supply 60 FST-8255 on PO-5134, the mill has us on allocation. Please amend the PO.",
            [("amend_purchase", "FST-8255", "60")],
        ),
        (
            "PO-5134",
            "FST-8255 on your PO-5134 has been discontinued and is no longer available. We cannot ship it.",
            [("amend_purchase", "FST-8255", "0")],
        ),
        ("PO-5134", "Regarding PO-5134: the truck is loaded and on its way, 2 pallets.", []),
        ("PO-5134", "PO-5134 and PO-5102 are both delayed, new date July 6.", []),
    ],
)
def test_what_a_supplier_says_becomes_the_change_of_its_order(
    worker: Any, number: str, body: str, commands: list[tuple[str, str | None, str]]
) -> None:
    line = triage(worker, mail(number, body, f"{number}-{len(body)}"))
    assert (line["action"], line["supplier"] is not None) == ("update_inbound_supply", True)
    made = [c for c in line["proposal"]["commands"] if c["type"] != "route_case"]
    with db.reading(db.API) as session:
        lines = {x.line: x.sku for x in session.get_one(PurchaseOrder, number).lines}
    said = []
    for c in made:
        change = (c.get("changes") or [c])[0]
        sku = lines.get(change.get("line"))
        said.append((c["type"], sku, c.get("expected_date") or change.get("quantity")))
    assert said == commands
    assert bool(made) != any(c["type"] == "route_case" for c in line["proposal"]["commands"])


def test_a_line_that_comes_later_hurts_nobody_who_waits_for_another(worker: Any) -> None:
    body = "PO-5134 is delayed:\n\nVAL-6331: new delivery date July 3\nFST-8255: as confirmed\n\nSam"
    line = triage(worker, mail("PO-5134", body, "one-line"))
    with db.reading(db.API) as session:
        proposal = session.get_one(Proposal, line["proposal"]["id"])
    assert [c["expected_date"] for c in proposal.commands] == ["2026-07-03"]
    assert "FST-8255 on" not in " ".join(e["fact"] for e in proposal.evidence)


def test_the_proposal_says_whom_a_delay_hurts_and_signing_it_tells_them(worker: Any) -> None:
    body = "PO-5113 is delayed. The new ship date is July 30, we are sorry."
    line = triage(worker, mail("PO-5113", body, "hurt"))
    with db.reading(db.API) as session:
        proposal = session.get_one(Proposal, line["proposal"]["id"])
        facts = " ".join(e["fact"] for e in proposal.evidence)
        assert "customer orders worth" in facts
        assert "VAL-5574" in facts
        assert proposal.versions["purchase_order:PO-5113"] == 1
    with db.transaction(db.API) as session:
        seen = decisions.preview(session, desk.proposal(session, proposal.id), TODAY)
        result = decisions.decide(
            session, proposal.id, Said(Verdict.APPROVE, "seen", seen.digest), actor=GUS, now=TODAY
        )
        assert result.outcome == Outcome.EXECUTED
    with db.reading(db.API) as session:
        kinds = set(session.scalars(select(Case.kind).where(Case.disruption_id.is_not(None))))
        assert kinds == {"supplier_discrepancy", "supply_short", "supply_delay"}
