"""What is looked up by meaning: cases that ended and whether it held, rules and playbooks; and the other ways that are shown beside a proposal."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from agent import memory
from agent.ingest import triage
from agent.mail.fetch import Raw
from erp_core import db
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.db import Session
from erp_core.errors import NotFound
from erp_core.queries import desk
from erp_core.queries import memory as lookup
from erp_core.tables.desk import Case
from erp_core.tables.models import Passage
from erp_core.values import Verdict
from ml import embeddings
from tests.agent.test_llm import MAIL
from tests.conftest import TODAY
from tools import facts
from tools.facts import Scope, Words

AVA = "ava.stone@northfieldsupply.example"
ABOUT = Words(about="please change the quantity of a line on my order")


def test_a_case_that_ended_is_found_by_one_like_it(worker: Any, api: Session) -> None:
    case = triage(worker, MAIL)["case"]
    scope = Scope(None, "C1018", None, TODAY)
    memory.remember()
    assert facts.similar_cases(scope, ABOUT) == []
    proposal = desk.pending(api, case)
    assert proposal is not None
    seen = decisions.preview(api, proposal, TODAY, [AVA])
    decisions.decide(api, proposal.id, Said(Verdict.APPROVE, digest=seen.digest), actor=AVA, now=TODAY)
    api.commit()
    assert memory.remember() == 1
    assert memory.remember() == 0
    found = facts.similar_cases(scope, ABOUT)
    assert [f.source for f in found] == [f"case {case}"]
    assert "change order" in found[0].text
    assert found[0].text.endswith("it held")
    assert facts.similar_cases(Scope(case, "C1018", None, TODAY), ABOUT) == []


def test_an_open_case_is_found_by_meaning_by_who_may_see_it_and_no_longer_when_it_is_over(
    worker: Any, api: Session
) -> None:
    case = triage(worker, MAIL)["case"]
    memory.remember()
    embedder = embeddings.local()
    vector = embedder.vectors([ABOUT.about])[0]

    def found(*firms: str) -> list[int]:
        with db.transaction(db.API, firms=firms) as session:
            return [c.case for c in lookup.open_like(session, vector, embedder.name, 8)]

    assert case in found("*")
    assert case in found(str(api.get_one(Case, case).entity))
    assert found("nobody") == []
    proposal = desk.pending(api, case)
    assert proposal is not None
    seen = decisions.preview(api, proposal, TODAY, [AVA])
    decisions.decide(api, proposal.id, Said(Verdict.APPROVE, digest=seen.digest), actor=AVA, now=TODAY)
    api.commit()
    assert case not in found("*")
    memory.remember()
    kinds = list(api.scalars(select(Passage.kind).where(Passage.case_id == case)))
    assert kinds == ["case"]


def test_vectors_of_another_embedder_are_made_anew_and_never_compared(worker: Any, api: Session) -> None:
    assert memory.remember() > 0
    scope = Scope(None, None, None, TODAY)
    asked = Words(about="credit hold, exposure and overdue invoices")
    assert any("credit" in f.text for f in facts.policy_text(scope, asked))
    with db.transaction(db.OWNER) as session:
        session.execute(update(Passage).values(embedder="older-256"))
    assert facts.policy_text(scope, asked) == []
    assert memory.remember() > 0
    assert set(api.scalars(select(Passage.embedder))) == {embeddings.local().name}


def test_a_tool_knows_nothing_of_another_partys_documents(database: str) -> None:
    for scope in (Scope(1, "C1018", None, TODAY), Scope(1, None, "V202", TODAY), Scope(1, None, None, TODAY)):
        for tool in (facts.order, facts.shipments, facts.ways_to_supply, facts.predictions):
            with pytest.raises(NotFound, match="There is no order SO-40349 of this customer"):
                tool(scope, facts.OfOrder(order="SO-40349"))


def test_more_than_there_is_has_other_ways_beside_it(worker: Any, api: Session) -> None:
    much = Raw("much.eml", MAIL.data.replace(b"to 40 pieces instead of 50", b"to 9000 pieces instead of 50"))
    case = triage(worker, much)["case"]
    finding = desk.case_file(api, case).finding
    assert finding is not None
    titles = [o["title"] for o in finding.content["plan"]["alternatives"]]
    assert titles[-1] == "Hand over"
    assert "Only what is in stock" in titles
    less = next(o for o in finding.content["plan"]["alternatives"] if o["title"] == "Only what is in stock")
    assert 50 <= int(less["commands"][0]["changes"][0]["quantity"]) < 9000
