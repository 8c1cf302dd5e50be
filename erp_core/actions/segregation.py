"""Who did one thing to a document may not do the other: found where it was done, for every signature it runs under.

The journal knows whose hands were on a document: the actor of each entry, and those who signed before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text

from erp_core.actions.context import Context
from erp_core.commands import Command
from erp_core.errors import Problem, RuleViolation
from erp_core.tables.governance import PolicyVersion
from erp_core.tables.models import ModelVersion
from erp_core.tables.purchasing import PurchaseOrder, Receipt, ReceiptLine, SupplierInvoice

HANDS = text("SELECT actor, facts FROM casework.hands(:subjects, :tags, cast(:since AS timestamptz))")
SAVED = ("supplier:master:added", "supplier:master:changed")
WRITTEN = ("purchase:desk:drafted", "purchase:desk:amended")


@dataclass(frozen=True)
class Duty:
    """What must not have been done before by whoever does a command now: which entries, about what, how long ago."""

    tags: tuple[str, ...]
    words: str
    about: str  # SQL that gives the subjects, from the command's own fields
    lately: bool = True  # within the days of policy; else ever


LIMITS = ("customer:credit:limited",)
MASTERS = ("customer:master:added", "customer:master:changed", "customer:address:updated", *LIMITS)
OF_ORDER = "SELECT 'customer:' || customer FROM sales_order WHERE number = :order"
PLACED = "SELECT 'sales_order:' || cast(:order AS text)"
PRICES = """
SELECT 'price:' || k || ':' || l.sku FROM order_line l JOIN sales_order o ON o.number = l.order_number JOIN customer c ON c.code = o.customer,
 unnest(ARRAY[o.customer, c.tier]) AS k WHERE o.number = :order"""
DUTIES: dict[str, list[Duty]] = {
    "release_hold:credit": [Duty(LIMITS, "set the credit limit of this customer lately", OF_ORDER)],
    "release_hold:price": [Duty(("price:master:set",), "set a price of this order lately", PRICES)],
    "release_hold:margin": [Duty(("price:master:set",), "set a price of this order lately", PRICES)],
    "place_order": [Duty(MASTERS, "changed this customer lately", "SELECT 'customer:' || cast(:customer AS text)")],
    "confirm_shipment": [Duty(("order:sales:placed",), "entered this order", PLACED, lately=False)],
    "issue_credit_memo": [
        Duty(
            ("order:sales:placed",),
            "entered this order",
            "SELECT 'sales_order:' || order_number FROM invoice WHERE number = :invoice",
            lately=False,
        )
    ],
    "credit_return": [
        Duty(
            ("return:desk:authorised",),
            "authorised this return",
            "SELECT 'return:' || cast(:return_number AS text)",
            lately=False,
        )
    ],
}


# a first signature is a hand on the document too: who may not do this does not sign it either
HANDS_APART = {
    "approve_purchase",
    "amend_purchase",
    "approve_match",
    "release_payment",
    "settle_quarantine",
    "adjust_stock",
    "activate_policy",
    "promote_model",
    *(name.partition(":")[0] for name in DUTIES),
}


def of_command(command: Command, context: Context) -> None:
    """The pairs of the policy on one document: whose hands were on the one side are not on the other. Raises RuleViolation."""
    reason = getattr(command, "reason", "")
    for duty in DUTIES.get(f"{command.type}:{reason}", DUTIES.get(command.type, [])):
        told = {k: v for k, v in command.model_dump().items() if isinstance(v, str)}
        subjects = list(context.session.scalars(text(duty.about), told))
        since = context.now - timedelta(days=context.policy.supply.hands_off_days) if duty.lately else None
        _apart(hands_on(subjects, duty.tags, context, since), duty.words, context)


def signing(context: Context) -> set[str]:
    """Everybody whose signature this command runs under, and for whom they signed."""
    return {context.actor, *context.facts.get("signers", []), *context.facts.get("hands", [])}


def hands_on(subjects: Iterable[str], tags: Iterable[str], context: Context, since: datetime | None = None) -> set[str]:
    """Who did, or signed, any of this to one of these."""
    asked = {"subjects": list(subjects), "tags": list(tags), "since": since}
    found = context.session.execute(HANDS, asked)
    return {who for actor, facts in found for who in (actor, *facts.get("signers", []), *facts.get("hands", []))}


def _apart(did: set[str], what: str, context: Context) -> None:
    """Raise RuleViolation when somebody who did that signs this."""
    same = sorted(signing(context) & did)
    if same:
        words = f"{', '.join(same)} {what}; somebody else must do this."
        raise RuleViolation([Problem("segregation_of_duties", words, {"person": same})])


def of_policy(version: PolicyVersion, context: Context) -> None:
    """Writing a policy is apart from putting it in force."""
    wrote = hands_on([f"policy:{version.id}"], ["policy:version:proposed"], context)
    _apart(wrote | {version.author}, f"wrote version {version.id}", context)


def of_model(version: ModelVersion, context: Context) -> None:
    """Training or writing, and nominating, are apart from promoting."""
    did = hands_on([f"model:{version.id}"], ["model:version:nominated", "model:version:recorded"], context)
    _apart(did | {version.trained_by}, f"trained or nominated version {version.id}", context)


def of_purchase(order: PurchaseOrder, context: Context) -> None:
    """Writing or changing an order, and keeping its supplier's master data, are apart from approving it."""
    _apart(hands_on([f"purchase_order:{order.number}"], WRITTEN, context), f"wrote {order.number}", context)
    since = context.now - timedelta(days=context.policy.supply.hands_off_days)
    saved = hands_on([f"supplier:{order.supplier}"], SAVED, context, since)
    _apart(saved, f"changed the master data of {order.supplier} lately", context)


def of_match(bill: SupplierInvoice, context: Context) -> None:
    """Receiving goods, and recording their invoice, are apart from accepting its differences."""
    _apart(_receivers(bill.purchase_order, context), f"received goods of {bill.purchase_order}", context)
    _apart(hands_on([bill.subject], ["bill:supplier:recorded"], context), f"recorded {bill.number}", context)


def of_payment(bill: SupplierInvoice, context: Context) -> None:
    """Accepting an invoice's differences, or changing its order, is apart from paying it."""
    accepted = hands_on([bill.subject], ["bill:match:approved"], context)
    _apart(accepted, f"accepted the differences of {bill.number}", context)
    changed = hands_on([f"purchase_order:{bill.purchase_order}"], ["purchase:desk:amended"], context)
    _apart(changed, f"changed {bill.purchase_order}", context)


def of_quarantine(receipt: str, context: Context) -> None:
    """Receiving goods is apart from deciding on those of them that were set apart."""
    _apart(hands_on([f"receipt:{receipt}"], ["receipt:goods:recorded"], context), f"received {receipt}", context)


def of_count(warehouse: str, sku: str, context: Context) -> None:
    """Receiving an item is apart from correcting its stock, for as long as policy says."""
    since = context.now - timedelta(days=context.policy.supply.hands_off_days)
    receipts = (
        select(Receipt.number)
        .join(ReceiptLine, ReceiptLine.receipt == Receipt.number)
        .where(Receipt.warehouse == warehouse, ReceiptLine.sku == sku, Receipt.recorded_at >= since)
    )
    subjects = [f"receipt:{number}" for number in context.session.scalars(receipts)]
    did = hands_on(subjects, ["receipt:goods:recorded"], context)
    _apart(did, f"received {sku} at {warehouse} lately", context)


def _receivers(purchase_order: str | None, context: Context) -> set[str]:
    receipts = context.session.scalars(select(Receipt.number).where(Receipt.purchase_order == purchase_order))
    return hands_on([f"receipt:{number}" for number in receipts], ["receipt:goods:recorded"], context)
