"""Who did one thing to a document may not do the other: found where it was done, whoever's signature it is under."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import select

from erp_core.actions.context import Context
from erp_core.errors import Problem, RuleViolation
from erp_core.tables.parties import Supplier
from erp_core.tables.purchasing import PurchaseOrder, Receipt, ReceiptLine, SupplierInvoice


def hands(context: Context) -> set[str]:
    """Everybody whose signature this command runs under."""
    return {context.actor, *context.facts.get("signers", [])}


def apart(did: Iterable[str | None], what: str, context: Context) -> None:
    """Raise RuleViolation when somebody who did that signs this."""
    same = sorted(hands(context) & {who for who in did if who})
    if same:
        words = f"{', '.join(same)} {what}; somebody else must do this."
        raise RuleViolation([Problem("segregation_of_duties", words, {"person": same})])


def of_purchase(order: PurchaseOrder, context: Context) -> None:
    """Writing or changing an order, and keeping its supplier's master data, are apart from approving it."""
    apart([order.asked_by], f"wrote {order.number}", context)
    supplier = context.session.get_one(Supplier, order.supplier)
    apart([supplier.saved_by], f"changed the master data of {supplier.code}", context)


def of_match(bill: SupplierInvoice, context: Context) -> None:
    """Receiving goods, and recording their invoice, are apart from accepting its differences."""
    receivers = select(Receipt.recorded_by).where(Receipt.purchase_order == bill.purchase_order)
    apart(context.session.scalars(receivers), f"received goods of {bill.purchase_order}", context)
    apart([bill.recorded_by], f"recorded {bill.number}", context)


def of_payment(bill: SupplierInvoice, context: Context) -> None:
    """Accepting an invoice's differences is apart from paying it."""
    apart([bill.approved_by], f"accepted the differences of {bill.number}", context)


def of_count(warehouse: str, sku: str, context: Context) -> None:
    """Receiving an item is apart from correcting its stock, for as long as policy says."""
    since = context.now - timedelta(days=context.policy.supply.hands_off_days)
    receivers = (
        select(Receipt.recorded_by)
        .join(ReceiptLine, ReceiptLine.receipt == Receipt.number)
        .where(Receipt.warehouse == warehouse, ReceiptLine.sku == sku, Receipt.recorded_at >= since)
    )
    apart(context.session.scalars(receivers), f"received {sku} at {warehouse} lately", context)
