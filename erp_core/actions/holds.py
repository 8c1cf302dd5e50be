"""Holds that people place and release."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from erp_core.actions import billing, cases, checks, orders
from erp_core.actions.context import CORE, Change, Context
from erp_core.commands import PlaceHold, ReleaseHold
from erp_core.errors import IllegalTransition, NotFound, Problem, RuleViolation
from erp_core.queries import sales
from erp_core.rules.sales import Violation
from erp_core.tables.sales import Hold, SalesOrder
from erp_core.values import CHANGEABLE_ORDER_STATUSES, OrderStatus


def place(command: PlaceHold, context: Context) -> Change:
    """A person stops an order or a line."""
    order = _held_order(command.order, context)
    before, hold = _stands(order, command, context)
    if hold is not None:
        detail = f"{order.number} already has this hold."
        raise RuleViolation([Problem("hold_exists", detail, {"order": order.number, "reason": command.reason.value})])
    problem = Problem("placed_by_person", command.note or "Placed by hand.")
    checks.add(order, Violation(command.reason, command.line, problem), context.actor, context)
    return _settled("order:hold:placed", order, before, context)


def release(command: ReleaseHold, context: Context) -> Change:
    """A person lets an order or line go on. The waiver holds for the facts as they are now; other facts place the hold anew."""
    order = _held_order(command.order, context)
    before, hold = _stands(order, command, context)
    if hold is not None and hold.placed_by == CORE and order.status in CHANGEABLE_ORDER_STATUSES:
        checks.settle(order, context)  # what is waived is what is broken now, and the preview says so
        if hold.released_at is not None:
            return _settled("order:hold:released", order, before, context)
    if hold is None:
        raise NotFound(
            f"{order.number} has no active {command.reason} hold"
            + (f" on line {command.line}." if command.line else ".")
        )
    hold.released_by, hold.released_at, hold.release_note = context.actor, context.now, command.note
    hold.waived_until = context.now + timedelta(hours=context.policy.holds[command.reason].waiver_hours)
    context.session.flush()
    cases.end_hold_case(order, command.reason, context)
    return _settled("order:hold:released", order, before, context)


def _stands(
    order: SalesOrder, command: PlaceHold | ReleaseHold, context: Context
) -> tuple[dict[str, Any], Hold | None]:
    """The order as the journal shows it, and its active hold of the command's reason on the command's line."""
    holds = sales.active_holds(context.session, order.number)
    named = (h for h in holds if h.reason == command.reason and h.line == command.line)
    return sales.snapshot_of(context.session, order, holds), next(named, None)


def _settled(tag: str, order: SalesOrder, before: dict[str, Any], context: Context) -> Change:
    billing.invoice_rest(order, context)
    if order.status in CHANGEABLE_ORDER_STATUSES:
        checks.settle(order, context)
    order.version += 1
    context.session.flush()
    return Change(tag, f"sales_order:{order.number}", before, sales.snapshot(context.session, order.number))


def _held_order(number: str, context: Context) -> SalesOrder:
    """What has shipped can still be stopped from being billed."""
    order = orders.locked(number, context)
    if order.status not in (*CHANGEABLE_ORDER_STATUSES, OrderStatus.SHIPPED):
        raise IllegalTransition(f"{number} is {order.status}; holds no longer matter.")
    return order
