"""What changes by the calendar alone: invoices fall overdue or due, limits and waivers end, promises fail. The clock looks, nobody has to."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.actions import cases, checks, clocks, matching
from erp_core.actions.context import Context
from erp_core.commands import OpenCase
from erp_core.policy import Policy
from erp_core.queries import catalog, policies, sales, supply
from erp_core.tables.desk import Case
from erp_core.tables.governance import Installation
from erp_core.tables.purchasing import SupplierInvoice
from erp_core.tables.sales import SalesOrder
from erp_core.values import OPEN_CASE_STATUSES, Priority, Queue, money, plain

CLOCK = "clock"
MARK, FOLLOWED = "calendar", "policy followed"
AT_ONCE = 20

# customers with goods on the shelf for whom the days from :since to :today change what credit control or a waiver says
TURNED = """
SELECT code FROM customer c WHERE code > :after
 AND EXISTS (SELECT FROM sales_order o WHERE o.customer = c.code AND o.status IN ('entered', 'validated', 'allocated', 'released')
   AND o.picked_at IS NULL)
 AND ((c.limit_expires >= :since AND c.limit_expires < :today)
  OR EXISTS (SELECT FROM invoice i WHERE i.customer = c.code AND i.paid_at IS NULL
    AND ((i.due_on + :grace >= :since AND i.due_on + :grace < :today) OR (i.due_on + :days >= :since AND i.due_on + :days < :today)))
  OR EXISTS (SELECT FROM hold h JOIN sales_order o ON o.number = h.order_number WHERE o.customer = c.code
    AND h.waived_until >= :since AND h.waived_until < :today))
ORDER BY code LIMIT :most
"""
WITH_OPEN_ORDERS = """
SELECT DISTINCT customer FROM sales_order WHERE status IN ('entered', 'validated', 'allocated', 'released') AND picked_at IS NULL
 AND customer > :after ORDER BY customer LIMIT :most
"""
FAILED = """
SELECT o.number FROM sales_order o WHERE o.status IN ('entered', 'validated', 'allocated', 'released') AND o.promised_date < :today
 AND NOT EXISTS (SELECT FROM case_file c WHERE c.kind = 'service_recovery' AND c.subject = o.number
   AND c.details ->> 'promised' = o.promised_date::text)
ORDER BY o.promised_date, o.number LIMIT :most
"""
DUE = """
SELECT i.id FROM supplier_invoice i JOIN supplier s ON s.code = i.supplier AND s.status = 'active'
WHERE i.status IN ('matched', 'approved') AND i.due_on <= :by AND NOT EXISTS (SELECT FROM case_file c
   WHERE c.kind = 'payment_due' AND c.subject = i.supplier || ':' || i.number AND c.details ->> 'version' = i.version::text)
ORDER BY i.due_on, i.id LIMIT :most
"""


def turn(session: Session, now: datetime) -> bool:
    """Check anew the orders of some customers whose standing the days since the last look changed. True while there are more."""
    mark = session.get(Installation, MARK, with_for_update=True)
    today = now.date()
    if mark is None:
        session.add(Installation(name=MARK, value={"day": today.isoformat(), "after": ""}))
        return False
    since = date.fromisoformat(mark.value["day"])
    if since >= today:
        return False
    policy = policies.active(session, now)
    found = _turned(session, since, today, str(mark.value["after"]), policy)
    context = Context(session, f"calendar:{today.isoformat()}:{mark.value['after']}", CLOCK, now, policy)
    for customer in found:
        checks.look_again(customer, context)
    more = len(found) == AT_ONCE
    mark.value = {"day": since.isoformat(), "after": found[-1]} if more else {"day": today.isoformat(), "after": ""}
    return more


def follow_policy(session: Session, now: datetime) -> bool:
    """When another policy has come into force, check open orders anew under it, some customers at a time. True while there are more."""
    mark, number = session.get(Installation, FOLLOWED, with_for_update=True), policies.active_start(session, now)
    if mark is None:
        active = policies.active(session, now)
        session.add(Installation(name=FOLLOWED, value={"start": number, "after": None, "hash": active.hash}))
        return False
    value = dict(mark.value)
    if value["start"] != number:
        value = {"start": number, "after": "", "former": value["hash"], "hash": policies.active(session, now).hash}
        clocks.keep_spans(session, policies.active(session, now), now)
    if value["after"] is None:
        return False
    query = text(WITH_OPEN_ORDERS)
    found = list(session.scalars(query, {"after": value["after"], "most": AT_ONCE}))
    former = policies.version(session, value["former"])
    context = Context(
        session, f"policy:{number}:{value['after']}", CLOCK, now, policies.active(session, now), former=former
    )
    for customer in found:
        checks.look_again(customer, context)
    value["after"] = found[-1] if len(found) == AT_ONCE else None
    mark.value = value
    return value["after"] is not None


def _turned(session: Session, since: date, today: date, after: str, policy: Policy) -> list[str]:
    parameters = {
        "since": since,
        "today": today,
        "after": after,
        "grace": policy.credit.grace_days,
        "days": policy.credit.overdue_days,
        "most": AT_ONCE,
    }
    return list(session.scalars(text(TURNED), parameters))


def replenish(session: Session, now: datetime) -> int:
    """Once a day, look what to buy: a case for each supplier and warehouse with what is needed and why. Buyers decide."""
    mark, today = session.get(Installation, "replenishment", with_for_update=True), now.date().isoformat()
    if mark is not None and mark.value["day"] == today:
        return 0
    if mark is None:
        session.add(Installation(name="replenishment", value={"day": today}))
    else:
        mark.value = {"day": today}
    policy = policies.active(session, now)
    wanted: dict[tuple[str, str], list[supply.Need]] = {}
    for need in supply.needs(session, policy, now.date()):
        wanted.setdefault((need.supplier, need.warehouse), []).append(need)
    for (supplier, warehouse), listed in wanted.items():
        context = Context(session, f"replenish:{today}:{supplier}:{warehouse}", CLOCK, now, policy)
        cases.open_or_refresh(_wish(supplier, warehouse, listed), context, supplier=supplier)
    stands = {f"{supplier}@{warehouse}" for supplier, warehouse in wanted}
    query = select(Case.subject).where(Case.kind == "replenishment", Case.status.in_(OPEN_CASE_STATUSES))
    for subject in session.scalars(query).all():
        if subject not in stands:
            over = Context(session, f"replenish:{today}:{subject}", CLOCK, now, policy)
            cases.end("replenishment", subject, over, "nothing to buy any more")
    return len(wanted)


def _wish(supplier: str, warehouse: str, listed: list[supply.Need]) -> OpenCase:
    worth = sum((n.quantity * n.unit_cost for n in listed), Decimal(0))
    title = f"{len(listed)} item{'s' if len(listed) != 1 else ''} to buy from {supplier} for {warehouse}"
    needs = [
        {
            "sku": n.sku,
            "name": n.name,
            "quantity": plain(n.quantity),
            "unit_cost": str(n.unit_cost),
            "why": f"{plain(n.demand.free)} free, {plain(n.demand.waiting)} waited for, {plain(n.demand.inbound)} on the way; sells "
            f"{n.demand.daily:.2f} a day, {n.demand.lead_days} days to get, buy below {plain(n.reorder_point)}",
        }
        for n in listed[:200]
    ]
    waits = any(n.demand.waiting > 0 for n in listed)
    return OpenCase(
        kind="replenishment",
        subject=f"{supplier}@{warehouse}",
        title=title,
        queue=Queue.PURCHASING,
        priority=Priority.HIGH if waits else Priority.NORMAL,
        at_stake=money(worth),
        details={"problems": [title], "supplier": supplier, "warehouse": warehouse, "needs": needs},
    )


def put_up_payments(session: Session, now: datetime) -> int:
    """Open a case for each supplier invoice that may be paid and is due soon; closed without paying, not again until the invoice changes."""
    policy = policies.active(session, now)
    by = now.date() + timedelta(days=policy.match.pay_days)
    numbers = list(session.scalars(text(DUE), {"by": by, "most": AT_ONCE}))
    query = select(SupplierInvoice).where(SupplierInvoice.id.in_(numbers)).order_by(SupplierInvoice.id)
    for bill in session.scalars(query):
        matching.put_up(bill, Context(session, f"due:{bill.id}:{bill.version}", CLOCK, now, policy))
    return len(numbers)


def recover(session: Session, now: datetime) -> int:
    """Open a case for each order whose promised day went by, once a promise: what is missing, and what can still be done."""
    numbers = list(session.scalars(text(FAILED), {"today": now.date(), "most": AT_ONCE}))
    for order in sales.orders(session, numbers):
        context = Context(
            session, f"recover:{order.number}:{order.promised_date}", CLOCK, now, policies.active(session, now)
        )
        case = cases.locked(cases.open_or_add(_recovery(session, order, now), context), context)
        case.details = {
            **case.details,
            "promised": str(order.promised_date),
        }  # one that was open for an earlier promise
    return len(numbers)


def _recovery(session: Session, order: SalesOrder, now: datetime) -> OpenCase:
    words = [f"{order.number} was promised for {order.promised_date} and has not gone.", *_options(session, order, now)]
    important = (now.date() - (order.promised_date or now.date())) > timedelta(days=2) or order.expedited
    return OpenCase(
        kind="service_recovery",
        subject=order.number,
        title=words[0],
        queue=Queue.CUSTOMER_SERVICE,
        priority=Priority.URGENT if important else Priority.HIGH,
        customer=order.customer,
        order=order.number,
        at_stake=sales.total(order),
        details={"problems": words},
    )


def _options(session: Session, order: SalesOrder, now: datetime) -> list[str]:
    """What each missing line waits for, and what else there is."""
    short = [line for line in order.lines if sales.backordered(line) > 0]
    picture = catalog.stock_picture(session, {line.sku for line in short})
    said: list[str] = []
    for line in short:
        missing = sales.backordered(line)
        day = picture.promise(line.sku, order.warehouse, missing, now.date())
        there = f"could be there on {day.isoformat()}" if day else "covered by nothing known"
        other = [f"{plain(q)} free in {w}" for w, q in picture.free[line.sku].items() if w != order.warehouse and q > 0]
        other += [f"substitute {sku}" for sku in picture.substitutes[line.sku]]
        said.append(f"Line {line.line}: {plain(missing)} of {line.sku} missing, {'; '.join([there, *other])}.")
    held: list[Any] = sales.active_holds(session, order.number)
    said += [f"Held for {hold.reason}: {hold.problem.get('text', '')}" for hold in held if hold.reason != "stock"]
    return said
