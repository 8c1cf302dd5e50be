"""Orders come in: one, or many at once, under the same rules. One round trip reads, one writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from erp_core import db
from erp_core.actions.context import PREVIEW, Change, facts_of
from erp_core.commands import PlaceOrder
from erp_core.errors import KeyReused, Problem
from erp_core.policy import Policy
from erp_core.queries import intake as queries
from erp_core.queries.sales import snapshot_from
from erp_core.rules import intake as rules
from erp_core.rules.intake import Decided
from erp_core.rules.picture import Draft, DraftLine
from erp_core.rules.sales import OrderFacts, Violation, fingerprint
from erp_core.values import CaseStatus, HoldReason, OrderStatus, digest

CORE, IMPORT = "core", "import"
FACTS: TypeAdapter[OrderFacts] = TypeAdapter(OrderFacts)  # kept with the order, so that it can be judged again
PREVIEW_NUMBER = "SO-NEW"  # looking at what an order would do uses up no number


@dataclass(frozen=True)
class Asked:
    """One order to place, under its own key."""

    command: PlaceOrder
    key: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Placed:
    """What became of one: its change and those beside it, or the problems for which nothing of it was entered."""

    change: Change | None
    beside: list[Change] = field(default_factory=list)
    problems: Sequence[Problem] = ()
    replayed: bool = False


def place(
    session: Session, asked: Sequence[Asked], *, actor: str, now: datetime, policy: Policy, case: int | None = None
) -> list[Placed]:
    """Enter orders in turn: each sees those before it. One that cannot be entered leaves the others alone.

    Raises KeyReused when a key stands for another input.
    """
    unnumbered = PREVIEW_NUMBER if actor == PREVIEW else ""
    drafts = [_draft(a.command, unnumbered, actor, now) for a in asked]
    taken = queries.take(session, drafts, policy, now.date(), [a.key for a in asked])
    numbers = iter(taken.numbers)
    drafts = [d if d.number else replace(d, number=next(numbers)) for d in drafts]
    placed: list[Placed] = []
    writing = _Writing(session, actor, now, policy, case)
    for one, draft in zip(asked, drafts, strict=True):
        entry = taken.entries.get(one.key)
        if entry is not None:
            placed.append(_stored(one, entry))
            continue
        reserved = _reserved(one.command, actor)
        decided = rules.decide(draft, taken.picture, policy, now.date())
        problems = [*reserved, *decided.refusals]
        if problems:
            placed.append(Placed(None, problems=problems))
            continue
        rules.remember(decided, taken.picture)
        placed.append(writing.add(one, decided))
        taken.entries[one.key] = (one.key, writing.entries[-len(decided.holds) - 1]["input_hash"], "", "", None, None)
    writing.write()
    return placed


def _reserved(command: PlaceOrder, actor: str) -> list[Problem]:
    """Numbers of our own series are ours to give; only history brings its own."""
    if actor == IMPORT or command.number is None or not command.number.upper().startswith("SO-"):
        return []
    return [Problem("number_reserved", f"{command.number} is of our own series; leave the number out.")]


def _draft(command: PlaceOrder, number: str, actor: str, now: datetime) -> Draft:
    # only history tells its own time: a backdated order would choose its prices and escape the duplicate check
    ordered = command.ordered_at if command.ordered_at and actor == IMPORT else now
    lines = [
        DraftLine(position, x.sku, x.quantity, x.uom, x.unit_price) for position, x in enumerate(command.lines, start=1)
    ]
    return Draft(
        command.number or number,
        command.customer,
        command.channel,
        ordered,
        lines,
        command.customer_po,
        command.requested_date,
        command.warehouse,
        command.ship_to,
        command.ship_to_country,
        command.payment_terms_days,
    )


def _stored(one: Asked, entry: Any) -> Placed:
    key, input_hash, tag, subject, before, after = entry
    if input_hash != digest(one.command.model_dump(mode="json")):
        raise KeyReused(f"The key {key} was used before with another input.")
    return Placed(Change(tag, subject or "", before, after), replayed=True)


@dataclass
class _Writing:
    """Rows of a batch, gathered and then written by one statement."""

    session: Session
    actor: str
    now: datetime
    policy: Policy
    case: int | None
    orders: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    allocations: list[dict[str, Any]] = field(default_factory=list)
    levels: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    usual: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    holds: list[dict[str, Any]] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def add(self, one: Asked, decided: Decided) -> Placed:
        number, customer = decided.draft.number, decided.customer
        assert customer is not None
        self._order(decided)
        snapshot = snapshot_from(decided)
        change = Change("order:sales:placed", f"sales_order:{number}", None, snapshot)
        beside = [self._hold(number, hold) for hold in decided.holds]
        opened = self._cases(decided)
        command = one.command.model_dump(mode="json")
        assert decided.facts is not None
        facts = {"order": FACTS.dump_python(decided.facts, mode="json")}
        self._entry(one, one.key, change, command, self.case, facts)
        for position, (hold, what) in enumerate(zip(decided.holds, beside, strict=True), start=1):
            self._entry(one, f"{one.key}#{position}", what, None, opened[hold.reason])
        return Placed(change, beside)

    def _order(self, decided: Decided) -> None:
        draft, warehouse, number = decided.draft, decided.warehouse, decided.draft.number
        self.orders.append(
            {
                "number": number,
                "customer": draft.customer,
                "channel": draft.channel,
                "customer_po": draft.customer_po,
                "ordered_at": draft.ordered_at,
                "requested_date": draft.requested_date,
                "warehouse": warehouse,
                "ship_to_country": decided.ship_to_country,
                "ship_to": draft.ship_to,
                "payment_terms_days": draft.payment_terms_days,
                "basket": draft.basket,
                "status": decided.status,
            }
        )
        account = self.accounts.setdefault(
            draft.customer, {"customer": draft.customer, "value": Decimal(0), "orders": 0}
        )
        account["value"] += decided.total
        account["orders"] += 1
        account["warehouse"] = warehouse
        expires = None
        if decided.status != OrderStatus.RELEASED:
            expires = self.now + timedelta(hours=self.policy.allocation.reserve_hours)
        for line in decided.lines:
            self._line(number, draft.customer, warehouse, line, expires)

    def _line(
        self, number: str, customer: str, warehouse: str, line: rules.DecidedLine, expires: datetime | None
    ) -> None:
        self.lines.append(
            {
                "order_number": number,
                "line": line.line,
                "sku": line.sku,
                "quantity_ordered": line.quantity,
                "uom": line.uom,
                "quantity_base": line.quantity_base,
                "quantity_allocated": line.quantity_allocated,
                "quantity_released": line.quantity_released,
                "unit_price": line.unit_price,
                "requested_date": line.requested_date,
            }
        )
        usual = self.usual.setdefault(
            (customer, line.sku), {"customer": customer, "sku": line.sku, "numbers": set(), "quantity": Decimal(0)}
        )
        usual["numbers"].add(number)
        usual["quantity"] += line.quantity_base
        usual["price"] = line.unit_price * line.quantity / line.quantity_base
        if line.quantity_allocated > 0:
            place = (warehouse, line.sku)
            self.levels[place] = self.levels.get(place, Decimal(0)) + line.quantity_allocated
            committed = line.quantity_released >= line.quantity_allocated
            self.allocations.append(
                {
                    "order_number": number,
                    "line": line.line,
                    "warehouse": warehouse,
                    "sku": line.sku,
                    "quantity": line.quantity_allocated,
                    "status": "committed" if committed else "reserved",
                    "expires_at": None if committed else expires,
                }
            )

    def _hold(self, number: str, hold: Violation) -> Change:
        problem = hold.problem
        stored = {"code": problem.code, "text": problem.text, "facts": problem.facts, "facts_hash": fingerprint(hold)}
        self.holds.append({"order_number": number, "line": hold.line, "reason": hold.reason, "problem": stored})
        after = {"reason": hold.reason.value, "line": hold.line, "code": problem.code, "text": problem.text}
        return Change("order:hold:placed", f"sales_order:{number}", None, after, [problem])

    def _cases(self, decided: Decided) -> dict[HoldReason, dict[str, Any]]:
        """One case a reason, whatever the number of lines it concerns."""
        opened: dict[HoldReason, dict[str, Any]] = {}
        for hold in decided.holds:
            known = opened.get(hold.reason)
            if known is not None:
                known["details"]["problems"].append(hold.problem.text)
                continue
            rule, number = self.policy.holds[hold.reason], decided.draft.number
            opened[hold.reason] = {
                "kind": f"hold_{hold.reason.value}",
                "subject": number,
                "title": hold.problem.text[:200],
                "queue": rule.queue,
                "priority": rule.priority,
                "customer": decided.draft.customer,
                "order_number": number,
                "at_stake": decided.total,
                "details": {
                    "problems": [hold.problem.text],
                    "rule": rule.rule,
                    "margin": str(decided.margin),
                },
            }
        self.cases += opened.values()
        return opened

    def _entry(
        self,
        one: Asked,
        key: str,
        change: Change,
        command: dict[str, Any] | None,
        case: int | dict[str, Any] | None,
        more: dict[str, Any] | None = None,
    ) -> None:
        self.entries.append(
            {
                "tag": change.tag,
                "key": key,
                "input_hash": digest(command if command is not None else change.after),
                "subject": change.subject,
                "case_id": case,
                "command": command,
                "after": change.after,
                "facts": facts_of(self.policy, {**one.facts, **(more or {})}),
            }
        )

    def write(self) -> None:
        if not self.orders:
            return
        with db.raw(self.session) as raw:
            if self.cases:
                for case, (number,) in zip(self.cases, raw.execute(CASE_NUMBERS, (len(self.cases),)), strict=True):
                    case["id"] = number
            for entry in self.entries:
                if isinstance(entry["case_id"], dict):
                    entry["case_id"] = entry["case_id"]["id"]
            raw.execute(WRITE if self.cases else WRITE_CLEAN, self._parameters())
        self.session.expire_all()

    def _parameters(self) -> dict[str, Any]:
        usual = [{**u, "orders": len(u.pop("numbers"))} for u in self.usual.values()]
        return {
            "now": self.now,
            "actor": self.actor,
            "core": CORE,
            "new": CaseStatus.NEW.value,
            "orders": _json(self.orders),
            "lines": _json(self.lines),
            "allocations": _json(self.allocations),
            # arrays, because a planner expects a hundred rows of a JSON text and would read the whole table for them
            "level_warehouses": [warehouse for warehouse, _ in self.levels],
            "level_skus": [sku for _, sku in self.levels],
            "level_quantities": list(self.levels.values()),
            "accounts": _json(list(self.accounts.values())),
            "usual": _json(usual),
            "holds": _json(self.holds),
            "cases": _json(self.cases),
            "entries": _json(self.entries),
        }


def _json(rows: Sequence[Any]) -> str:
    return json.dumps(rows, default=str, ensure_ascii=False)


CASE_NUMBERS = "SELECT nextval('case_file_id_seq') FROM generate_series(1, %s)"

_HELD = """,
 held AS (INSERT INTO hold (order_number, line, reason, problem, placed_by, placed_at)
  SELECT order_number, line, reason, problem, %(core)s, %(now)s
  FROM jsonb_to_recordset(%(holds)s::jsonb) AS x (order_number text, line int, reason text, problem jsonb)),
 opened AS (INSERT INTO case_file (id, kind, subject, title, queue, priority, status, customer, order_number, at_stake, opened_at, details)
  SELECT id, kind, subject, title, queue, priority, %(new)s, customer, order_number, at_stake, %(now)s, details
  FROM jsonb_to_recordset(%(cases)s::jsonb) AS x (id int, kind text, subject text, title text, queue text, priority text, customer text,
   order_number text, at_stake numeric, details jsonb))"""

_WRITE = """
WITH entered AS (INSERT INTO sales_order (number, customer, channel, customer_po, ordered_at, requested_date, warehouse, ship_to_country,
   ship_to, payment_terms_days, basket, status)
  SELECT number, customer, channel, customer_po, ordered_at, requested_date, warehouse, ship_to_country, ship_to, payment_terms_days,
   basket, status FROM jsonb_to_recordset(%(orders)s::jsonb) AS x (number text, customer text, channel text, customer_po text,
   ordered_at timestamptz, requested_date date, warehouse text, ship_to_country text, ship_to text, payment_terms_days int, basket text,
   status text)),
 lined AS (INSERT INTO order_line (order_number, line, sku, quantity_ordered, uom, quantity_base, quantity_allocated, quantity_released,
   unit_price, requested_date)
  SELECT order_number, line, sku, quantity_ordered, uom, quantity_base, quantity_allocated, quantity_released, unit_price, requested_date
  FROM jsonb_to_recordset(%(lines)s::jsonb) AS x (order_number text, line int, sku text, quantity_ordered numeric, uom text,
   quantity_base numeric, quantity_allocated numeric, quantity_released numeric, unit_price numeric, requested_date date)),
 bound AS (INSERT INTO allocation (order_number, line, warehouse, sku, quantity, status, created_at, expires_at)
  SELECT order_number, line, warehouse, sku, quantity, status, %(now)s, expires_at
  FROM jsonb_to_recordset(%(allocations)s::jsonb) AS x (order_number text, line int, warehouse text, sku text, quantity numeric,
   status text, expires_at timestamptz)),
 levelled AS (UPDATE stock_level s SET quantity_allocated = s.quantity_allocated + x.quantity
  FROM unnest(%(level_warehouses)s::text[], %(level_skus)s::text[], %(level_quantities)s::numeric[]) AS x (warehouse, sku, quantity)
  WHERE s.warehouse = x.warehouse AND s.sku = x.sku),
 counted AS (INSERT INTO customer_account AS a (customer, open_orders, order_count, order_value, last_warehouse)
  SELECT customer, value, orders, value, warehouse
  FROM jsonb_to_recordset(%(accounts)s::jsonb) AS x (customer text, value numeric, orders int, warehouse text)
  ON CONFLICT (customer) DO UPDATE SET open_orders = a.open_orders + excluded.open_orders,
   order_count = a.order_count + excluded.order_count, order_value = a.order_value + excluded.order_value,
   last_warehouse = excluded.last_warehouse),
 usual AS (INSERT INTO customer_item AS u (customer, sku, orders, quantity, last_price)
  SELECT customer, sku, orders, quantity, price
  FROM jsonb_to_recordset(%(usual)s::jsonb) AS x (customer text, sku text, orders int, quantity numeric, price numeric)
  ON CONFLICT (customer, sku) DO UPDATE SET orders = u.orders + excluded.orders, quantity = u.quantity + excluded.quantity,
   last_price = excluded.last_price){held}
INSERT INTO journal_entry (at, actor, tag, key, input_hash, subject, case_id, command, after, facts)
SELECT %(now)s, %(actor)s, tag, key, input_hash, subject, case_id, command, after, facts
FROM jsonb_to_recordset(%(entries)s::jsonb) AS x (tag text, key text, input_hash text, subject text, case_id int, command jsonb,
 after jsonb, facts jsonb)
"""
WRITE, WRITE_CLEAN = _WRITE.replace("{held}", _HELD), _WRITE.replace("{held}", "")
