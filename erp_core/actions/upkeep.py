"""What the clock does: proposals expire, signed mail is delivered. Each step is one transaction of its caller."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from erp_core.actions import accounts, allocation, cases, checks, orders, stock
from erp_core.actions.context import Change, Context, write_journal
from erp_core.queries import policies, sales
from erp_core.tables.desk import Case, Leadership, OutboxMail, Proposal
from erp_core.tables.sales import SalesOrder
from erp_core.tables.stock import Allocation
from erp_core.values import ProposalStatus

CLOCK = "clock"
LEAD_SECONDS = 10  # when a leader dies, another takes over after these
MOST_ATTEMPTS = 60  # with pauses of up to an hour: more than two days


def lead(session: Session, holder: str) -> bool:
    """True for the one clock that works. A row and not an advisory lock, which any role could take away from us."""
    free = or_(Leadership.holder == holder, Leadership.until < func.clock_timestamp())
    until = func.clock_timestamp() + timedelta(seconds=LEAD_SECONDS)
    taken = insert(Leadership).values(work=CLOCK, holder=holder, until=until)
    taken = taken.on_conflict_do_update(
        index_elements=["work"], set_={"holder": taken.excluded.holder, "until": taken.excluded.until}, where=free
    )
    return session.execute(taken.returning(Leadership.work)).first() is not None


def expire_proposals(session: Session, now: datetime) -> int:
    """Proposals past their time give their cases back to the agent."""
    query = (
        select(Proposal)
        .where(Proposal.status == ProposalStatus.PENDING, Proposal.expires_at <= now)
        .with_for_update(skip_locked=True)
    )
    expired = list(session.scalars(query))
    for proposal in expired:
        case = session.get_one(Case, proposal.case_id, with_for_update=True)
        context = Context(session, f"expire:{proposal.id}", CLOCK, now, policies.active(session, now), proposal.case_id)
        cases.give_back(proposal, case, ProposalStatus.EXPIRED, context)
    return len(expired)


def expire_reservations(session: Session, now: datetime) -> int:
    """Stock bound to an order that did not get released in time goes to those who wait; the order is checked anew after them."""
    query = (
        select(Allocation.order_number, Allocation.line, Allocation.sku)
        .join(SalesOrder, SalesOrder.number == Allocation.order_number)
        .where(Allocation.status == "reserved", Allocation.expires_at <= now, SalesOrder.picked_at.is_(None))
        .order_by(Allocation.order_number)
        .limit(500)
    )
    due = session.execute(query).all()
    if not due:
        return 0
    context = Context(session, f"reservations:{now.isoformat()}", CLOCK, now, policies.active(session, now))
    accounts.lock_concerned(session, sorted({row.sku for row in due}), None, also={row.order_number for row in due})
    for number in sorted({row.order_number for row in due}):
        order = orders.locked(number, context)
        before = sales.snapshot_of(session, order)
        for line in order.lines:
            if any(row.order_number == number and row.line == line.line for row in due) and line.quantity_released == 0:
                stock.give_back(order, line, line.quantity_allocated, context, status="expired")
        context.also(Change("order:stock:expired", f"sales_order:{number}", before, sales.snapshot_of(session, order)))
    allocation.give(sorted({row.sku for row in due}), None, context)
    checks.recheck(sorted({row.order_number for row in due}), context)
    return len(due)


def deliver_next(session: Session, now: datetime, send: Callable[[OutboxMail], None]) -> bool:
    """Send the oldest mail that is due; False when none is. A crash after sending repeats it under the same Message-ID."""
    pause = OutboxMail.queued_at + func.make_interval(
        0, 0, 0, 0, 0, 0, func.least(func.power(2, OutboxMail.attempts) - 1, 3600)
    )
    query = select(OutboxMail).where(OutboxMail.status == "waiting", pause <= now).order_by(OutboxMail.id).limit(1)
    mail = session.scalars(query.with_for_update(skip_locked=True)).one_or_none()
    if mail is None:
        return False
    mail.attempts += 1
    try:
        send(mail)
        mail.status, mail.sent_at, mail.last_error = "sent", now, None
    except Exception as error:  # one bad mail must not keep the others waiting; the reason stays with it
        mail.last_error = str(error)[:500]
        mail.status = "failed" if mail.attempts >= MOST_ATTEMPTS else "waiting"
        if mail.status == "waiting":
            mail.queued_at = now
    key = f"outbox:{mail.id}:{mail.status if mail.status != 'waiting' else mail.attempts}"
    context = Context(session, key, CLOCK, now, policies.active(session, now), mail.case_id)
    what = "retried" if mail.status == "waiting" else mail.status
    after = {"to": mail.to, "message_id": mail.message_id, "attempts": mail.attempts}
    write_journal(context, Change(f"message:outbox:{what}", f"mail:{mail.to}", None, after), key, None)
    return True
