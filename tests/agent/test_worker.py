"""The agent on the sample inbox: nothing lost, nothing changed, one proposal a mail; a second run starts clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from agent.ingest import triage
from agent.mail import fetch
from agent.mail.fetch import Raw
from erp_core import db
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.db import Session
from erp_core.queries import desk
from erp_core.queries.evaluating import fingerprint
from erp_core.tables.desk import Case, Message, Proposal
from erp_core.values import Outcome, Verdict
from prompts import replies
from tests.conftest import SAMPLE, TODAY

AVA = "ava.stone@northfieldsupply.example"


def sample(name: str) -> Raw:
    return Raw(name, (SAMPLE / "inbox" / name).read_bytes())


def test_the_sample_inbox_is_worked_whole_and_the_erp_stays_as_it_was(worker: Any, api: Session) -> None:
    before = fingerprint(api)
    api.rollback()
    mails = list(fetch.from_path(SAMPLE / "inbox"))
    lines = [triage(worker, raw) for raw in mails]
    assert not [line for line in lines if line.get("error")]
    assert all(line["new"] for line in lines)
    assert fingerprint(api) == before
    assert api.scalar(select(func.count()).select_from(Message)) == len(mails)
    assert api.scalar(select(func.count()).select_from(Proposal).where(Proposal.status == "pending")) == len(mails)
    again = [triage(worker, raw) for raw in mails]
    assert not any(line["new"] for line in again)
    same = ("intent", "order", "items", "action", "queue", "priority", "refs")
    assert [[a[k] for k in same] for a in again] == [[b[k] for k in same] for b in lines]
    assert fingerprint(api) == before
    hostile = [line for line in lines if line["action"] == "flag_security"]
    assert {c["type"] for line in hostile for c in line["proposal"]["commands"]} == {"route_case"}


def test_whatever_cannot_be_read_becomes_a_case(worker: Any, api: Session) -> None:
    line = triage(worker, Raw("broken", b"\xff\xfe\x00 not a mail"))
    case = api.get_one(Case, line["case"])
    assert case.queue == "customer_service"
    assert line["proposal"]["commands"][0]["type"] == "route_case"


def test_a_second_run_keeps_nothing_of_the_first_but_the_threads_memory(worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    case = line["case"]
    config = {"configurable": {"thread_id": f"case:{case}"}}
    first = worker.graph.get_state(config).values
    assert set(first) == {"memory"}
    said = Said(Verdict.INSTRUCT, "make it 30 instead")
    result = decisions.decide(api, line["proposal"]["id"], said, actor=AVA, now=TODAY)
    assert result.outcome == Outcome.RETURNED
    api.commit()
    run = worker.work(case)
    second = worker.graph.get_state(config).values
    assert second["memory"] == [*first["memory"], f"{run['run']}: proposed change_order"]
    assert len(run["commands"]) == len(line["proposal"]["commands"])
    assert run["evidence"][0]["n"] == 1
    quantity = desk.pending(api, case).commands[0]["changes"][0]["quantity"]  # type: ignore[union-attr]
    assert quantity == "30"
    assert desk.pending(api, case).asked_by == AVA  # type: ignore[union-attr]


def test_a_case_is_claimed_by_one_worker_only(worker: Any, api: Session) -> None:
    recorded = worker.take(sample("0075.eml"))
    with db.transaction(db.AGENT) as session:
        from erp_core import casework

        assert casework.claim_case(session, "other", 60, recorded.case) == recorded.case
    assert worker.work(recorded.case) is None


def test_a_number_of_somebody_elses_is_marked_and_not_linked(worker: Any, api: Session) -> None:
    foreign = "SO-40210"  # belongs to C1038
    raw = (
        "From: Nadia Patel <nadia.patel@copperhillpropertyservices.example>\r\nTo: o@x.example\r\nSubject: where is it\r\n"
        f"Message-ID: <foreign@x>\r\nDate: Mon, 15 Jun 2026 09:00:00 -0400\r\n\r\nWhere is order {foreign}? When will it ship?\r\n"
    )
    line = triage(worker, Raw("foreign", raw.encode()))
    assert line["order"] is None
    assert "foreign_number" in line["suspicious"]
    assert foreign not in str(line["proposal"]["commands"][0].get("body", ""))


@pytest.mark.parametrize("name", sorted(p.name for p in (SAMPLE / "inbox").glob("*.eml"))[:6])
def test_evidence_points_to_the_words_it_quotes(worker: Any, api: Session, name: str) -> None:
    line = triage(worker, sample(name))
    message = api.scalars(select(Message).where(Message.case_id == line["case"])).one()
    for fact in desk.pending(api, line["case"]).evidence:  # type: ignore[union-attr]
        if fact.get("part") in ("newest", "subject", "forwarded"):
            whole = message.subject if fact["part"] == "subject" else message.parsed[fact["part"]]
            assert whole[fact["start"] : fact["end"]].strip()


def test_a_hold_case_is_worked_in_its_own_queue(worker: Any, api: Session) -> None:
    case = api.scalars(select(Case).where(Case.kind == "hold_stock")).first()
    assert case is not None
    api.rollback()
    assert worker.work(case.id)["proposal"]
    assert api.get_one(Case, case.id, populate_existing=True).queue == "allocation"


def test_the_sample_folder_is_complete() -> None:
    names = {p.name for p in (SAMPLE / "inbox").glob("*.eml")}
    assert len(names) >= 60
    assert Path(SAMPLE / "labels.jsonl").read_text().count("\n") == len(names)


@pytest.mark.parametrize(
    ("text", "takes"), [("this customer always takes partials", True), ("from now on no partial shipments", False)]
)
def test_what_is_said_for_good_becomes_a_row_to_sign(worker: Any, api: Session, text: str, takes: bool) -> None:
    line = triage(worker, sample("0075.eml"))
    decisions.decide(api, line["proposal"]["id"], Said(Verdict.INSTRUCT, text), actor=AVA, now=TODAY)
    api.commit()
    assert worker.work(line["case"]) is not None
    proposal = desk.pending(api, line["case"])
    assert proposal is not None
    assert proposal.asked_by == AVA
    assert {"type": "save_customer", "customer": line["customer"], "ships_partial": takes} in proposal.commands


def test_a_promoted_text_of_before_still_writes_letters() -> None:
    """A line that came to the shipped text later is said as shipped."""
    old = "\n".join(line for line in replies.shipped().split("\n") if not line.startswith("of_order"))
    with replies.using(old):
        assert replies.phrase("of_order", "en", order="PO1") == " (order PO1)"


KIM = "kim.sorensen@juniperwaterauthority.example"  # of C1021, whose SO-40257 has five lines: 10, 4, 10 BX, 100 and 20


@pytest.mark.parametrize(
    ("text", "proposed", "left"),
    [
        ("Please cancel SO-40257 entirely.", "cancel_order", {}),
        ("Please cancel the 4 VAL-2589 on SO-40257.", "amend_order", {2: "0"}),
        ("Please cancel VAL-2589 on SO-40257.", "route_case", {}),
        ("Please cancel 3 of the 20 MTR-7248 on SO-40257.", "route_case", {}),
        ("Please cancel SO-40257, all five lines of it.", "cancel_order", {}),
        (
            "Please cancel SO-40257, with the exception of 2 MTR-7248.",
            "amend_order",
            {1: "0", 2: "0", 3: "0", 4: "0", 5: "2"},
        ),
    ],
)
def test_only_what_is_meant_is_cancelled(
    worker: Any, api: Session, text: str, proposed: str, left: dict[int, str]
) -> None:
    head = f"From: Kim Sorensen <{KIM}>\nTo: {AVA}\nSubject: Cancellation\nMessage-ID: <c@x>\nDate: Mon, 15 Jun 2026 09:00:00 +0000\n"
    line = triage(worker, Raw("cancel", f"{head}\nHello,\n\n{text}\n\nKim\n".encode()))
    assert line["intent"] == "order_cancellation"
    first = line["proposal"]["commands"][0]
    assert first["type"] == proposed
    assert {c["line"]: c["quantity"] for c in first.get("changes", [])} == left
    if proposed == "route_case":
        finding = desk.case_file(api, line["case"]).finding
        assert finding is not None
        ways = [w["commands"][0]["type"] for w in finding.content["plan"]["alternatives"]]
        assert ways[:2] == ["amend_order", "cancel_order"]


@pytest.mark.parametrize(("name", "greeting"), [("Kim Sorensen", "Hello Kim,"), ("Accounts Payable", "Hello,")])
def test_a_desk_is_not_greeted_by_name(worker: Any, name: str, greeting: str) -> None:
    head = (
        f"From: {name} <{KIM}>\nTo: {AVA}\nSubject: Status\nMessage-ID: <d@x>\nDate: Mon, 15 Jun 2026 09:00:00 +0000\n"
    )
    line = triage(worker, Raw("greet", f"{head}\nWhere is SO-40257? When does it ship?\n".encode()))
    (letter,) = [c for c in line["proposal"]["commands"] if c["type"] == "send_message"]
    assert letter["body"].startswith(greeting)


def test_a_substitute_for_part_of_a_line_does_not_replace_all_of_it(worker: Any, api: Session) -> None:
    sender = "beth.kowalski@juniperplumbingsupply.example"
    head = f"From: Buyer <{sender}>\nTo: {AVA}\nSubject: Re: substitute on SO-40430\nMessage-ID: <p@x>\nDate: Mon, 15 Jun 2026 09:00:00 +0000\n"
    text = (
        "Yes, we accept the substitute you offered: send 50 VAL-7914 in place of VAL-7350, and 50 VAL-7350 as ordered."
    )
    line = triage(worker, Raw("part", f"{head}\nHello,\n\n{text}\n".encode()))
    assert line["action"] == "apply_substitution"
    assert [c["type"] for c in line["proposal"]["commands"]] == ["route_case"]
    finding = desk.case_file(api, line["case"]).finding
    assert finding is not None
    assert [w["commands"][0]["type"] for w in finding.content["plan"]["alternatives"]][:1] == ["substitute_item"]


def test_a_refused_substitute_is_not_added_to_the_order(worker: Any) -> None:
    sender = "beth.kowalski@juniperplumbingsupply.example"
    head = f"From: Beth Kowalski <{sender}>\nTo: {AVA}\nSubject: Change to SO-40430\nMessage-ID: <r@x>\nDate: Mon, 15 Jun 2026 09:00:00 +0000\n"
    text = "Please change line 2 of SO-40430, ELC-1620, to 4 pieces. We do not accept VAL-7914, 50 pieces of it are no help; keep the VAL-7350."
    line = triage(worker, Raw("refused", f"{head}\nHello,\n\n{text}\n\nBeth\n".encode()))
    assert "VAL-7914" not in str([c.get("changes") for c in line["proposal"]["commands"]])


def test_an_exception_that_is_not_understood_offers_no_part_to_cancel(worker: Any, api: Session) -> None:
    head = f"From: Kim Sorensen <{KIM}>\nTo: {AVA}\nSubject: Cancellation\nMessage-ID: <e@x>\nDate: Mon, 15 Jun 2026 09:00:00 +0000\n"
    text = "Please cancel SO-40257, with the exception of what you promised us at the fair."
    line = triage(worker, Raw("except", f"{head}\nHello,\n\n{text}\n\nKim\n".encode()))
    assert [c["type"] for c in line["proposal"]["commands"]] == ["route_case"]
    finding = desk.case_file(api, line["case"]).finding
    assert finding is not None
    offered = [w["commands"][0]["type"] for w in finding.content["plan"]["alternatives"]]
    assert "cancel_order" in offered
    assert "amend_order" not in offered
