"""What a mail asks besides what it is about: answered where our records answer it, said and offered a case where they do not; never lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from agent import besides
from agent.ingest import triage
from agent.mail.fetch import Raw
from agent.signs import signs_of
from agent.worker import worker as working
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.db import Session
from erp_core.queries import desk
from erp_core.tables.desk import Case
from erp_core.values import Outcome, Verdict
from tests.agent.test_llm import answering
from tests.conftest import TODAY

AVA = "ava.stone@northfieldsupply.example"
TOM = "Tom Duarte <tom.duarte@mesafacilities.example>"


def mail(subject: str, text: str) -> Raw:
    head = f"From: {TOM}\r\nTo: orders@northfieldsupply.example\r\nSubject: {subject}\r\nMessage-ID: <{subject.replace(' ', '-')}@x>\r\n"
    return Raw("asked.eml", f"{head}Date: Mon, 15 Jun 2026 09:00:00 +0000\r\n\r\n{text}\r\n".encode())


def letter(line: dict[str, Any]) -> dict[str, Any]:
    return next(c for c in line["proposal"]["commands"] if c["type"] == "send_message")


def plan_of(session: Session, case: int) -> Any:
    finding = desk.case_file(session, case).finding
    assert finding is not None
    return finding.content["plan"]


def test_one_letter_tells_of_every_order_that_is_asked_about(worker: Any) -> None:
    line = triage(worker, mail("Order status", "Where are our orders PO11909 and 4500827884? Have they shipped?"))
    assert line["action"] == "answer_status"
    assert "PO11909: " in letter(line)["body"]
    assert "4500827884: " in letter(line)["body"]
    assert [c["type"] for c in line["proposal"]["commands"]] == ["send_message"]


@pytest.mark.parametrize(
    ("intent", "secondary", "signs", "named", "told"),
    [
        ("return_request", ["order_status"], [], "PO11909", "You also asked where your order stands:\n- "),
        ("order_status", ["invoice_query"], ["copy"], "PO11909", "The invoice you asked for is attached too:"),
    ],
)
def test_what_our_records_answer_is_answered_in_the_same_letter(
    database: str, api: Session, intent: str, secondary: list[str], signs: list[str], named: str, told: str
) -> None:
    read = {"intent": intent, "secondary": secondary, "signs": signs, "items": [], "order": "SO-40210"}
    number = {"kind": "customer_po", "written": named}
    line_to = answering({**read, "references": [number], "requested_date": None, "date_quote": None})
    with working(line=line_to) as own:
        line = triage(own, mail("Two things", f"About our order {named}: two things, please."))
    assert not line["degraded"]
    assert told in letter(line)["body"]
    assert letter(line)["body"].rstrip().endswith("Customer service")
    assert ("INV-90310" in letter(line)["invoices"]) == (secondary == ["invoice_query"])
    proposal = desk.pending(api, line["case"])
    assert proposal is not None
    assert "leaves that open" not in proposal.rationale


def test_what_needs_another_desk_gets_a_case_there(worker: Any, api: Session) -> None:
    text = (
        "On PO11909 we received 20 of the 24 ELC-8109, 4 are missing. Please issue a credit memo for the missing ones."
    )
    line = triage(worker, mail("Short delivery", text))
    assert line["intent"] == "delivery_discrepancy"
    assert line["secondary"] == ["invoice_query"]
    proposal = desk.pending(api, line["case"])
    assert proposal is not None
    assert "It also asks about invoice query. Signing this opens a case for billing." in proposal.rationale
    commands = line["proposal"]["commands"]
    assert [c["type"] for c in commands] == ["route_case", "send_message", "open_case"]
    assert (commands[2]["queue"], commands[2]["customer"], commands[2]["order"]) == ("billing", "C1038", "SO-40210")
    assert "We have passed your other questions to our colleagues" in letter(line)["body"]
    without = plan_of(api, line["case"])["alternatives"][0]
    assert [c["type"] for c in without["commands"]] == ["route_case", "send_message"]
    assert "passed your other questions" not in without["commands"][1]["body"]
    seen = decisions.preview(api, proposal, TODAY)
    said = Said(Verdict.APPROVE, "", seen.digest)
    assert decisions.decide(api, proposal.id, said, actor=AVA, now=TODAY).outcome == Outcome.EXECUTED
    rest = api.scalars(select(Case).where(Case.kind == "also_asked")).one()
    assert (rest.queue, rest.order_number, rest.status, rest.worked) == ("billing", "SO-40210", "new", True)


def test_a_second_run_opens_no_second_case_for_the_rest(worker: Any, api: Session) -> None:
    text = (
        "On PO11909 we received 20 of the 24 ELC-8109, 4 are missing. Please issue a credit memo for the missing ones."
    )
    line = triage(worker, mail("Short delivery", text))
    proposal = desk.pending(api, line["case"])
    assert proposal is not None
    seen = decisions.preview(api, proposal, TODAY)
    decisions.decide(api, proposal.id, Said(Verdict.APPROVE, "", seen.digest), actor=AVA, now=TODAY)
    api.get_one(Case, line["case"]).worked = False
    api.commit()
    again = worker.work(line["case"])
    assert "open_case" not in [c["type"] for c in again["commands"]]
    assert "was opened for it" in again["rationale"]


def test_the_signer_is_told_when_the_way_proposed_leaves_the_rest_open(database: str, api: Session) -> None:
    read = {"intent": "delivery_discrepancy", "secondary": ["invoice_query"], "signs": [], "order": "SO-40210"}
    number = {"kind": "customer_po", "written": "PO11909"}
    fields = {**read, "items": [], "references": [number], "requested_date": None, "date_quote": None}
    with working(line=answering(fields, {"ranking": [2], "because": [], "reply": None})) as own:
        line = triage(own, mail("Short", "On PO11909 some are missing, and about the invoice."))
    assert "open_case" not in [c["type"] for c in line["proposal"]["commands"]]
    proposal = desk.pending(api, line["case"])
    assert proposal is not None
    assert "Signing this leaves open: invoice query." in proposal.rationale


def test_orders_that_nothing_is_proposed_for_are_named(worker: Any, api: Session) -> None:
    text = "Please cancel order PO11909... no: cancel 4500608896. Leave 4500827884 as it is."
    line = triage(worker, mail("Cancel 4500608896", text))
    proposal = desk.pending(api, line["case"])
    assert proposal is not None
    assert "nothing is proposed for them" in proposal.rationale


@pytest.mark.parametrize(
    ("intent", "words", "found"),
    [
        ("delivery_discrepancy", "Two boxes were crushed. Please credit us.", ["invoice_query"]),
        ("delivery_discrepancy", "Wrong valve. Have your driver pick it up.", ["return_request"]),
        ("delivery_discrepancy", "Three are missing, please send them.", []),
        ("order_status", "Has it left? And please send me a copy of the invoice.", ["invoice_query"]),
        ("order_status", "Has it left?", []),
        ("order_status", "I never received the tracking number. Our invoice says it left.", []),
        ("order_status", "Please send me a copy\nof the invoice.", ["invoice_query"]),
        ("delivery_discrepancy", "Please ship backordered items; the form is attached, return items list too.", []),
        ("delivery_discrepancy", "Two are broken. Please issue a credit.", ["invoice_query"]),
        ("delivery_discrepancy", "Wrong ones. Can you arrange a pickup?", ["return_request"]),
        ("delivery_discrepancy", "Nous pensons avoir reçu 20 pièces au lieu de 24.", []),
        ("delivery_discrepancy", "Il en manque quatre, merci d'établir un avoir.", ["invoice_query"]),
        ("delivery_discrepancy", "Our credit department asks where the four are.", []),
        ("delivery_discrepancy", "The carrier pickup was late and I don't recognize this item. Bitte zurückrufen.", []),
    ],
)
def test_words_tell_what_is_asked_besides(intent: str, words: str, found: list[str]) -> None:
    assert besides.asked(intent, words, signs_of(words)) == found
