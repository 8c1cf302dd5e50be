"""Slots of a letter: the core fills in what is so after the commands beside it ran; another value than was shown makes the proposal stale."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from agent.ingest import triage
from agent.mail.fetch import Raw
from erp_core.actions import desk as decisions
from erp_core.actions import execute
from erp_core.actions.desk import Said
from erp_core.commands import PromiseDate, SendMessage
from erp_core.db import Session
from erp_core.errors import RuleViolation
from erp_core.queries import desk
from erp_core.rules import letters
from erp_core.rules.letters import OrderState
from erp_core.tables.desk import OutboxMail
from erp_core.values import Outcome, Verdict
from tests.conftest import TODAY

AVA = "ava.stone@northfieldsupply.example"
STATE = OrderState("C1", date(2026, 6, 22), None, "held", "1,250.00")


@pytest.mark.parametrize(
    ("slot", "filled"),
    [
        ("{promised_date:SO-1}", "June 22, 2026"),
        ("{promised_date:SO-1:es}", "22/06/2026"),
        ("{promised_date:SO-1:de}", "22.06.2026"),
        ("{requested_date:SO-1:fr}", "une date que nous vous confirmerons"),
        ("{status:SO-1}", "being checked before it can leave"),
        ("{total:SO-1}", "1,250.00"),
        ("{not a slot}", "{not a slot}"),
    ],
)
def test_a_slot_tells_the_order_as_it_is(slot: str, filled: str) -> None:
    assert letters.fill(f"It is {slot}.", {"SO-1": STATE}, "C1") == (f"It is {filled}.", [])


@pytest.mark.parametrize(
    ("slot", "customer"),
    [("{margin:SO-1}", "C1"), ("{total:SO-1}", "C2"), ("{total:SO-2}", "C1"), ("{total:SO-1}", None)],
)
def test_a_slot_that_may_not_be_told_stops_the_letter(slot: str, customer: str | None) -> None:
    text, problems = letters.fill(slot, {"SO-1": STATE}, customer)
    assert [p.code for p in problems] == ["slot_unknown"]
    assert text == slot


CHANGE = Raw(
    "c.eml",
    b"From: Sofia Lindqvist <sofia.lindqvist@redstoneelectric.example>\r\nTo: o@x.example\r\nSubject: SO-40352\r\nMessage-ID: <slot@x>\r\n"
    b"Date: Mon, 15 Jun 2026 09:00:00 +0000\r\n\r\nPlease change VAL-7461 on order SO-40352 from 50 to 40 pieces. Sofia\r\n",
)


def test_the_letter_that_leaves_has_no_slot_and_the_preview_shows_it(worker: Any, api: Session) -> None:
    case = triage(worker, CHANGE)["case"]
    proposal = desk.pending(api, case)
    assert proposal is not None
    assert "{promised_date:SO-40352:en}" in proposal.commands[1]["body"]
    execute(api, PromiseDate(order="SO-40352", promised_date=date(2026, 6, 24)), key="p", actor="test", now=TODAY)
    api.commit()
    case_row = desk.case(api, case)
    assert case_row.customer == "C1018"
    seen = decisions.preview(api, desk.proposal(api, proposal.id), TODAY, [AVA])
    shown = next(c.after["body"] for c in seen.changes if c.tag == "message:outbox:queued" and c.after)
    assert "{" not in shown


def test_what_was_shown_is_what_leaves_or_it_is_stale(worker: Any, api: Session) -> None:
    case = triage(worker, CHANGE)["case"]
    number = desk.pending(api, case).id  # type: ignore[union-attr]
    seen = decisions.preview(api, desk.proposal(api, number), TODAY, [AVA])
    result = decisions.decide(api, number, Said(Verdict.APPROVE, digest=seen.digest), actor=AVA, now=TODAY)
    assert result.outcome == Outcome.EXECUTED
    sent = api.scalars(select(OutboxMail).order_by(OutboxMail.id.desc())).first()
    assert sent is not None
    assert "{" not in sent.body
    shown = next(c.after["body"] for c in seen.changes if c.tag == "message:outbox:queued" and c.after)
    assert sent.body == shown


def test_a_letter_about_somebody_elses_order_cannot_be_signed(worker: Any, api: Session) -> None:
    case = triage(worker, CHANGE)["case"]
    letter = SendMessage(case=case, to="sofia.lindqvist@redstoneelectric.example", subject="x", body="{total:SO-40349}")
    with pytest.raises(RuleViolation, match="cannot be told"):
        execute(api, letter, key="other", actor="test", now=TODAY)
