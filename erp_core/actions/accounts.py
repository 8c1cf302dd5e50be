"""A customer's running figures. Whoever changes a customer's orders or debts locks the customer first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.errors import NotFound
from erp_core.queries.sales import Own
from erp_core.tables.parties import Customer


def lock(session: Session, customer: str) -> Customer:
    """The customer, locked against everybody else who changes its orders, debts or limits. Raises NotFound."""
    query = select(Customer).where(Customer.code == customer).with_for_update(key_share=True)
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotFound(f"There is no customer {customer}.")
    return found


def lock_orders(session: Session, numbers: Iterable[str]) -> None:
    """Lock orders and, before them, their customers, each in key order. Whoever touches several orders does this first."""
    parameters = {"numbers": sorted(set(numbers))}
    customers = """SELECT code FROM customer WHERE code IN (SELECT customer FROM sales_order WHERE number = ANY(:numbers))
        ORDER BY code FOR NO KEY UPDATE"""
    session.execute(text(customers), parameters)
    session.execute(
        text("SELECT number FROM sales_order WHERE number = ANY(:numbers) ORDER BY number FOR UPDATE"), parameters
    )


def lock_levels(session: Session, numbers: Iterable[str], skus: Iterable[str] = ()) -> None:
    """Lock all stock that orders may bind, and that of items, in key order, before the first of them binds any."""
    session.flush()
    query = text(
        "SELECT 1 FROM stock_level WHERE sku = ANY(:skus) OR sku IN (SELECT sku FROM order_line WHERE order_number = ANY(:numbers)) "
        "ORDER BY warehouse, sku FOR UPDATE"
    )
    session.execute(query, {"numbers": sorted(set(numbers)), "skus": sorted(set(skus))})


CONCERNED = """
SELECT DISTINCT o.number FROM order_line l JOIN sales_order o ON o.number = l.order_number
WHERE l.sku = ANY(:skus) AND o.status IN ('validated', 'allocated', 'released')
  AND (cast(:warehouse AS text) IS NULL OR o.warehouse = :warehouse)
  AND (l.quantity_base > l.quantity_allocated + l.quantity_shipped OR (:bound AND l.quantity_allocated > 0))
"""


def lock_concerned(
    session: Session, skus: Sequence[str], warehouse: str | None, *, bound: bool = False, also: Iterable[str] = ()
) -> None:
    """Lock the orders that wait for items, on request those that have some, and others; then the stock of all of them."""
    parameters = {"skus": list(skus), "warehouse": warehouse, "bound": bound}
    numbers = [*session.scalars(text(CONCERNED), parameters), *also]
    lock_orders(session, numbers)
    lock_levels(session, numbers, skus)
    session.expire_all()


def carry(session: Session, customer: str, before: Own, after: Own, *, ended: bool = False) -> None:
    """Bring the customer's figures from what an order stood with to what it stands with. `ended`: it does not count any more."""
    if before == after and not ended:
        return
    usual = {} if ended else after.quantities
    value = Decimal(0) if ended else after.value
    moved = {
        sku: usual.get(sku, Decimal(0)) - before.quantities.get(sku, Decimal(0)) for sku in {*usual, *before.quantities}
    }
    parameters = {
        "customer": customer,
        "open": after.open_value - before.open_value,
        "orders": -1 if ended else 0,
        "value": value - before.value,
    }
    session.execute(
        text(
            "INSERT INTO customer_account AS a (customer, open_orders) VALUES (:customer, :open) ON CONFLICT (customer) DO UPDATE SET "
            "open_orders = a.open_orders + excluded.open_orders, order_count = a.order_count + :orders, order_value = a.order_value + :value"
        ),
        parameters,
    )
    for sku in sorted(s for s, quantity in moved.items() if quantity):
        count = (sku in usual) - (sku in before.quantities)
        session.execute(
            text(
                "INSERT INTO customer_item AS u (customer, sku, orders, quantity, last_price) VALUES (:customer, :sku, :orders, :quantity, 0) "
                "ON CONFLICT (customer, sku) DO UPDATE SET orders = u.orders + excluded.orders, quantity = u.quantity + excluded.quantity"
            ),
            {"customer": customer, "sku": sku, "orders": count, "quantity": moved[sku]},
        )


OPEN_VALUE = """SELECT coalesce(sum(value), 0) FROM (SELECT round(sum(l.unit_price * l.quantity_ordered
  * (l.quantity_base - l.quantity_invoiced) / nullif(l.quantity_base, 0)), 2) AS value
  FROM sales_order o JOIN order_line l ON l.order_number = o.number
  WHERE o.customer = c.code AND o.status NOT IN ('cancelled', 'invoiced', 'closed') GROUP BY o.number) AS v"""

RECOUNT = f"""
INSERT INTO customer_account AS a (customer, open_orders, order_count, order_value, last_warehouse)
SELECT c.code, ({OPEN_VALUE}), coalesce(n.orders, 0), coalesce(n.value, 0), n.warehouse
FROM customer c LEFT JOIN (SELECT o.customer, count(DISTINCT o.number) AS orders, sum(l.unit_price * l.quantity_ordered) AS value,
  (array_agg(o.warehouse ORDER BY o.ordered_at DESC))[1] AS warehouse
  FROM sales_order o JOIN order_line l ON l.order_number = o.number WHERE o.status <> 'cancelled' GROUP BY o.customer) n
  ON n.customer = c.code
WHERE true
ON CONFLICT (customer) DO UPDATE SET open_orders = excluded.open_orders, order_count = excluded.order_count,
  order_value = excluded.order_value, last_warehouse = excluded.last_warehouse
"""
REMEMBER = """
INSERT INTO customer_item AS u (customer, sku, orders, quantity, last_price)
SELECT o.customer, l.sku, count(DISTINCT o.number), sum(l.quantity_base),
  (array_agg(l.unit_price * l.quantity_ordered / nullif(l.quantity_base, 0) ORDER BY o.ordered_at DESC))[1]
FROM sales_order o JOIN order_line l ON l.order_number = o.number
WHERE o.status <> 'cancelled' AND l.quantity_base > 0 GROUP BY o.customer, l.sku
ON CONFLICT (customer, sku) DO UPDATE SET orders = excluded.orders, quantity = excluded.quantity, last_price = excluded.last_price
"""


def recount(session: Session) -> None:
    """Count every customer's figures anew from its orders: after history was imported."""
    session.execute(text(RECOUNT))
    session.execute(text(REMEMBER))
