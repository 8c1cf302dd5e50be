"""All facts of a batch of orders in one round trip: keys, locks and a picture, as one pipeline of statements.

Locks come first and in a fixed order (keys, customers, stock), each a statement of its own, so that the reading statement after
them sees what the last holder of the lock left behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy.orm import Session

from erp_core import db
from erp_core.policy import Policy
from erp_core.rules.catalog import Agreement, ItemFacts
from erp_core.rules.picture import Account, CustomerFacts, Draft, Earlier, Picture, Usual, WarehouseFacts

# The statements are many-sided but alike each time: planning them anew would cost more than running them.
BEGIN = """
SELECT set_config('plan_cache_mode', 'force_generic_plan', true),
 (SELECT count(pg_advisory_xact_lock(hashtextextended('key:' || k, 0))) FROM unnest(%s::text[]) AS k),
 ARRAY(SELECT 'SO-' || nextval('order_number') FROM generate_series(1, %s))
"""
EARLIER_ENTRIES = "SELECT key, input_hash, tag, subject, before, after FROM journal_entry WHERE key = ANY(%s)"
# customers are locked before the first level is looked at, because the condition on them gates the rest
LOCK = """
WITH c AS MATERIALIZED (SELECT code FROM customer WHERE code = ANY(%s) ORDER BY code FOR NO KEY UPDATE)
SELECT 1 FROM stock_level WHERE (SELECT count(*) FROM c) >= 0 AND sku = ANY(%s) ORDER BY warehouse, sku FOR UPDATE
"""

READ = """
SELECT json_build_object(
 'customers', (SELECT json_agg(json_build_array(c.code, c.entity, c.status, c.tier, c.currency, c.country, e.country,
    c.payment_terms_days, c.credit_limit, c.limit_expires, c.terms_changed_on, c.discount_changed_on, c.discount_percent,
    c.rebate_percent, c.credit_excluded, c.credit_standing, c.owed_elsewhere, c.tax_exempt, c.ships_partial, c.delivery,
    a.open_orders, a.order_count, a.order_value, a.last_warehouse))
   FROM customer c JOIN entity e ON e.code = c.entity LEFT JOIN customer_account a ON a.customer = c.code
   WHERE c.code = ANY(%(customers)s)),
 'owed', (SELECT json_agg(json_build_array(o.customer, o.unpaid, o.overdue, o.oldest)) FROM (
   SELECT i.customer, sum(i.amount - i.amount_settled) AS unpaid,
     sum(i.amount - i.amount_settled) FILTER (WHERE i.due_on < %(overdue)s::date) AS overdue,
     min(i.due_on) FILTER (WHERE i.due_on < %(overdue)s::date) AS oldest
   FROM invoice i WHERE i.customer = ANY(%(customers)s) AND (i.paid_at IS NULL OR i.paid_at > %(today)s::date)
   GROUP BY i.customer) o),
 'items', (SELECT json_agg(json_build_array(i.sku, i.name, i.uom, i.units_per_case, i.list_price, i.unit_cost, i.export_class,
    i.status, i.hazmat)) FROM item i WHERE i.sku = ANY(%(skus)s)),
 'units', (SELECT json_agg(json_build_array(u.sku, u.uom, u.numerator, u.denominator))
   FROM item_unit u WHERE u.sku = ANY(%(skus)s)),
 'contracts', (SELECT json_agg(json_build_array(p.customer, p.sku, p.min_quantity, p.unit_price, p.valid_from, p.valid_to))
   FROM unnest(%(pair_customers)s::text[], %(pair_skus)s::text[]) AS w (customer, sku)
   JOIN price p ON p.customer = w.customer AND p.sku = w.sku),
 'tiers', (SELECT json_agg(json_build_array(t.tier, t.sku, t.min_quantity, t.unit_price, t.valid_from, t.valid_to))
   FROM tier_price t WHERE t.sku = ANY(%(skus)s)),
 'usual', (SELECT json_agg(json_build_array(u.customer, u.sku, u.orders, u.quantity))
   FROM unnest(%(pair_customers)s::text[], %(pair_skus)s::text[]) AS w (customer, sku)
   JOIN customer_item u ON u.customer = w.customer AND u.sku = w.sku),
 'pos', (SELECT json_agg(json_build_array(o.customer, lower(o.customer_po), o.number, o.ordered_at))
   FROM unnest(%(po_customers)s::text[], %(pos)s::text[]) AS w (customer, po)
   JOIN sales_order o ON o.customer = w.customer AND lower(o.customer_po) = w.po
   WHERE o.status <> 'cancelled' AND o.ordered_at >= %(po_since)s),
 'baskets', (SELECT json_agg(json_build_array(o.customer, o.basket, o.number, o.ordered_at,
    (SELECT json_object_agg(l.sku, l.quantity) FROM (SELECT sku, sum(quantity_base) AS quantity FROM order_line
      WHERE order_number = o.number GROUP BY sku) l)))
   FROM unnest(%(customers)s::text[], %(baskets)s::text[]) AS w (customer, basket)
   JOIN sales_order o ON o.customer = w.customer AND o.basket = w.basket
   WHERE o.status <> 'cancelled' AND o.ordered_at >= %(basket_since)s),
 'warehouses', (SELECT json_agg(json_build_array(w.code, w.entity, w.country, w.capacity, CASE WHEN w.capacity IS NOT NULL THEN
    (SELECT count(*) FROM sales_order o WHERE o.warehouse = w.code AND o.status = 'released') ELSE 0 END)) FROM warehouse w),
 'levels', (SELECT json_agg(json_build_array(s.warehouse, s.sku, s.quantity_free))
   FROM stock_level s WHERE s.sku = ANY(%(skus)s)),
 'addresses', (SELECT json_agg(json_build_array(t.customer, t.name, t.address, t.country))
   FROM ship_to t WHERE t.customer = ANY(%(customers)s)),
 'numbers', (SELECT json_agg(o.number) FROM sales_order o WHERE o.number = ANY(%(numbers)s))
)::text
"""


@dataclass
class Taken:
    """What one round trip brought: earlier journal entries by key, fresh order numbers, and the picture."""

    entries: dict[str, Any] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    picture: Picture = field(default_factory=Picture)


def take(session: Session, drafts: Sequence[Draft], policy: Policy, today: date, keys: Sequence[str] = ()) -> Taken:
    """Lock what the drafts touch and read everything that deciding them needs. `today` is for what is paid and due."""
    skus = sorted({line.sku for draft in drafts for line in draft.lines})
    unnumbered = sum(1 for draft in drafts if not draft.number)
    session.flush()  # what the session changed must be there to be read
    with db.raw(session) as raw, raw.pipeline():
        begun = raw.execute(BEGIN, (sorted(keys), unnumbered))
        entries = raw.execute(EARLIER_ENTRIES, (list(keys),)) if keys else None
        raw.execute(LOCK, (sorted({d.customer for d in drafts}), skus))
        read = raw.execute(READ, _parameters(drafts, skus, policy, today))
    return Taken(
        {row[0]: row for row in entries.fetchall()} if entries else {},
        begun.fetchone()[2],
        _picture(json.loads(read.fetchone()[0], parse_float=Decimal, parse_int=Decimal)),
    )


def _parameters(drafts: Sequence[Draft], skus: list[str], policy: Policy, today: date) -> dict[str, Any]:
    pairs = sorted({(draft.customer, line.sku) for draft in drafts for line in draft.lines})
    with_po = [draft for draft in drafts if draft.customer_po]
    first = min(draft.ordered_at for draft in drafts)
    baskets = sorted({(draft.customer, draft.basket) for draft in drafts})
    return {
        "customers": [customer for customer, _ in baskets],
        "baskets": [basket for _, basket in baskets],
        "skus": skus,
        "pair_customers": [customer for customer, _ in pairs],
        "pair_skus": [sku for _, sku in pairs],
        "po_customers": [draft.customer for draft in with_po],
        "pos": [str(draft.customer_po).lower() for draft in with_po],
        "po_since": first - timedelta(days=policy.orders.duplicate_days),
        "basket_since": first - timedelta(days=policy.orders.similar_days),
        "numbers": [draft.number for draft in drafts if draft.number],
        "today": today,
        "overdue": today - timedelta(days=policy.credit.grace_days),
    }


def _picture(found: dict[str, Any]) -> Picture:
    rows = {name: listed or [] for name, listed in found.items()}
    picture = Picture(numbers=set(rows["numbers"]))
    for row in rows["customers"]:
        picture.customers[row[0]] = _customer(row)
        picture.accounts[row[0]] = Account(row[20] or Decimal(0), int(row[21] or 0), row[22] or Decimal(0), row[23])
    for customer, unpaid, overdue, oldest in rows["owed"]:
        account = picture.accounts[customer]
        account.unpaid, account.overdue, account.oldest_due = unpaid, overdue or Decimal(0), _day(oldest)
    units: dict[str, dict[str, Fraction]] = {}
    for sku, uom, numerator, denominator in rows["units"]:
        units.setdefault(sku, {})[uom] = Fraction(int(numerator), int(denominator))
    picture.items = {row[0]: ItemFacts(*[*row, units.get(row[0], {})]) for row in rows["items"]}
    for customer, sku, *agreed in rows["contracts"]:
        picture.contracts.setdefault((customer, sku), []).append(_agreement(agreed))
    for tier, sku, *agreed in rows["tiers"]:
        picture.tiers.setdefault((tier, sku), []).append(_agreement(agreed))
    picture.usual = {(c, sku): Usual(int(orders), quantity) for c, sku, orders, quantity in rows["usual"]}
    for customer, po, number, moment in _once(rows["pos"]):
        earlier = Earlier(number, datetime.fromisoformat(moment))
        picture.pos.setdefault((customer, po), []).append(earlier)
    for customer, basket, number, moment, ordered in rows["baskets"]:
        earlier = Earlier(number, datetime.fromisoformat(moment), ordered)
        picture.baskets.setdefault((customer, basket), []).append(earlier)
    for code, entity, country, capacity, load in rows["warehouses"]:
        most = int(capacity) if capacity is not None else None
        picture.warehouses[code] = WarehouseFacts(code, entity, country, most, int(load))
    for customer, name, address, country in rows["addresses"]:
        known = picture.addresses.setdefault(customer, {})
        known |= {" ".join(spelled.lower().split()): country for spelled in (name, address, f"{name}, {address}")}
    picture.free = {(w, sku): free for w, sku, free in rows["levels"]}
    return picture


def _once(rows: Iterable[list[Any]]) -> list[tuple[Any, ...]]:
    """Two drafts under one PO ask for the same rows twice."""
    return list(dict.fromkeys(tuple(row) for row in rows))


def _customer(row: list[Any]) -> CustomerFacts:
    code, entity, status, tier, currency, country, home, terms, limit, expires, terms_on, discount_on, *rest = row[:20]
    return CustomerFacts(
        code,
        entity,
        status,
        tier,
        currency,
        country,
        home,
        int(terms),
        limit,
        _day(expires),
        _day(terms_on),
        _day(discount_on),
        *rest,
    )


def _agreement(row: list[Any]) -> Agreement:
    smallest, price, start, end = row
    return Agreement(smallest, price, date.fromisoformat(start), _day(end))


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
