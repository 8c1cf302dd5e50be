"""Orders, and the facts their validation needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from erp_core.errors import NotFound
from erp_core.rules.duplicates import quantities
from erp_core.rules.intake import Decided
from erp_core.rules.picture import Draft, DraftLine
from erp_core.tables.sales import Hold, OrderLine, SalesOrder
from erp_core.values import HoldReason, OrderStatus, money, plain


def order(session: Session, number: str, *, lock: bool = False) -> SalesOrder:
    """The order with its lines; locked for change on request. Raises NotFound."""
    lines = [selectinload(SalesOrder.lines)]
    found = session.get(SalesOrder, number, options=lines, with_for_update=lock or None, populate_existing=lock)
    if found is None:
        raise NotFound(f"There is no sales order {number}.")
    return found


def customer_of(session: Session, number: str) -> str:
    """Whose order it is. Raises NotFound."""
    found = session.scalar(select(SalesOrder.customer).where(SalesOrder.number == number))
    if found is None:
        raise NotFound(f"There is no sales order {number}.")
    return found


def orders(session: Session, numbers: Sequence[str]) -> list[SalesOrder]:
    """Orders with their lines, by number."""
    query = select(SalesOrder).where(SalesOrder.number.in_(numbers)).options(selectinload(SalesOrder.lines))
    return list(session.scalars(query.order_by(SalesOrder.number)))


def broken(session: Session, order: str, reason: HoldReason) -> list[dict[str, Any]]:
    """Why an order is held for a reason: each problem with its line, code and facts. A hold for several problems gives several."""
    found = []
    for hold in active_holds(session, order):
        if hold.reason != reason:
            continue
        codes, facts = hold.problem["code"].split("+"), hold.problem.get("facts") or {}
        for code in codes:
            found.append({"line": hold.line, "code": code, "facts": facts if len(codes) == 1 else facts.get(code, {})})
    return found


def active_holds(session: Session, number: str) -> list[Hold]:
    """Holds that stop the order now, in the order they were placed."""
    query = select(Hold).where(Hold.order_number == number, Hold.released_at.is_(None)).order_by(Hold.id)
    return list(session.scalars(query))


def snapshot(session: Session, number: str) -> dict[str, Any]:
    """The order as the journal, the preview and the screen show it: plain values, no technical ids."""
    return snapshot_of(session, order(session, number))


def snapshot_of(session: Session, found: SalesOrder, holds: Sequence[Hold] | None = None) -> dict[str, Any]:
    """The snapshot of an order that was read already, maybe with its active holds."""
    held = active_holds(session, found.number) if holds is None else holds
    return {
        "status": found.status,
        "requested_date": _day(found.requested_date),
        "promised_date": _day(found.promised_date),
        "ship_to": found.ship_to,
        "expedited": found.expedited,
        "total": str(total(found)),
        "lines": {
            str(x.line): {
                "sku": x.sku,
                "quantity": f"{plain(x.quantity_ordered)} {x.uom}",
                "allocated": plain(x.quantity_allocated),
                "released": plain(x.quantity_released),
                # of a cancelled order nothing is waited for
                "backordered": plain(backordered(x) if found.status != OrderStatus.CANCELLED else Decimal(0)),
                "shipped": plain(x.quantity_shipped),
                "price": str(x.unit_price),
                "requested_date": _day(x.requested_date),
            }
            for x in found.lines
        },
        "holds": sorted(_hold_words(h.reason, h.line) for h in held),
    }


def total(found: SalesOrder) -> Decimal:
    """Value of the order: price per ordered unit times quantity."""
    return sum((x.unit_price * x.quantity_ordered for x in found.lines), Decimal(0)).quantize(Decimal("0.01"))


def backordered(line: OrderLine) -> Decimal:
    """Open base quantity without an allocation."""
    return max(line.quantity_base - line.quantity_allocated - line.quantity_shipped, Decimal(0))


def open_value(found: SalesOrder) -> Decimal:
    """What of the order's value is neither invoiced nor cancelled: the part that counts as exposure."""
    if found.status in (OrderStatus.CANCELLED, OrderStatus.INVOICED, OrderStatus.CLOSED):
        return Decimal(0)
    return money(
        sum(
            (
                x.unit_price * x.quantity_ordered * (x.quantity_base - x.quantity_invoiced) / x.quantity_base
                for x in found.lines
                if x.quantity_base
            ),
            Decimal(0),
        )
    )


@dataclass(frozen=True)
class Own:
    """What an order stands with in its customer's figures: value not billed, whole value, base quantity of each item."""

    open_value: Decimal
    value: Decimal
    quantities: dict[str, Decimal]


def own(found: SalesOrder) -> Own:
    """An order's part of its customer's figures, as it is now."""
    return Own(open_value(found), total(found), quantities((x.sku, x.quantity_base) for x in found.lines))


def draft_of(found: SalesOrder, own_value: Decimal) -> Draft:
    """An order as it stands, to be looked at as if it came in now. `own_value` is its part of the customer's open orders."""
    lines = [
        DraftLine(
            x.line,
            x.sku,
            x.quantity_ordered,
            x.uom,
            x.unit_price,
            x.requested_date,
            x.quantity_allocated,
            x.quantity_shipped,
            x.quantity_invoiced,
            x.quantity_base,
        )
        for x in found.lines
    ]
    return Draft(
        found.number,
        found.customer,
        found.channel,
        found.ordered_at,
        lines,
        found.customer_po,
        found.requested_date,
        found.warehouse,
        found.ship_to,
        found.ship_to_country,
        found.payment_terms_days,
        own_value,
    )


def snapshot_from(decided: Decided) -> dict[str, Any]:
    """The snapshot of an order that is about to be entered."""
    return {
        "status": decided.status.value,
        "requested_date": _day(decided.draft.requested_date),
        "promised_date": None,
        "ship_to": decided.draft.ship_to,
        "expedited": False,
        "total": str(decided.total),
        "lines": {
            str(x.line): {
                "sku": x.sku,
                "quantity": f"{plain(x.quantity)} {x.uom}",
                "allocated": plain(x.quantity_allocated),
                "released": plain(x.quantity_released),
                "backordered": plain(x.quantity_base - x.quantity_allocated),
                "shipped": "0",
                "price": str(x.unit_price),
                "requested_date": _day(x.requested_date),
            }
            for x in decided.lines
        },
        "holds": sorted(_hold_words(h.reason.value, h.line) for h in decided.holds),
    }


def _day(value: Any) -> str | None:
    return value.isoformat() if value is not None else None


def _hold_words(reason: str, line: int | None) -> str:
    return reason if line is None else f"{reason} on line {line}"
