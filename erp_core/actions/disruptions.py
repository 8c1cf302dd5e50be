"""One thing that went wrong reaches everybody it concerns at once: linked cases in several functions, one disruption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from erp_core.actions import cases
from erp_core.actions.context import Change, Context
from erp_core.commands import OpenCase
from erp_core.queries import fulfilment, supply
from erp_core.queries.supply import Affected
from erp_core.rules.receiving import Difference
from erp_core.tables.desk import Case
from erp_core.tables.parties import Supplier
from erp_core.tables.purchasing import Discrepancy, Disruption
from erp_core.values import OPEN_CASE_STATUSES, DiscrepancyKind, Priority, Queue, plain

MOST_CUSTOMERS = 50


@dataclass(frozen=True)
class Cause:
    """What went wrong: its subject, in words, whose goods, and where; `ours` when we did it ourselves and can claim nothing."""

    subject: str
    title: str
    supplier: str | None
    purchase_order: str | None
    warehouse: str
    ours: bool = False


def fan_out(cause: Cause, differences: Sequence[Difference], hurt: Sequence[Affected], context: Context) -> Disruption:
    """Open the cases that belong to it: the claim, the shortage, each customer concerned, and what accounts payable must know."""
    disruption = _disruption(cause, context)
    worth = sum((d.amount for d in differences), Decimal(0))
    words = [d.text for d in differences] or [cause.title]
    number = cause.purchase_order or cause.subject
    of = {"supplier": cause.supplier, "disruption": disruption.id}
    if not cause.ours:
        claim = {"problems": words, "purchase_order": cause.purchase_order, "warehouse": cause.warehouse}
        _open("supplier_discrepancy", number, words[0], Queue.PURCHASING, Priority.NORMAL, worth, claim, of, context)
    if differences and cause.purchase_order:
        text = f"{number} differs from what was ordered; its invoice must be matched with that in mind."
        told = {"problems": [text, *words], "purchase_order": cause.purchase_order}
        _open("match_context", number, text, Queue.ACCOUNTS_PAYABLE, Priority.NORMAL, worth, told, of, context)
    for sku in sorted({a.sku for a in hurt}):
        _shortage(cause, sku, [a for a in hurt if a.sku == sku], of, context)
    _customers(cause, hurt, of, context)
    return disruption


def note(found: Difference, context: Context, **of: Any) -> Discrepancy:
    """Write a difference down: of which order, receipt or invoice, and of which disruption it is part."""
    made = Discrepancy(
        kind=found.kind,
        sku=found.sku,
        expected=found.expected,
        actual=found.actual,
        amount=found.amount,
        text=found.text,
        found_at=context.now,
        **of,
    )
    context.session.add(made)
    return made


def _disruption(cause: Cause, context: Context) -> Disruption:
    query = select(Disruption).where(Disruption.subject == cause.subject, Disruption.closed_at.is_(None))
    known = context.session.scalars(query.with_for_update()).one_or_none()
    if known is not None:
        return known
    made = Disruption(
        subject=cause.subject,
        title=cause.title[:200],
        supplier=cause.supplier,
        purchase_order=cause.purchase_order,
        opened_at=context.now,
    )
    context.session.add(made)
    context.session.flush()
    context.also(Change("disruption:supply:opened", f"disruption:{made.subject}", None, {"title": made.title}))
    return made


def _shortage(cause: Cause, sku: str, hurt: Sequence[Affected], of: dict[str, Any], context: Context) -> None:
    """Who comes later because of it, and what could be done instead, each with its cost."""
    free = fulfilment.free(context.session, [sku], cause.warehouse).get((cause.warehouse, sku), Decimal(0))
    missing = max(sum((a.lacking for a in hurt), Decimal(0)) - free, Decimal(0))
    choices = supply.options(
        context.session, sku, cause.warehouse, missing, context.policy, context.now.date(), cause.supplier
    )
    orders = list(dict.fromkeys(a.order for a in hurt))
    text = (
        f"{plain(missing)} of {sku} are missing at {cause.warehouse}: {_many(len(orders), 'order')} later than planned."
    )
    details = {
        "problems": [text, *(_late(a) for a in hurt[:20])],
        "sku": sku,
        "warehouse": cause.warehouse,
        "missing": plain(missing),
        "orders": [_row(a) for a in hurt[:50]],
        "options": [
            {
                "kind": o.kind,
                "what": o.what,
                "quantity": plain(o.quantity),
                "cost": str(o.cost),
                "day": o.day.isoformat() if o.day else None,
                **o.facts,
            }
            for o in choices
        ],
    }
    worth = supply.worth(hurt)
    urgent = Priority.URGENT if any(a.breaks_promise and a.tier == "A" for a in hurt) else Priority.HIGH
    subject = f"{sku}@{cause.warehouse}"
    _open("supply_short", subject, text, Queue.ALLOCATION, urgent, worth, details, of, context)


def _customers(cause: Cause, hurt: Sequence[Affected], of: dict[str, Any], context: Context) -> None:
    """One case a customer, the most valuable first: which of its orders come when instead."""
    by_customer: dict[str, list[Affected]] = {}
    for one in hurt:
        by_customer.setdefault(one.customer, []).append(one)
    rest = [a for lines in list(by_customer.values())[MOST_CUSTOMERS:] for a in lines]
    if rest:
        text = (
            f"{len(by_customer) - MOST_CUSTOMERS} further customers get goods later than planned; tell them together."
        )
        details = {"problems": [text, *(_late(a) for a in rest[:50])], "orders": [_row(a) for a in rest]}
        worth = supply.worth(rest)
        _open(
            "supply_delay",
            f"{cause.subject}:others",
            text,
            Queue.CUSTOMER_SERVICE,
            Priority.NORMAL,
            worth,
            details,
            of,
            context,
        )
    for customer, lines in list(by_customer.items())[:MOST_CUSTOMERS]:
        broken = any(a.breaks_promise for a in lines)
        goods = ", ".join(sorted({a.sku for a in lines}))
        late = _many(len({a.order for a in lines}), "order")
        text = f"{lines[0].customer_name}: {late} later than planned, for want of {goods}."
        details = {"problems": [text, *(_late(a) for a in lines)], "orders": [_row(a) for a in lines]}
        worth = supply.worth(lines)
        own = {**of, "customer": customer, "order": lines[0].order}
        priority = Priority.HIGH if broken or lines[0].tier == "A" else Priority.NORMAL
        subject = f"{cause.subject}:{customer}"
        _open("supply_delay", subject, text, Queue.CUSTOMER_SERVICE, priority, worth, details, own, context)


def _open(
    kind: str,
    subject: str,
    title: str,
    queue: Queue,
    priority: Priority,
    worth: Decimal,
    details: dict[str, Any],
    of: dict[str, Any],
    context: Context,
) -> None:
    command = OpenCase(
        kind=kind,
        subject=subject,
        title=title[:200],
        queue=queue,
        priority=priority,
        customer=of.get("customer"),
        order=of.get("order"),
        at_stake=worth,
        details=details,
    )
    cases.open_or_add(command, context, supplier=of["supplier"], disruption=of["disruption"])


def _row(a: Affected) -> dict[str, Any]:
    return {
        "order": a.order,
        "line": a.line,
        "sku": a.sku,
        "customer": a.customer,
        "value": str(a.value),
        "promised": a.promised.isoformat() if a.promised else None,
        "before": a.before.isoformat() if a.before else None,
        "after": a.after.isoformat() if a.after else None,
    }


def _late(a: Affected) -> str:
    then = f"on {a.after}" if a.after else "on no day that is known"
    broken = f", promised for {a.promised}" if a.breaks_promise else ""
    return f"{a.order} line {a.line} ({a.customer_name}): {a.sku} {then} instead of {a.before}{broken}."


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}"


def respond(supplier: str, context: Context) -> None:
    """Repeated failures get the response that policy names, once while its case is open."""
    rule = context.policy.supply
    recent = (
        select(Discrepancy.receipt)
        .distinct()
        .join(Disruption, Disruption.id == Discrepancy.disruption_id)
        .where(
            Disruption.supplier == supplier,
            Discrepancy.found_at >= context.now - timedelta(days=rule.failure_days),
            Discrepancy.receipt.is_not(None),
            Discrepancy.kind != DiscrepancyKind.LATE,
        )
    )
    found = context.session.scalars(recent).all()
    if len(found) < rule.failures:
        return
    who = context.session.get_one(Supplier, supplier, with_for_update={"key_share": True})
    text = f"{who.name} failed {len(found)} times within {rule.failure_days} days."
    details: dict[str, Any] = {"problems": [text], "failures": len(found), "response": rule.response}
    of = {"supplier": supplier, "disruption": None}
    _open("supplier_non_compliance", supplier, text, Queue.PURCHASING, Priority.HIGH, Decimal(0), details, of, context)
    if rule.response == "raise_risk" and who.risk != "high":
        before, who.risk = {"risk": who.risk}, "high"
        who.version += 1
        context.also(Change("supplier:risk:raised", f"supplier:{supplier}", before, {"risk": "high", "why": text}))


def settle(purchase_order: str, kinds: Sequence[str], how: str, context: Context) -> None:
    """Differences of an order whose cause is gone; when none is left open, what was opened for them ends too."""
    query = select(Discrepancy).where(
        Discrepancy.purchase_order == purchase_order, Discrepancy.settled_at.is_(None), Discrepancy.kind.in_(kinds)
    )
    for one in context.session.scalars(query):
        one.settled_at, one.settled_how = context.now, how
    context.session.flush()
    left = select(Discrepancy.id).where(
        Discrepancy.purchase_order == purchase_order,
        Discrepancy.settled_at.is_(None),
        Discrepancy.receipt.is_not(None),
    )
    if context.session.scalars(left).first() is None:
        for kind in ("supplier_discrepancy", "match_context"):
            cases.end(kind, purchase_order, context, how)


def relieve(skus: Sequence[str], warehouse: str, context: Context) -> None:
    """Shortages of which nobody waits any more are over."""
    subjects = {f"{sku}@{warehouse}": sku for sku in skus}
    query = select(Case.subject).where(
        Case.kind == "supply_short", Case.subject.in_(subjects), Case.status.in_(OPEN_CASE_STATUSES)
    )
    short = [subjects[subject] for subject in context.session.scalars(query)]
    from_now = supply.coverage(context.session, short, warehouse, context.policy, context.now.date())
    for sku in short:
        if not from_now.get((sku, warehouse)):
            cases.end("supply_short", f"{sku}@{warehouse}", context, "goods came")
