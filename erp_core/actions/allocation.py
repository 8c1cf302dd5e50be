"""Stock goes to waiting orders: one engine for every item, warehouse and customer, woken by whatever makes stock free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, text

from erp_core.actions import accounts, cases, checks, orders, stock
from erp_core.actions.context import Change, Context, facts_of
from erp_core.commands import Reallocate, RunBackorders
from erp_core.errors import Problem, RuleViolation
from erp_core.queries import fulfilment, sales
from erp_core.rules.allocation import Grant
from erp_core.rules.allocation import grant as decide
from erp_core.tables.desk import Case
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.values import OPEN_CASE_STATUSES, canonical, digest, plain

GIVE = """
WITH g AS (SELECT * FROM jsonb_to_recordset(cast(:grants AS jsonb)) AS x (order_number text, line int, warehouse text, sku text, quantity numeric)),
 lined AS (UPDATE order_line l SET quantity_allocated = l.quantity_allocated + g.quantity FROM g
   WHERE l.order_number = g.order_number AND l.line = g.line),
 levelled AS (UPDATE stock_level s SET quantity_allocated = s.quantity_allocated + t.quantity
   FROM (SELECT warehouse, sku, sum(quantity) AS quantity FROM g GROUP BY warehouse, sku) t
   WHERE s.warehouse = t.warehouse AND s.sku = t.sku)
INSERT INTO allocation (order_number, line, warehouse, sku, quantity, status, created_at)
SELECT order_number, line, warehouse, sku, quantity, 'reserved', :now FROM g
"""
# an order that lacked nothing but stock goes on: its stock holds are lifted, their cases closed, its lines released
READY = """
SELECT o.number FROM sales_order o WHERE o.number = ANY(:numbers) AND o.status = 'validated'
 AND NOT EXISTS (SELECT FROM order_line l WHERE l.order_number = o.number AND l.quantity_base > l.quantity_allocated + l.quantity_shipped)
 AND NOT EXISTS (SELECT FROM hold h WHERE h.order_number = o.number AND h.released_at IS NULL
   AND (h.reason <> 'stock' OR h.placed_by <> 'core'))
"""
GO_ON = """
WITH n AS (SELECT unnest(cast(:numbers AS text[])) AS number),
 lifted AS (UPDATE hold h SET released_by = 'core', released_at = :now, release_note = 'the reason is gone' FROM n
   WHERE h.order_number = n.number AND h.released_at IS NULL),
 closed AS (UPDATE case_file c SET status = 'resolved', resolved_at = :now, root_cause = 'by_itself', leased_by = NULL, leased_until = NULL
   FROM n WHERE c.kind = 'hold_stock' AND c.subject = n.number AND c.status IN ('new', 'investigating', 'awaiting_review')),
 lined AS (UPDATE order_line l SET quantity_released = l.quantity_allocated FROM n WHERE l.order_number = n.number),
 bound AS (UPDATE allocation a SET status = 'committed', expires_at = NULL FROM n
   WHERE a.order_number = n.number AND a.status IN ('reserved', 'committed'))
UPDATE sales_order o SET status = 'released', version = o.version + 1 FROM n WHERE o.number = n.number
"""
# stock is locked by now, so nobody may be waited for
OWN_CUSTOMERS = """
SELECT code FROM customer WHERE code IN (SELECT customer FROM sales_order WHERE number = ANY(:numbers))
ORDER BY code FOR NO KEY UPDATE SKIP LOCKED
"""
OWN_ORDERS = """
SELECT number FROM sales_order WHERE number = ANY(:numbers) AND customer = ANY(:customers) AND status IN ('validated', 'allocated', 'released')
ORDER BY number FOR UPDATE SKIP LOCKED
"""
TELL = """
INSERT INTO journal_entry (at, actor, tag, key, input_hash, subject, case_id, after, facts)
SELECT :now, :actor, 'order:stock:allocated', key, input_hash, subject, :case, after, cast(:facts AS jsonb)
FROM jsonb_to_recordset(cast(:entries AS jsonb)) AS x (key text, input_hash text, subject text, after jsonb)
"""


def run(command: RunBackorders, context: Context) -> Change:
    """Rank all waiting orders and give them what is free. A preview of this is a simulation: the same path, taken back."""
    if command.skus:
        accounts.lock_concerned(context.session, command.skus, command.warehouse)
    granted = give(command.skus, command.warehouse, context)
    after = {"orders": len({g.order for g in granted}), "lines": len(granted)}
    return Change("stock:backorders:run", f"stock:{command.warehouse or 'all'}", None, after)


def give(skus: Sequence[str], warehouse: str | None, context: Context) -> list[Grant]:
    """Allocate free stock to waiting lines and take the orders as far as that lets them go.

    The orders concerned are locked before (`accounts.lock_concerned`), or else left to others who hold them.
    """
    session = context.session
    session.flush()
    keeping = [r.value for r, rule in context.policy.holds.items() if not rule.keeps_stock or "allocate" in rule.blocks]
    lines = fulfilment.waiting(session, skus, warehouse, keeping)
    if not lines:
        return []
    accounts.lock_levels(session, {x.order for x in lines}, skus)
    free = fulfilment.free(session, sorted({x.sku for x in lines}), warehouse)
    granted = _still_open(decide(lines, free, context.policy.allocation, context.now.date()), context)
    if not granted:
        return []
    rows = [
        {"order_number": g.order, "line": g.line, "warehouse": g.warehouse, "sku": g.sku, "quantity": g.quantity}
        for g in granted
    ]
    session.execute(text(GIVE), {"grants": canonical(rows), "now": context.now})
    numbers = sorted({g.order for g in granted})
    session.expire_all()
    covered = list(session.scalars(text(READY), {"numbers": numbers}))
    ready = sorted(checks.sound(sales.orders(session, covered), context))
    seen_to = select(Case).where(
        Case.kind == "hold_stock", Case.subject.in_(ready), Case.status.in_(OPEN_CASE_STATUSES)
    )
    ending = session.scalars(seen_to).all()
    session.execute(text(GO_ON), {"numbers": ready, "now": context.now})
    _tell(granted, context)
    session.expire_all()
    for case in ending:
        cases.withdraw(case, context)
    checks.recheck(sorted(set(numbers) - set(ready)), context)
    return granted


def _still_open(granted: list[Grant], context: Context) -> list[Grant]:
    """Leave out orders that somebody is changing at this moment; their own checks bind what they need."""
    numbers = sorted({g.order for g in granted})
    customers = list(context.session.scalars(text(OWN_CUSTOMERS), {"numbers": numbers}))
    locked = set(context.session.scalars(text(OWN_ORDERS), {"numbers": numbers, "customers": customers}))
    return [g for g in granted if g.order in locked]


def _tell(granted: Sequence[Grant], context: Context) -> None:
    """One entry an order: what it got."""
    got: dict[str, dict[str, str]] = {}
    for one in granted:
        got.setdefault(one.order, {})[str(one.line)] = f"{plain(one.quantity)} of {one.sku} from {one.warehouse}"
    entries: list[dict[str, Any]] = [
        {
            "key": f"{context.key}:{number}",
            "input_hash": digest(lines),
            "subject": f"sales_order:{number}",
            "after": lines,
        }
        for number, lines in got.items()
    ]
    parameters = {
        "now": context.now,
        "actor": context.actor,
        "case": context.case,
        "facts": canonical(facts_of(context.policy, context.facts)),
        "entries": canonical(entries),
    }
    context.session.execute(text(TELL), parameters)


def reallocate(command: Reallocate, context: Context) -> Change:
    """Move bound stock from one order to another; both are checked anew, and neither may have left the shelf."""
    session = context.session
    pair = sorted({command.from_order, command.order})
    accounts.lock_orders(session, pair)
    locked = {number: sales.order(session, number, lock=True) for number in pair}
    accounts.lock_levels(session, pair)
    giver, taker = locked[command.from_order], locked[command.order]
    given, taken = orders.line_of(giver, command.from_line), orders.line_of(taker, command.line)
    problems = _problems(command, giver, taker, given, taken)
    if problems:
        raise RuleViolation(problems)
    before = {n: sales.snapshot_of(session, o) for n, o in locked.items()}
    stock.give_back(giver, given, command.quantity, context)
    stock.rebind(taker, taken, taken.quantity_allocated + command.quantity, taken.quantity_released, context)
    orders.resettle(taker, context)
    orders.resettle(giver, context)
    after = {n: sales.snapshot_of(session, o) for n, o in locked.items()}
    return Change("stock:allocation:moved", f"sales_order:{command.order}", before, {**after, "reason": command.reason})


def _problems(
    command: Reallocate, giver: SalesOrder, taker: SalesOrder, given: OrderLine, taken: OrderLine
) -> list[Problem]:
    found = []
    if giver.number == taker.number:
        found.append(Problem("same_order", "Stock moves between two orders."))
    if given.sku != taken.sku or giver.warehouse != taker.warehouse:
        found.append(Problem("not_the_same_goods", "Both lines must be for the same item at the same warehouse."))
    for order in (giver, taker):
        if order.picked_at is not None or order.status not in ("validated", "allocated", "released"):
            found.append(
                Problem(
                    "not_on_the_shelf",
                    f"The goods of {order.number} are no longer on the shelf.",
                    {"order": order.number},
                )
            )
    if command.quantity > given.quantity_allocated:
        words = f"{giver.number} has only {plain(given.quantity_allocated)} of it."
        found.append(Problem("not_allocated", words, {"allocated": plain(given.quantity_allocated)}))
    if command.quantity > sales.backordered(taken):
        words = f"{taker.number} lacks only {plain(sales.backordered(taken))} of it."
        found.append(Problem("not_needed", words, {"short": plain(sales.backordered(taken))}))
    return found
