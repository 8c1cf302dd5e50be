"""What people look at in each kind of case before they decide, as a plan of look-ups: bounded, the same with and without a language model.

A plan is a list of query tools; what each is asked follows from the case (its order, its goods, its purchase order). A language model may look up more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from agent.evidence import Evidence
from erp_core.errors import NotFound
from erp_core.values import HoldReason, Intent
from tools import facts
from tools.facts import Fact, Scope

Facts = Mapping[str, Any]
Asks = Callable[[Facts], Sequence[BaseModel]]  # the case's facts → what a tool is asked
MOST_ITEMS, MOST_FACTS = 3, 24


def _nothing(known: Facts) -> list[BaseModel]:
    return [facts.Nothing()]


def _order(known: Facts) -> list[BaseModel]:
    return [facts.OfOrder(order=known["order"]["number"])] if known["order"] else []


def _short(known: Facts) -> list[BaseModel]:
    lines = known["order"]["lines"] if known["order"] else []
    return [facts.OfItem(sku=x["sku"], quantity=x["backordered"]) for x in lines if x["backordered"] != "0"]


def _goods(known: Facts) -> list[BaseModel]:
    return [facts.OfItem(sku=x["sku"], quantity=x["quantity"]) for x in known["lines"]]


def _wanted(known: Facts) -> list[BaseModel]:
    return [facts.OfItem(sku=sku, quantity=quantity) for sku, quantity in known["wanted"]]


def _bought(known: Facts) -> list[BaseModel]:
    return [facts.OfPurchase(purchase_order=number) for number in known["purchase_orders"]]


def _hold(reason: HoldReason) -> Asks:
    return lambda known: [facts.OfHold(reason=reason)]


Step = tuple[Callable[[Scope, Any], list[Fact]], Asks]
ORDER: list[Step] = [(facts.order, _order)]
CREDIT: list[Step] = [(facts.exposure, _nothing), (facts.predictions, _order), (facts.history, _nothing)]
STOCK: list[Step] = [(facts.ways_to_supply, _order), (facts.substitutes, _short)]
PRICE: list[Step] = [(facts.price, _goods)]
BILL: list[Step] = [(facts.purchase, _bought), (facts.match, _bought), (facts.history, _nothing)]

PLANS: dict[str, list[Step]] = {
    "hold_credit": [*CREDIT, (facts.hold_policy, _hold(HoldReason.CREDIT))],
    "hold_stock": STOCK,
    "hold_price": [*PRICE, (facts.hold_policy, _hold(HoldReason.PRICE))],
    "hold_margin": [*PRICE, (facts.hold_policy, _hold(HoldReason.MARGIN))],
    "hold_duplicate": [(facts.history, _nothing), (facts.hold_policy, _hold(HoldReason.DUPLICATE))],
    "hold_abnormal": [(facts.predictions, _order), (facts.hold_policy, _hold(HoldReason.ABNORMAL))],
    "service_recovery": [(facts.shipments, _order), *STOCK],
    "three_way_mismatch": BILL,
    "supplier_discrepancy": BILL,
    "payment_due": BILL,
    Intent.CREDIT_AND_PAYMENT: [*CREDIT, (facts.invoices, _nothing)],
    Intent.ORDER_SUBMISSION: [(facts.availability, _wanted), (facts.price, _wanted), (facts.exposure, _nothing)],
    Intent.ORDER_CHANGE: [*ORDER, (facts.availability, _wanted), *STOCK],
    Intent.ORDER_CANCELLATION: ORDER,
    Intent.SUBSTITUTION_RESPONSE: [*ORDER, *STOCK],
    Intent.EXPEDITE_REQUEST: [*ORDER, (facts.shipments, _order), *STOCK],
    Intent.ORDER_STATUS: [*ORDER, (facts.shipments, _order), (facts.predictions, _order)],
    Intent.DELIVERY_DISCREPANCY: [*ORDER, (facts.shipments, _order), (facts.history, _nothing)],
    Intent.RETURN_REQUEST: [*ORDER, (facts.shipments, _order), (facts.history, _nothing)],
    Intent.PRICE_DISPUTE: [*ORDER, *PRICE],
    Intent.INVOICE_QUERY: [(facts.invoices, _nothing)],
    Intent.SUPPLIER_NOTICE: [(facts.purchase, _bought)],
    Intent.COMPLAINT: [(facts.history, _nothing)],
}


def known_of(gathered: Facts, details: Facts, items: Sequence[Facts]) -> dict[str, Any]:
    """What plans are asked from: the order, the lines meant, the goods wanted, the purchase orders."""
    bought = [po["number"] for po in gathered.get("purchase_orders", [])]
    if number := details.get("purchase_order"):
        bought.append(number)
    units = gathered.get("units", {})
    wanted = [(i["sku"], i["quantity"]) for i in items if i["quantity"] and i["uom"] in (None, units.get(i["sku"]))]
    known = {"order": gathered.get("order"), "lines": gathered.get("lines", []), "wanted": wanted}
    return {**known, "purchase_orders": bought}


def look_up(kind: str, known: Facts, scope: Scope, evidence: Evidence) -> list[tuple[str, Fact]]:
    """Carry the plan of this kind out: facts with their markers, each cited as evidence, at most so many. What is nobody's business gives none."""
    found: list[tuple[str, Fact]] = []
    for tool, asks in PLANS.get(kind, []):
        for asked in list(asks(known))[:MOST_ITEMS]:
            try:
                told = tool(scope, asked)
            except NotFound:
                continue
            for fact in told[: MOST_FACTS - len(found)]:
                found.append((evidence.cite(fact.source, fact.text, internal=fact.internal), fact))
    return found
