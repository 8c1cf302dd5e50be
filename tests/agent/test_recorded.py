"""Mail of all kinds with a language model behind the agent, replayed: what it says is grounded, nothing changes, and it reads well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from agent.ingest import triage
from agent.mail.fetch import Raw
from agent.worker import worker as working
from erp_core.db import Session
from erp_core.queries import desk, evaluating
from erp_core.queries.catalog import item_names
from erp_core.queries.evaluating import fingerprint
from erp_core.tables.models import ModelCall
from evals.judging import ungrounded
from tests.agent import cassettes
from tests.conftest import SAMPLE, TODAY

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
