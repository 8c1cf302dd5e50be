"""How good the master data is: each domain with its steward, its score and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.queries import desk
from erp_core.rules.names import alike

# (domain, all records, what is wrong: sentence and the records it is wrong of)
CHECKS: dict[str, tuple[str, dict[str, str]]] = {
    "customers": (
        "SELECT code FROM customer",
        {
            "no contact and no mail domain": """SELECT code FROM customer c WHERE email_domain IS NULL
                AND NOT EXISTS (SELECT FROM contact t WHERE t.customer = c.code)""",
            "no credit limit and not excluded": "SELECT code FROM customer WHERE credit_limit = 0 AND NOT credit_excluded",
            "mail domain of another customer": """SELECT code FROM customer WHERE lower(email_domain) IN
                (SELECT lower(email_domain) FROM customer WHERE email_domain IS NOT NULL GROUP BY 1 HAVING count(*) > 1)""",
        },
    ),
    "items": (
        "SELECT sku FROM item",
        {
            "no list price": "SELECT sku FROM item WHERE list_price <= 0",
            "costs more than its list price": "SELECT sku FROM item WHERE unit_cost >= list_price AND list_price > 0",
            "no category": "SELECT sku FROM item WHERE category IS NULL",
            "no export class": "SELECT sku FROM item WHERE export_class IS NULL",
        },
    ),
    "prices": (
        "SELECT id::text FROM price",
        {
            "below cost": "SELECT p.id::text FROM price p JOIN item i ON i.sku = p.sku WHERE p.unit_price < i.unit_cost",
            "two for one quantity and day": """SELECT p.id::text FROM price p JOIN price q ON q.customer = p.customer AND q.sku = p.sku
                AND q.min_quantity = p.min_quantity AND q.id <> p.id AND q.valid_from <= coalesce(p.valid_to, 'infinity')
                AND p.valid_from <= coalesce(q.valid_to, 'infinity')""",
        },
    ),
    "suppliers": (
        "SELECT code FROM supplier",
        {"no mail domain": "SELECT code FROM supplier WHERE email_domain IS NULL"},
    ),
    "stock": (
        "SELECT warehouse || ' ' || sku FROM stock_level",
        {"held back after a count": "SELECT warehouse || ' ' || sku FROM stock_level WHERE quantity_held > 0"},
    ),
}


NAMED = {"customers": ("customer", "code"), "items": ("item", "sku")}
TWINS = """
SELECT a.{key}, a.name, n.{key}, n.name FROM {table} a CROSS JOIN LATERAL (SELECT b.{key}, b.name FROM {table} b
 WHERE b.{key} <> a.{key} AND b.name_vector IS NOT NULL ORDER BY b.name_vector <=> a.name_vector LIMIT 3) n
WHERE a.name_vector IS NOT NULL
"""


def _alike(session: Session, table: str, key: str) -> list[str]:
    """Records whose name is much like that of one of its three nearest neighbours."""
    rows = session.execute(text(TWINS.format(table=table, key=key)))
    return sorted({own for own, name, other, theirs in rows if alike(name, {other: theirs})})


@dataclass(frozen=True)
class Domain:
    """A domain of master data: records in all, share without a defect (0 to 1), defects with up to five records each."""

    name: str
    stewards: list[str]
    records: int
    score: Decimal | None
    defects: dict[str, tuple[int, list[str]]]


def domains(session: Session, stewards: dict[str, str]) -> list[Domain]:
    """Every domain. `stewards` names the role that keeps each."""
    people = desk.people(session)
    found = []
    for name, (every, checks) in CHECKS.items():
        records = len(session.execute(text(every)).all())
        wrong = {what: [str(r[0]) for r in session.execute(text(query))] for what, query in checks.items()}
        if name in NAMED:
            wrong["a name much like another's"] = _alike(session, *NAMED[name])
        bad = {record for listed in wrong.values() for record in listed}
        score = (Decimal(records - len(bad)) / records).quantize(Decimal("0.001")) if records else None
        defects = {what: (len(listed), sorted(listed)[:5]) for what, listed in wrong.items() if listed}
        keepers = [user.name for user, person in people if stewards[name] in person.roles]
        found.append(Domain(name, keepers, records, score, defects))
    return found
