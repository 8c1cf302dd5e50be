"""What benchmarks set up and count, in a world of their own."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

CUSTOMERS, ITEMS = 400, 2000
WORLD = """
INSERT INTO entity VALUES ('BENCH', 'Bench', 'USD', 'US') ON CONFLICT DO NOTHING;
INSERT INTO warehouse (code, entity, name, country) SELECT 'B' || w, 'BENCH', 'Bench ' || w, 'US' FROM generate_series(1, 3) w
  ON CONFLICT DO NOTHING;
INSERT INTO customer (code, entity, name, tier, payment_terms_days, credit_limit, currency, country, status)
  SELECT 'BC' || c, 'BENCH', 'Customer ' || c, 'B', 30, 99000000000, 'USD', 'US', 'active' FROM generate_series(1, 400) c
  ON CONFLICT DO NOTHING;
INSERT INTO item (sku, name, uom, units_per_case, list_price, unit_cost, hazmat, status)
  SELECT 'B-' || i, 'Item ' || i, 'EA', 12, 10 + i % 90, (10 + i % 90) * 0.6, false, 'active' FROM generate_series(1, 2000) i
  ON CONFLICT DO NOTHING;
INSERT INTO price (customer, sku, min_quantity, unit_price, valid_from)
  SELECT 'BC' || c, 'B-' || i, b, (10 + i % 90) * 0.95, '2020-01-01' FROM generate_series(1, 400) c, generate_series(c, 2000, 100) i,
  generate_series(1, 101, 50) b ON CONFLICT DO NOTHING;
INSERT INTO stock_level (warehouse, sku, quantity_on_hand)
  SELECT 'B' || w, 'B-' || i, 999999999 FROM generate_series(1, 3) w, generate_series(1, 2000) i ON CONFLICT DO NOTHING;
"""


def make_world(session: Session) -> None:
    """400 customers with agreed prices, 2,000 items, 3 warehouses full of them; as the owner."""
    session.execute(text(WORLD))


def make_signer(session: Session, email: str) -> None:
    """Somebody who may sign in customer service; as the owner."""
    query = "INSERT INTO app_user (email, name, roles, approval_limit) VALUES (:e, 'Bench', '{customer_service,supervisor}', 9999999) ON CONFLICT DO NOTHING"
    session.execute(text(query), {"e": email})


CASES = """
INSERT INTO case_file (kind, subject, title, queue, priority, status, customer, at_stake, opened_at, details)
SELECT 'request', 'bench ' || n, 'Case ' || n, (ARRAY['customer_service', 'credit', 'pricing', 'allocation', 'warehouse', 'purchasing'])[1 + n % 6],
 (ARRAY['urgent', 'high', 'normal', 'normal', 'low'])[1 + n % 5], 'investigating', 'BC' || (1 + n % 400), (n::bigint * 7919) % 20000,
 casework.desk_now() - make_interval(mins => n % 40000), '{}'
FROM generate_series((SELECT count(*)::int FROM case_file WHERE subject LIKE 'bench %') + 1, :most) AS n
"""


def make_cases(session: Session, number: int) -> None:
    """Bring the open cases of a bench to so many; as the owner."""
    session.execute(text(CASES), {"most": number})


# orders that came and went over some four hundred days, one in twenty of them still open; three lines each
HISTORY = """
INSERT INTO sales_order (number, customer, channel, customer_po, ordered_at, requested_date, promised_date, warehouse, ship_to_country, status)
SELECT 'BH-' || n, 'BC' || (1 + n % 400), (ARRAY['edi', 'email', 'portal', 'sales_rep', 'ecommerce'])[1 + n % 5], 'H' || n, at, at::date + 5, at::date + 5,
 'B' || (1 + n % 3), 'US', CASE WHEN n % 20 = 0 THEN 'released' ELSE 'invoiced' END
FROM (SELECT n, casework.desk_now() - make_interval(mins => (n::bigint * 7919 % 576000)::int) AS at FROM generate_series(:first, :last) n) o;
INSERT INTO order_line (order_number, line, sku, quantity_ordered, uom, quantity_base, quantity_shipped, quantity_invoiced, unit_price)
SELECT 'BH-' || n, l, 'B-' || (1 + (n * 31 + l * 677) % 2000), 1 + n % 40, 'EA', 1 + n % 40, gone, gone, 10 + n % 90
FROM generate_series(:first, :last) n, generate_series(1, 3) l, LATERAL (SELECT CASE WHEN n % 20 = 0 THEN 0 ELSE 1 + n % 40 END AS gone) g;
INSERT INTO shipment (number, order_number, warehouse, shipped_at, delivered_at)
SELECT 'BHS-' || n, 'BH-' || n, o.warehouse, o.ordered_at + interval '2 days', o.ordered_at + make_interval(days => 3 + n % 4)
FROM generate_series(:first, :last) n JOIN sales_order o ON o.number = 'BH-' || n WHERE n % 20 <> 0;
INSERT INTO invoice (number, order_number, shipment, invoiced_at, amount, customer, due_on, paid_at, amount_settled)
SELECT 'BHI-' || n, 'BH-' || n, 'BHS-' || n, o.ordered_at::date + 2, total, o.customer, o.ordered_at::date + 32,
 CASE WHEN n % 8 > 0 THEN o.ordered_at::date + 30 END, CASE WHEN n % 8 > 0 THEN total ELSE 0 END
FROM generate_series(:first, :last) n JOIN sales_order o ON o.number = 'BH-' || n, LATERAL (SELECT 3 * (1 + n % 40) * (10 + n % 90) AS total) t WHERE n % 20 <> 0;
INSERT INTO invoice_line (invoice, line, sku, quantity, amount)
SELECT 'BHI-' || n, l, 'B-' || (1 + (n * 31 + l * 677) % 2000), 1 + n % 40, (1 + n % 40) * (10 + n % 90)
FROM generate_series(:first, :last) n, generate_series(1, 3) l WHERE n % 20 <> 0
"""


def make_orders(session: Session, first: int, last: int) -> None:
    """Orders of the past with these numbers, most of them shipped and billed; as the owner."""
    for statement in HISTORY.split(";"):
        session.execute(text(statement), {"first": first, "last": last})


def orders_made(session: Session) -> int:
    """How many orders of the past there are."""
    return int(session.execute(text("SELECT count(*) FROM sales_order WHERE number LIKE 'BH-%'")).scalar_one())


def make_entries(session: Session, number: int) -> None:
    """Entries of a usual size for the sequencer; as the owner."""
    query = """
INSERT INTO journal_entry (at, actor, tag, key, input_hash, subject, after, facts)
SELECT casework.desk_now(), 'bench', 'case:note:added', 'bench:' || gen_random_uuid(), 'h', 'bench:' || n,
 jsonb_build_object('status', 'released', 'text', repeat('x', 600)), jsonb_build_object('policy', repeat('a', 64)) FROM generate_series(1, :n) n"""
    session.execute(text(query), {"n": number})


def make_supplier(session: Session) -> None:
    """A supplier to buy from; as the owner."""
    session.execute(
        text(
            "INSERT INTO supplier (code, name, lead_time_days, risk) VALUES ('BS1', 'Bench', 5, 'low') ON CONFLICT DO NOTHING"
        )
    )


def matched_bills(session: Session, orders: Sequence[str]) -> int:
    """How many invoices of purchase orders match."""
    query = "SELECT count(*) FROM supplier_invoice WHERE purchase_order = ANY(:orders) AND status = 'matched'"
    return int(session.execute(text(query), {"orders": list(orders)}).scalar_one())


def empty_shelves(session: Session) -> None:
    """Nothing is free any more; as the owner."""
    session.execute(
        text("UPDATE stock_level SET quantity_on_hand = quantity_allocated + quantity_held WHERE sku LIKE 'B-%'")
    )


def half_fill_shelves(session: Session) -> None:
    """About half of what orders lack arrives, spread over three warehouses; as the owner."""
    half = "SELECT sum(quantity_base - quantity_allocated) / 6 FROM order_line WHERE sku = s.sku"
    session.execute(
        text(
            f"UPDATE stock_level s SET quantity_on_hand = quantity_allocated + round(coalesce(({half}), 0)) WHERE sku LIKE 'B-%'"
        )
    )


def analyse(session: Session) -> None:
    """Fresh statistics of every table that has rows, as a database has that was in use for a while; as the owner.

    Statistics of an empty table would make PostgreSQL plan for an empty table while it fills.
    """
    names = session.scalars(
        text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    )
    for name in names:
        if session.scalar(text(f'SELECT true FROM "{name}" LIMIT 1')):
            session.execute(text(f'ANALYZE "{name}"'))


def waiting_lines(session: Session) -> int:
    """Lines that lack stock."""
    query = "SELECT count(*) FROM order_line WHERE quantity_base > quantity_allocated + quantity_shipped"
    return int(session.execute(text(query)).scalar_one())


def held_orders(session: Session) -> int:
    """Orders under a hold."""
    return int(
        session.execute(text("SELECT count(DISTINCT order_number) FROM hold WHERE released_at IS NULL")).scalar_one()
    )


def thirteen_statements(session: Session, position: int) -> None:
    """Twelve one-row reads and one insert with nothing around them: what an order's speed is compared with."""
    raw = session.connection().connection.driver_connection
    assert raw is not None
    for item in range(12):
        raw.execute("SELECT list_price FROM item WHERE sku = %s", (f"B-{position % ITEMS + item}",)).fetchall()
    raw.execute(
        "INSERT INTO waiting_event (subject, key, command, received_at, applied_at) VALUES ('bench', %s, '{}', now(), now())",
        (str(uuid.uuid4()),),
    )
