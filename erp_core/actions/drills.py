"""Drills: now and then a proposal of the agent is shown with something wrong in it, to see whether people look before they sign.

A drill takes the place of a proposal that nobody has opened yet. It looks like it and rests on the same evidence, which contradicts it. Whoever
signs it signs nothing, whoever sends it back has seen it; either way the agent's own proposal is there again at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from erp_core.actions.checks import CORE
from erp_core.actions.context import Change, Context, write_journal
from erp_core.commands import COMMANDS
from erp_core.queries import policies
from erp_core.queries.subjects import versions
from erp_core.tables.desk import Case, CaseView, Drill, Proposal
from erp_core.tables.sales import SalesOrder
from erp_core.values import CHANGEABLE_ORDER_STATUSES, CaseStatus, ProposalStatus, digest, plain

TIMES = 10  # the quantity of a drill is so many times the one that is asked for
LATELY = timedelta(minutes=30)
CAUGHT, MISSED, EXPIRED = "caught", "missed", "expired"
OTHERS = ("cancel_order", "expedite_order")
Commands = list[dict[str, Any]]
Works = Callable[[Session, Proposal, datetime], bool]


@dataclass(frozen=True)
class Wrong:
    """Commands with something wrong in them, and what that is."""

    commands: Commands
    words: str


def make(session: Session, now: datetime, works: Works) -> int:
    """Put a drill in place of some fresh proposals, as many as policy says; `works`: nothing of its preview stands against it. Drills made."""
    every = policies.active(session, now).drills.one_in
    if not every:
        return 0
    opened = select(CaseView.case_id).where(CaseView.case_id == Proposal.case_id)
    before = select(Drill.proposal_id).where(Drill.case_id == Proposal.case_id)
    query = select(Proposal).where(
        Proposal.status == ProposalStatus.PENDING, Proposal.filed_by == "agent", Proposal.asked_by.is_(None),
        Proposal.filed_at > now - LATELY, ~opened.exists(), ~before.exists(),
    )  # fmt: skip
    chosen = [
        p for p in session.scalars(query.order_by(Proposal.id).with_for_update(skip_locked=True)) if _drawn(p, every)
    ]
    return sum(_replaced(session, proposal, now, works) for proposal in chosen)


def _drawn(proposal: Proposal, every: int) -> bool:
    """By chance, but the same each time it is asked."""
    return int(digest(["drill", proposal.id, proposal.digest])[:8], 16) % every == 0


def _replaced(session: Session, proposal: Proposal, now: datetime, works: Works) -> bool:
    wrong = made_wrong(session, proposal.commands)
    if wrong is None:
        return False
    with session.begin_nested() as savepoint:
        drill = _again(session, proposal, wrong.commands, now)
        drill.versions = versions(session, COMMANDS.validate_python(wrong.commands))
        session.flush()
        number, real, case = drill.id, proposal.id, proposal.case_id
        if not works(session, drill, now):
            savepoint.rollback()
            return False
        session.add(Drill(proposal_id=number, case_id=case, instead_of=real, wrong=wrong.words, made_at=now))
    context = Context(session, f"drill:{number}", CORE, now, policies.active(session, now))
    # under a subject of its own: the case's page shows what was done about the case
    write_journal(
        context,
        Change("drill:desk:made", f"drill:{number}", None, {"instead_of": real, "wrong": wrong.words}),
        context.key,
        None,
    )
    return True


def _again(session: Session, proposal: Proposal, commands: Commands, now: datetime) -> Proposal:
    """The same proposal with these commands, pending in its place."""
    proposal.status = ProposalStatus.SUPERSEDED
    session.flush()
    made = Proposal(
        case_id=proposal.case_id,
        action=proposal.action,
        commands=commands,
        rationale=proposal.rationale,
        evidence=proposal.evidence,
        versions=proposal.versions,
        policy=proposal.policy,
        confidence=proposal.confidence,
        digest=digest([commands, proposal.rationale, proposal.evidence, proposal.versions]),
        status=ProposalStatus.PENDING,
        asked_by=None,
        filed_by=proposal.filed_by,
        filed_at=proposal.filed_at,
        expires_at=proposal.expires_at,
    )
    session.add(made)
    session.flush()
    return made


def made_wrong(session: Session, commands: Commands) -> Wrong | None:
    """The first thing of these commands that can be made wrong, and seen to be wrong by who compares it with the evidence; None: nothing."""
    changed = copy.deepcopy(commands)
    for command in changed:
        for line in [*(command.get("changes") or []), *(command.get("lines") or [])]:
            if command["type"] in ("amend_order", "place_order") and line.get("quantity"):
                asked = Decimal(str(line["quantity"]))
                line["quantity"] = plain(asked * TIMES)
                return Wrong(changed, f"the quantity was {plain(asked * TIMES)}, asked for is {plain(asked)}")
        if command["type"] == "amend_order" and command.get("requested_date"):
            asked_for = date.fromisoformat(command["requested_date"])
            command["requested_date"] = (asked_for + timedelta(days=30)).isoformat()
            return Wrong(changed, f"the date was {command['requested_date']}, asked for is {asked_for}")
        other = _other_order(session, command["order"]) if command["type"] in OTHERS else None
        if other is not None:
            words = f"the order was {other}, meant is {command['order']}"
            command["order"] = other
            return Wrong(changed, words)
    return None


def _other_order(session: Session, number: str) -> str | None:
    """Another open order of the same customer."""
    order = session.get_one(SalesOrder, number)
    query = select(SalesOrder.number).where(
        SalesOrder.customer == order.customer,
        SalesOrder.number != number,
        SalesOrder.status.in_(CHANGEABLE_ORDER_STATUSES),
    )
    return session.scalars(query.order_by(SalesOrder.number).limit(1)).first()


def of(session: Session, proposal: Proposal) -> Drill | None:
    """The drill that a proposal is."""
    return session.get(Drill, proposal.id)


def end(session: Session, drill: Drill, outcome: str, person: str | None, now: datetime) -> str:
    """Write down how it went and bring the agent's own proposal back, as fresh as it was. What to tell the person."""
    drill.outcome, drill.decided_by, drill.decided_at = outcome, person, now
    shown, real = session.get_one(Proposal, drill.proposal_id), session.get_one(Proposal, drill.instead_of)
    shown.status = ProposalStatus.EXPIRED if outcome == EXPIRED else ProposalStatus.REJECTED
    session.flush()
    case = session.get_one(Case, drill.case_id, with_for_update=True)
    if outcome != EXPIRED:
        _again(session, real, real.commands, now)
        case.status, case.worked = CaseStatus.AWAITING_REVIEW, True
    context = Context(session, f"drill:{drill.proposal_id}:{outcome}", CORE, now, policies.active(session, now))
    after = {"outcome": outcome, "by": person, "wrong": drill.wrong}
    write_journal(
        context, Change(f"drill:desk:{outcome}", f"drill:{drill.proposal_id}", None, after), context.key, None
    )
    seen = "You saw it." if outcome == CAUGHT else "Nothing was done."
    return f"This was a drill: {drill.wrong}. {seen} The agent's own proposal is back."
