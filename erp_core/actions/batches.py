"""Signing several proposals at once: only such as are alike, each by its own digest, and after some of them were really opened."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from sqlalchemy.orm import Session

from erp_core.actions import desk as decisions
from erp_core.actions.desk import DecisionResult, Preview, Said
from erp_core.errors import Problem, RuleViolation
from erp_core.policy import Policy
from erp_core.queries import desk, policies
from erp_core.rules import desk as rules
from erp_core.tables.desk import Case, Proposal
from erp_core.values import ProposalStatus, Verdict


@dataclass(frozen=True)
class Candidate:
    """A proposal that may be signed with others, what it would do now, and whether it is one that must be opened first."""

    case: Case
    proposal: Proposal
    seen: Preview
    sample: bool
    opened: bool


def candidates(session: Session, queue: str, action: str, person: str, now: datetime) -> list[Candidate]:
    """Pending proposals of a queue and action that are alike, small enough, without a problem and the person's to sign alone.

    Of several sorts of commands the most frequent is taken. The sample is not the signer's choice, whatever is picked later.
    """
    policy = policies.active(session, now)
    me = desk.person(session, person, now)
    sorts: dict[tuple[str, ...], list[tuple[Case, Proposal, Preview]]] = {}
    for row in desk.case_rows(session, desk.Filter(queue=queue, action=action), now, policy.batch.most * 2):
        if row.proposal is None:
            continue
        number, case_number = row.proposal.id, row.case.id
        seen = decisions.preview(session, row.proposal, now)
        case, proposal = desk.case(session, case_number), desk.proposal(session, number)
        ground = rules.Ground(me, tuple(seen.subjects), (), proposal.asked_by, case.queue, case.entity or "")
        small = all(s.amount <= policy.batch.amount for s in seen.subjects)
        if small and not seen.problems and rules.judge(policy, ground).outcome == "complete":
            sorts.setdefault(tuple(s.action for s in seen.subjects), []).append((case, proposal, seen))
    found = max(sorts.values(), key=len, default=[])[: policy.batch.most]
    sample = _sample([p.id for _, p, _ in found], person, policy)
    opened = desk.seen_by(session, person, [seen.digest for _, _, seen in found])
    return [Candidate(c, p, seen, p.id in sample, seen.digest in opened) for c, p, seen in found]


def _sample(numbers: Sequence[int], person: str, policy: Policy) -> set[int]:
    """Every so many-th, at least one: which, follows from the numbers and the person."""
    mixed = sorted(numbers, key=lambda n: hashlib.sha256(f"{person}:{n}".encode()).hexdigest())
    return set(mixed[: ceil(len(mixed) / policy.batch.sample_every)])


def sign(
    session: Session, picked: Sequence[tuple[int, str]], *, reason: str, actor: str, now: datetime, key: str
) -> list[tuple[int, DecisionResult]]:
    """Sign proposals, each by the digest that was shown of it. One that is stale or refused leaves the others alone.

    Raises RuleViolation when they are not alike, too many, too large, or the sample was not opened.
    """
    policy, me = policies.active(session, now), desk.person(session, actor, now)
    proposals = [desk.proposal(session, number) for number, _ in picked]
    pending = [p for p in proposals if p.status == ProposalStatus.PENDING]
    kinds = {
        (desk.case(session, p.case_id).queue, p.action, tuple(c.type for c in decisions.commands_of(p)))
        for p in pending
    }
    problems = []
    if not 1 <= len(picked) <= policy.batch.most:
        problems.append(Problem("batch_size", f"One to {policy.batch.most} proposals are signed together."))
    if len(kinds) > 1:
        problems.append(
            Problem(
                "batch_mixed", "Only proposals that are alike are signed together: same queue, action and commands."
            )
        )
    for proposal in pending:
        subjects = decisions.preview(session, proposal, now).subjects
        if any(s.amount > policy.batch.amount or rules.needs_second(policy, s) for s in subjects):
            problems.append(Problem("batch_large", f"Proposal {proposal.id} is too large to be signed with others."))
    first = pending[0] if pending else None
    alike = candidates(session, desk.case(session, first.case_id).queue, first.action, actor, now) if first else []
    unopened = {c.proposal.id for c in alike if c.sample and not c.opened}
    if unopened:
        cases = ", ".join(f"#{desk.proposal(session, n).case_id}" for n in sorted(unopened))
        problems.append(
            Problem("sample_unopened", f"Open {cases} first: some of what is signed together is looked at.")
        )
    if problems:
        raise RuleViolation(problems)
    done = []
    for number, digest in picked:
        said = Said(Verdict.APPROVE, reason, digest)
        with session.begin_nested():
            done.append(
                (number, decisions.decide(session, number, said, actor=me.email, now=now, key=f"{key}:{number}"))
            )
    return done
