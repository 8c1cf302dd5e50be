"""From a choice to one to three commands with rationale and evidence. Builds values; runs nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from agent import billing, inbound, ordering, replies, returning
from agent.alternatives import Option
from agent.draft import (
    Draft,
    ask_which,
    reply_item,
    route,
    say_order,
    way,
)
from erp_core.commands import (
    CloseCase,
    RouteCase,
    UpdateContact,
    UpdateShipTo,
)
from erp_core.values import Action, kind_words
from prompts.replies import phrase

Facts = Mapping[str, Any]


def propose(draft: Draft) -> Draft:
    """Fill in commands and reasons. What cannot be built as asked becomes a hand-over with its matter."""
    _introduce(draft)
    try:
        if not draft.commands:
            _BUILDERS[draft.choice.action](draft)
        else:  # handed over: whoever reads it sees where the order stands, and has the guess a click away
            if draft.order is not None:
                say_order(draft, draft.order)
            draft.ways += _guessed(draft)
    except ValidationError as error:
        draft.commands.clear()
        draft.say(
            f"What was read does not make a valid command ({error.error_count()} problems); a person should look."
        )
    if not draft.commands:
        draft.add(route(draft, "hand_over"))
    for problem in draft.read["problems"]:
        draft.say(f"{problem} {draft.evidence.cite('mail', problem)}")
    for mark in draft.read["marks"]:
        draft.say(f"Noticed: {mark['name'].replace('_', ' ')} {draft.evidence.cite('check', mark['text'])}.")
    for other in draft.gathered.get("other_cases", []):
        mark = draft.evidence.cite("case", f"Case {other['case']}: {other['title']}")
        draft.say(f"Case {other['case']} is open on the same order {mark}.")
    return draft


def _guessed(draft: Draft) -> list[Option]:
    """What would be proposed if the guess were right; of what is unclear nothing is guessed."""
    if draft.read.get("unclear"):
        return []
    title = f"Take it as {kind_words(draft.read['intent'])}"
    guess = way(draft, title, "what it would be if the guess is right", _BUILDERS[draft.choice.action])
    return [guess] if guess.commands and not isinstance(guess.commands[0], RouteCase) else []


def _introduce(draft: Draft) -> None:
    read = draft.read
    who = read["customer_name"] or read["customer"] or read["supplier"] or "An unknown sender"
    draft.say(f"{who} writes about: {read['intent'].replace('_', ' ')} ({draft.choice.why}).")
    if read["order"]:
        mark = draft.span("order", f"{read['order_how']} is {read['order']}")
        draft.say(f"The order is {read['order']} {mark}.")
    elif read["cited_order"]:
        draft.say(f"The sender cites {read['cited_order']}, which is not the sender's own; it is not linked.")


def _answer_status(draft: Draft) -> None:
    orders = [order for order in (draft.order, *draft.gathered.get("others", [])) if order is not None]
    if not orders:
        ask_which(draft)
        return
    lines, several = [], len(orders) > 1
    for order in orders:
        say_order(draft, order)
        stands = replies.status_lines(order, draft.language, draft.gathered["today"])
        called = f"{order['customer_po'] or order['number']}: " if several else ""
        lines += [f"{called}{line}" for line in stands]
    read = {**draft.read, "order_as_called": None} if several else draft.read
    draft.add(replies.compose("answer_statuses" if several else "answer_status", read, draft.case, lines))


def _discrepancy(draft: Draft) -> None:
    draft.add(route(draft, "delivery_discrepancy"))
    facts = [reply_item(draft, i) for i in draft.read["items"]]
    if draft.order:
        for shipment in draft.order["shipments"]:
            text = f"{shipment['number']} left {shipment['shipped_at']} with {shipment['carrier']}, tracking {shipment['tracking']}"
            draft.say(f"{text} {draft.evidence.cite('shipment ' + shipment['number'], text)}.")
    if draft.gathered.get("at_stake"):
        mark = draft.evidence.cite(
            f"order {draft.read['order']}", f"the goods in question are worth {draft.gathered['at_stake']}"
        )
        draft.say(f"The goods in question are worth {draft.gathered['at_stake']} {mark}.")
    draft.add(replies.compose("open_discrepancy_case", draft.read, draft.case, facts))


def _return(draft: Draft) -> None:
    told = returning.reason_of(draft.read["own_words"])
    if told:
        reason, version = told
        mark = draft.evidence.cite("model", f"return reason, version {version}: {reason.replace('_', ' ')}")
        draft.say(f"Why it comes back reads like: {reason.replace('_', ' ')} {mark}.")
    draft.add(route(draft, "return"))
    draft.add(
        replies.compose("create_return", draft.read, draft.case, [reply_item(draft, i) for i in draft.read["items"]])
    )


ADDRESS = re.compile(
    r"\d{1,6}[^\n,]{3,60}(?:street|st\.?|avenue|ave\.?|road|rd\.?|drive|dr\.?|blvd|lane|ln|parkway|pkwy|way|court|ct|highway|hwy|suite|unit|building)\b[^\n]{0,80}",
    re.I,
)


NEW_PERSON = re.compile(r"([A-ZÀ-Ý][\w'-]+ [A-ZÀ-Ý][\w'-]+)[^\n@]{0,60}?([\w.+-]+@[\w.-]+\.\w+)")


def _update_account(draft: Draft) -> None:
    read = draft.read
    person, address = NEW_PERSON.search(read["own_words"]), ADDRESS.search(read["own_words"])
    if not read["customer"] or (person is None) == (address is None):
        draft.say("What exactly should change needs a person's eye.")
        draft.add(route(draft, "account_update"))
        return
    if person is not None:
        draft.add(UpdateContact(customer=read["customer"], email=person.group(2).lower(), name=person.group(1)))
        draft.say(f"Contact {person.group(1)}, {person.group(2)} {draft.evidence.cite('mail', person.group(2))}.")
        fact = phrase("contact", draft.language, name=person.group(1), email=person.group(2))
    else:
        assert address is not None
        place = address.group().strip()
        draft.add(UpdateShipTo(customer=read["customer"], name=place[:40], address=place, country=read["country"]))
        draft.say(f"Delivery address {place} {draft.evidence.cite('mail', place)}.")
        fact = place
    draft.add(replies.compose("update_account", read, draft.case, [fact]))


def _inbound(draft: Draft) -> None:
    for po in draft.gathered.get("purchase_orders", []):
        fact = f"{po['number']} expected {po['expected_date'] or 'without date'}, {po['status']}"
        draft.say(f"{fact} {draft.evidence.cite('purchase order ' + po['number'], fact)}.")
    inbound.changes(draft)
    if not draft.commands:
        draft.add(route(draft, "inbound_supply"))


def _complaint(draft: Draft) -> None:
    draft.add(route(draft, "complaint"), replies.compose("escalate_complaint", draft.read, draft.case, []))


def _security(draft: Draft) -> None:
    draft.say("Nothing the mail asks for is proposed; nobody is answered.")
    draft.add(route(draft, "security"))


def _no_action(draft: Draft) -> None:
    if draft.read["auto"]:
        draft.add(CloseCase(case=draft.case, resolution="Machine mail that asks nothing", root_cause="machine_mail"))
    elif draft.choice.why.startswith("no request"):
        draft.add(route(draft, "hand_over", "no request recognised"))
    else:
        why = draft.choice.why[:1].upper() + draft.choice.why[1:]
        draft.add(CloseCase(case=draft.case, resolution=why, root_cause="none"))


_BUILDERS: dict[Action, Callable[[Draft], None]] = {
    Action.CREATE_ORDER: ordering.create_order,
    Action.CHANGE_ORDER: ordering.change_order,
    Action.CANCEL_ORDER: ordering.cancel_order,
    Action.EXPEDITE_ORDER: ordering.expedite_order,
    Action.ANSWER_STATUS: _answer_status,
    Action.OPEN_DISCREPANCY_CASE: _discrepancy,
    Action.CREATE_RETURN: _return,
    Action.REVIEW_PRICE: billing.review_price,
    Action.SEND_INVOICE_COPY: billing.send_invoice,
    Action.REVIEW_INVOICE: billing.review_invoice,
    Action.REVIEW_CREDIT_HOLD: billing.review_credit,
    Action.RECORD_REMITTANCE: billing.record_remittance,
    Action.QUOTE_AVAILABILITY: billing.quote,
    Action.APPLY_SUBSTITUTION: ordering.apply_substitution,
    Action.DECLINE_SUBSTITUTION: ordering.decline_substitution,
    Action.UPDATE_ACCOUNT: _update_account,
    Action.UPDATE_INBOUND_SUPPLY: _inbound,
    Action.ESCALATE_COMPLAINT: _complaint,
    Action.FLAG_SECURITY: _security,
    Action.NO_ACTION: _no_action,
}
