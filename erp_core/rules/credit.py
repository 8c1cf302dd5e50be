"""Credit: nine rules, each of which can stop an order. All that are broken are told, in this order.

Account status (ours and what finance reports), terms asked for, limit used, limit expired, overdue amount, days overdue, single order too large, terms changed
lately, discount changed lately. A customer excluded from credit control passes all but the account status; small orders pass too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from erp_core.errors import Problem
from erp_core.policy import CreditPolicy
from erp_core.values import money


@dataclass(frozen=True, slots=True)
class CreditFacts:
    """A customer and one order of it, as credit control sees them. Amounts in the customer's currency.

    `open_orders` is without the order at hand, of which `order_open` is not billed yet; `unpaid` has what is owed
    elsewhere too; `overdue` counts invoices past their due date and the days of grace.
    """

    customer: str
    status: str
    standing: str
    currency: str
    limit: Decimal
    limit_expires: date | None
    terms_days: int
    terms_asked: int | None
    terms_changed_on: date | None
    discount_changed_on: date | None
    excluded: bool
    open_orders: Decimal
    unpaid: Decimal
    overdue: Decimal
    oldest_due: date | None
    order_total: Decimal
    order_open: Decimal
    on: date


def check(facts: CreditFacts, policy: CreditPolicy) -> Iterator[Problem]:
    """Every credit rule that the order breaks."""
    if facts.status == "blocked":
        yield Problem("customer_blocked", f"Customer {facts.customer} is blocked.", {"customer": facts.customer})
    if facts.standing == "stop":
        text = f"Finance has stopped deliveries to {facts.customer}."
        yield Problem("stopped_by_finance", text, {"customer": facts.customer})
    if facts.excluded or facts.order_total < policy.free_below:
        return
    if facts.terms_asked is not None and facts.terms_asked > facts.terms_days:
        text = f"Terms of {facts.terms_asked} days are asked for, agreed are {facts.terms_days}."
        yield Problem("terms_not_agreed", text, {"asked": facts.terms_asked, "agreed": facts.terms_days})
    yield from _limit(facts, policy)
    yield from _overdue(facts, policy)
    yield from _single_order(facts, policy)
    yield from _changed(facts, policy)


def _limit(facts: CreditFacts, policy: CreditPolicy) -> Iterator[Problem]:
    exposure = money(facts.open_orders + facts.unpaid + facts.order_open)
    limit = money(facts.limit * (100 + policy.tolerance_percent) / 100)
    if exposure > limit:
        text = f"Exposure {exposure:,} {facts.currency} with this order, limit {limit:,} {facts.currency}."
        # the customer's own limit, not the tolerance: a waiver rests on facts, and a policy that grows milder voids none
        own = money(facts.limit)
        numbers = {"exposure": str(exposure), "limit": str(own), "over": str(exposure - own)}
        yield Problem("credit_limit_exceeded", text, numbers)
    if facts.limit_expires is not None and facts.limit_expires < facts.on:
        day = facts.limit_expires.isoformat()
        yield Problem("credit_limit_expired", f"The credit limit expired on {day}.", {"expired": day})


def _overdue(facts: CreditFacts, policy: CreditPolicy) -> Iterator[Problem]:
    if facts.oldest_due is None:
        return
    if facts.overdue > policy.overdue_amount:
        text = f"{facts.overdue:,} {facts.currency} are overdue, {policy.overdue_amount:,} are accepted."
        yield Problem("overdue_amount", text, {"overdue": str(facts.overdue), "accepted": str(policy.overdue_amount)})
    if facts.oldest_due + timedelta(days=policy.overdue_days) < facts.on:
        days = (facts.on - facts.oldest_due).days
        text = f"An invoice is {days} days overdue, {policy.overdue_days} are accepted."
        since = facts.oldest_due.isoformat()  # the days count up by themselves; the date is the fact
        yield Problem("overdue_days", text, {"due_since": since, "accepted": policy.overdue_days})


def _single_order(facts: CreditFacts, policy: CreditPolicy) -> Iterator[Problem]:
    most = money(facts.limit * policy.order_percent_of_limit / 100)
    if facts.order_total > most:
        text = f"This order alone is {facts.order_total:,} {facts.currency}; up to {most:,} passes."
        yield Problem("order_too_large", text, {"total": str(facts.order_total), "most": str(most)})


def _changed(facts: CreditFacts, policy: CreditPolicy) -> Iterator[Problem]:
    since = facts.on - timedelta(days=policy.watch_changes_days)
    for code, word, day in (
        ("terms_changed", "payment terms", facts.terms_changed_on),
        ("discount_changed", "discount", facts.discount_changed_on),
    ):
        if day is not None and day > since:
            yield Problem(code, f"The {word} changed on {day.isoformat()}.", {"changed_on": day.isoformat()})
