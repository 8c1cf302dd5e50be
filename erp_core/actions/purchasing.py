"""Purchase orders: written, approved by somebody else, sent, confirmed, changed. Whom a change hurts is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal

from sqlalchemy import select

from erp_core.actions import accounts, cases, disruptions, matching, segregation
from erp_core.actions.context import Change, Context
from erp_core.actions.disruptions import Cause
from erp_core.commands import (
    AcknowledgePurchase,
    AmendPurchase,
    ApprovePurchase,
    CancelPurchase,
    DraftPurchase,
    OpenCase,
    SendPurchase,
    UpdateExpectedDate,
)
from erp_core.errors import IllegalTransition, NotFound, Problem, RuleViolation
from erp_core.queries import catalog, supply
from erp_core.queries import purchasing as queries
from erp_core.tables.desk import OutboxMail
from erp_core.tables.parties import Supplier
from erp_core.tables.purchasing import ItemSource, PurchaseOrder, PurchaseOrderLine
from erp_core.tables.stock import Warehouse
from erp_core.values import (
    INBOUND_PURCHASE_STATUSES,
    PURCHASE_STEPS,
    Priority,
    PurchaseStatus,
    Queue,
    digest,
    plain,
    transition,
)


def draft(command: DraftPurchase, context: Context) -> Change:
    """Write an order down. A blocked supplier, an unknown or discontinued item is refused."""
    session = context.session
    supplier, place = session.get(Supplier, command.supplier), session.get(Warehouse, command.warehouse)
    if supplier is None or place is None:
        missing = f"supplier {command.supplier}" if supplier is None else f"warehouse {command.warehouse}"
        raise NotFound(f"There is no {missing}.")
    items = catalog.items(session, {x.sku for x in command.lines})
    problems = [Problem("item_unknown", f"There is no item {x.sku}.") for x in command.lines if x.sku not in items]
    problems += [
        Problem("item_discontinued", f"{sku} is discontinued.", {"sku": sku})
        for sku, item in items.items()
        if item.status != "active"
    ]
    if supplier.status != "active":
        problems.append(Problem("supplier_blocked", f"Supplier {supplier.code} is blocked."))
    if problems:
        raise RuleViolation(problems)
    made = PurchaseOrder(
        number=_number(context),
        supplier=supplier.code,
        warehouse=place.code,
        ordered_at=context.now.date(),
        expected_date=command.expected_date or context.now.date() + timedelta(days=supplier.lead_time_days),
        status=PurchaseStatus.DRAFT,
        reason=command.reason,
        asked_by=context.actor,
        version=1,
    )
    sources = select(ItemSource.sku, ItemSource.unit_cost).where(ItemSource.supplier == supplier.code)
    agreed = {sku: cost for sku, cost in session.execute(sources.where(ItemSource.sku.in_(items)))}
    for position, line in enumerate(command.lines, start=1):
        known = agreed.get(line.sku, items[line.sku].unit_cost)
        cost = line.unit_cost if line.unit_cost is not None else known
        made.lines.append(_line(position, line.sku, line.quantity, cost))
    session.add(made)
    session.flush()
    _ask(made, context)
    return Change("purchase:desk:drafted", f"purchase_order:{made.number}", None, queries.snapshot(made))


def _ask(made: PurchaseOrder, context: Context) -> None:
    """Somebody else has to say yes: a case of its own."""
    words = f"{made.number} to {made.supplier} for {queries.total(made):,}: {made.reason}"
    cases.open_or_add(
        OpenCase(
            kind="purchase_approval",
            subject=made.number,
            title=words[:200],
            queue=Queue.PURCHASING,
            priority=Priority.NORMAL,
            at_stake=queries.total(made),
            details={"problems": [words], "purchase_order": made.number, "asked_by": context.actor},
        ),
        context,
        supplier=made.supplier,
    )


def _line(position: int, sku: str, quantity: Decimal, cost: Decimal) -> PurchaseOrderLine:
    zero = Decimal(0)
    return PurchaseOrderLine(
        line=position,
        sku=sku,
        quantity=quantity,
        unit_cost=cost,
        quantity_received=zero,
        quantity_damaged=zero,
        quantity_invoiced=zero,
    )


def _number(context: Context) -> str:
    """The next free number of our series: imported history may have used some."""
    while True:
        number = context.next_number("purchase_order_number", "PO-")
        if context.session.get(PurchaseOrder, number) is None:
            return number


def approve(command: ApprovePurchase, context: Context) -> Change:
    """From now on its goods count as on their way."""
    order = queries.order(context.session, command.purchase_order, lock=True)
    segregation.of_purchase(order, context)
    _active(order, context)
    before = queries.snapshot(order)
    order.status = transition(PURCHASE_STEPS, PurchaseStatus(order.status), PurchaseStatus.APPROVED)
    order.approved_by = context.actor
    cases.end("purchase_approval", order.number, context, "approved")
    return _done("purchase:desk:approved", order, before, context)


def send(command: SendPurchase, context: Context) -> Change:
    """Mail the order to the supplier; one without a mail address is sent by other means, and marked as sent."""
    order = queries.order(context.session, command.purchase_order, lock=True)
    _active(order, context)
    before = queries.snapshot(order)
    order.status = transition(PURCHASE_STEPS, PurchaseStatus(order.status), PurchaseStatus.SENT)
    supplier = context.session.get_one(Supplier, order.supplier)
    if supplier.email:
        _mail(order, supplier.email, context)
    return _done("purchase:desk:sent", order, before, context)


def _active(order: PurchaseOrder, context: Context) -> None:
    supplier = context.session.get_one(Supplier, order.supplier)
    if supplier.status != "active":
        raise RuleViolation([Problem("supplier_blocked", f"Supplier {supplier.code} is blocked.")])


def _mail(order: PurchaseOrder, to: str, context: Context) -> None:
    names = catalog.items(context.session, {x.sku for x in order.lines})
    rows = [
        f"{x.line:>4}  {x.sku:<16} {names[x.sku].name:<32} {plain(x.quantity)} {names[x.sku].uom} at {x.unit_cost:f}"
        for x in order.lines
    ]
    body = "\n".join([f"Purchase order {order.number}", f"To be delivered on {order.expected_date}", "", *rows])
    mail = OutboxMail(
        message_id=f"<{digest([context.key, to])[:24]}@countersign>",
        to=to,
        subject=f"Purchase order {order.number}",
        body=body,
        attachments=[],
        status="waiting",
        queued_at=context.now,
    )
    context.session.add(mail)
    context.session.flush()
    context.also(Change("message:notice:queued", f"mail:{to}", None, {"what": "purchase order", "order": order.number}))


def acknowledge(command: AcknowledgePurchase, context: Context) -> Change:
    """The supplier said yes; another day than expected hurts whom it hurts."""
    order = queries.order(context.session, command.purchase_order, lock=True)
    before = queries.snapshot(order)
    order.status = transition(PURCHASE_STEPS, PurchaseStatus(order.status), PurchaseStatus.ACKNOWLEDGED)
    if command.expected_date is not None and command.expected_date != order.expected_date:
        _redate(order, None, command.expected_date, "acknowledged for another day", context)
    order.agreed_date = order.expected_date
    return _done("purchase:supplier:acknowledged", order, before, context)


def update_date(command: UpdateExpectedDate, context: Context) -> Change:
    """Another day for the order or one of its lines."""
    order = queries.order(context.session, command.purchase_order, lock=True)
    if order.status not in INBOUND_PURCHASE_STATUSES:
        raise IllegalTransition(f"{order.number} is {order.status}; nothing of it is expected.")
    before = queries.snapshot(order)
    _redate(order, command.line, command.expected_date, command.reason, context)
    return _done("purchase:supplier:redated", order, before, context)


def _redate(order: PurchaseOrder, line: int | None, day: date, reason: str, context: Context) -> None:
    concerned = [x for x in order.lines if line in (None, x.line)]
    if not concerned:
        raise NotFound(f"{order.number} has no line {line}.")
    skus = {x.sku for x in concerned}
    order.agreed_date = order.agreed_date or order.expected_date

    def change() -> None:
        if line is None:
            order.expected_date = day
        for one in concerned:
            one.expected_date = day if line is not None else None

    words = f"{order.number} comes on {day}" + (f": {reason}" if reason else "")
    _felt(order, skus, words, context, change, ours=False)


def amend(command: AmendPurchase, context: Context) -> Change:
    """Other quantities or costs. Whoever waited for what does not come is told; blocked invoices are matched anew.

    Of what has come completely only the cost can still be agreed otherwise.
    """
    order = queries.order(context.session, command.purchase_order, lock=True)
    only_costs = all(x.quantity is None for x in command.changes)
    still_open = order.status in (PurchaseStatus.DRAFT, *INBOUND_PURCHASE_STATUSES)
    if not still_open and not (only_costs and order.status == PurchaseStatus.RECEIVED):
        raise IllegalTransition(f"{order.number} is {order.status}; it can no longer be changed.")
    before = queries.snapshot(order)
    by_line = {x.line: x for x in order.lines}
    problems = []
    for wanted in command.changes:
        line = by_line.get(wanted.line)
        if line is None:
            raise NotFound(f"{order.number} has no line {wanted.line}.")
        came = line.quantity_received + line.quantity_damaged
        if wanted.quantity is not None and wanted.quantity < came:
            words = f"Line {line.line}: {plain(came)} of {line.sku} have come; it cannot become less than that."
            problems.append(Problem("received_already", words, {"received": plain(came)}))
    if problems:
        raise RuleViolation(problems)

    def change() -> None:
        for wanted in command.changes:
            line = by_line[wanted.line]
            line.quantity = wanted.quantity if wanted.quantity is not None else line.quantity
            line.unit_cost = wanted.unit_cost if wanted.unit_cost is not None else line.unit_cost

    worth = queries.total(order)
    skus = {by_line[x.line].sku for x in command.changes if x.quantity is not None}
    _felt(order, skus, f"{order.number} was changed: {command.reason}", context, change, ours=True)
    if order.status != PurchaseStatus.DRAFT and queries.total(order) > worth:
        segregation.of_purchase(order, context)  # making an approved order dearer is approving it
    if order.status == PurchaseStatus.RECEIVING and all(queries.open_quantity(x) == 0 for x in order.lines):
        order.status = transition(PURCHASE_STEPS, PurchaseStatus.RECEIVING, PurchaseStatus.RECEIVED)
        disruptions.settle(order.number, ["short"], "the order was cut to what came", context)
    context.session.flush()
    matching.rematch(order, context)
    return _done("purchase:desk:amended", order, before, context)


def cancel(command: CancelPurchase, context: Context) -> Change:
    """An order of which nothing came is cancelled; of one that came in part the rest is not waited for."""
    order = queries.order(context.session, command.purchase_order, lock=True)
    before = queries.snapshot(order)
    came = order.status == PurchaseStatus.RECEIVING
    status = transition(
        PURCHASE_STEPS, PurchaseStatus(order.status), PurchaseStatus.RECEIVED if came else PurchaseStatus.CANCELLED
    )

    def change() -> None:
        order.status = status

    skus = {x.sku for x in order.lines if queries.open_quantity(x) > 0}
    _felt(order, skus, f"{order.number} was ended: {command.reason}", context, change, ours=True)
    cases.end("purchase_approval", order.number, context, "cancelled")
    matching.rematch(order, context)
    return _done("purchase:desk:cancelled", order, before, context)


def _felt(
    order: PurchaseOrder, skus: Iterable[str], words: str, context: Context, change: Callable[[], None], *, ours: bool
) -> None:
    """Make a change of what is on its way, and open the cases of whom it makes later; what is `ours` is no claim."""
    session, today = context.session, context.now.date()
    listed = sorted(set(skus))
    if listed:
        accounts.lock_concerned(session, listed, order.warehouse)
    was = supply.coverage(session, listed, order.warehouse, context.policy, today)
    change()
    session.flush()
    now = supply.coverage(session, listed, order.warehouse, context.policy, today)
    hurt = supply.affected(session, was, now)
    if hurt and order.status != PurchaseStatus.DRAFT:
        cause = Cause(f"purchase_order:{order.number}", words, order.supplier, order.number, order.warehouse, ours)
        disruptions.fan_out(cause, [], hurt, context)


def _done(tag: str, order: PurchaseOrder, before: dict[str, object], context: Context) -> Change:
    order.version += 1
    context.session.flush()
    return Change(tag, f"purchase_order:{order.number}", before, queries.snapshot(order))
