"""How much a customer may owe, and how it stands with finance. Its open orders follow at once, both ways."""

from __future__ import annotations

from typing import Any

from erp_core.actions import accounts, checks
from erp_core.actions.context import Change, Context
from erp_core.commands import ReportCredit, SetCreditLimit
from erp_core.errors import Problem, RuleViolation
from erp_core.tables.parties import Customer
from erp_core.values import money


def set_limit(command: SetCreditLimit, context: Context) -> Change:
    """Raise or lower what a customer may owe; its open orders are looked at again, both ways."""
    customer = accounts.lock(context.session, command.customer)
    before = _limit(customer)
    customer.credit_limit, customer.limit_expires = command.credit_limit, command.expires
    if command.excluded is not None:
        customer.credit_excluded = command.excluded
    customer.version += 1
    context.session.flush()
    checks.look_again(customer.code, context)
    return Change("customer:credit:limited", f"customer:{customer.code}", before, _limit(customer))


def report(command: ReportCredit, context: Context) -> Change:
    """What finance says of a customer. Reports may come twice or late: an older one than what is known changes nothing."""
    if command.as_of > context.now:
        text = f"{command.as_of:%Y-%m-%d %H:%M} has not come yet."
        raise RuleViolation([Problem("from_the_future", text, {"as_of": command.as_of.isoformat()})])
    customer = accounts.lock(context.session, command.customer)
    before = _standing(customer)
    if customer.credit_reported_at is not None and command.as_of < customer.credit_reported_at:
        return Change("customer:credit:outdated", f"customer:{customer.code}", before, before)
    customer.credit_standing, customer.owed_elsewhere = command.standing, money(command.owed_elsewhere)
    customer.credit_reported_at = command.as_of
    customer.version += 1
    context.session.flush()
    checks.look_again(customer.code, context)
    return Change("customer:credit:reported", f"customer:{customer.code}", before, _standing(customer))


def _standing(customer: Customer) -> dict[str, Any]:
    reported = customer.credit_reported_at.isoformat() if customer.credit_reported_at else None
    return {"standing": customer.credit_standing, "owed_elsewhere": str(customer.owed_elsewhere), "as_of": reported}


def _limit(customer: Customer) -> dict[str, Any]:
    expires = customer.limit_expires.isoformat() if customer.limit_expires else None
    return {"credit_limit": str(customer.credit_limit), "expires": expires, "excluded": customer.credit_excluded}
