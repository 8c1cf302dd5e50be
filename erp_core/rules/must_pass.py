"""What every policy must do: the samples of policy_samples.toml, asked of a version before it may be put in force."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from erp_core.policy import Policy, samples
from erp_core.rules import desk, sales
from erp_core.rules.catalog import ItemFacts
from erp_core.rules.credit import CreditFacts
from erp_core.rules.desk import Person, Subject
from erp_core.rules.sales import LineFacts, OrderFacts
from erp_core.values import HoldReason

TODAY = date(2026, 6, 15)


def failures(policy: Policy) -> list[str]:
    """Each sample that the policy fails, in words; empty when it does what every policy must."""
    return [words for told in samples()["order"] if (words := _order(told, policy))] + [
        words for told in samples()["sign"] if (words := _sign(told, policy))
    ]


def _order(told: dict[str, Any], policy: Policy) -> str:
    held = {v.reason for v in sales.validate(_facts(told), policy)}
    wanted = {HoldReason(r) for r in told["held"]}
    if wanted - held:
        return f"{told['id']}: {told['about']}. It would not be held for {', '.join(sorted(r.value for r in wanted - held))}."
    if not wanted and held:
        return f"{told['id']}: {told['about']}. It would be held for {', '.join(sorted(r.value for r in held))}."
    return ""


def _facts(told: dict[str, Any]) -> OrderFacts:
    price = Decimal(told.get("unit_price", "10.00"))
    quantity = Decimal(told.get("quantity", "10"))
    total = Decimal(told.get("total", price * quantity))
    item = ItemFacts(
        "S-1", "Sample", "EA", Decimal(1), Decimal(10), Decimal(6), told.get("export_class", "EAR99"), "active"
    )
    line = LineFacts(
        line=1,
        sku="S-1",
        item=None if told.get("unknown_item") else item,
        quantity=quantity,
        unit_price=price,
        expected_price=Decimal(told.get("expected_price", "10.00")),
        usual_quantity=Decimal(told["usual_quantity"]) if "usual_quantity" in told else None,
        earlier_orders=50 if "usual_quantity" in told else 0,
        quantity_short=Decimal(told.get("short", "0")),
    )
    credit = CreditFacts(
        customer="C",
        status=told.get("customer_status", "active"),
        standing=told.get("standing", "good"),
        currency="USD",
        limit=Decimal(told.get("limit", "100000")),
        limit_expires=None,
        terms_days=30,
        terms_asked=None,
        terms_changed_on=None,
        discount_changed_on=None,
        excluded=False,
        open_orders=Decimal(0),
        unpaid=Decimal(told.get("unpaid", "0")),
        overdue=Decimal(told.get("overdue", "0")),
        oldest_due=TODAY - timedelta(days=told["overdue_days"]) if "overdue_days" in told else None,
        order_total=total,
        order_open=total,
        on=TODAY,
    )
    return OrderFacts(
        number="SAMPLE",
        home_country="US",
        ship_to_country=told.get("ship_to", "US"),
        credit=credit,
        new_address=told.get("new_address"),
        same_po=told.get("same_po", ()),
        lines=(line,),
    )


def _sign(told: dict[str, Any], policy: Policy) -> str:
    person = Person("sample@example.com", tuple(told["roles"]), Decimal(told.get("limit", "1000000000")))
    subject = Subject(told["command"], Decimal(told.get("amount", "0")), told.get("reason", ""))
    allowed = desk.authority(policy, person, subject).allowed
    if "allowed" in told and allowed != told["allowed"]:
        return f"{told['id']}: {told['about']}. It would be {'let through' if allowed else 'refused'}."
    people = desk.need(policy, subject).people
    if people < told.get("people", 1):
        return f"{told['id']}: {told['about']}. {people} signature would do."
    return ""
