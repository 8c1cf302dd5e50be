"""Checks of orders that were entered: bind stock, run the rules, and make the core's holds agree with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import or_, select

from erp_core.actions import accounts, cases, stock
from erp_core.actions.context import CORE, Change, Context
from erp_core.errors import NotFound
from erp_core.policy import Policy
from erp_core.queries import intake, sales
from erp_core.queries.sales import Own
from erp_core.rules import intake as rules
from erp_core.rules.picture import Draft, Picture
from erp_core.rules.sales import Violation, fingerprint
from erp_core.tables.sales import Hold, SalesOrder
from erp_core.values import CHANGEABLE_ORDER_STATUSES, ORDER_STEPS, HoldReason, OrderStatus, transition

BATCH = 200


def settle(order: SalesOrder, context: Context, own: Own | None = None) -> None:
    """Bind stock, run all checks, place and lift the core's own holds, and take the order as far as they allow.

    `own` is what the order stands with in the customer's figures: its present state unless it was just changed.
    """
    session = context.session
    session.flush()
    own = own or sales.own(order)
    draft = sales.draft_of(order, own.open_value)
    picture = intake.take(session, [draft], context.policy, context.now.date()).picture
    customer = picture.customers[order.customer]
    broken, bound = examine(order, own, draft, picture, context.policy, context.now)
    if context.former is not None:
        before, _ = examine(order, own, draft, picture, context.former, context.now)
        broken = _new_to_it(order, broken, before, context)
    held = match(order, broken, context)
    need = [(x.line, x.quantity_base - x.quantity_shipped, bound[x.line]) for x in order.lines]
    partial = customer.ships_partial
    holds = [h for h in held if not (partial and _short(h))]
    stopping = [(HoldReason(h.reason), h.line) for h in holds]
    status, allocated, released = rules.stage(need, stopping, context.policy, partial=partial)
    for line in sorted(order.lines, key=lambda x: x.sku):
        stock.rebind(order, line, allocated[line.line], released[line.line], context)
    _move(order, status)
    session.flush()


def _new_to_it(
    order: SalesOrder, broken: Sequence[Violation], before: Sequence[Violation], context: Context
) -> list[Violation]:
    """A change of policy stops an order for what it changes: not for what the former policy would stop too by now, and let go then."""
    known = {(v.reason, v.line) for v in before}
    known -= {(HoldReason(h.reason), h.line) for h in sales.active_holds(context.session, order.number)}
    return [v for v in broken if (v.reason, v.line) not in known]


def examine(
    order: SalesOrder, own: Own, draft: Draft, picture: Picture, policy: Policy, now: datetime
) -> tuple[list[Violation], dict[int, Decimal]]:
    """What is broken of an order in a picture that already counts it, and what of each line could be bound.

    That the order is there is no problem of it; nor that the warehouse works on it; nor is it what is usual for its customer.
    """
    picture.numbers.discard(order.number)
    account, place = picture.accounts[order.customer], picture.warehouses[order.warehouse]
    usual = [(u, q) for sku, q in own.quantities.items() if (u := picture.usual.get((order.customer, sku))) is not None]
    released = order.status == OrderStatus.RELEASED

    def count(sign: int) -> None:
        account.order_count += sign
        account.order_value += sign * own.value
        place.load += sign if released else 0
        for known, quantity in usual:
            known.orders += sign
            known.quantity += sign * quantity

    count(-1)
    try:
        return rules.examine(draft, picture, policy, now.date())
    finally:
        count(1)


def sound(orders: Sequence[SalesOrder], context: Context) -> set[str]:
    """Of orders that have all their stock, those that break no other rule now: read in batches, decided one by one."""
    found: set[str] = set()
    for start in range(0, len(orders), BATCH):
        batch = orders[start : start + BATCH]
        owns = [sales.own(order) for order in batch]
        drafts = [sales.draft_of(order, own.open_value) for order, own in zip(batch, owns, strict=True)]
        picture = intake.take(context.session, drafts, context.policy, context.now.date()).picture
        for order, own, draft in zip(batch, owns, drafts, strict=True):
            broken, _ = examine(order, own, draft, picture, context.policy, context.now)
            if not broken:
                found.add(order.number)
    return found


def _short(hold: Hold) -> bool:
    """The core's own word that a line lacks stock: it stops what is missing, not what is there."""
    return hold.reason == HoldReason.STOCK and hold.placed_by == CORE


def _move(order: SalesOrder, status: OrderStatus) -> None:
    """Through every step between where the order stands and where it may stand; back to validation first when it went too far."""
    path = [OrderStatus.ENTERED, OrderStatus.VALIDATED, OrderStatus.ALLOCATED, OrderStatus.RELEASED]
    here = OrderStatus(order.status)
    if here in path and path.index(here) > path.index(status):
        here = transition(ORDER_STEPS, here, OrderStatus.VALIDATED)
    while here != status:
        here = transition(ORDER_STEPS, here, path[path.index(here) + 1])
    order.status = here


def match(order: SalesOrder, violations: Sequence[Violation], context: Context) -> list[Hold]:
    """Make the core's holds agree with its rules: place what is broken and not waived, lift what is mended. The holds that are active then."""
    broken = {(v.reason, v.line): v for v in violations}
    held = {(HoldReason(h.reason), h.line): h for h in sales.active_holds(context.session, order.number)}
    for key, hold in list(held.items()):
        violation = broken.get(key)
        if hold.placed_by != CORE:
            continue
        if violation is None or _waived(order, violation, context):
            _lift(order, hold, context)
            del held[key]
        elif hold.problem.get("facts_hash") != fingerprint(violation):
            _refresh(order, hold, violation, context)
    for key, violation in broken.items():
        if key not in held and not _waived(order, violation, context):
            held[key] = add(order, violation, CORE, context)
    return list(held.values())


def end_line(order: SalesOrder, line: int, context: Context) -> None:
    """A removed line takes its holds with it."""
    for hold in sales.active_holds(context.session, order.number):
        if hold.line == line:
            hold.released_by, hold.released_at, hold.release_note = CORE, context.now, "line removed"


def end_all(order: SalesOrder, note: str, context: Context, *, but: str = "") -> None:
    """The order needs no holds any more, except those that stop `but`; their cases have nothing left to see to."""
    kept = {hold.id for hold in blocked(order, but, context)} if but else set()
    holds = [hold for hold in sales.active_holds(context.session, order.number) if hold.id not in kept]
    for hold in holds:
        hold.released_by, hold.released_at, hold.release_note = CORE, context.now, note
    context.session.flush()
    for reason in sorted({hold.reason for hold in holds}):
        cases.end_hold_case(order, HoldReason(reason), context, note)


def blocked(order: SalesOrder, what: str, context: Context, line: int | None = None) -> list[Hold]:
    """Active holds that stop a transaction of the order, or of one of its lines."""
    return [
        hold
        for hold in sales.active_holds(context.session, order.number)
        if what in context.policy.holds[HoldReason(hold.reason)].blocks
        and (hold.line is None or line in (None, hold.line))
    ]


def _waived(order: SalesOrder, violation: Violation, context: Context) -> bool:
    """A person released this very violation on these very facts, and the waiver has not run out."""
    query = select(Hold.problem).where(
        Hold.order_number == order.number,
        Hold.line.is_(None) if violation.line is None else Hold.line == violation.line,
        Hold.reason == violation.reason,
        Hold.released_by.is_not(None),
        Hold.released_by != CORE,
        or_(Hold.waived_until.is_(None), Hold.waived_until > context.now),
    )
    return any(old.get("facts_hash") == fingerprint(violation) for old in context.session.scalars(query))


def _stored(violation: Violation) -> dict[str, object]:
    problem = violation.problem
    return {"code": problem.code, "text": problem.text, "facts": problem.facts, "facts_hash": fingerprint(violation)}


def add(order: SalesOrder, violation: Violation, by: str, context: Context) -> Hold:
    """Place a hold, with its case."""
    problem = violation.problem
    hold = Hold(
        order_number=order.number,
        line=violation.line,
        reason=violation.reason,
        problem=_stored(violation),
        placed_by=by,
        placed_at=context.now,
    )
    context.session.add(hold)
    context.session.flush()
    case = cases.for_hold(order, violation, context)
    after = {"reason": violation.reason.value, "line": violation.line, "code": problem.code, "text": problem.text}
    change = Change("order:hold:placed", f"sales_order:{order.number}", None, after, [problem])
    context.also(change, case)
    return hold


def _refresh(order: SalesOrder, hold: Hold, violation: Violation, context: Context) -> None:
    """What a person releases is what is broken now."""
    before = {"reason": hold.reason, "line": hold.line, "text": hold.problem.get("text")}
    hold.problem = _stored(violation)
    context.session.flush()
    context.also(
        Change(
            "order:hold:refreshed", f"sales_order:{order.number}", before, {**before, "text": violation.problem.text}
        )
    )


def _lift(order: SalesOrder, hold: Hold, context: Context) -> None:
    hold.released_by, hold.released_at, hold.release_note = CORE, context.now, "the reason is gone"
    context.session.flush()
    after = {"reason": hold.reason, "line": hold.line, "note": hold.release_note}
    context.also(Change("order:hold:lifted", f"sales_order:{order.number}", None, after))
    cases.end_hold_case(order, HoldReason(hold.reason), context)


def recheck(numbers: Sequence[str], context: Context) -> list[str]:
    """Run the checks of open orders anew because a fact they rest on changed; those whose state changed, by number."""
    changed = []
    accounts.lock_levels(context.session, numbers)
    for number in numbers:
        try:
            order = sales.order(context.session, number, lock=True)
        except NotFound:
            continue
        if order.status not in CHANGEABLE_ORDER_STATUSES:
            continue
        before = sales.snapshot_of(context.session, order)
        settle(order, context)
        after = sales.snapshot_of(context.session, order)
        if before != after:
            order.version += 1
            context.also(Change("order:sales:rechecked", f"sales_order:{number}", before, after))
            changed.append(number)
    return changed


def look_again(customer: str, context: Context) -> None:
    """Check every open order of a customer anew that is still on the shelf: what it rests on changed, for better or worse."""
    query = select(SalesOrder.number).where(
        SalesOrder.customer == customer,
        SalesOrder.status.in_(CHANGEABLE_ORDER_STATUSES),
        SalesOrder.picked_at.is_(None),
    )
    numbers = list(context.session.scalars(query.order_by(SalesOrder.ordered_at, SalesOrder.number)))
    accounts.lock_orders(context.session, numbers)
    recheck(numbers, context)
