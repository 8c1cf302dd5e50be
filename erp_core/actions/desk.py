"""Preview and decision: what signing would do now, and what a person said.

`decide` is one transaction: authority, then expiry, then staleness and digest, then the commands through `execute`, then the case.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from erp_core import actions
from erp_core.actions import cases, drills, segregation
from erp_core.actions.context import CORE, PREVIEW, Change, Context, earlier, write_journal
from erp_core.commands import COMMANDS, Command, TransferStock
from erp_core.errors import (
    Conflict,
    CountersignError,
    IllegalTransition,
    NotAuthorised,
    NotFound,
    Problem,
    RuleViolation,
)
from erp_core.policy import Policy
from erp_core.queries import desk as queries
from erp_core.queries import policies
from erp_core.queries.backtest import GROUND
from erp_core.queries.subjects import subject_of, versions
from erp_core.rules import desk as rules
from erp_core.rules.desk import Ground, Person, Subject
from erp_core.rules.queues import escalation_path
from erp_core.tables.desk import Case, CaseView, Decision, Drill, NoticeSeen, Proposal, SavedView
from erp_core.values import (
    CASE_STEPS,
    OPEN_CASE_STATUSES,
    CaseStatus,
    HoldReason,
    Outcome,
    Priority,
    ProposalStatus,
    Verdict,
    digest,
    transition,
)

__all__ = ["DecisionResult", "Preview", "Said", "decide", "preview"]


@dataclass(frozen=True)
class Preview:
    """What executing would change now. Its digest is what a person signs."""

    changes: list[Change]
    problems: list[Problem]
    subjects: list[Subject]
    shown: list[Any]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what was shown: commands, differences, fired rules, problems, policy."""
        return digest(self.shown)

    @property
    def rules(self) -> list[Problem]:
        """Rules that fire on the way."""
        return [problem for change in self.changes for problem in change.problems]


@dataclass(frozen=True)
class Said:
    """What a person says to a proposal. `digest` is the one of the preview the person saw."""

    verdict: Verdict
    reason: str = ""
    digest: str | None = None
    commands: list[dict[str, Any]] | None = None
    root_cause: str | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class DecisionResult:
    """What became of a decision, in words for the person and facts for the record."""

    outcome: Outcome
    text: str
    detail: dict[str, Any] = field(default_factory=dict)
    decision: int | None = None


def commands_of(proposal: Proposal) -> list[Command]:
    """The commands that stand: the amended ones, or the original; those of a drill while it is open."""
    return COMMANDS.validate_python(proposal.shown)


def preview(
    session: Session,
    proposal: Proposal,
    now: datetime,
    signer: Sequence[str] = (),
    instead: Sequence[Command] | None = None,
) -> Preview:
    """Execute in a savepoint and roll it back: the same path, with nothing left of it. With a signer's hands, as that person's deed;
    or `instead` of the proposal's commands others that somebody is thinking of."""
    facts = {"signers": list(signer)} if signer else None
    policy = policies.active(session, now)
    changes: list[Change] = []
    problems: list[Problem] = []
    try:
        commands = list(instead) if instead is not None else commands_of(proposal)
    except ValidationError as error:
        unreadable = [Problem("commands_unreadable", f"The commands are not well-formed: {error.errors()[0]['msg']}.")]
        return Preview([], unreadable, [], [proposal.shown, policy.hash])
    subjects = [subject_of(session, command) for command in commands]
    savepoint = session.begin_nested()
    try:
        _locked(session, proposal.id)
        for position, command in enumerate(commands, start=1):
            key = f"preview:{proposal.id}:{position}"
            result = actions.execute(
                session, command, key=key, actor=PREVIEW, now=now, case=proposal.case_id, facts=facts
            )
            changes += [result.change, *result.beside]
        after = [subject_of(session, command) for command in commands]
        subjects = [larger(before, now_) for before, now_ in zip(subjects, after, strict=True)]
    except CountersignError as refusal:
        problems = _problems(refusal)
    except DBAPIError as refusal:
        problems = [Problem("refused_by_database", str(refusal.orig).split("\n")[0])]
    finally:
        savepoint.rollback()
        session.expire_all()
    return Preview(changes, problems, subjects, _shown(commands, changes, problems, policy))


def _locked(session: Session, number: int) -> tuple[Proposal, Case]:
    """A proposal and its case. Whoever looks and whoever decides take them first, in this order, so that neither waits for what the other has."""
    proposal = queries.proposal(session, number, lock=True)
    return proposal, session.get_one(Case, proposal.case_id, with_for_update=True)


def works(session: Session, proposal: Proposal, now: datetime) -> bool:
    """Nothing stands against a proposal, as far as its preview goes."""
    return not preview(session, proposal, now).problems


def larger(before: Subject, after: Subject) -> Subject:
    """A command moves the larger of what it moves before and after: growing an order asks for the authority it ends up needing."""
    return replace(
        before,
        amount=max(before.amount, after.amount),
        lasts_days=max(before.lasts_days, after.lasts_days),
        waiting=after.waiting,
    )


def _shown(
    commands: Sequence[Command], changes: Sequence[Change], problems: Sequence[Problem], policy: Policy
) -> list[Any]:
    """Commands, differences, fired rules and policy; no technical number and no time of day."""
    seen = [
        [c.tag, c.subject if "SO-" not in (c.subject or "") or c.before else "new order", c.before, c.after]
        for c in changes
    ]
    fired = [p.code for change in changes for p in change.problems]
    return [[c.model_dump(mode="json") for c in commands], seen, fired, [p.code for p in problems], policy.hash]


def _problems(refusal: CountersignError) -> list[Problem]:
    if isinstance(refusal, RuleViolation):
        return refusal.problems
    return [Problem(type(refusal).__name__, str(refusal))]


def signers_of(session: Session, proposal: Proposal, shown: str, now: datetime) -> list[Person]:
    """Who signed this very digest before, with what they are now: a role lost since then no longer covers anything."""
    query = select(Decision).where(Decision.proposal_id == proposal.id, Decision.outcome == Outcome.SIGNED)
    signed = [d for d in session.scalars(query.order_by(Decision.id)) if d.digest_shown == shown]
    return [queries.person(session, d.actor, now) for d in signed]


def assign(session: Session, number: int, *, actor: str, now: datetime, to: str | None = None) -> None:
    """Give a case to a colleague who may work it; nobody named: take it, or give it back when it is one's own already."""
    policy = policies.active(session, now)
    context = Context(session, f"assign:{number}:{now.isoformat()}:{actor}", actor, now, policy, number)
    case = cases.locked(number, context)
    if not rules.may_work(policy, queries.person(session, actor, now), case.queue, case.entity or ""):
        raise NotAuthorised(f"No rule lets {actor} work in this queue.")
    before = case.assignee
    taker = to or (None if before == actor else actor)
    if taker not in (None, actor) and not rules.may_work(
        policy, queries.person(session, str(taker), now), case.queue, case.entity or ""
    ):
        named = queries.name(session, str(taker))
        raise RuleViolation(
            [Problem("may_not_work", f"No rule lets {named} work in this queue.", {"queue": case.queue})]
        )
    if taker == before:
        return
    case.assignee = taker
    change = Change("case:desk:assigned", f"case:{number}", {"assignee": before}, {"assignee": case.assignee})
    write_journal(context, change, context.key, None)


def read_news(session: Session, person: str, entry: int) -> None:
    """Somebody has read the news of the own cases up to an entry."""
    kept = session.get(NoticeSeen, person)
    if kept is None:
        session.add(NoticeSeen(person=person, entry=entry))
    else:
        kept.entry = max(kept.entry, entry)


def keep_view(session: Session, person: str, name: str, query: str | None) -> None:
    """Keep filters of the queue under a name of somebody's own; without filters the name is forgotten."""
    kept = session.get(SavedView, (person, name))
    if query is None:
        if kept is not None:
            session.delete(kept)
    elif kept is None:
        session.add(SavedView(person=person, name=name, query=query))
    else:
        kept.query = query
    session.flush()


def saw(session: Session, number: int, person: str, shown: str | None, now: datetime) -> None:
    """Remember that somebody had a case, and this preview of it, on the screen."""
    session.add(CaseView(case_id=number, person=person, digest=shown, seen_at=now))


def note_pack(session: Session, number: int, fingerprint: str, *, actor: str, now: datetime) -> None:
    """Keep the digest of an evidence pack: whoever holds the pack can ask whether it is the one that was written."""
    context = Context(
        session, f"pack:{number}:{fingerprint}:{now.isoformat()}", actor, now, policies.active(session, now), number
    )
    change = Change("case:evidence:packed", f"case:{number}", None, {"digest": fingerprint})
    write_journal(context, change, context.key, None)


@dataclass
class _Desk:
    """One decision being made."""

    session: Session
    proposal: Proposal
    case: Case
    person: Person
    said: Said
    now: datetime
    policy: Policy
    key: str
    authority: dict[str, Any] | None = None
    shown: list[Any] | None = None

    @property
    def told(self) -> dict[str, Any]:
        """What was said, as the journal keeps it."""
        until = self.said.until.isoformat() if self.said.until else None
        return {"proposal": self.proposal.id, **self.said.__dict__, "until": until}


def decide(
    session: Session, proposal_id: int, said: Said, *, actor: str, now: datetime, key: str | None = None
) -> DecisionResult:
    """Take a person's decision. Refused and stale ones are outcomes, and written down like all others.

    A double click says the same under the same `key` and gets the first answer; without a key each call is a decision of its own.
    Raises NotFound when there is no such proposal or user, RuleViolation when amended commands are not even well-formed or who decides
    otherwise than was proposed does not say why, KeyReused when something else was said under the key.
    """
    proposal, case = _locked(session, proposal_id)
    own = f"decision:{actor}:{key or uuid.uuid4()}"
    desk = _Desk(
        session, proposal, case, queries.person(session, actor, now), said, now, policies.active(session, now), own
    )
    first = _first(desk)
    if first is not None:
        return first
    if said.verdict in OTHERWISE and not said.reason.strip():
        raise RuleViolation([Problem("reason_missing", f"To {said.verdict} a proposal, say why or what to do.")])
    if proposal.status != ProposalStatus.PENDING:
        return _record(desk, DecisionResult(Outcome.REFUSED, f"Proposal {proposal.id} is already {proposal.status}."))
    if case.status not in OPEN_CASE_STATUSES:
        over = f"Case {case.id} is {case.status}; nothing of it runs any more."
        return _record(desk, _refused(over, ["case_closed"]))
    if proposal.drill is not None and said.verdict in SEEN:
        return _record(desk, _caught(desk, proposal.drill))
    if proposal.drill is not None and said.verdict == Verdict.ESCALATE and _may_work(desk):
        drills.end(session, proposal.drill, drills.LEFT, actor, now)  # somebody else decides on what the agent proposes
    return _record(desk, _VERDICTS[said.verdict](desk))


SEEN = (Verdict.REJECT, Verdict.AMEND, Verdict.INSTRUCT)
OTHERWISE = (*SEEN, Verdict.ESCALATE)


def _caught(desk: _Desk, drill: Drill) -> DecisionResult:
    if desk.case.status not in OPEN_CASE_STATUSES:
        return _refused(f"Case {desk.case.id} is {desk.case.status}.", ["case_closed"])
    if not _may_work(desk):
        return _refused(f"No rule lets {desk.person.email} decide here.", ["not_authorised"])
    text = drills.end(desk.session, drill, drills.CAUGHT, desk.person.email, desk.now)
    return DecisionResult(Outcome.RETURNED, text, {"drill": drills.CAUGHT})


def _first(desk: _Desk) -> DecisionResult | None:
    """The answer that was given under this key."""
    entry = earlier(desk.session, desk.key, desk.told)
    if entry is None or entry.after is None:
        return None
    found = desk.session.get_one(Decision, entry.after["decision"])
    detail = {name: value for name, value in found.detail.items() if name not in ("text", "authority")}
    return DecisionResult(Outcome(found.outcome), found.detail["text"], detail, found.id)


def _approve(desk: _Desk) -> DecisionResult:
    if desk.case.status not in OPEN_CASE_STATUSES:
        return _refused(f"Case {desk.case.id} is {desk.case.status}; nothing of it runs any more.", ["case_closed"])
    try:
        commands = commands_of(desk.proposal)
    except ValidationError:
        return _refused("The commands are not well-formed; reject the proposal.", ["commands_unreadable"])
    subjects = [subject_of(desk.session, command) for command in commands]
    if not rules.signature(desk.policy, desk.person, subjects).covers:
        asked = ", ".join(sorted({s.action for s in subjects}))
        return _refused(f"No rule lets {desk.person.email} sign {asked}. Nothing changed.", ["not_authorised"])
    if desk.now >= desk.proposal.expires_at:
        return _set_back(
            desk, ProposalStatus.EXPIRED, Outcome.REFUSED, "The proposal has expired; the agent makes a new one."
        )
    moved = _moved(desk, commands)
    if moved:
        text = f"{', '.join(moved)} changed since the proposal was made. Nothing ran; the agent makes a new one."
        return _set_back(desk, ProposalStatus.SUPERSEDED, Outcome.STALE, text)
    seen = preview(desk.session, desk.proposal, desk.now)
    desk.shown = seen.shown
    if desk.said.digest != seen.digest:
        return DecisionResult(
            Outcome.STALE, "What signing would do is no longer what was shown. Nothing ran; look again."
        )
    if seen.problems:
        return _refused("; ".join(p.text for p in seen.problems), [p.code for p in seen.problems])
    if desk.proposal.drill is not None:  # nothing of a drill ever runs, nor waits for another signature
        text = drills.end(desk.session, desk.proposal.drill, drills.MISSED, desk.person.email, desk.now)
        return DecisionResult(Outcome.REFUSED, text, {"drill": drills.MISSED})
    return _sign(desk, commands, seen)


def _hands_apart(desk: _Desk, commands: Sequence[Command], seen: Preview) -> list[Problem]:
    """Who may not do this does not sign it first either. A last signature is looked at as the commands run."""
    if not any(c.type in segregation.HANDS_APART for c in commands):
        return []
    hands = rules.signature(desk.policy, desk.person, seen.subjects).hands
    return preview(desk.session, desk.proposal, desk.now, sorted(hands)).problems


def _sign(desk: _Desk, commands: list[Command], seen: Preview) -> DecisionResult:
    """What authority says of this person's yes, kept with all it rests on, so that anybody can judge it again."""
    me = desk.person.email
    earlier = signers_of(desk.session, desk.proposal, seen.digest, desk.now)
    if any(p.email == me for p in earlier):
        return _refused(f"{me} has signed already; somebody else must.", ["signed_already"])
    ends = None if any(c.type == "route_case" for c in commands) else desk.case.queue
    firm = desk.case.entity or ""
    ground = Ground(desk.person, tuple(seen.subjects), tuple(earlier), desk.proposal.asked_by, ends, firm)
    said = rules.judge(desk.policy, ground)
    desk.authority = {**asdict(said), "ground": GROUND.dump_python(ground, mode="json")}
    if said.outcome == "refused":
        if ends is not None and not rules.may_end(desk.policy, desk.person, ends, firm):
            return _refused(f"No rule lets {me} end a case of this queue.", ["not_authorised"])
        return _refused(f"What this comes to is more than {me} may sign.", ["not_authorised"])
    if said.outcome == "signed":
        apart = _hands_apart(desk, commands, seen)
        if apart:
            return _refused("; ".join(p.text for p in apart), [p.code for p in apart])
        waiting = list(said.waiting)
        text = f"Another person must sign too: {', '.join(w.replace('_', ' ') for w in waiting)}."
        return DecisionResult(Outcome.SIGNED, text, {"waiting": waiting})
    signed = [rules.signature(desk.policy, person, seen.subjects) for person in (*earlier, desk.person)]
    return _execute_all(
        desk, commands, seen, [*(p.email for p in earlier), me], sorted({h for s in signed for h in s.hands})
    )


def _execute_all(
    desk: _Desk, commands: list[Command], seen: Preview, signers: list[str], hands: list[str]
) -> DecisionResult:
    facts = {
        "signers": signers,
        "hands": hands,
        "proposal": desk.proposal.id,
        "digest": seen.digest,
        "evidence": digest(desk.proposal.evidence),
        "versions": desk.proposal.versions,
        "reason": desk.said.reason,
    }
    savepoint = desk.session.begin_nested()
    try:
        results = [
            actions.execute(
                desk.session,
                command,
                key=f"proposal:{desk.proposal.id}:{n}",
                actor=desk.person.email,
                now=desk.now,
                case=desk.case.id,
                facts=facts,
            )
            for n, command in enumerate(commands, start=1)
        ]
        savepoint.commit()
    except (RuleViolation, IllegalTransition, NotFound, Conflict) as refusal:
        savepoint.rollback()
        problems = _problems(refusal)
        return _refused("; ".join(p.text for p in problems), [p.code for p in problems])
    desk.proposal.status = ProposalStatus.EXECUTED
    _finish_case(desk, commands)
    _overtake(desk, commands)
    subjects = [result.change.subject for result in results]
    text = f"Done: {', '.join(c.type.replace('_', ' ') for c in commands)}."
    held = [
        p.text
        for result in results
        for change in result.beside
        if change.tag == "order:hold:placed"
        for p in change.problems
    ]
    if held:
        text += f" It is held anew: {' '.join(held)}"
    return DecisionResult(Outcome.EXECUTED, text, {"subjects": subjects})


def _cause(desk: _Desk) -> str:
    """Why the case arose: as the person says, else what policy has for its kind or action."""
    if desk.said.root_cause in desk.policy.root_causes:
        return str(desk.said.root_cause)
    usual = desk.policy.usual_causes
    return usual.get(desk.case.kind) or usual.get(desk.proposal.action) or cases.BY_ITSELF


BRINGS_GOODS = ("transfer_stock", "reallocate", "promise_date", "substitute_item", "amend_order")


def _finish_case(desk: _Desk, commands: list[Command]) -> None:
    """A routed case goes on in its new queue, one that waits for somebody or whose hold still stands goes on with its team; any other is resolved.

    Goods that were moved or dated lift a stock hold as they come: until then the list of backorders sees to it, and a failed promise opens a case.
    """
    desk.session.refresh(desk.case)
    if desk.case.status == CaseStatus.RESOLVED:
        desk.case.root_cause = _cause(desk)  # a command ended it; a person stands behind that
        return
    held = cases.standing_holds(desk.case, desk.session)
    come = any(c.type in BRINGS_GOODS for c in commands) and all(
        hold.reason == HoldReason.STOCK and hold.placed_by == CORE for hold in held
    )
    if any(c.type == "pause_case" for c in commands) or (held and not come):
        _reopen(desk, worked=True)  # until the answer comes or the time is over
        return
    if desk.case.status in OPEN_CASE_STATUSES and not any(c.type == "route_case" for c in commands):
        cases.resolve(desk.case, _context(desk), _cause(desk))


def _overtake(desk: _Desk, commands: list[Command]) -> None:
    """Other proposals to move the same goods to the same place rest on a need that this may have met: the agent looks at their cases anew."""
    for move in (c for c in commands if isinstance(c, TransferStock)):
        same = [{"type": move.type, "sku": move.sku, "target": move.target}]
        shown = func.coalesce(Proposal.amended, Proposal.commands)
        query = select(Proposal).join(Case, Case.id == Proposal.case_id).where(Case.status.in_(OPEN_CASE_STATUSES))
        query = query.where(Proposal.status == ProposalStatus.PENDING, shown.contains(same))
        for other in desk.session.scalars(query.with_for_update(of=Proposal, skip_locked=True)).all():
            key = f"overtaken:{other.id}"
            context = Context(desk.session, key, desk.person.email, desk.now, desk.policy, other.case_id)
            if other.drill is not None:
                drills.end(desk.session, other.drill, drills.LEFT, desk.person.email, desk.now)
            cases.give_back(other, cases.locked(other.case_id, context), ProposalStatus.SUPERSEDED, context)


def _amend(desk: _Desk) -> DecisionResult:
    try:
        commands = COMMANDS.validate_python(desk.said.commands)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RuleViolation([Problem("commands_unreadable", f"{place}: {first['msg']}".strip(": "))]) from error
    if desk.case.status not in OPEN_CASE_STATUSES:
        return _refused(f"Case {desk.case.id} is {desk.case.status}.", ["case_closed"])
    other = [c for c in commands if getattr(c, "case", None) not in (None, desk.case.id)]
    if other:
        raise RuleViolation([Problem("other_case", "An amendment touches no other case.")])
    subjects = [subject_of(desk.session, command) for command in commands]
    if not rules.signature(desk.policy, desk.person, subjects).covers:
        return _refused(f"No rule lets {desk.person.email} propose this.", ["not_authorised"])
    desk.proposal.amended = [c.model_dump(mode="json") for c in commands]
    desk.proposal.versions = versions(desk.session, commands)
    desk.proposal.asked_by = desk.person.email
    return DecisionResult(
        Outcome.RETURNED, "Amended. Look at the new preview, then sign it.", {"commands": desk.proposal.amended}
    )


def _reject(desk: _Desk) -> DecisionResult:
    if not _may_work(desk):
        return _refused(f"No rule lets {desk.person.email} decide here.", ["not_authorised"])
    desk.proposal.status = ProposalStatus.REJECTED
    _reopen(desk, worked=True)
    return DecisionResult(Outcome.REJECTED, "Rejected. Nothing changed; the case stays open for a person.")


def _instruct(desk: _Desk) -> DecisionResult:
    if not _may_work(desk):
        return _refused(f"No rule lets {desk.person.email} decide here.", ["not_authorised"])
    desk.proposal.status = ProposalStatus.SUPERSEDED
    desk.case.instruction = {"text": desk.said.reason, "by": desk.person.email, "at": desk.now.isoformat()}
    _reopen(desk, worked=False)
    return DecisionResult(Outcome.RETURNED, "The agent works the case again with this instruction.")


def _escalate(desk: _Desk) -> DecisionResult:
    if not _may_work(desk):
        return _refused(f"No rule lets {desk.person.email} decide here.", ["not_authorised"])
    higher = {Priority.LOW: Priority.NORMAL, Priority.NORMAL: Priority.HIGH}.get(
        Priority(desk.case.priority), Priority.URGENT
    )
    desk.case.priority = higher
    fresh = cases.due_at(desk.session, desk.now, desk.case.queue, higher, desk.case.entity)
    desk.case.due_at = min(filter(None, (desk.case.due_at, fresh)), default=None)
    path = escalation_path(desk.policy, desk.case.queue)
    found = (queries.holder(desk.session, role, desk.case.entity, desk.now) for role in path)
    supervisor = next((email for email in found if email not in (None, desk.person.email)), None)
    desk.case.assignee = supervisor
    return DecisionResult(
        Outcome.ESCALATED, f"Escalated to {supervisor or 'the queue'} with priority {higher}.", {"to": supervisor}
    )


def _snooze(desk: _Desk) -> DecisionResult:
    if not _may_work(desk):
        return _refused(f"No rule lets {desk.person.email} decide here.", ["not_authorised"])
    until = desk.said.until or desk.now + timedelta(hours=24)
    desk.case.snoozed_until = until
    return DecisionResult(
        Outcome.SNOOZED, f"Snoozed until {until:%b %d, %H:%M}. The due time stays.", {"until": until.isoformat()}
    )


_VERDICTS = {
    Verdict.APPROVE: _approve,
    Verdict.AMEND: _amend,
    Verdict.REJECT: _reject,
    Verdict.INSTRUCT: _instruct,
    Verdict.ESCALATE: _escalate,
    Verdict.SNOOZE: _snooze,
}


def _may_work(desk: _Desk) -> bool:
    """Whoever may route the case may also send it back."""
    return rules.may_work(desk.policy, desk.person, desk.case.queue, desk.case.entity or "")


def _moved(desk: _Desk, commands: Sequence[Command]) -> list[str]:
    now, kept = versions(desk.session, commands), (desk.proposal.drill or desk.proposal).versions
    return sorted(name.split(":", 1)[1] for name in now if now.get(name) != kept.get(name))


def _refused(text: str, codes: list[str]) -> DecisionResult:
    return DecisionResult(Outcome.REFUSED, text, {"problems": codes})


def _set_back(desk: _Desk, status: ProposalStatus, outcome: Outcome, text: str) -> DecisionResult:
    if desk.proposal.drill is not None:
        drills.end(desk.session, desk.proposal.drill, drills.LEFT, desk.person.email, desk.now)
    desk.proposal.status = status
    _reopen(desk, worked=False)
    return DecisionResult(outcome, text)


def _reopen(desk: _Desk, *, worked: bool) -> None:
    if desk.case.status == CaseStatus.AWAITING_REVIEW:
        desk.case.status = transition(CASE_STEPS, CaseStatus.AWAITING_REVIEW, CaseStatus.INVESTIGATING)
    desk.case.worked, desk.case.attempts = worked, 0
    desk.case.leased_by = desk.case.leased_until = None


def _context(desk: _Desk) -> Context:
    return Context(desk.session, f"decision:{desk.proposal.id}", desk.person.email, desk.now, desk.policy, desk.case.id)


def _record(desk: _Desk, result: DecisionResult) -> DecisionResult:
    """Every decision leaves a row and a journal entry, whatever became of it."""
    made = Decision(
        proposal_id=desk.proposal.id,
        case_id=desk.case.id,
        actor=desk.person.email,
        verdict=desk.said.verdict,
        reason=desk.said.reason,
        digest_shown=desk.said.digest,
        policy_hash=desk.policy.hash,
        outcome=result.outcome,
        detail={"text": result.text, **result.detail, **({"authority": desk.authority} if desk.authority else {})},
        decided_at=desk.now,
    )
    desk.session.add(made)
    desk.session.flush()
    context = _context(desk)
    context.facts = {
        "proposal": desk.proposal.id,
        "digest": desk.said.digest,
        "evidence": digest(desk.proposal.evidence),
    }
    after = {
        "decision": made.id,
        "verdict": desk.said.verdict,
        "outcome": result.outcome,
        "reason": desk.said.reason,
        "text": result.text,
        "authority": desk.authority,
        "shown": desk.shown,
    }
    change = Change(f"case:proposal:{result.outcome}", f"proposal:{desk.proposal.id}", None, after)
    write_journal(context, change, desk.key, desk.told)
    return DecisionResult(result.outcome, result.text, result.detail, made.id)
