"""Drills: now and then a proposal of the agent is shown with something wrong in it, to see whether people look before they sign.

The proposal stays what it is; while its drill is open, other commands are shown in place of its own, and its evidence contradicts them.
Whoever signs them signs nothing, whoever sends them back has seen it; either way the proposal shows its own commands again at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from erp_core.actions.context import CORE, Change, Context, write_journal
from erp_core.commands import COMMANDS
from erp_core.errors import CountersignError
from erp_core.queries import policies
from erp_core.queries.subjects import versions
from erp_core.tables.desk import CaseView, Decision, Drill, Proposal
from erp_core.tables.sales import SalesOrder
from erp_core.values import CHANGEABLE_ORDER_STATUSES, ProposalStatus, digest, plain

TIMES = 10  # the quantity of a drill is so many times the one that is asked for
LATELY = timedelta(minutes=30)
CAUGHT, MISSED, LEFT = "caught", "missed", "left"
OTHERS = ("cancel_order", "expedite_order")
Commands = list[dict[str, Any]]
Works = Callable[[Session, Proposal, datetime], bool]


@dataclass(frozen=True)
class Wrong:
    """Commands with something wrong in them, and what that is."""

    commands: Commands
    words: str


def make(session: Session, now: datetime, works: Works) -> int:
    """Make a drill of some fresh proposals, as many as policy says; `works`: nothing of its preview stands against it. Drills made."""
    every = policies.active(session, now).drills.one_in
    if not every:
        return 0
    touched = [
        select(column).where(column == Proposal.case_id).exists()
        for column in (CaseView.case_id, Decision.case_id, Drill.case_id)
    ]
    query = select(Proposal).where(
        Proposal.status == ProposalStatus.PENDING, Proposal.filed_by == "agent", Proposal.asked_by.is_(None),
        Proposal.amended.is_(None), Proposal.filed_at > now - LATELY, *(~was for was in touched),
    )  # fmt: skip
    fresh = session.scalars(query.order_by(Proposal.id).with_for_update(skip_locked=True)).all()
    chosen = [p.id for p in fresh if int(digest(["drill", p.id, p.digest])[:8], 16) % every == 0]
    return sum(_made(session, number, now, works) for number in chosen)


def _made(session: Session, number: int, now: datetime, works: Works) -> bool:
    proposal = session.get_one(Proposal, number)
    case, wrong = proposal.case_id, made_wrong(session, proposal.commands)
    if wrong is None:
        return False
    with session.begin_nested() as savepoint:
        told = versions(session, COMMANDS.validate_python(wrong.commands))
        drill = Drill(
            proposal_id=number, case_id=case, commands=wrong.commands, versions=told, wrong=wrong.words, made_at=now
        )
        session.add(drill)
        session.flush()
        session.expire(proposal)
        if not works(session, proposal, now):
            savepoint.rollback()
            return False
    context = Context(session, f"round:{number}", CORE, now, policies.active(session, now))
    # what it was is told when it is over; until then a digest stands for it, or the journal would give it away
    kept = {"digest": digest([number, wrong.commands, wrong.words])}
    write_journal(context, Change("desk:round:made", "desk:round", None, kept), context.key, None)
    return True


def made_wrong(session: Session, commands: Commands) -> Wrong | None:
    """The first thing of these commands that can be made wrong, and seen to be wrong by who compares it with the evidence; None: nothing."""
    try:
        COMMANDS.validate_python(commands)
        wrong = _made_wrong(session, copy.deepcopy(commands))
        if wrong is not None:
            COMMANDS.validate_python(wrong.commands)
    except (ValidationError, CountersignError, ArithmeticError, ValueError):
        return None  # whatever the agent filed, other proposals have their drills
    return wrong if wrong is not None and wrong.commands != commands else None


def _made_wrong(session: Session, changed: Commands) -> Wrong | None:
    for command in changed:
        for line in [*(command.get("changes") or []), *(command.get("lines") or [])]:
            if command["type"] in ("amend_order", "place_order") and line.get("quantity") is not None:
                asked = Decimal(str(line["quantity"]))
                if asked.is_finite() and asked > 0:
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
    own = select(SalesOrder.customer).where(SalesOrder.number == number).scalar_subquery()
    query = select(SalesOrder.number).where(
        SalesOrder.customer == own, SalesOrder.number != number, SalesOrder.status.in_(CHANGEABLE_ORDER_STATUSES)
    )
    return session.scalars(query.order_by(SalesOrder.number).limit(1)).first()


def dismissed(session: Session, case: int, person: str, now: datetime) -> str | None:
    """What to tell whoever dismisses a case that shows a drill; None when it shows none. Who had it on the screen saw that it was wrong."""
    shown = select(Drill).join(Proposal, Proposal.id == Drill.proposal_id)
    shown = shown.where(Drill.case_id == case, Drill.outcome.is_(None), Proposal.status == ProposalStatus.PENDING)
    drill = session.scalars(shown).first()
    if drill is None:
        return None
    looked = select(CaseView.id).where(
        CaseView.case_id == case, CaseView.person == person, CaseView.seen_at >= drill.made_at
    )
    return end(session, drill, CAUGHT if session.scalars(looked).first() is not None else LEFT, person, now)


def end(session: Session, drill: Drill, outcome: str, person: str, now: datetime) -> str:
    """Write down how it went; the proposal shows its own commands again. What to tell the person."""
    drill.outcome, drill.decided_by, drill.decided_at = outcome, person, now
    session.flush()
    session.expire(session.get_one(Proposal, drill.proposal_id))
    context = Context(session, f"drill:{drill.proposal_id}", CORE, now, policies.active(session, now), drill.case_id)
    shown = {"commands": drill.commands, "wrong": drill.wrong, "made_at": drill.made_at.isoformat()}
    change = Change(f"drill:desk:{outcome}", f"proposal:{drill.proposal_id}", shown, {"outcome": outcome, "by": person})
    write_journal(context, change, context.key, None)
    seen = "You saw it." if outcome == CAUGHT else "Nothing was done."
    return f"This was a drill: {drill.wrong}. {seen} What the agent proposes is shown now."
