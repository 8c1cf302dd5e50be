"""Checks: bind stock, run the rules, and make the core's holds agree with them."""

from __future__ import annotations

from sqlalchemy import select

from erp_core.actions import cases, stock
from erp_core.actions.context import Change, Context
from erp_core.errors import Problem
from erp_core.queries import sales
from erp_core.rules import sales as rules
from erp_core.rules.sales import Violation
from erp_core.tables.sales import Hold, SalesOrder
from erp_core.values import ORDER_STEPS, HoldReason, OrderStatus, digest, transition

CORE = "core"


def settle(order: SalesOrder, context: Context) -> None:
    """Bind stock, run all checks, place and lift the core's own holds, and take the order as far as they allow."""
    session = context.session
    session.flush()
    if order.status in (OrderStatus.ALLOCATED, OrderStatus.RELEASED):
        order.status = transition(ORDER_STEPS, OrderStatus(order.status), OrderStatus.VALIDATED)
    if order.status == OrderStatus.ENTERED:
        order.status = transition(ORDER_STEPS, OrderStatus.ENTERED, OrderStatus.VALIDATED)
    stock.bind(order, context)
    match(order, context)
    stopped = blocked(order, context)
    if "allocate" in stopped:
        stock.free(order, context)
    elif all(sales.backordered(line) == 0 for line in order.lines):
        order.status = transition(ORDER_STEPS, OrderStatus.VALIDATED, OrderStatus.ALLOCATED)
        if "release" not in stopped:
            order.status = transition(ORDER_STEPS, OrderStatus.ALLOCATED, OrderStatus.RELEASED)
    session.flush()


def match(order: SalesOrder, context: Context) -> None:
    """Make the core's holds agree with its rules: place what is broken and not waived, lift what is mended."""
    violations = rules.validate(sales.facts(context.session, order, context.policy), context.policy)
    broken = _merged(violations)
    for hold in sales.active_holds(context.session, order.number):
        if hold.placed_by == CORE and (HoldReason(hold.reason), hold.line) not in broken:
            _lift(order, hold, context)
    for violation in broken.values():
        if active(order, violation.line, violation.reason, context) is None and not _waived(order, violation, context):
            add(order, violation, CORE, context)


def _merged(violations: list[Violation]) -> dict[tuple[HoldReason, int | None], Violation]:
    """One hold a reason and line; several problems of it are told, and waived, together."""
    found: dict[tuple[HoldReason, int | None], Violation] = {}
    for one in violations:
        known = found.get((one.reason, one.line))
        if known is not None:
            facts = {known.problem.code: known.problem.facts, one.problem.code: one.problem.facts}
            text = f"{known.problem.text} {one.problem.text}"
            one = Violation(one.reason, one.line, Problem(f"{known.problem.code}+{one.problem.code}", text, facts))
        found[one.reason, one.line] = one
    return found


def blocked(order: SalesOrder, context: Context) -> set[str]:
    """Transactions that active holds stop, by policy."""
    active = sales.active_holds(context.session, order.number)
    return {name for hold in active for name in context.policy.holds[HoldReason(hold.reason)].blocks}


def end_line(order: SalesOrder, line: int, context: Context) -> None:
    """A removed line takes its holds with it."""
    for hold in sales.active_holds(context.session, order.number):
        if hold.line == line:
            hold.released_by, hold.released_at, hold.release_note = CORE, context.now, "line removed"


def active(order: SalesOrder, line: int | None, reason: HoldReason, context: Context) -> Hold | None:
    """The hold of this reason that stops the order or line now."""
    query = select(Hold).where(
        Hold.order_number == order.number,
        Hold.line.is_(None) if line is None else Hold.line == line,
        Hold.reason == reason,
        Hold.released_at.is_(None),
    )
    return context.session.scalars(query).one_or_none()


def _waived(order: SalesOrder, violation: Violation, context: Context) -> bool:
    """A person released this very violation on these very facts."""
    query = select(Hold.problem).where(
        Hold.order_number == order.number,
        Hold.line.is_(None) if violation.line is None else Hold.line == violation.line,
        Hold.reason == violation.reason,
        Hold.released_by.is_not(None),
        Hold.released_by != CORE,
    )
    return any(old.get("facts_hash") == _facts_hash(violation) for old in context.session.scalars(query))


def _facts_hash(violation: Violation) -> str:
    return digest([violation.problem.code, violation.line, violation.problem.facts])


def add(order: SalesOrder, violation: Violation, by: str, context: Context) -> None:
    """Place a hold, with its case."""
    problem = violation.problem
    stored = {"code": problem.code, "text": problem.text, "facts": problem.facts, "facts_hash": _facts_hash(violation)}
    context.session.add(
        Hold(
            order_number=order.number,
            line=violation.line,
            reason=violation.reason,
            problem=stored,
            placed_by=by,
            placed_at=context.now,
        )
    )
    context.session.flush()
    case = cases.for_hold(order, violation, context)
    after = {"reason": violation.reason.value, "line": violation.line, "code": problem.code, "text": problem.text}
    change = Change("order:hold:placed", f"sales_order:{order.number}", None, after, [problem])
    context.also(change, case)


def _lift(order: SalesOrder, hold: Hold, context: Context) -> None:
    hold.released_by, hold.released_at, hold.release_note = CORE, context.now, "the reason is gone"
    context.session.flush()
    after = {"reason": hold.reason, "line": hold.line, "note": hold.release_note}
    context.also(Change("order:hold:lifted", f"sales_order:{order.number}", None, after))
    cases.end_hold_case(order, HoldReason(hold.reason), context)
