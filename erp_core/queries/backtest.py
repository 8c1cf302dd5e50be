"""Replay: what a policy would have said to the orders and decisions of some days, from the facts kept with each of them.

An order's facts are those it was entered with; windows that a policy widens (days to look back for duplicates, say) cannot find what
was not looked for then. Stock, credit and prices are as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.policy import Policy
from erp_core.queries import policies
from erp_core.rules import desk as rules
from erp_core.rules import sales
from erp_core.rules.desk import Ground, Judgement
from erp_core.rules.sales import OrderFacts
from erp_core.tables.desk import Decision
from erp_core.values import HoldReason

FACTS: TypeAdapter[OrderFacts] = TypeAdapter(OrderFacts)
GROUND: TypeAdapter[Ground] = TypeAdapter(Ground)
LISTED = 500

ORDERS = """
SELECT e.subject, e.facts -> 'order' AS facts, e.facts ->> 'policy' AS policy, c.entity, c.name AS customer, c.code, e.at
FROM journal_entry e JOIN customer c ON c.code = e.facts -> 'order' -> 'credit' ->> 'customer'
WHERE e.tag = 'order:sales:placed' AND e.at >= :since AND e.at <= :now AND e.facts ? 'order' ORDER BY e.id
"""
# what people did with a hold of an order: the latest word
DONE = """
SELECT h.order_number, h.reason, h.released_by, h.released_at, h.placed_at, o.status FROM hold h
JOIN sales_order o ON o.number = h.order_number WHERE h.order_number = ANY(:numbers) ORDER BY h.id
"""


def replay(session: Session, candidate: Policy, current: Policy, now: datetime, days: int) -> dict[str, Any]:
    """Every order and decision of the last `days` whose outcome would differ, with its money, and the sums."""
    since = now - timedelta(days=days)
    orders, seen = _orders(session, candidate, current, since, now)
    decisions, judged = _decisions(session, candidate, since, now)
    through = [o for o in orders if o["released"]]
    stopped = [o for o in orders if o["stopped"]]
    kept_held = [o for o in through if o["kept_held"]]
    totals = {
        "orders": seen,
        "orders_differ": len(orders),
        "orders_through": len(through),
        "value_differ": str(sum((Decimal(o["total"]) for o in orders), Decimal(0))),
        "value_through": str(sum((Decimal(o["total"]) for o in through), Decimal(0))),
        "value_kept_held": str(sum((Decimal(o["total"]) for o in kept_held), Decimal(0))),
        "orders_stopped": len(stopped),
        "value_stopped": str(sum((Decimal(o["total"]) for o in stopped), Decimal(0))),
        "decisions": judged,
        "decisions_differ": len(decisions),
    }
    return {"totals": totals, "orders": orders[:LISTED], "decisions": decisions[:LISTED]}


def held(facts: OrderFacts, policy: Policy, firm: str) -> set[tuple[HoldReason, int | None]]:
    """The holds that a policy places on an order with these facts."""
    return set(sales.merged(sales.validate(facts, policy.of(firm))))


def _orders(
    session: Session, candidate: Policy, current: Policy, since: datetime, now: datetime
) -> tuple[list[dict[str, Any]], int]:
    found, seen = [], 0
    for row in session.execute(text(ORDERS), {"since": since, "now": now}):
        seen += 1
        facts = FACTS.validate_python(row.facts)
        was, would = held(facts, current, row.entity), held(facts, candidate, row.entity)
        if was != would:
            found.append(
                {
                    "order": row.subject.split(":", 1)[1],
                    "customer": row.customer,
                    "entity": row.entity,
                    "at": row.at.isoformat(),
                    "total": str(facts.total),
                    "was": _words(was),
                    "would": _words(would),
                    "released": bool(was) and not would,
                    "stopped": bool(would) and not was,
                }
            )
    _say_what_people_did(session, found)
    return found, seen


def _words(holds: set[tuple[HoldReason, int | None]]) -> list[str]:
    return sorted({reason.value for reason, _ in holds})


def _say_what_people_did(session: Session, orders: list[dict[str, Any]]) -> None:
    rows: dict[str, list[Any]] = {}
    for row in session.execute(text(DONE), {"numbers": [o["order"] for o in orders]}):
        rows.setdefault(row.order_number, []).append(row)
    for order in orders:
        gone = set(order["was"]) - set(order["would"])
        about = [r for r in rows.get(order["order"], []) if r.reason in gone]
        still = [r for r in about if r.released_by is None]
        people = [r for r in about if r.released_by not in (None, "core")]
        cancelled = any(r.status == "cancelled" for r in about)
        order["kept_held"] = bool(still)
        if still:
            order["did"] = "Cancelled while held" if cancelled else "Still held"
        elif people:
            last = people[-1]
            order["did"], order["by"] = "Released", last.released_by
            order["minutes"] = int((last.released_at - last.placed_at).total_seconds() // 60)
        else:
            order["did"] = "The reason went away" if about else ""


def again(session: Session, decision: Decision) -> tuple[Judgement, Judgement] | None:
    """A decision judged anew under the policy it was made under, beside what was found then; None when it never came to authority."""
    kept = decision.detail.get("authority")
    if kept is None:
        return None
    then = Judgement(kept["outcome"], tuple(kept["rules"]), tuple(kept["waiting"]))
    policy = policies.version(session, decision.policy_hash)
    return then, rules.judge(policy, GROUND.validate_python(kept["ground"]))


def _decisions(session: Session, candidate: Policy, since: datetime, now: datetime) -> tuple[list[dict[str, Any]], int]:
    found, judged = [], 0
    for decision in _judged(session, since, now):
        judged += 1
        kept = decision.detail["authority"]
        ground = GROUND.validate_python(kept["ground"])
        would = rules.judge(candidate, ground)
        if would.outcome != kept["outcome"]:
            found.append(
                {
                    "decision": decision.id,
                    "case": decision.case_id,
                    "actor": decision.actor,
                    "at": decision.decided_at.isoformat(),
                    "actions": [s.action for s in ground.subjects],
                    "amount": str(max((s.amount for s in ground.subjects), default=Decimal(0))),
                    "was": kept["outcome"],
                    "would": would.outcome,
                }
            )
    return found, judged


def _judged(session: Session, since: datetime, now: datetime) -> Iterator[Decision]:
    query = select(Decision).where(
        Decision.decided_at >= since, Decision.decided_at <= now, Decision.detail.has_key("authority")
    )
    yield from session.scalars(query.order_by(Decision.id))
