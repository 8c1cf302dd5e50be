"""What policy asks about a command: the amount it moves, and what else authority depends on; and the versions it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.commands import (
    AdjustStock,
    AmendOrder,
    AmendPurchase,
    ApproveMatch,
    ApprovePurchase,
    Command,
    DraftPurchase,
    IssueCreditMemo,
    NewLine,
    PlaceOrder,
    PostPayment,
    RecordRemittance,
    RejectBill,
    ReleaseHold,
    ReleasePayment,
    RequestChange,
    ResumeAgent,
    SaveCustomer,
    SaveUser,
    SetBankAccount,
    SetCreditLimit,
    SetTerms,
    SettleQuarantine,
    SetTolerance,
    StopAgent,
    TransferStock,
)
from erp_core.queries import billing, catalog, policies, sales
from erp_core.queries import purchasing as buying
from erp_core.rules.catalog import ItemFacts, to_base
from erp_core.rules.desk import Subject
from erp_core.tables.catalog import Item
from erp_core.tables.desk import Case
from erp_core.tables.parties import Customer, Supplier, User
from erp_core.tables.purchasing import PurchaseOrder, SupplierInvoice
from erp_core.tables.returns import Return
from erp_core.tables.sales import SalesOrder
from erp_core.tables.stock import Quarantined, Transfer, Warehouse
from erp_core.values import BillStatus, money

BILL_KEY = SupplierInvoice.supplier + ":" + SupplierInvoice.number
STANDS = SupplierInvoice.status != BillStatus.REJECTED


def subject_of(session: Session, command: Command) -> Subject:
    """What policy asks about a command: the amount it moves, a hold's reason, a case's queue."""
    reason = command.reason.value if isinstance(command, ReleaseHold) else str(getattr(command, "reason", "") or "")
    if isinstance(command, AmendOrder) and command.only_reprices:
        reason = "reprice"
    queue = ""
    number = getattr(command, "case", None)
    if number is not None and (found := session.get(Case, number)) is not None:
        queue = found.queue
    entity = firm_of(session, command)
    return _bought(session, command, Subject(command.type, _amount(session, command), reason, queue, entity=entity))


# the firm of ours that a record belongs to, by the field of a command that names it; the first that a command has counts
_OF_ORDER = "JOIN sales_order o ON o.number = x.order_number JOIN customer c ON c.code = o.customer"
_OF_PURCHASE = "JOIN purchase_order p ON p.number = b.purchase_order JOIN warehouse w ON w.code = p.warehouse"
FIRM = {
    "customer": "SELECT entity FROM customer WHERE code = :customer",
    "order": "SELECT c.entity FROM sales_order o JOIN customer c ON c.code = o.customer WHERE o.number = :order",
    "return_number": f"SELECT c.entity FROM return_order x {_OF_ORDER} WHERE x.number = :return_number",
    "invoice": "SELECT c.entity FROM invoice i JOIN customer c ON c.code = i.customer WHERE i.number = :invoice",
    "purchase_order": "SELECT w.entity FROM purchase_order p JOIN warehouse w ON w.code = p.warehouse WHERE p.number = :purchase_order",
    "bill": f"SELECT w.entity FROM supplier_invoice b {_OF_PURCHASE} WHERE b.supplier = :supplier AND b.number = :bill AND b.status <> 'rejected'",
    "quarantined": "SELECT w.entity FROM quarantined q JOIN warehouse w ON w.code = q.warehouse WHERE q.id = :quarantined",
    "shipment": f"SELECT c.entity FROM shipment x {_OF_ORDER} WHERE x.number = :shipment",
    "transfer": "SELECT w.entity FROM transfer t JOIN warehouse w ON w.code = t.source WHERE t.number = :transfer",
    "warehouse": "SELECT entity FROM warehouse WHERE code = :warehouse",
    "source": "SELECT entity FROM warehouse WHERE code = :source",
    "receipt": "SELECT w.entity FROM receipt r JOIN warehouse w ON w.code = r.warehouse WHERE r.number = :receipt",
    "case": "SELECT entity FROM case_file WHERE id = :case",
    "sample": "SELECT c.entity FROM feedback_sample s JOIN case_file c ON c.id = s.case_id WHERE s.id = :sample",
}
EVERY = "*"  # of all firms: for who works for all of them


def firm_of(session: Session, command: Command) -> str:
    """The code of the firm that a command is about; empty for what is no firm's alone, such as items or users."""
    if isinstance(command, SaveUser):
        kept = session.get(User, command.email.strip().lower())
        return _one_of({*command.entities, *(kept.entities if kept else [])})
    if isinstance(command, StopAgent | ResumeAgent):
        return command.entity
    if command.type.endswith(("_policy", "_model", "_prompt")):
        return EVERY
    if isinstance(command, SetTolerance):
        return command.key if command.scope == "entity" else EVERY
    told: Any = command.change if isinstance(command, RequestChange) else command
    named = {name: value for name, value in told.model_dump().items() if value is not None}
    for name, query in FIRM.items():
        if name in named:
            firm = session.scalar(text(query), named)
            if firm is not None:
                return str(firm)
    return ""


def _one_of(firms: set[str]) -> str:
    return next(iter(firms)) if len(firms) == 1 else EVERY


# days that an item's stock would last with this order, and the value of customer orders that wait for its items
IMPACT = """
WITH l AS (SELECT l.sku, o.warehouse, sum(l.quantity) AS quantity FROM purchase_order_line l
  JOIN purchase_order o ON o.number = l.order_number WHERE o.number = :number GROUP BY l.sku, o.warehouse),
 sold AS (SELECT x.sku, o.warehouse, sum(x.quantity_base) / cast(:days AS numeric) AS daily FROM order_line x
  JOIN sales_order o ON o.number = x.order_number JOIN l ON l.sku = x.sku AND l.warehouse = o.warehouse
  WHERE o.status <> 'cancelled' AND o.ordered_at >= (SELECT max(ordered_at) FROM purchase_order WHERE number = :number) - :span
  GROUP BY x.sku, o.warehouse),
 waits AS (SELECT x.sku, o.warehouse, sum((x.quantity_base - x.quantity_allocated - x.quantity_shipped) * x.unit_price
   * x.quantity_ordered / x.quantity_base) AS value FROM order_line x JOIN sales_order o ON o.number = x.order_number
  JOIN l ON l.sku = x.sku AND l.warehouse = o.warehouse WHERE o.status IN ('validated', 'allocated', 'released')
  AND x.quantity_base > x.quantity_allocated + x.quantity_shipped GROUP BY x.sku, o.warehouse)
SELECT coalesce(max(least((l.quantity + coalesce(s.quantity_free, 0)) / nullif(d.daily, 0), 9998)), 9999), coalesce(sum(w.value), 0)
FROM l LEFT JOIN stock_level s ON s.sku = l.sku AND s.warehouse = l.warehouse
LEFT JOIN sold d ON d.sku = l.sku AND d.warehouse = l.warehouse LEFT JOIN waits w ON w.sku = l.sku AND w.warehouse = l.warehouse
"""


def _bought(session: Session, command: Command, found: Subject) -> Subject:
    """Of what is bought or moved: the supplier's risk, whose firm, how long the stock would last, and what customers wait for."""
    if isinstance(command, TransferStock):
        ends = [session.get(Warehouse, code) for code in (command.source, command.target)]
        crosses = ends[0] is not None and ends[1] is not None and ends[0].entity != ends[1].entity
        return replace(found, risk="intercompany" if crosses else "")
    if isinstance(command, SettleQuarantine):
        apart = session.get(Quarantined, command.quarantined)
        return replace(found, reason=apart.reason if apart else "", risk=command.outcome.value)
    if not isinstance(command, ApprovePurchase | AmendPurchase):
        return found
    order = session.get(PurchaseOrder, command.purchase_order)
    if order is None:
        return found
    days = policies.active(session).supply.history_days
    span = {"number": order.number, "days": days, "span": timedelta(days=days)}
    lasts, waiting = session.execute(text(IMPACT), span).one()
    return replace(
        found,
        risk=session.get_one(Supplier, order.supplier).risk,
        lasts_days=int(lasts),
        waiting=money(waiting),
    )


def _amount(session: Session, command: Command) -> Decimal:
    """An order's value for whatever touches it; money that moves; a new limit; the value of new lines."""
    if isinstance(command, RecordRemittance | PostPayment):
        return money(command.amount)
    if isinstance(command, IssueCreditMemo):
        return money(command.amount) + billing.credited(session, command.invoice)
    if isinstance(command, AdjustStock):
        return catalog.value_of_difference(session, command.warehouse, command.sku, command.on_hand)
    if isinstance(command, SetCreditLimit):
        return money(command.credit_limit)
    bought = _amount_bought(session, command)
    if bought is not None:
        return bought
    if isinstance(command, PlaceOrder):
        items = catalog.items(session, {line.sku for line in command.lines})
        facts = catalog.facts_of(session, items.values())
        return money(sum((_line_value(line, facts.get(line.sku)) for line in command.lines), Decimal(0)))
    number = command.change.order if isinstance(command, RequestChange) else getattr(command, "order", None)
    named = getattr(command, "return_number", None)
    returned = session.get(Return, named) if named else None
    found = session.get(SalesOrder, returned.order_number if returned else number) if returned or number else None
    if found is None:
        return Decimal(0)
    # what a price or margin hold stands for is the difference, so the order counts at list prices there
    return max(sales.total(found), _listed(session, found)) if isinstance(command, ReleaseHold) else sales.total(found)


def _amount_bought(session: Session, command: Command) -> Decimal | None:
    """Of the buying side: what an order or an invoice comes to, what goods cost; None for any other command."""
    if isinstance(command, DraftPurchase):
        items = catalog.items(session, {x.sku for x in command.lines})
        costs = [(x.unit_cost if x.unit_cost is not None else _cost(items, x.sku)) * x.quantity for x in command.lines]
        return money(sum(costs, Decimal(0)))
    if isinstance(command, ApprovePurchase | AmendPurchase):
        order = session.get(PurchaseOrder, command.purchase_order)
        return buying.total(order) if order else Decimal(0)
    if isinstance(command, ApproveMatch | RejectBill | ReleasePayment):
        query = select(SupplierInvoice.amount).where(BILL_KEY.in_([f"{command.supplier}:{command.bill}"]), STANDS)
        return session.scalar(query) or Decimal(0)
    if isinstance(command, TransferStock):
        cost = _cost(catalog.items(session, {command.sku}), command.sku) * command.quantity
        return money(max(cost, command.price or Decimal(0)))
    if isinstance(command, SettleQuarantine):
        apart = session.get(Quarantined, command.quarantined)
        items = catalog.items(session, {apart.sku}) if apart else {}
        return money(_cost(items, apart.sku) * apart.quantity) if apart else Decimal(0)
    return None


def _cost(items: dict[str, Item], sku: str) -> Decimal:
    return items[sku].unit_cost if sku in items else Decimal(0)


def _line_value(line: NewLine, item: ItemFacts | None) -> Decimal:
    """At the asked or the list price, whichever is more: nobody makes an order small by asking for a small price."""
    base = to_base(line.quantity, line.uom, item) if item else None
    listed = item.list_price * (base or line.quantity) if item else Decimal(0)
    return max(listed, (line.unit_price or Decimal(0)) * line.quantity)


def _listed(session: Session, found: SalesOrder) -> Decimal:
    """An order at list prices."""
    items = catalog.items(session, {x.sku for x in found.lines})
    return money(sum((items[x.sku].list_price * x.quantity_base for x in found.lines), Decimal(0)))


def versions(session: Session, commands: Sequence[Command]) -> dict[str, int]:
    """Versions of the orders, returns, invoices, transfers and master data that the commands change, as they are now."""

    def named(*fields: str) -> set[str]:
        return {str(value) for c in commands for field in fields if (value := getattr(c, field, None))}

    kept = {c.customer for c in commands if isinstance(c, SaveCustomer | SetTerms | SetCreditLimit | SetBankAccount)}
    rows: list[tuple[str, Any, Any, set[str]]] = [
        ("sales_order", SalesOrder.number, SalesOrder.version, named("order", "from_order")),
        ("return", Return.number, Return.version, named("return_number")),
        ("customer", Customer.code, Customer.version, kept),
        ("purchase_order", PurchaseOrder.number, PurchaseOrder.version, named("purchase_order")),
        ("transfer", Transfer.number, Transfer.version, named("transfer")),
    ]
    bills = [c for c in commands if isinstance(c, ApproveMatch | RejectBill | ReleasePayment)]
    asked = {f"{c.supplier}:{c.bill}" for c in bills}
    standing = select(BILL_KEY, SupplierInvoice.version).where(BILL_KEY.in_(asked), STANDS)
    found = {f"bill:{key}": version for key, version in session.execute(standing)} if asked else {}
    return found | {
        f"{kind}:{number}": version
        for kind, key, counter, numbers in rows
        if numbers
        for number, version in session.execute(select(key, counter).where(key.in_(numbers)))
    }
