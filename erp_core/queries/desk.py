"""Cases, proposals, messages and the journal, for tools, screens and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, defer

from erp_core.commands import (
    AdjustStock,
    Command,
    IssueCreditMemo,
    NewLine,
    PlaceOrder,
    PostPayment,
    RecordRemittance,
    ReleaseHold,
    RequestChange,
    SaveCustomer,
    SetBankAccount,
    SetCreditLimit,
    SetTerms,
)
from erp_core.errors import NotFound
from erp_core.queries import billing, catalog, sales
from erp_core.rules.catalog import to_base
from erp_core.rules.desk import Person, Subject
from erp_core.tables.catalog import Item
from erp_core.tables.desk import Case, Decision, Finding, JournalEntry, Message, Note, OutboxMail, Proposal
from erp_core.tables.parties import Customer, User
from erp_core.tables.returns import Return
from erp_core.tables.sales import SalesOrder
from erp_core.values import OPEN_CASE_STATUSES, Priority, ProposalStatus, money

URGENCY = [Priority.URGENT, Priority.HIGH, Priority.NORMAL, Priority.LOW]


def person(session: Session, email: str) -> Person:
    """The colleague with this address. Raises NotFound."""
    user = session.get(User, email.strip().lower())
    if user is None:
        raise NotFound(f"There is no user {email}.")
    return Person(user.email, tuple(user.roles), user.approval_limit)


def people(session: Session) -> list[tuple[User, Person]]:
    """All colleagues by name."""
    users = session.scalars(select(User).order_by(User.name))
    return [(u, Person(u.email, tuple(u.roles), u.approval_limit)) for u in users]


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


def subject(session: Session, command: Command) -> Subject:
    """What policy asks about a command: the amount it moves, a hold's reason, a case's queue."""
    reason = command.reason.value if isinstance(command, ReleaseHold) else str(getattr(command, "reason", "") or "")
    queue = ""
    number = getattr(command, "case", None)
    if number is not None and (found := session.get(Case, number)) is not None:
        queue = found.queue
    return Subject(command.type, _amount(session, command), reason, queue)


def _amount(session: Session, command: Command) -> Decimal:
    """An order's value for whatever touches it; money that moves; a new limit; the value of new lines."""
    if isinstance(command, RecordRemittance | PostPayment):
        return money(command.amount)
    if isinstance(command, IssueCreditMemo):
        return money(command.amount) + billing.credited(session, command.invoice)
    if isinstance(command, AdjustStock):
        return catalog.value_of_difference(session, command.warehouse, command.sku, command.on_hand)
    if isinstance(command, SetCreditLimit):
        return money(command.credit_limit)
    if isinstance(command, PlaceOrder):
        items = catalog.items(session, {line.sku for line in command.lines})
        return money(sum((_line_value(session, line, items) for line in command.lines), Decimal(0)))
    number = command.change.order if isinstance(command, RequestChange) else getattr(command, "order", None)
    returned = session.get(Return, str(getattr(command, "return_number", "")))
    found = session.get(SalesOrder, returned.order_number if returned else number) if returned or number else None
    if found is None:
        return Decimal(0)
    # what a price or margin hold stands for is the difference, so the order counts at list prices there
    return max(sales.total(found), _listed(session, found)) if isinstance(command, ReleaseHold) else sales.total(found)


def _line_value(session: Session, line: NewLine, items: dict[str, Item]) -> Decimal:
    """At the asked or the list price, whichever is more: nobody makes an order small by asking for a small price."""
    item = catalog.facts_of(session, items[line.sku]) if line.sku in items else None
    base = to_base(line.quantity, line.uom, item) if item else None
    listed = item.list_price * (base or line.quantity) if item else Decimal(0)
    return max(listed, (line.unit_price or Decimal(0)) * line.quantity)


def _listed(session: Session, found: SalesOrder) -> Decimal:
    """An order at list prices."""
    items = catalog.items(session, {x.sku for x in found.lines})
    return money(sum((items[x.sku].list_price * x.quantity_base for x in found.lines), Decimal(0)))


def versions(session: Session, commands: Sequence[Command]) -> dict[str, int]:
    """Versions of the orders, returns and customers' master data that the commands change, as they are now."""
    numbers = {str(getattr(c, name)) for c in commands for name in ("order", "from_order") if getattr(c, name, None)}
    query = select(SalesOrder.number, SalesOrder.version).where(SalesOrder.number.in_(numbers))
    found = {f"sales_order:{number}": version for number, version in session.execute(query)}
    returned = {c.return_number for c in commands if hasattr(c, "return_number")}
    back = select(Return.number, Return.version).where(Return.number.in_(returned))
    found |= {f"return:{number}": version for number, version in session.execute(back)}
    kept = {c.customer for c in commands if isinstance(c, SaveCustomer | SetTerms | SetCreditLimit | SetBankAccount)}
    masters = select(Customer.code, Customer.version).where(Customer.code.in_(kept))
    return found | {f"customer:{code}": version for code, version in session.execute(masters)}


@dataclass(frozen=True)
class CaseRow:
    """One line of a queue."""

    case: Case
    proposal: Proposal | None
    customer: str | None
    sender: str | None


@dataclass(frozen=True)
class Filter:
    """What a queue shows: one queue or all, open or closed, and words of title, customer or number."""

    queue: str | None = None
    assignee: str | None = None
    snoozed: bool = False
    closed: bool = False
    words: str = ""
    action: str | None = None


def case_rows(session: Session, wanted: Filter, now: datetime, limit: int = 100, offset: int = 0) -> list[CaseRow]:
    """Cases of a queue: by priority, then by due time."""
    rank = func.array_position([p.value for p in URGENCY], Case.priority)
    query = (
        select(Case, Proposal, Customer.name, Message.sender)
        .outerjoin(Proposal, and_(Proposal.case_id == Case.id, Proposal.status == ProposalStatus.PENDING))
        .outerjoin(Customer, Customer.code == Case.customer)
        .outerjoin(Message, and_(Message.case_id == Case.id, Message.direction == "in"))
        .order_by(rank, Case.due_at.nulls_last(), Case.id)
        .limit(limit)
        .offset(offset)
    )
    rows = session.execute(_narrow(query, wanted, now))
    return [CaseRow(c, p, name, sender) for c, p, name, sender in rows]


def _narrow(query: Any, wanted: Filter, now: datetime) -> Any:
    query = query.where(Case.status.in_(OPEN_CASE_STATUSES) if not wanted.closed else Case.resolved_at.is_not(None))
    if not wanted.closed:
        asleep = Case.snoozed_until > now
        query = query.where(asleep if wanted.snoozed else or_(Case.snoozed_until.is_(None), ~asleep))
    if wanted.queue:
        query = query.where(Case.queue == wanted.queue)
    elif not wanted.words and not wanted.closed:
        query = query.where(Case.queue != "none")
    if wanted.assignee:
        query = query.where(Case.assignee == wanted.assignee)
    if wanted.action:
        query = query.where(Proposal.action == wanted.action)
    if wanted.words:
        like = f"%{wanted.words.strip().lower()}%"
        fields = (Case.title, Customer.name, Case.order_number, Message.sender, Customer.code)
        matches: list[ColumnElement[bool]] = [func.lower(field).like(like) for field in fields]
        if wanted.words.strip("# ").isdecimal() and len(wanted.words) < 15:
            matches.append(Case.id == int(wanted.words.strip("# ")))
        query = query.where(or_(*matches))
    return query


@dataclass(frozen=True)
class QueueCount:
    """Open cases of a queue, those that are late, and those with a proposal to sign."""

    queue: str
    open: int
    late: int
    to_sign: int


def queue_counts(session: Session, now: datetime) -> list[QueueCount]:
    """Counts of all queues that hold open cases."""
    query = (
        select(
            Case.queue,
            func.count(),
            func.count().filter(Case.due_at < now),
            func.count().filter(Case.status == "awaiting_review"),
        )
        .where(Case.status.in_(OPEN_CASE_STATUSES), or_(Case.snoozed_until.is_(None), Case.snoozed_until <= now))
        .group_by(Case.queue)
    )
    return [QueueCount(*row) for row in session.execute(query)]


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
    latest = select(Proposal).where(Proposal.case_id == number).order_by(Proposal.id.desc()).limit(1)
    finding = select(Finding).where(Finding.case_id == number).order_by(Finding.id.desc()).limit(1)
    return CaseFile(
        case=found,
        customer=session.get(Customer, found.customer) if found.customer else None,
        messages=list(session.scalars(select(Message).where(Message.case_id == number).order_by(Message.id))),
        finding=session.scalars(finding).one_or_none(),
        proposal=session.scalars(latest).one_or_none(),
        decisions=list(session.scalars(select(Decision).where(Decision.case_id == number).order_by(Decision.id))),
        notes=list(session.scalars(select(Note).where(Note.case_id == number).order_by(Note.id))),
        journal=journal(session, case_number=number),
        outbox=[] if for_agent else list(session.scalars(_outbox(number))),
    )


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
