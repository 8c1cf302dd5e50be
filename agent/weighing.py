"""What the world knows, weighed with what the words say.

Each sign multiplies the odds of intents. The factors are plain judgements of the trade: goods that arrived can be short but no
longer changed; a PO number nobody knows with counted items is a new order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from erp_core.values import Intent

OFFER = re.compile(
    r"\b(?:alternat\w*|substitut\w*|equivalent|replacement|back-?order\w*|ship(?:ped|ping)? (?:what|the rest|partial\w*|complete)|split|in two shipments|out of stock|sustitu\w*|alternativ\w*|remplac\w*|ersatz\w*|"
    r"offer(?:ed)? (?:instead|you))\b",
    re.I,
)
DUNNING = re.compile(
    r"\b(?:past due|overdue|unpaid|outstanding|payment (?:is )?(?:due|overdue|reminder)|please (?:pay|remit|arrange payment|process for payment)|our invoices?|find (?:attached |our |enclosed )*invoice|amount due|remit(?:tance)? to|"
    r"statement|open balance|fällig\w*|mahnung|zahlungserinnerung|vencid\w*|pago pendiente|impayé\w*|relance|échue?s?)\b",
    re.I,
)
GOODS = re.compile(
    r"\b(?:ship\w*|delay\w*|lead ?time|production|back-?order\w*|price (?:increase|adjust\w*)|discontinu\w*|recall|dock|arriv\w*|deliver\w*|versand|liefer\w*|envío|embarque|livraison|expédi\w*)\b",
    re.I,
)


@dataclass(frozen=True)
class Signs:
    """What is known besides the words."""

    supplier: bool
    auto: bool
    reply: bool
    order_state: str | None
    overdue: bool
    new_po: bool
    known_order: bool
    invoice: bool
    counted_items: int
    attached_items: int
    offer_quoted: bool
    asks_for_money: bool
    text: str


_BY_STATE: dict[str, dict[str, float]] = {
    "open": {
        "delivery_discrepancy": 0.3,
        "return_request": 0.3,
        "invoice_query": 0.5,
        "order_submission": 0.35,
        "account_change": 0.4,
    },
    "shipped": {
        "order_submission": 0.2,
        "delivery_discrepancy": 0.9,
        "order_status": 1.5,
        "account_change": 0.4,
        "availability_quote": 0.4,
    },
    "delivered": {
        "order_submission": 0.15,
        "order_change": 0.35,
        "order_cancellation": 0.4,
        "expedite_request": 0.25,
        "order_status": 0.6,
        "delivery_discrepancy": 1.8,
        "return_request": 1.3,
        "substitution_response": 0.3,
        "availability_quote": 0.4,
        "account_change": 0.4,
    },
    "cancelled": {"order_submission": 0.5, "delivery_discrepancy": 0.5},
}


def offers_substitute(quoted: str) -> bool:
    """Does the quoted history hold an offer of ours that this may answer?"""
    return bool(OFFER.search(quoted[:3000]))


def from_accounts(sender: str) -> bool:
    """Does the address name a department that asks for money?"""
    return bool(
        re.match(
            r"(?:billing|credit|accounts?|receivables?|ar|invoic\w*|collections?|finance|buchhaltung|cobranza|facturaci|comptabilit)",
            sender,
            re.I,
        )
    )


def weigh(said: Mapping[str, float], signs: Signs) -> dict[str, float]:
    """Probabilities by intent after all signs, adding up to 1."""
    if signs.supplier:
        return _of_supplier(said, signs)
    odds = dict(said)
    if signs.auto:
        odds["other"] = odds.get("other", 0.0) + 2.0
    factors: list[Mapping[str, float]] = []
    if signs.order_state:
        factors.append(_BY_STATE[signs.order_state])
    if signs.overdue and signs.order_state == "open":
        factors.append({"order_status": 1.6, "expedite_request": 1.1, "order_submission": 0.5})
    if signs.new_po and not signs.known_order:
        factors.append(
            {
                "order_submission": 3.0,
                "other": 0.3,
                "complaint": 0.7,
                "account_change": 0.5,
                "delivery_discrepancy": 0.6,
            }
        )
    if signs.counted_items >= 2 and not signs.known_order:
        factors.append({"order_submission": 1.8, "availability_quote": 1.3, "other": 0.3})
    if signs.attached_items and not signs.known_order:
        factors.append({"order_submission": 2.0, "other": 0.5})
    if signs.counted_items == 0 and not signs.attached_items and not signs.new_po:
        factors.append({"order_submission": 0.5})
    if signs.invoice:
        factors.append(
            {
                "order_submission": 0.1,
                "order_status": 0.5,
                "account_change": 0.5,
                "invoice_query": 1.2,
                "price_dispute": 1.2,
            }
        )
    if signs.offer_quoted and signs.reply:
        factors.append({"substitution_response": 2.5})
    elif not signs.reply:
        factors.append({"substitution_response": 0.8})
    for factor in factors:
        for intent, by in factor.items():
            if intent in odds:
                odds[intent] *= by
    return _normalised(odds)


def _of_supplier(said: Mapping[str, float], signs: Signs) -> dict[str, float]:
    """A supplier gives notice, unless it asks for money or a machine wrote it."""
    if signs.auto:
        return _normalised({Intent.OTHER.value: 0.9, Intent.SUPPLIER_NOTICE.value: 0.1})
    money = len(DUNNING.findall(signs.text))
    goods = len(GOODS.findall(signs.text))
    if (signs.asks_for_money and money) or (money >= 2 and money > goods):
        statement = re.search(
            r"statement|past due|overdue|unpaid|outstanding|reminder|mahnung|balance", signs.text, re.I
        )
        asked = Intent.CREDIT_AND_PAYMENT if statement else Intent.INVOICE_QUERY
        return _normalised({asked.value: 0.7, Intent.SUPPLIER_NOTICE.value: 0.3})
    return _normalised({Intent.SUPPLIER_NOTICE.value: 0.92, Intent.OTHER.value: 0.08 * said.get("other", 0.0)})


def _normalised(odds: Mapping[str, float]) -> dict[str, float]:
    total = sum(odds.values()) or 1.0
    return {name: value / total for name, value in odds.items()}
