"""Mail of all kinds with a language model behind the agent, replayed: what it says is grounded, nothing changes, and it reads well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from agent.ingest import triage
from agent.mail.fetch import Raw
from agent.worker import worker as working
from erp_core import db
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.db import Session
from erp_core.queries import desk, evaluating
from erp_core.queries.catalog import item_names
from erp_core.queries.evaluating import fingerprint
from erp_core.tables.models import ModelCall
from erp_core.values import Verdict
from evals.judging import ungrounded
from tests.agent import cassettes
from tests.conftest import SAMPLE, TODAY

AVA = "ava.stone@northfieldsupply.example"
LABELS: dict[str, dict[str, Any]] = {
    row["file"]: row for row in map(json.loads, (SAMPLE / "labels.jsonl").read_text("utf-8").splitlines())
}


def chosen(most: int = 42) -> list[str]:
    """Mails of all intents in turn, so that none is missing."""
    by_intent: dict[str, list[str]] = {}
    for name, label in sorted(LABELS.items()):
        by_intent.setdefault(label["intent"], []).append(name)
    rounds = (names[n] for n in range(len(LABELS)) for names in by_intent.values() if n < len(names))
    return [name for _, name in zip(range(most), rounds, strict=False)]


MAILS = chosen()


def test_the_recorded_mails_are_of_all_intents() -> None:
    assert len(MAILS) >= 40
    assert {LABELS[n]["intent"] for n in MAILS} == {row["intent"] for row in LABELS.values()}


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", MAILS)
def test_a_mail_is_read_and_planned_inside_the_same_walls(database: str, api: Session, name: str) -> None:
    before = fingerprint(api)
    api.rollback()
    with cassettes.tape(f"mail-{name.removesuffix('.eml')}") as line, working(line=line) as own:
        said = triage(own, Raw(name, (SAMPLE / "inbox" / name).read_bytes()))
    assert not said.get("error")
    assert not said["degraded"], [c.detail for c in api.scalars(select(ModelCall))]
    assert fingerprint(api) == before
    label = LABELS[name]
    if label["hostile"]:
        assert said["action"] == "flag_security"
    assert {k: said[k] for k in ("intent", "action", "order")} == {k: label[k] for k in ("intent", "action", "order")}
    if label["intent"] == "order_cancellation" and not label["items"]:
        assert said["items"] == []  # a whole order is cancelled as a whole
    proposal = desk.pending(api, said["case"])
    assert proposal is not None
    finding = desk.case_file(api, said["case"]).finding
    assert finding is not None
    read = finding.content["read"]
    known = evaluating.facts_of(api, read["customer"]) if read["customer"] else ""
    known += f" {TODAY.date()} {' '.join(item_names(api).values())}"
    loose = ungrounded(proposal, {**read, "today": str(TODAY.date())}, known)
    assert loose == [], proposal.rationale + str(proposal.commands)


INSTRUCTIONS = {
    "0075.eml": "Pete called again: make it 36, and not before July 6. Tell him.",
    "0018.eml": "They rang and want none of it any more. Cancel everything and let them know.",
    "0017.eml": "This is for the returns people, give it to them.",
    "0142.eml": "She told me she takes the substitute after all; send that and write to her.",
}


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("name", "text"), INSTRUCTIONS.items())
def test_what_a_colleague_says_is_followed_inside_the_same_walls(
    database: str, api: Session, name: str, text: str
) -> None:
    before = fingerprint(api)
    api.rollback()
    with cassettes.tape(f"instructed-{name.removesuffix('.eml')}") as line, working(line=line) as own:
        case = triage(own, Raw(name, (SAMPLE / "inbox" / name).read_bytes()))["case"]
        first = desk.pending(api, case)
        assert first is not None
        with db.transaction(db.API) as session:
            decisions.decide(session, first.id, Said(Verdict.INSTRUCT, text), actor=AVA, now=TODAY)
        state = own.work(case)
    assert state is not None
    assert not state["read"]["degraded"]
    assert fingerprint(api) == before
    commands = state["commands"]
    kinds = [c["type"] for c in commands]
    if name == "0075.eml":
        assert kinds == ["amend_order", "send_message"]
        assert [c["quantity"] for c in commands[0]["changes"]] == ["36"]
        assert commands[0]["requested_date"] == "2026-07-06"
    elif name == "0018.eml":
        assert kinds == ["cancel_order", "send_message"]
    elif name == "0017.eml":
        assert (kinds, commands[0]["queue"]) == (["route_case"], "returns")
    else:
        assert kinds[:2] == ["substitute_item", "send_message"]
