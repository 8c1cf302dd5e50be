"""Cases that the core opened: each kind has a step that helps, proposed with its facts; what needs judgement is handed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from agent import held
from agent.choosing import Choice
from agent.draft import Draft
from agent.letters import expected, letter, say_to_whom
from agent.ways import bring, to_desk
from erp_core.commands import (
    MOST_COMMANDS,
    ApproveMatch,
    ApprovePurchase,
    BuyLine,
    CloseCase,
    DraftPurchase,
    PromiseDate,
    RejectBill,
    ReleasePayment,
    SendMessage,
    SendPurchase,
    SubstituteItem,
)
from erp_core.values import INBOUND_PURCHASE_STATUSES, Action, Intent, Priority, Queue
from prompts.replies import reply
from tools import world

Facts = Mapping[str, Any]
ACTIONS = {
    "hold_credit": Action.REVIEW_CREDIT_HOLD,
    "hold_price": Action.REVIEW_PRICE,
    "hold_margin": Action.REVIEW_PRICE,
    "three_way_mismatch": Action.REVIEW_INVOICE,
    "match_context": Action.REVIEW_INVOICE,
    "payment_due": Action.REVIEW_INVOICE,
    "supplier_discrepancy": Action.OPEN_DISCREPANCY_CASE,
    "quality_check": Action.OPEN_DISCREPANCY_CASE,
    "replenishment": Action.UPDATE_INBOUND_SUPPLY,
    "purchase_approval": Action.UPDATE_INBOUND_SUPPLY,
    "supply_short": Action.QUOTE_AVAILABILITY,
    "supply_delay": Action.ANSWER_STATUS,
    "service_recovery": Action.ANSWER_STATUS,
}


def choice(given: Facts) -> Choice:
    """A case of the core stays in the core's queue."""
    action = ACTIONS.get(given["kind"], Action.CHANGE_ORDER)
    why = str(given["kind"]).replace("_", " ")
    return Choice(action, Queue(given["queue"]), Priority(given["priority"]), why)


def propose(draft: Draft, given: Facts) -> None:
    """Say what the core found, then propose the step for this kind of case."""
    kind = str(given["kind"])
    if kind.startswith("hold_"):
        held.propose(draft, given)
        return
    for text in given["details"].get("problems", [])[:6]:
        draft.say(f"{text} {draft.evidence.cite('core', text)}")
    builder = BUILDERS.get(kind)
    if builder is not None:
        builder(draft, given)
        say_to_whom(draft)
    if not draft.commands:
        draft.say("What to do is a judgement for the desk; nothing but the hand-over is proposed.")
        draft.add(to_desk(draft, given))


def orders_of(given: Facts) -> set[str]:
    """Sales orders that the core named as part of the case: commands may touch these."""
    return {row["order"] for row in given["details"].get("orders", []) if isinstance(row, dict)}


def _shortage(draft: Draft, given: Facts) -> None:
    """Bring the goods themselves from elsewhere as far as they are free; only for what is still missing a permitted substitute."""
    details = given["details"]
    missing = Decimal(details["missing"])
    hurt = details.get("orders", [])
    customers = ", ".join(dict.fromkeys(row["customer"] for row in hurt))
    count = len({row["order"] for row in hurt})
    draft.say(f"Concerned: {count} order{'s' if count != 1 else ''} of {customers}.")
    for option in details["options"]:
        day = f", there on {option['day']}" if option["day"] else ""
        fact = f"{option['what']}: costs {option['cost']} more{day}"
        draft.say(f"Option: {fact} {draft.evidence.cite('option', fact)}.")
    transfers = [o for o in details["options"] if o["kind"] == "transfer" and Decimal(o["quantity"]) > 0][:2]
    reason = f"{details['missing']} of {details['sku']} missing at {details['warehouse']}"
    moves, missing = bring(transfers, details["sku"], details["warehouse"], missing, reason)
    draft.add(*moves)
    if missing > 0:
        _substitute(draft, details, hurt)
    if draft.commands:
        draft.say("The goods themselves go before a substitute; nothing moves before somebody signs.")


def _substitute(draft: Draft, details: Facts, hurt: list[Facts]) -> None:
    """For the most valuable orders, when the customer need not be asked first and enough of the substitute is free."""
    for option in (o for o in details["options"] if o["kind"] == "substitute"):
        if option["must_ask"] == "true":
            draft.say(f"{option['sku']} needs the customer's word first.")
            continue
        left = Decimal(option["quantity"])
        for row in hurt:
            need = Decimal(world.line_needs(row["order"]).get(str(row["line"]), "0"))
            if 0 < need <= left and len(draft.commands) < MOST_COMMANDS:
                draft.add(SubstituteItem(order=row["order"], line=row["line"], substitute_sku=option["sku"]))
                left -= need
        return


def _tell_customer(draft: Draft, given: Facts) -> None:
    """Write to the customer which orders come when, and promise the days that are covered."""
    rows = given["details"].get("orders", [])
    lines = [f"{row['order']}, {row['sku']}: {expected(row['after'])}" for row in rows[:20]]
    draft.add(letter(draft, given, "supply_delay", lines))
    _promises(draft, {row["order"]: row["after"] for row in rows if row["after"]})


def _recover(draft: Draft, given: Facts) -> None:
    """A promise failed: say so before the customer asks, and name a day that is covered, or none."""
    order = draft.order
    if order is None:
        return
    days = [line["promise"] for line in order["lines"] if line["backordered"] != "0"]
    known = max(days) if days and all(days) else None
    if days and not all(days):
        draft.say("Not all that is missing is covered by goods on their way.")
    draft.add(letter(draft, given, "promise_failed", [f"{order['number']}: {expected(known)}"]))
    _promises(draft, {order["number"]: known} if known else {})


def _promises(draft: Draft, days: Mapping[str, str]) -> None:
    today = world.now().date()
    for order, day in list(days.items())[: MOST_COMMANDS - len(draft.commands)]:
        when = date.fromisoformat(day)
        if when >= today:
            draft.add(PromiseDate(order=order, promised_date=when))


def _claim(draft: Draft, given: Facts) -> None:
    """Write to the supplier what was wrong, and ask for the rest or a credit."""
    to = world.supplier_mail(given["supplier"]) if given["supplier"] else None
    if to is None:
        draft.say("The supplier has no mail address here; claim by other means.")
        return
    number = given["details"].get("purchase_order") or "your delivery"
    text = reply(
        "supplier_claim",
        "en",
        to="",
        signature=world.policy_in_force().proposals.signature("en"),
        reference=f" {number}",
        facts="\n".join(f"- {line}" for line in given["details"].get("problems", [])[:20]),
    )
    draft.add(SendMessage(case=draft.case, to=to, subject=f"{number}: discrepancy", body=text))


def _buy(draft: Draft, given: Facts) -> None:
    """One purchase order for what is needed; each line with the demand behind it."""
    details = given["details"]
    lines = []
    for need in details["needs"]:
        fact = f"{need['quantity']} {need['sku']} ({need['name']}): {need['why']}"
        draft.say(f"{need['sku']} {draft.evidence.cite('demand', fact)}.")
        lines.append(BuyLine(sku=need["sku"], quantity=Decimal(need["quantity"]), unit_cost=Decimal(need["unit_cost"])))
    draft.add(
        DraftPurchase(
            supplier=details["supplier"],
            warehouse=details["warehouse"],
            lines=lines,
            reason=str(details["problems"][-1]),
        )
    )
    draft.say("Signing writes the order; somebody else approves it before it is sent.")


def _approve_purchase(draft: Draft, given: Facts) -> None:
    found = world.purchase_order(given["details"]["purchase_order"])
    if found is None or found["status"] != "draft":
        return
    for line in found["lines"]:
        fact = f"{line['quantity']} {line['sku']} at {line['unit_cost']}"
        draft.say(f"{fact} {draft.evidence.cite('purchase order ' + found['number'], fact)}.")
    draft.say(f"{given['details']['asked_by']} wrote it and cannot approve it.")
    draft.add(ApprovePurchase(purchase_order=found["number"]), SendPurchase(purchase_order=found["number"]))


def _mismatch(draft: Draft, given: Facts) -> None:
    """Small differences that may be accepted are; what nobody may accept goes back; the rest is a judgement."""
    details = given["details"]
    bill = {"supplier": details["supplier"], "bill": details["bill"]}
    for receipt in details.get("receipts", []):
        draft.say(f"Received: {receipt} {draft.evidence.cite('receipt', receipt)}.")
    worth = Decimal(str(given.get("at_stake") or "0"))
    order = world.purchase_order(details["purchase_order"]) if details.get("purchase_order") else None
    comes = order is not None and order["status"] in INBOUND_PURCHASE_STATUSES
    if order is not None and comes and set(details["kinds"]) == {"quantity"}:
        draft.say(f"{order['number']} is still {order['status']}: when the rest comes, the invoice matches by itself.")
    elif not details["approvable"]:
        draft.say("Nobody may accept these differences; the order would have to be amended first.")
        draft.add(RejectBill(**bill, note="; ".join(details["problems"])[:500]))
    elif worth <= world.policy_in_force().proposals.low_below_amount:
        draft.say(f"The difference of {worth} is less than asking about it costs.")
        draft.add(ApproveMatch(**bill, note=f"difference of {worth}, below what policy calls low"))


def _known(draft: Draft, given: Facts) -> None:
    """What only has to be known is seen to once a person has read it."""
    draft.say("Nothing has to be changed; signing says that it was read.")
    draft.add(CloseCase(case=draft.case, resolution="Read and known", root_cause=_KNOWN[given["kind"]]))


_KNOWN = {"late_logging": "warehouse", "match_context": "supplier"}


def _pay(draft: Draft, given: Facts) -> None:
    """Pay what may be paid; the core looks once more whether it still matches."""
    details = given["details"]
    draft.say("The match is looked at once more when it is signed; what no longer matches is not paid.")
    draft.add(ReleasePayment(supplier=details["supplier"], bill=details["bill"]))


BUILDERS: dict[str, Callable[[Draft, Facts], None]] = {
    "supply_short": _shortage,
    "supply_delay": _tell_customer,
    "service_recovery": _recover,
    "supplier_discrepancy": _claim,
    "replenishment": _buy,
    "purchase_approval": _approve_purchase,
    "three_way_mismatch": _mismatch,
    "payment_due": _pay,
    "late_logging": _known,
    "match_context": _known,
}


def of_core_case(given: Facts) -> dict[str, Any]:
    """A case that the core opened: what is known stands in its details."""
    problems = given["details"].get("problems", [])
    return {
        "intent": Intent.OTHER.value,
        "confidence": 1.0,
        "strength": "strong",
        "secondary": [],
        "other_orders": [],
        "language": "en",
        "auto": False,
        "hostile": False,
        "instructed": True,
        "sender": "",
        "first_name": "",
        "message_id": "",
        "subject": "",
        "sent_day": "",
        "own_words": "\n".join(problems),
        "customer": given["customer"],
        "customer_name": given["customer_name"],
        "country": "US",
        "supplier": given["supplier"],
        "blocked": False,
        "credit": {},
        "order": given["order"],
        "cited_order": None,
        "order_how": "the core",
        "order_as_called": given["order"],
        "po_known_on": None,
        "refs": {k: [] for k in ("sales_order", "customer_po", "invoice", "shipment", "purchase_order", "tracking")},
        "refs_unknown": False,
        "invoices": [],
        "purchase_orders": [],
        "items": [],
        "signs": [],
        "disagrees": [],
        "skus_said": [],
        "requested_date": None,
        "marks": [],
        "problems": [],
        "places": [],
    }
