"""Orders held for credit: who pays well and is a little over the limit is let go; anything else is a matter of a payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from agent.alternatives import Option
from agent.draft import Draft
from agent.replies import day
from agent.ways import ask, leave_to_desk, limits, release, wait
from erp_core.values import HoldReason, plain
from tools import world

Facts = Mapping[str, Any]
ZERO = Decimal(0)

NEVER = ("customer_blocked", "stopped_by_finance")  # credit that is no matter of one order


def ways(draft: Draft, given: Facts, broken: Sequence[Facts]) -> list[Option]:
    """Gone reasons release; a little over the limit by who pays well releases; anything else is a matter of a payment."""
    order = draft.order or {}
    if any(b["code"] in NEVER for b in broken):
        return leave_to_desk(draft, given, broken)
    known = world.standing(order["customer"])
    over = known["exposure"] - known["limit"]
    if over <= 0 and {b["code"] for b in broken} <= {"credit_limit_exceeded"}:
        draft.say("The reason no longer holds on today's figures.")
        return [release(draft, HoldReason.CREDIT, "reason gone on today's figures")]
    if broken and str(known["exposure"]) not in str(broken):
        today = f"today the exposure is {known['exposure']:,} of {known['limit']:,} {known['currency']}"
        draft.say(f"{today[:1].upper()}{today[1:]} {draft.evidence.cite('credit', today)}.")
    risk = f"{Decimal(order['total']):,} at risk, {max(over, ZERO):,} over the limit"
    go = release(draft, HoldReason.CREDIT, "released as proposed, see the case", risk)
    payment = _payment(draft, given, max(min(over, Decimal(order["total"])), known["overdue"]), known)
    return [go, payment] if _good_payer(draft, over, known) else [payment, go]


def _good_payer(draft: Draft, over: Decimal, known: Facts) -> bool:
    """Whether policy lets the agent propose to let it go: a little over, nothing overdue, paid well so far. It says what it looked at."""
    rule, limit = limits(), known["limit"]
    share = over / limit * 100 if limit else Decimal("Infinity")
    overdue = f"{known['overdue']:,} overdue" if known["overdue"] else "nothing overdue"
    mark = draft.evidence.cite(
        "credit",
        f"{overdue}, {max(over, ZERO):,} or {share:.0f} % over a limit of {limit:,}; policy lets go up to {plain(rule.release_over_percent)} %",
    )
    good = (
        share <= rule.release_over_percent
        and not known["overdue"]
        and known["paid"] >= rule.release_paid_invoices
        and known["days_late"] <= rule.release_days_late
    )
    if good:
        draft.say(f"{share:.0f} % over the limit with {overdue} {mark}: within what policy proposes to let go.")
    elif limit:
        draft.say(
            f"{share:.0f} % over the limit, {overdue} {mark}; up to {plain(rule.release_over_percent)} % would be let go."
        )
    return good


def _payment(draft: Draft, given: Facts, needed: Decimal, known: Facts) -> Option:
    """A letter that names what is open and what payment would do; one for all the customer's orders that wait for it."""
    if needed <= 0:
        return leave_to_desk(draft, given, [])[0]
    asking = world.asking(given["customer"], given["kind"], draft.case)
    if asking is not None and not given["late"]:
        case, signed = asking
        asks = (
            "asks the customer about the account already"
            if signed
            else "is to ask the customer about the account; sign that first"
        )
        draft.say(f"Case {case} {asks} {draft.evidence.cite('case', f'Case {case} {asks}')}.")
        return Option("Wait for the payment", [wait(draft, f"see case {case}")], "it stays held until the answer comes")
    currency = known["currency"]
    today = world.now().date().isoformat()
    lines = [
        f"invoice {i['number']}, {'due' if i['due'] < today else 'not due until'} {day(i['due'], 'en')}: {i['amount']:,} {currency}"
        for i in known["open"]
    ]
    lines.append(f"orders not invoiced yet, with this one: {known['open_orders']:,} {currency}")
    return ask(draft, given, "credit_ask", lines, amount=f"{needed:,} {currency}")
