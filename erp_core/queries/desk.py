"""Cases, proposals, messages and the journal, for tools, screens and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, cast, func, or_, select
from sqlalchemy.orm import Session, defer, joinedload, selectinload

from erp_core.errors import NotFound
from erp_core.policy import Policy
from erp_core.rules.desk import Capacity, Person
from erp_core.tables.desk import (
    BANDS,
    IS_OPEN,
    LAST_BAND,
    Case,
    CaseStep,
    CaseView,
    Decision,
    Finding,
    JournalEntry,
    Message,
    Note,
    OutboxMail,
    Proposal,
    QueueDepth,
    SavedView,
)
from erp_core.tables.governance import AgentStop
from erp_core.tables.parties import Contact, Customer, Delegation, User
from erp_core.tables.proof import ChainLink
from erp_core.values import OPEN_CASE_STATUSES, Outcome, ProposalStatus, Queue

COUNTED_LATELY = timedelta(seconds=30)


def person(session: Session, email: str, now: datetime | None = None) -> Person:
    """The colleague with this address, with what is lent to the person at that moment. Raises NotFound."""
    return called(session, email, now)[0]


def called(session: Session, email: str, now: datetime | None = None) -> tuple[Person, str]:
    """The colleague with this address, and how that person is called. Raises NotFound."""
    user = session.get(User, email.strip().lower())
    if user is None:
        raise NotFound(f"There is no user {email}.")
    return _person(user, _lent(delegations(session, now, user.email)).get(user.email, ()) if now else ()), user.name


def people(session: Session, now: datetime | None = None) -> list[tuple[User, Person]]:
    """All colleagues by name; those whose account has ended have no authority."""
    if now is None:
        return [(u, _person(u, ())) for u in session.scalars(select(User).order_by(User.name))]
    query = select(User, Delegation).outerjoin(Delegation, and_(Delegation.taker == User.email, *_lasts(now)))
    rows = session.execute(query.order_by(User.name, User.email, Delegation.id)).all()
    users = {u.email: u for u, _ in rows}
    lent = _lent([(d, users[d.giver]) for _, d in rows if d is not None and d.giver in users])
    return [(u, _person(u, lent.get(email, ()))) for email, u in users.items()]


def _person(user: User, lent: Sequence[Capacity]) -> Person:
    if not user.active:
        return Person(user.email, (), Decimal(0), ())
    return Person(user.email, tuple(user.roles), user.approval_limit, tuple(user.entities), tuple(lent))


def delegations(session: Session, now: datetime, taker: str | None = None) -> list[tuple[Delegation, User]]:
    """Authority that is lent now, with who lent it."""
    query = select(Delegation, User).join(User, User.email == Delegation.giver).where(*_lasts(now))
    if taker is not None:
        query = query.where(Delegation.taker == taker)
    return [(d, u) for d, u in session.execute(query.order_by(Delegation.id))]


def _lasts(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Delegation.starts_at <= now, Delegation.ends_at > now, Delegation.ended_by.is_(None)


def _lent(delegations: Sequence[tuple[Delegation, User]]) -> dict[str, list[Capacity]]:
    """Nobody lends what the person no longer has: roles and limit shrink with those of the giver."""
    found: dict[str, list[Capacity]] = {}
    for lent, giver in delegations:
        roles = tuple(role for role in lent.roles if giver.active and role in giver.roles)
        if roles:
            limit = min(lent.approval_limit, giver.approval_limit)
            found.setdefault(lent.taker, []).append(Capacity(roles, limit, tuple(giver.entities), giver.email))
    return found


def holder(session: Session, role: str, firm: str | None, now: datetime) -> str | None:
    """Who has a role for a firm: the one with the fewest open cases. None when nobody has."""
    return least_busy(session, role, firm, people(session, now))


def least_busy(session: Session, role: str, firm: str | None, colleagues: Sequence[tuple[User, Person]]) -> str | None:
    """Of these colleagues the one with a role for a firm who has the fewest open cases."""
    able = [p for _, p in colleagues if role in p.roles and (firm is None or {"*", firm} & set(p.entities))]
    if not able:
        return None
    query = (
        select(Case.assignee, func.count())
        .where(Case.status.in_(OPEN_CASE_STATUSES), Case.assignee.in_([p.email for p in able]))
        .group_by(Case.assignee)
    )
    load = {email: number for email, number in session.execute(query)}
    return min(able, key=lambda p: (load.get(p.email, 0), p.email)).email


def calendar_of(session: Session, firm: str | None) -> str:
    """The name of the calendar that a firm works by: its own, else its country's, else the one for all."""
    return str(session.scalar(select(func.casework.calendar_of(firm))))


def asked_lately(session: Session, order: str) -> int:
    """How often the agent proposed something for an order in the days that policy looks back."""
    return session.scalar(select(func.casework.asked(order))) or 0


def last_written(session: Session, case: int) -> datetime | None:
    """When a letter was last signed in a case; None when none was."""
    query = (
        select(func.max(Decision.decided_at))
        .join(Proposal, Proposal.id == Decision.proposal_id)
        .where(Decision.case_id == case, Decision.outcome == Outcome.EXECUTED, _writes())
    )
    return session.scalar(query)


def _writes() -> ColumnElement[bool]:
    """Proposals that send a letter, as they were last amended."""
    return func.coalesce(Proposal.amended, Proposal.commands).contains([{"type": "send_message"}])


def asking(session: Session, customer: str, kind: str, but: int) -> tuple[int, bool] | None:
    """Another open case of a customer and kind with a letter, and whether that was signed; one that waits for a signature counts too."""
    signed = Proposal.status == ProposalStatus.EXECUTED
    query = (
        select(Case.id, signed)
        .join(Proposal, Proposal.case_id == Case.id)
        .where(Case.customer == customer, Case.kind == kind, Case.id != but, IS_OPEN, _writes())
        .where(or_(signed, Proposal.status == ProposalStatus.PENDING))
    )
    found = session.execute(query.order_by(signed.desc(), Case.id).limit(1)).first()
    return (found[0], found[1]) if found else None


def buying(session: Session, skus: Sequence[str], warehouse: str) -> dict[int, list[str]]:
    """Open cases that propose to buy some of these items for a warehouse: case → items."""
    found = select(Case.id, Case.details).where(
        Case.kind == "replenishment", IS_OPEN, Case.details["warehouse"].astext == warehouse
    )
    needed = {case: [n["sku"] for n in details["needs"]] for case, details in session.execute(found.order_by(Case.id))}
    return {case: both for case, listed in needed.items() if (both := [s for s in skus if s in listed])}


def agent_stops(session: Session) -> list[AgentStop]:
    """Where the agent is stopped: `*` is everywhere."""
    return list(session.scalars(select(AgentStop).order_by(AgentStop.entity)))


def owner(session: Session, found: Case, policy: Policy, colleagues: Sequence[tuple[User, Person]]) -> str | None:
    """Who answers for a case: whoever has it, else somebody with the role that owns its queue."""
    role = policy.owners.get(Queue(found.queue))
    return found.assignee or (least_busy(session, role, found.entity, colleagues) if role else None)


def steps(session: Session, number: int) -> dict[int, CaseStep]:
    """Steps of the playbook that are done, by number."""
    return {s.step: s for s in session.scalars(select(CaseStep).where(CaseStep.case_id == number))}


def seen_by(session: Session, person: str, digests: Sequence[str]) -> set[str]:
    """Which of these previews the person had on the screen."""
    query = select(CaseView.digest).where(CaseView.person == person, CaseView.digest.in_(digests))
    return {digest for digest in session.scalars(query) if digest}


def name(session: Session, email: str) -> str:
    """How somebody is called."""
    return session.get_one(User, email).name


LOOKING = timedelta(minutes=5)


def looking(session: Session, number: int, but: str, now: datetime) -> list[str]:
    """Who else opened a case in the last minutes, by name."""
    query = select(User.name).join(CaseView, CaseView.person == User.email)
    query = query.where(CaseView.case_id == number, CaseView.person != but, CaseView.seen_at > now - LOOKING)
    return sorted(set(session.scalars(query)))


def latest_proposal(session: Session, number: int, *, for_agent: bool = False) -> Proposal | None:
    """The newest proposal of a case; with its drill, of which the agent knows nothing."""
    query = select(Proposal).where(Proposal.case_id == number).order_by(Proposal.id.desc()).limit(1)
    return session.scalars(query if for_agent else query.options(joinedload(Proposal.drill))).one_or_none()


def last_decision(session: Session, proposal_number: int) -> Decision | None:
    """The newest decision on a proposal."""
    query = select(Decision).where(Decision.proposal_id == proposal_number).order_by(Decision.id.desc()).limit(1)
    return session.scalars(query).one_or_none()


def last_entry(session: Session, number: int) -> int:
    """The newest journal entry of a case."""
    return session.scalar(select(func.max(JournalEntry.id)).where(JournalEntry.case_id == number)) or 0


def views(session: Session, person: str) -> Sequence[SavedView]:
    """The views that somebody keeps, by name."""
    return session.scalars(select(SavedView).where(SavedView.person == person).order_by(SavedView.name)).all()


def names(session: Session) -> dict[str, str]:
    """Names of all colleagues, by mail address."""
    return {user.email: user.name for user, _ in people(session)}


def case(session: Session, number: int) -> Case:
    """The case. Raises NotFound."""
    found = session.get(Case, number)
    if found is None:
        raise NotFound(f"There is no case {number}.")
    return found


def proposal(session: Session, number: int, *, lock: bool = False) -> Proposal:
    """The proposal. Raises NotFound."""
    found = session.get(Proposal, number, with_for_update=lock or None, populate_existing=lock)
    if found is None:
        raise NotFound(f"There is no proposal {number}.")
    return found


def pending(session: Session, case_number: int) -> Proposal | None:
    """The proposal that waits for a decision."""
    query = select(Proposal).where(Proposal.case_id == case_number, Proposal.status == ProposalStatus.PENDING)
    return session.scalars(query).one_or_none()


@dataclass(frozen=True)
class CaseRow:
    """One line of a queue."""

    case: Case
    proposal: Proposal | None
    customer: str | None
    sender: str | None


@dataclass(frozen=True)
class Filter:
    """What a queue shows: one queue or all, open or closed, words of title, customer, number or mail, and how it is sorted within a band.

    `assignee` is a mail address, or NOBODY.
    """

    queue: str | None = None
    assignee: str | None = None
    snoozed: bool = False
    closed: bool = False
    words: str = ""
    action: str | None = None
    priority: str | None = None
    kind: str | None = None
    late: bool = False
    to_sign: bool = False
    entity: str | None = None
    sort: str = "place"


NOBODY = "-"
SORTS: dict[str, Any] = {
    "place": (Case.place,),
    "due": (Case.due_at.asc().nulls_last(),),
    "money": (Case.at_stake.desc().nulls_last(),),
    "oldest": (Case.opened_at,),
}
MOST_COUNTED = 10_000


def case_rows(session: Session, wanted: Filter, now: datetime, limit: int = 100, offset: int = 0) -> list[CaseRow]:
    """Cases of a queue: by band, then by place in it (closed ones: the latest first)."""
    order = (Case.resolved_at.desc(), Case.id) if wanted.closed else (Case.band, *SORTS[wanted.sort], Case.id)
    chosen = _narrow(select(Case.id), wanted, now).order_by(*order).limit(limit).offset(offset).subquery()
    sender = select(Message.sender).where(Message.case_id == Case.id, Message.direction == "in").order_by(Message.id)
    query = (
        select(Case, Proposal, Customer.name, sender.limit(1).scalar_subquery())
        .join(chosen, chosen.c.id == Case.id)
        .outerjoin(Proposal, and_(Proposal.case_id == Case.id, Proposal.status == ProposalStatus.PENDING))
        .outerjoin(Customer, Customer.code == Case.customer)
        .options(selectinload(Proposal.drill))
        .order_by(*order)
    )
    return [CaseRow(c, p, name, sender) for c, p, name, sender in session.execute(query)]


def _narrow(query: Any, wanted: Filter, now: datetime) -> Any:
    query = query.where(IS_OPEN if not wanted.closed else Case.resolved_at.is_not(None))
    if not wanted.closed:
        asleep = Case.snoozed_until > now
        query = query.where(asleep if wanted.snoozed else or_(Case.snoozed_until.is_(None), ~asleep))
    if wanted.queue:
        query = query.where(Case.queue == wanted.queue)
    elif not wanted.words and not wanted.closed:
        query = query.where(Case.queue != "none")
    if wanted.assignee:
        query = query.where(Case.assignee.is_(None) if wanted.assignee == NOBODY else Case.assignee == wanted.assignee)
    if wanted.priority:
        query = query.where(Case.priority == wanted.priority, Case.band == BANDS.get(wanted.priority, LAST_BAND))
    for field, value in ((Case.kind, wanted.kind), (Case.entity, wanted.entity)):
        if value:
            query = query.where(field == value)
    if wanted.late:
        query = query.where(Case.due_at < now, Case.paused_at.is_(None))
    if wanted.to_sign:
        query = query.where(Case.status == "awaiting_review")
    if wanted.action:
        pending = and_(Proposal.case_id == Case.id, Proposal.status == ProposalStatus.PENDING)
        query = query.where(select(Proposal.id).where(pending, Proposal.action == wanted.action).exists())
    if wanted.words:
        like = f"%{wanted.words.strip().lower()}%"
        query = query.outerjoin(Customer, Customer.code == Case.customer)
        senders = select(Message.id).where(Message.case_id == Case.id, Message.direction == "in")
        fields = (Case.title, Customer.name, Case.order_number, Customer.code)
        matches: list[ColumnElement[bool]] = [func.lower(field).like(like) for field in fields]
        matches.append(senders.where(func.lower(Message.sender).like(like)).exists())
        if wanted.words.strip("# ").isdecimal() and len(wanted.words) < 15:
            matches.append(Case.id == int(wanted.words.strip("# ")))
        query = query.where(or_(*matches))
    return query


@dataclass(frozen=True)
class Sums:
    """How many cases a filter shows (at most MOST_COUNTED are counted), those that are late, and the money in question."""

    cases: int
    late: int
    at_stake: Decimal


def sums(session: Session, wanted: Filter, now: datetime) -> Sums:
    """Counts of all cases that a filter shows, not of one page."""
    asked = Filter(queue=wanted.queue, sort=wanted.sort)
    if wanted == asked and (counted := queue_counts(session, now)):
        own = [c for c in counts_of(counted, wanted.queue)]
        return Sums(sum(c.open for c in own), sum(c.late for c in own), sum((c.at_stake for c in own), Decimal(0)))
    late = and_(Case.due_at < now, Case.paused_at.is_(None), IS_OPEN)
    rows = _narrow(select(Case.id, Case.at_stake, late.label("late")), wanted, now).limit(MOST_COUNTED + 1).subquery()
    counts = func.count(), func.count().filter(rows.c.late), func.coalesce(func.sum(rows.c.at_stake), 0)
    return Sums(*session.execute(select(*counts).select_from(rows)).one())


def counts_of(counted: Sequence[QueueCount], queue: str | None) -> list[QueueCount]:
    """Those of one queue; of none named, of all in which people work."""
    return [c for c in counted if (c.queue == queue if queue else c.queue != "none")]


@dataclass(frozen=True)
class QueueCount:
    """Open cases of a queue, those that are late, those with a proposal to sign, and the money in question."""

    queue: str
    open: int
    late: int
    to_sign: int
    at_stake: Decimal


def queue_counts(session: Session, now: datetime) -> list[QueueCount]:
    """Counts of all queues that hold open cases: those that the clock took lately, else counted now."""
    fresh = session.execute(
        select(
            QueueDepth.queue,
            func.sum(QueueDepth.open),
            func.sum(QueueDepth.late),
            func.sum(QueueDepth.to_sign),
            func.coalesce(func.sum(QueueDepth.at_stake), 0),
        )
        .where(QueueDepth.counted_at > now - COUNTED_LATELY, QueueDepth.counted_at <= now + COUNTED_LATELY)
        .group_by(QueueDepth.queue)
    ).all()
    if fresh:
        return [QueueCount(*row) for row in fresh]
    query = (
        select(
            Case.queue,
            func.count(),
            func.count().filter(Case.due_at < now, Case.paused_at.is_(None)),
            func.count().filter(Case.status == "awaiting_review"),
            func.coalesce(func.sum(Case.at_stake), 0),
        )
        .where(Case.status.in_(OPEN_CASE_STATUSES), or_(Case.snoozed_until.is_(None), Case.snoozed_until <= now))
        .group_by(Case.queue)
    )
    rows = session.execute(query)
    return [QueueCount(queue, count, late, to_sign, stake or Decimal(0)) for queue, count, late, to_sign, stake in rows]


@dataclass(frozen=True)
class Totals:
    """How much there is of everything."""

    messages: int
    cases: int
    proposals: int


def totals(session: Session) -> Totals:
    """Counts over all time."""
    counts = [session.scalar(select(func.count()).select_from(table)) or 0 for table in (Message, Case, Proposal)]
    return Totals(*counts)


@dataclass(frozen=True)
class CaseFile:
    """Everything on one case."""

    case: Case
    customer: Customer | None
    messages: list[Message]
    finding: Finding | None
    proposal: Proposal | None
    decisions: list[Decision]
    notes: list[Note]
    journal: list[JournalEntry]
    outbox: list[OutboxMail]


def case_file(session: Session, number: int, *, for_agent: bool = False) -> CaseFile:
    """The case with its mail, latest finding, latest proposal, decisions, notes, journal (newest first) and replies.

    The agent's role cannot read the outbox, so for it the replies are left out.
    """
    found = case(session, number)
    finding = select(Finding).where(Finding.case_id == number).order_by(Finding.id.desc()).limit(1)
    messages = select(Message).where(Message.case_id == number).options(defer(Message.raw))
    return CaseFile(
        case=found,
        customer=session.get(Customer, found.customer) if found.customer else None,
        messages=list(session.scalars(messages.order_by(Message.id))),
        finding=session.scalars(finding).one_or_none(),
        proposal=latest_proposal(session, number, for_agent=for_agent),
        decisions=list(session.scalars(select(Decision).where(Decision.case_id == number).order_by(Decision.id))),
        notes=list(session.scalars(select(Note).where(Note.case_id == number).order_by(Note.id))),
        journal=journal(session, case_number=number),
        outbox=[] if for_agent else list(session.scalars(_outbox(number))),
    )


def case_about(session: Session, kind: str, subject: str) -> int | None:
    """The newest case of a kind and subject, open or over."""
    query = select(Case.id).where(Case.kind == kind, Case.subject == subject)
    return session.scalar(query.order_by(Case.id.desc()).limit(1))


def first_contact(session: Session, customer: str) -> Contact | None:
    """The contact of a customer that was entered first."""
    return session.scalars(select(Contact).where(Contact.customer == customer).order_by(Contact.id).limit(1)).first()


def message(session: Session, number: int) -> Message:
    """The message. Raises NotFound."""
    found = session.get(Message, number)
    if found is None:
        raise NotFound(f"There is no message {number}.")
    return found


def latest_mail(session: Session, number: int) -> Message | None:
    """The newest inbound message of a case, without its raw bytes."""
    query = (
        select(Message)
        .where(Message.case_id == number, Message.direction == "in")
        .options(defer(Message.raw))
        .order_by(Message.id.desc())
        .limit(1)
    )
    return session.scalars(query).one_or_none()


def _outbox(number: int) -> Select[OutboxMail]:
    return select(OutboxMail).where(OutboxMail.case_id == number).order_by(OutboxMail.id)


def other_open_cases(session: Session, customer: str | None, order: str | None, but: int) -> list[dict[str, Any]]:
    """Open cases on the same order, oldest first."""
    query = select(Case.id, Case.title, Case.status).where(
        Case.order_number == order, Case.id != but, Case.status.in_(OPEN_CASE_STATUSES)
    )
    if customer:
        query = query.where(Case.customer == customer)
    return [{"case": i, "title": t, "status": s} for i, t, s in session.execute(query.order_by(Case.id).limit(10))]


@dataclass(frozen=True)
class Entries:
    """Which entries of the journal: actors, tags, part of the subject, a case, the one at a place in the chain; those before a number. None: any."""

    who: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    about: str = ""
    case: int | None = None
    before: int | None = None
    place: int | None = None


def entries(session: Session, wanted: Entries, limit: int) -> list[JournalEntry]:
    """Journal entries, newest first."""
    query = select(JournalEntry).order_by(JournalEntry.id.desc()).limit(limit)
    if wanted.who is not None:
        query = query.where(JournalEntry.actor.in_(wanted.who))
    if wanted.tags is not None:
        query = query.where(JournalEntry.tag.in_(wanted.tags))
    if wanted.about:
        query = query.where(JournalEntry.subject.contains(wanted.about, autoescape=True))
    if wanted.case is not None:
        query = query.where(JournalEntry.case_id == wanted.case)
    if wanted.before is not None:
        query = query.where(JournalEntry.id < wanted.before)
    if wanted.place is not None:
        sealed = select(ChainLink.number).where(ChainLink.source == "entry", ChainLink.position == wanted.place)
        query = query.where(JournalEntry.id.in_(sealed))
    return list(session.scalars(query))


def journal_about(session: Session, found: Case) -> list[JournalEntry]:
    """All entries that an auditor of a case wants: its own, and those of its order and its proposals; oldest first."""
    proposals = select(func.concat("proposal:", Proposal.id)).where(Proposal.case_id == found.id)
    about = [JournalEntry.case_id == found.id, JournalEntry.subject.in_(proposals)]
    if found.order_number:
        about.append(JournalEntry.subject == f"sales_order:{found.order_number}")
    return list(session.scalars(select(JournalEntry).where(or_(*about)).order_by(JournalEntry.id)))


def proposals(session: Session, number: int) -> list[Proposal]:
    """All proposals of a case, oldest first."""
    return list(session.scalars(select(Proposal).where(Proposal.case_id == number).order_by(Proposal.id)))


def findings(session: Session, number: int) -> list[tuple[int, str]]:
    """What the agent found in each of its runs on a case: number and content, as text that hashes to what the journal says."""
    query = select(Finding.id, cast(Finding.content, Text)).where(Finding.case_id == number).order_by(Finding.id)
    return [(number, content) for number, content in session.execute(query)]


def journal(
    session: Session, case_number: int | None = None, subject_name: str | None = None, limit: int = 200
) -> list[JournalEntry]:
    """Journal entries of a case, of a subject, or of everything; newest first."""
    query = select(JournalEntry).order_by(JournalEntry.id.desc()).limit(limit)
    if case_number is not None:
        query = query.where(JournalEntry.case_id == case_number)
    if subject_name is not None:
        query = query.where(JournalEntry.subject == subject_name)
    return list(session.scalars(query))
