"""What the proposal needs to know, fetched with query tools in short read-only transactions. Plain JSON comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from erp_core.values import Intent, plain
from tools import facts, world

Facts = Mapping[str, Any]
MOST_ORDERS = 4  # that one letter tells of besides the first


def gather(read: Facts, case: int) -> dict[str, Any]:
    """Order, prices, invoices, offers, purchase orders, other open cases: whatever this intent needs."""
    moment = world.now()
    found: dict[str, Any] = {"today": moment.date().isoformat(), "credit": read["credit"]}
    number = read["order"]
    if number:
        found["order"] = world.order_facts(number, moment)
        found["other_cases"] = world.earlier_mail(read["customer"], number, case)
    if read["intent"] == Intent.ORDER_STATUS and read["customer"]:
        found["others"] = [world.order_facts(n, moment) for n in read["other_orders"][:MOST_ORDERS]]
    found |= _items(read)
    found["lines"] = _lines_meant(read, found.get("order"))
    found["prices"] = _prices(read, found, moment)
    found["at_stake"] = _at_stake(read, found)
    if read["intent"] == Intent.AVAILABILITY_QUOTE:
        found["offers"] = _offers(read, moment)
    if read["supplier"]:
        orders = [world.purchase_order(n) for n in read["purchase_orders"][:5]]
        found["purchase_orders"] = [po for po in orders if po and po["supplier"] == read["supplier"]]
    scope = facts.Scope(case, read["customer"], read["supplier"], moment)
    found["similar"] = [f.text for f in facts.similar_cases(scope, facts.Words(about=read["own_words"][:1500]))]
    if read["customer"] and not read["hostile"]:
        found["invoices"] = world.own_invoices(read["customer"], read["invoices"], number)
        found["duplicate_of"] = read["po_known_on"]
    return found


def _items(read: Facts) -> dict[str, Any]:
    skus = {i["sku"] for i in read["items"]} | set(read["skus_said"])
    items = world.items(sorted(skus)) if skus else {}
    return {"names": {s: i.name for s, i in items.items()}, "units": {s: i.uom for s, i in items.items()}}


def _lines_meant(read: Facts, order: Facts | None) -> list[Any]:
    if order is None:
        return []
    skus = {i["sku"] for i in read["items"]}
    return [line for line in order["lines"] if line["sku"] in skus] or list(order["lines"])


def _prices(read: Facts, found: Facts, moment: datetime) -> list[dict[str, str]]:
    """Ordered and expected price of the lines meant, on the day of the order."""
    order = found.get("order")
    if read["intent"] != Intent.PRICE_DISPUTE or order is None:
        return []
    on = datetime.fromisoformat(order["ordered_at"]).date()
    prices = []
    for line in found["lines"][:20]:
        offer = world.availability(line["sku"], read["customer"], Decimal(line["quantity"]), on)
        prices.append(
            {"sku": line["sku"], "price": line["price"], "expected": offer["price"], "quantity": line["quantity"]}
        )
    return prices


UNIT_PRICE = re.compile(r"(?:[$€£]\s?|\b)(\d{1,6}(?:,\d{3})*\.\d{2})\b")


def _at_stake(read: Facts, found: Facts) -> str | None:
    """Money in question: goods missing at line prices; a price difference times the quantity; else the order's value."""
    order = found.get("order")
    if order is None:
        return None
    by_sku = {line["sku"]: line for line in order["lines"]}
    if read["intent"] == Intent.DELIVERY_DISCREPANCY:
        counted = [
            (by_sku[i["sku"]], Decimal(i["quantity"])) for i in read["items"] if i["sku"] in by_sku and i["quantity"]
        ]
        return (
            plain(sum((Decimal(line["price"]) * q for line, q in counted), Decimal(0)).quantize(Decimal("0.01")))
            if counted
            else None
        )
    if read["intent"] == Intent.PRICE_DISPUTE:
        said = sorted({Decimal(p.replace(",", "")) for p in UNIT_PRICE.findall(read["own_words"])})
        if len(said) >= 2 and len(found["lines"]) == 1:
            return plain(((said[1] - said[0]) * Decimal(found["lines"][0]["quantity"])).quantize(Decimal("0.01")))
        difference = sum(
            ((Decimal(p["price"]) - Decimal(p["expected"])) * Decimal(p["quantity"]) for p in found["prices"]),
            Decimal(0),
        )
        return plain(abs(difference).quantize(Decimal("0.01"))) if difference else None
    return str(order["total"])


def _offers(read: Facts, moment: datetime) -> list[dict[str, Any]]:
    offers = []
    for item in read["items"][:10]:
        quantity = Decimal(item["quantity"] or 1)
        offer = world.availability(item["sku"], read["customer"], quantity, moment.date(), item["uom"])
        if offer and item["quantity"]:
            offer |= {"quantity": item["quantity"], "quantity_uom": item["uom"] or offer["uom"]}
        offers.append(offer)
    return [offer for offer in offers if offer]
