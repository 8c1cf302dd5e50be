"""Items, agreed prices, substitutes and stock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from erp_core.queries import policies, supply
from erp_core.rules.catalog import Agreement, ItemFacts, PriceFound, find_price
from erp_core.rules.names import spelling
from erp_core.rules.stock import Inbound, available_to_promise
from erp_core.tables.catalog import Item, ItemUnit, Price, Substitute, TierPrice
from erp_core.tables.parties import Customer
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.tables.stock import StockLevel
from erp_core.values import CHANGEABLE_ORDER_STATUSES, money


def item_facts(session: Session, sku: str) -> ItemFacts | None:
    """What rules know of an item; None when there is none."""
    item = session.get(Item, sku)
    return facts_of(session, [item])[sku] if item is not None else None


def facts_of(session: Session, known: Iterable[Item]) -> dict[str, ItemFacts]:
    """Items as rules know them, by number."""
    listed = list(known)
    units: dict[str, dict[str, Fraction]] = {item.sku: {} for item in listed}
    query = select(ItemUnit.sku, ItemUnit.uom, ItemUnit.numerator, ItemUnit.denominator).where(ItemUnit.sku.in_(units))
    for sku, uom, numerator, denominator in session.execute(query):
        units[sku][uom] = Fraction(numerator, denominator)
    return {
        item.sku: ItemFacts(
            item.sku,
            item.name,
            item.uom,
            item.units_per_case,
            item.list_price,
            item.unit_cost,
            item.export_class,
            item.status,
            item.hazmat,
            units[item.sku],
        )
        for item in listed
    }


def items(session: Session, skus: Iterable[str]) -> dict[str, Item]:
    """The items there are, by number."""
    return {item.sku: item for item in session.scalars(select(Item).where(Item.sku.in_(set(skus))))}


def agreements(session: Session, customer: str, sku: str) -> list[Agreement]:
    """All agreed prices of a customer for an item."""
    query = select(Price).where(Price.customer == customer, Price.sku == sku).order_by(Price.id)
    return [Agreement(p.min_quantity, p.unit_price, p.valid_from, p.valid_to) for p in session.scalars(query)]


def price_found(session: Session, customer: str, item: ItemFacts, quantity: Decimal, on: date) -> PriceFound:
    """The price of an item for a customer, by the one hierarchy. Raises when there is no such customer."""
    known = session.get_one(Customer, customer)
    query = select(TierPrice).where(TierPrice.tier == known.tier, TierPrice.sku == item.sku)
    tier = [Agreement(p.min_quantity, p.unit_price, p.valid_from, p.valid_to) for p in session.scalars(query)]
    return find_price(item, agreements(session, customer, item.sku), tier, known.discount_percent, quantity, on)


def free_stock(session: Session, sku: str) -> dict[str, Decimal]:
    """Unbound stock by warehouse, in base units."""
    query = select(StockLevel).where(StockLevel.sku == sku).order_by(StockLevel.warehouse)
    return {s.warehouse: s.quantity_free for s in session.scalars(query)}


def substitutes(session: Session, sku: str) -> Sequence[Substitute]:
    """Permitted substitutes, best first."""
    return list(session.scalars(select(Substitute).where(Substitute.sku == sku).order_by(Substitute.priority)))


@dataclass(frozen=True)
class StockPicture:
    """What stock looks like for some items: free, inbound and waited for by warehouse, substitutes; base units."""

    names: dict[str, str]
    free: dict[str, dict[str, Decimal]]
    inbound: dict[tuple[str, str], list[Inbound]]
    substitutes: dict[str, list[str]]
    waiting: dict[tuple[str, str], Decimal]
    late_days: int = 0

    def promise(self, sku: str, warehouse: str, lacking: Decimal, today: date) -> date | None:
        """When what an order lacks could be there, after what other orders wait for; None when nothing known covers it."""
        others = max(self.waiting.get((sku, warehouse), Decimal(0)) - lacking, Decimal(0))
        return self._covered(sku, warehouse, lacking, today, others)

    def promise_new(self, sku: str, warehouse: str, wanted: Decimal, today: date) -> date | None:
        """When goods that nobody ordered yet could be there, after what all orders wait for; None when nothing known covers it."""
        return self._covered(sku, warehouse, wanted, today, self.waiting.get((sku, warehouse), Decimal(0)))

    def _covered(self, sku: str, warehouse: str, wanted: Decimal, today: date, others: Decimal) -> date | None:
        here, coming = self.free.get(sku, {}).get(warehouse, Decimal(0)), self.inbound.get((sku, warehouse), [])
        return available_to_promise(wanted, here, coming, today, others, self.late_days)[0]


def stock_picture(session: Session, skus: set[str]) -> StockPicture:
    """One query a table, however many items."""
    names = {s: n for s, n in session.execute(select(Item.sku, Item.name).where(Item.sku.in_(skus)))}
    free: dict[str, dict[str, Decimal]] = {sku: {} for sku in skus}
    levels = select(StockLevel).where(StockLevel.sku.in_(skus)).order_by(StockLevel.warehouse)
    for level in session.scalars(levels):
        free[level.sku][level.warehouse] = level.quantity_free
    others: dict[str, list[str]] = {sku: [] for sku in skus}
    for sku, other in session.execute(
        select(Substitute.sku, Substitute.substitute_sku).where(Substitute.sku.in_(skus)).order_by(Substitute.priority)
    ):
        others[sku].append(other)
    late = policies.active(session).supply.late_days
    return StockPicture(names, free, supply.inbound(session, skus), others, _waiting(session, skus), late)


def _waiting(session: Session, skus: set[str]) -> dict[tuple[str, str], Decimal]:
    """What open orders lack, by item and warehouse."""
    lacking = OrderLine.quantity_base - OrderLine.quantity_allocated - OrderLine.quantity_shipped
    query = (
        select(OrderLine.sku, SalesOrder.warehouse, func.sum(lacking))
        .join(SalesOrder, SalesOrder.number == OrderLine.order_number)
        .where(OrderLine.sku.in_(skus), lacking > 0, SalesOrder.status.in_(CHANGEABLE_ORDER_STATUSES))
        .group_by(OrderLine.sku, SalesOrder.warehouse)
    )
    return {(sku, warehouse): quantity for sku, warehouse, quantity in session.execute(query)}


def item_names(session: Session) -> dict[str, str]:
    """Name of every item, by number."""
    return {sku: name for sku, name in session.execute(select(Item.sku, Item.name))}


def neighbours(
    session: Session, key: InstrumentedAttribute[str], own: str, name: str, most: int = 20
) -> dict[str, str]:
    """Names spelled most like this one, by the key of their customers or items; without its own record."""
    table = key.class_
    near = select(key, table.name).where(key != own, table.name_vector.is_not(None))
    near = near.order_by(table.name_vector.cosine_distance(spelling(name))).limit(most)
    return {code: other for code, other in session.execute(near)}


def value_of_difference(session: Session, warehouse: str, sku: str, on_hand: Decimal) -> Decimal:
    """What a correction of stock to `on_hand` moves, at cost."""
    item, level = session.get(Item, sku), session.get(StockLevel, (warehouse, sku))
    known = level.quantity_on_hand if level is not None else Decimal(0)
    return money(abs(on_hand - known) * item.unit_cost) if item is not None else Decimal(0)
