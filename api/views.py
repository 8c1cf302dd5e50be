"""What the screens and the API show of cases: values from the core, arranged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from api import words
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Preview
from erp_core.db import Session
from erp_core.errors import Problem
from erp_core.queries import policies
from erp_core.queries.desk import CaseFile, CaseRow
from erp_core.rules import desk as rules
from erp_core.rules.desk import Person, Subject
from erp_core.tables.desk import Message, Proposal
from erp_core.tables.parties import User
from erp_core.values import ProposalStatus

LETTER, HAND_OVER, WAIT = "send_message", "route_case", "pause_case"
SHORT = {HAND_OVER: "Hand over", WAIT: "Wait for an answer"}


def what_it_does(proposal: Proposal) -> str:
    """A proposal in a list, by what signing it would run."""
    kinds = [c["type"] for c in proposal.shown]
    if kinds == [HAND_OVER]:
        return "Hand over to a person"
    if kinds == [LETTER, WAIT]:
        return "Ask, and wait"
    deeds = [SHORT.get(k) or words.title(k) for k in dict.fromkeys(kinds) if k != LETTER]
    letter = ["letter" if deeds else "Letter"] if LETTER in kinds else []
    return ", ".join([*deeds[:2], *letter])


def row_json(row: CaseRow, now: datetime) -> dict[str, Any]:
    """A case of a queue, for API and command line."""
    case = row.case
    return {
        "case": case.id,
        "kind": case.kind,
        "title": case.title,
        "queue": case.queue,
        "priority": case.priority,
        "status": case.status,
        "customer": case.customer,
        "customer_name": row.customer,
        "sender": row.sender,
        "order": case.order_number,
        "at_stake": str(case.at_stake) if case.at_stake is not None else None,
        "due_at": case.due_at,
        "time_left": words.left(case.due_at, now)[0],
        "assignee": case.assignee,
        "proposal": row.proposal.id if row.proposal else None,
        "action": row.proposal.action if row.proposal else None,
    }


def proposal_json(session: Session, proposal: Proposal, now: datetime) -> dict[str, Any]:
    """A proposal; while it is pending, with preview, digest and what signatures it needs."""
    shown: dict[str, Any] = {
        "id": proposal.id,
        "case": proposal.case_id,
        "action": proposal.action,
        "status": proposal.status,
        "commands": proposal.shown,
        "amended": proposal.amended is not None,
        "rationale": proposal.rationale,
        "evidence": proposal.evidence,
        "policy": proposal.policy,
        "confidence": proposal.confidence,
        "filed_at": proposal.filed_at,
        "expires_at": proposal.expires_at,
    }
    if proposal.status == ProposalStatus.PENDING:
        seen = decisions.preview(session, proposal, now)
        shown["digest"] = seen.digest
        shown["preview"] = [
            {"tag": c.tag, "subject": c.subject, "rows": words.diff_rows(c.before, c.after)} for c in seen.changes
        ]
        shown["problems"] = [_problem(p) for p in seen.problems]
        shown["rules"] = [_problem(p) for p in seen.rules]
    return shown


def _problem(problem: Problem) -> dict[str, Any]:
    return {"code": problem.code, "text": problem.text, "facts": problem.facts}


def case_json(session: Session, found: CaseFile, now: datetime) -> dict[str, Any]:
    """Everything on a case."""
    case = found.case
    return {
        "case": case.id,
        "kind": case.kind,
        "title": case.title,
        "queue": case.queue,
        "priority": case.priority,
        "status": case.status,
        "customer": case.customer,
        "order": case.order_number,
        "due_at": case.due_at,
        "assignee": case.assignee,
        "details": case.details,
        "messages": [
            {
                "id": m.id,
                "from": m.sender,
                "subject": m.subject,
                "sent_at": m.sent_at,
                "text": m.parsed.get("newest", ""),
            }
            for m in found.messages
        ],
        "read": found.finding.content["read"] if found.finding else None,
        "proposal": proposal_json(session, found.proposal, now) if found.proposal else None,
        "decisions": [
            {
                "actor": d.actor,
                "verdict": d.verdict,
                "outcome": d.outcome,
                "text": d.detail.get("text"),
                "at": d.decided_at,
            }
            for d in found.decisions
        ],
        "notes": [{"author": n.author, "text": n.text, "at": n.written_at} for n in found.notes],
        "journal": [{"at": e.at, "actor": e.actor, "tag": e.tag} for e in found.journal],
    }


@dataclass(frozen=True)
class Signer:
    """One needed signature: for which commands, by which rule, who can give it, and whose turn it is."""

    commands: str
    rules: list[tuple[str, str]]
    names: list[str]
    mine: bool
    signed: str | None


def signers(
    session: Session,
    proposal: Proposal,
    seen: Preview,
    me: Person,
    now: datetime,
    people: Sequence[tuple[User, Person]],
) -> list[Signer]:
    """Who must sign which command, as policy has it now."""
    active = policies.active(session)
    given = [
        rules.signature(active, p, seen.subjects) for p in decisions.signers_of(session, proposal, seen.digest, now)
    ]
    found = []
    for position, subject in enumerate(seen.subjects):
        able = [(user, rules.authority(active, person, subject)) for user, person in people]
        allowed = [(user, ruling) for user, ruling in able if ruling.allowed]
        mine = rules.authority(active, me, subject)
        ground = mine if mine.allowed else next((ruling for _, ruling in allowed), None)  # of whoever is named first
        own = [(r, rules.rule_text(active, r)) for r in (dict.fromkeys(ground.rules) if ground else ())]
        signed = next((s.email for s in given if position in s.covers), None)
        two = " · two people" if rules.needs_second(active, subject) else ""
        found.append(Signer(f"{position + 1}{two}", own, [u.name for u, _ in allowed], mine.allowed, signed))
    return found


def may_sign(session: Session, subjects: list[Subject], me: Person, signed: list[Signer]) -> bool:
    """May this person sign at least one of the commands, and has not yet?"""
    active = policies.active(session)
    if any(s.signed == me.email for s in signed):
        return False
    return any(rules.authority(active, me, subject).allowed for subject in subjects)


@dataclass(frozen=True)
class Span:
    """A place of the mail that a numbered fact rests on."""

    number: int
    start: int
    end: int


def marked_mail(message: Message, evidence: list[dict[str, Any]], part: str = "newest") -> Markup:
    """The sender's own text with the places marked that the evidence points to."""
    text = str(message.parsed.get(part, ""))
    spans = sorted(
        (Span(e["n"], e["start"], e["end"]) for e in evidence if e.get("part") == part and e["end"] <= len(text)),
        key=lambda s: s.start,
    )
    out, at = [], 0
    for span in spans:
        if span.start < at or span.end <= span.start:
            continue
        out.append(escape(text[at : span.start]))
        inner = escape(text[span.start : span.end])
        out.append(
            Markup('<mark id="ev-{0}" data-ev="{0}" tabindex="0">{1}<sup>{0}</sup></mark>').format(span.number, inner)
        )
        at = span.end
    out.append(escape(text[at:]))
    return Markup("").join(out)


def marked_rationale(text: str) -> Markup:
    """The rationale with its numbers linked to their evidence."""
    safe = str(escape(text))
    link = r'<a class="ev" href="#ev-\1" data-ev="\1" aria-label="Evidence \1">\1</a>'
    return Markup(re.sub(r"\[(\d+)\]", link, safe))  # noqa: S704 - escaped above; only numbers are put back


def summary_of(text: str) -> str:
    """The first sentences of a rationale, for the head of the case."""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
    return " ".join(sentences[:4])
