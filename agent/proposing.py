"""From a choice to one to three commands with rationale and evidence. Builds values; runs nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from agent import cancelling, inbound, replies, returning
from agent.alternatives import Option
from agent.choosing import Choice
from agent.evidence import Evidence
from agent.signs import Sign
from erp_core.commands import (
    AmendOrder,
    CancelOrder,
    CloseCase,
    Command,
    DeclineSubstitution,
    ExpediteOrder,
    LineChange,
    Matter,
    MatterLine,
    NewLine,
    PlaceOrder,
    RecordRemittance,
    RouteCase,
    SubstituteItem,
    UpdateContact,
    UpdateShipTo,
)
from erp_core.values import Action, Queue, kind_words
from prompts.replies import phrase

Facts = Mapping[str, Any]


@dataclass
class Draft:
    """A proposal in the making."""

    case: int
    read: Facts
    gathered: Facts
    choice: Choice
    evidence: Evidence = field(default_factory=Evidence)
    sentences: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    title: str = "As proposed"
    ways: list[Option] = field(default_factory=list)  # what else our rules would do, best first
    rest: str = ""  # what the mail asks besides, and a case of its own is proposed for
    told: dict[str, list[str]] = field(default_factory=dict)  # the facts that a letter rests on, by its text

    @property
    def order(self) -> Facts | None:
        return self.gathered.get("order")

    @property
    def language(self) -> str:
        return str(self.read["language"])

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def add(self, *commands: Command | None) -> None:
        self.commands += [c for c in commands if c is not None]

    def span(self, kind: str, fact: str) -> str:
        """Cite the place in the mail where a reference, item or date stands."""
        own_text_first = sorted(self.read["places"], key=lambda p: p["part"] != "newest")
        for place in own_text_first:
            if place["kind"] == kind:
                return self.evidence.cite("mail", fact, part=place["part"], start=place["start"], end=place["end"])
        return self.evidence.cite("mail", fact)


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
        draft.add(_route(draft, "hand_over"))
    for problem in draft.read["problems"]:
        draft.say(f"{problem} {draft.evidence.cite('mail', problem)}")
    for mark in draft.read["marks"]:
        draft.say(f"Noticed: {mark['name'].replace('_', ' ')} {draft.evidence.cite('check', mark['text'])}.")
    for other in draft.gathered.get("other_cases", []):
        mark = draft.evidence.cite("case", f"Case {other['case']}: {other['title']}")
        draft.say(f"Case {other['case']} is open on the same order {mark}.")
    return draft


def _guessed(draft: Draft) -> list[Option]:
    """What would be proposed if the guess were right."""
    title = f"Take it as {kind_words(draft.read['intent'])}"
    guess = _way(draft, title, "what it would be if the guess is right", _BUILDERS[draft.choice.action])
    return [guess] if guess.commands and not isinstance(guess.commands[0], RouteCase) else []


def _way(draft: Draft, title: str, consequence: str, build: Callable[[Draft], None]) -> Option:
    """What else could be proposed in the same matter, on the same evidence."""
    other = Draft(draft.case, draft.read, draft.gathered, draft.choice, draft.evidence)
    build(other)
    return Option(title, other.commands, consequence)


def _introduce(draft: Draft) -> None:
    read = draft.read
    who = read["customer_name"] or read["customer"] or read["supplier"] or "An unknown sender"
    draft.say(f"{who} writes about: {read['intent'].replace('_', ' ')} ({draft.choice.why}).")
    if read["order"]:
        mark = draft.span("order", f"{read['order_how']} is {read['order']}")
        draft.say(f"The order is {read['order']} {mark}.")
    elif read["cited_order"]:
        draft.say(f"The sender cites {read['cited_order']}, which is not the sender's own; it is not linked.")


def _route(draft: Draft, kind: str, note: str = "") -> RouteCase:
    read = draft.read
    queue = draft.choice.queue if draft.choice.queue != Queue.NONE else Queue.CUSTOMER_SERVICE
    matter = Matter(
        kind=kind,
        order=read["order"] or read["cited_order"],
        purchase_order=next(iter(read["refs"]["purchase_order"]), None),
        shipment=next(iter(read["refs"]["shipment"] or read["refs"]["tracking"]), None),
        invoices=read["invoices"][:50],
        lines=[MatterLine(sku=i["sku"], quantity=_number(i["quantity"]), uom=i["uom"]) for i in read["items"]],
        expected_date=_date(read["requested_date"]),
        marks=[m["name"] for m in read["marks"]][:20],
        note=(note or draft.choice.why)[:2000],
    )
    for item in read["items"]:
        draft.span("item", _item_text(item))
    return RouteCase(case=draft.case, queue=queue, priority=draft.choice.priority, matter=matter)


def hand_over(draft: Draft, note: str = "") -> RouteCase:
    """To a person, with all that was read in typed fields."""
    return _route(draft, "hand_over", note)


def _item_text(item: Facts) -> str:
    quantity = f"{item['quantity']} {item['uom'] or ''} ".replace("  ", " ") if item["quantity"] is not None else ""
    return f"{quantity}{item['sku']}"


def _wanted(draft: Draft) -> date | None:
    """The day that is asked for; one that is past when the mail is read is said, and not taken over."""
    wanted = _date(draft.read["requested_date"])
    if wanted is None or wanted >= date.fromisoformat(draft.gathered["today"]):
        return wanted
    draft.say(
        f"The mail names {wanted.isoformat()} {draft.span('date', wanted.isoformat())}, which is past; it is not taken over."
    )
    return None


def _number(text: str | None) -> Decimal | None:
    return Decimal(text) if text is not None else None


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _create_order(draft: Draft) -> None:
    read = draft.read
    counted = [i for i in read["items"] if i["quantity"] not in (None, "0")]
    if not read["customer"] or not counted or len(counted) < len(read["items"]):
        missing = ", ".join(i["sku"] for i in read["items"] if i["quantity"] is None) or "the items"
        draft.say(
            "The order cannot be entered from the mail alone: "
            + ("no quantity for " + missing if read["customer"] else "the sender is unknown")
            + "."
        )
        draft.add(_route(draft, "order_entry"))
        return
    lines = [
        NewLine(
            sku=i["sku"], quantity=Decimal(i["quantity"]), uom=i["uom"] or draft.gathered["units"].get(i["sku"], "EA")
        )
        for i in counted
    ]
    po = next(iter(read["refs"]["customer_po"]), None)
    draft.add(
        PlaceOrder(
            customer=read["customer"],
            channel="email",
            customer_po=po,
            requested_date=_wanted(draft),
            lines=lines,
        )
    )
    cited = " ".join(
        draft.evidence.cite("mail", _item_text(i), part=i["part"], start=i["start"], end=i["end"]) for i in counted
    )
    draft.say(
        f"{len(lines)} line{'s' if len(lines) > 1 else ''} to enter {cited}" + (f" under PO {po}" if po else "") + "."
    )
    if draft.gathered.get("duplicate_of"):
        draft.say(
            f"The PO number is on {draft.gathered['duplicate_of']} already; the duplicate check will hold the order."
        )
    names = draft.gathered["names"]
    facts = [
        phrase("line", draft.language, quantity=str(x.quantity), uom=x.uom, sku=x.sku, name=names.get(x.sku, ""))
        for x in lines
    ]
    draft.add(replies.compose("create_order", {**read, "order_as_called": po}, draft.case, facts))


def _change_order(draft: Draft) -> None:
    order = draft.order
    if order is None:
        _ask_which(draft)
        return
    changes, facts = _changes(draft, order)
    wanted = _wanted(draft)
    if wanted and wanted.isoformat() == order["requested_date"]:
        wanted = None
    if not changes and wanted is None:
        draft.say("What should change does not show in the mail's words; a person should read it.")
        draft.add(_route(draft, "hand_over"))
        return
    draft.add(AmendOrder(order=order["number"], changes=changes, requested_date=wanted))
    if wanted:
        mark = draft.span("date", f"wanted {wanted.isoformat()}")
        was = ""
        if order["requested_date"]:
            until_now = f"{order['number']} is wanted on {order['requested_date']}"
            was = f", until now {order['requested_date']} {draft.evidence.cite('order', until_now)}"
        draft.say(f"Goods are wanted on {wanted.isoformat()} {mark}{was}.")
        facts.append(phrase("date", draft.language, day=replies.day(wanted.isoformat(), draft.language)))
    # what will be promised is known once the change has run: the core fills it in
    facts.append(phrase("delivery", draft.language, day=f"{{promised_date:{order['number']}:{draft.language}}}"))
    draft.add(replies.compose("change_order", draft.read, draft.case, facts))


def _changes(draft: Draft, order: Facts) -> tuple[list[LineChange], list[str]]:
    """Line changes that differ from the order as it is, and their lines for the reply."""
    by_sku = {line["sku"]: line for line in order["lines"]}
    changes, facts = [], []
    for item in draft.read["items"]:
        quantity, line = _number(item["quantity"]), by_sku.get(item["sku"])
        if quantity is None or (line is None and quantity == 0):
            continue
        if line is None and Sign.REFUSES in draft.read["signs"] and _stands_in(item["sku"], order):
            draft.say(
                f"{item['sku']} may stand in for goods of the order, and the mail refuses something; it is not added."
            )
            continue
        if line is not None and Decimal(line["quantity"]) == quantity and item["uom"] in (None, line["uom"]):
            continue
        uom = item["uom"] or (line["uom"] if line else draft.gathered["units"].get(item["sku"], "EA"))
        mark = draft.evidence.cite("mail", _item_text(item), part=item["part"], start=item["start"], end=item["end"])
        if line is None:
            changes.append(LineChange(sku=item["sku"], quantity=quantity, uom=uom))
            draft.say(f"{item['sku']} is new on the order: {item['quantity']} {uom} {mark}.")
        else:
            changes.append(LineChange(line=line["line"], quantity=quantity, uom=uom if uom != line["uom"] else None))
            was = draft.evidence.cite("order", f"Line {line['line']}, {item['sku']}: {line['quantity']} {line['uom']}")
            draft.say(
                f"Line {line['line']}, {item['sku']}: {line['quantity']} → {item['quantity']} {uom} {mark} {was}."
            )
        name = line["name"] if line else draft.gathered["names"].get(item["sku"], "")
        if quantity == 0:
            facts.append(phrase("removed", draft.language, sku=item["sku"]))
        else:
            facts.append(phrase("line", draft.language, quantity=item["quantity"], uom=uom, sku=item["sku"], name=name))
    return changes, facts


def _stands_in(sku: str, order: Facts) -> bool:
    return any(sku in line["substitutes"] for line in order["lines"])


def _cancel_order(draft: Draft) -> None:
    order = draft.order
    if order is None:
        _ask_which(draft)
        return
    part, sure = cancelling.part_of(draft.read, order["lines"])
    if sure:
        _cancel(draft, order, part)
        return
    draft.say("Only part of the order may be meant; a person should read what goes and what stays.")
    draft.add(_route(draft, "hand_over"))
    meant = "what it would be if that is meant"
    if part:
        draft.ways.append(_way(draft, "Cancel the goods named alone", meant, lambda other: _cancel(other, order, part)))
    draft.ways.append(_way(draft, "Cancel the whole order", meant, lambda other: _cancel(other, order, [])))


def _cancel(draft: Draft, order: Facts, part: list[dict[str, Any]]) -> None:
    """All of an order, or lines of it with what shall be left of them."""
    if part:
        draft.read = {**draft.read, "items": part}
        changes, facts = _changes(draft, order)
        draft.add(
            AmendOrder(order=order["number"], changes=changes),
            replies.compose("change_order", draft.read, draft.case, facts),
        )
        return
    mark = draft.evidence.cite(f"order {order['number']}", f"status {order['status']}, {order['total']} in total")
    draft.say(f"Nothing of it has shipped {mark}, so all of it can be cancelled.")
    draft.add(
        CancelOrder(order=order["number"], reason="asked by the customer"),
        replies.compose("cancel_order", draft.read, draft.case, []),
    )


def _expedite_order(draft: Draft) -> None:
    order = draft.order
    if order is None:
        _ask_which(draft)
        return
    needed = _wanted(draft)
    note = ", ".join(_item_text(i) for i in draft.read["items"])
    draft.add(ExpediteOrder(order=order["number"], needed_by=needed, note=note))
    if needed:
        draft.say(f"Needed by {needed.isoformat()} {draft.span('date', 'needed by ' + needed.isoformat())}.")
    _say_holds(draft, order)
    _say_stock(draft, order)
    draft.add(
        replies.compose(
            "expedite_order",
            draft.read,
            draft.case,
            replies.status_lines(order, draft.language, draft.gathered["today"]),
        )
    )


def _say_stock(draft: Draft, order: Facts) -> None:
    for line in order["lines"]:
        if line["backordered"] != "0":
            elsewhere = ", ".join(f"{q} at {w}" for w, q in line["free_elsewhere"].items()) or "none elsewhere"
            due = f"; {line['backordered']} expected {line['promise']}" if line["promise"] else ""
            fact = f"{line['backordered']} backordered at {order['warehouse']}; {elsewhere}{due}"
            draft.say(f"{line['sku']} is short: {elsewhere} {draft.evidence.cite('stock ' + line['sku'], fact)}.")


def _answer_status(draft: Draft) -> None:
    orders = [order for order in (draft.order, *draft.gathered.get("others", [])) if order is not None]
    if not orders:
        _ask_which(draft)
        return
    lines, several = [], len(orders) > 1
    for order in orders:
        say_order(draft, order)
        stands = replies.status_lines(order, draft.language, draft.gathered["today"])
        called = f"{order['customer_po'] or order['number']}: " if several else ""
        lines += [f"{called}{line}" for line in stands]
    read = {**draft.read, "order_as_called": None} if several else draft.read
    draft.add(replies.compose("answer_statuses" if several else "answer_status", read, draft.case, lines))


def say_order(draft: Draft, order: Facts) -> None:
    """Where an order stands: status, shipments, holds, what is short."""
    stands = " and ".join(dict.fromkeys((order["status"], order["state"])))
    fact = f"{stands}, requested {order['requested_date'] or 'no date'}"
    draft.say(f"It is {order['state']} {draft.evidence.cite('order ' + order['number'], fact)}.")
    for shipment in order["shipments"]:
        when = f"delivered {shipment['delivered_at']}" if shipment["delivered_at"] else "not yet delivered"
        text = f"{shipment['number']} left {shipment['shipped_at']} with {shipment['carrier']}, {when}"
        draft.say(f"{text} {draft.evidence.cite('shipment ' + shipment['number'], text)}.")
    _say_holds(draft, order)
    _say_stock(draft, order)


def _say_holds(draft: Draft, order: Facts) -> None:
    if order["holds"]:
        fact = f"holds: {', '.join(order['holds'])}"
        draft.say(f"H{fact[1:]} {draft.evidence.cite('order ' + order['number'], fact, internal=True)}.")


def _ask_which(draft: Draft) -> None:
    """No order found: a customer is asked, an outsider is handed to a person and told nothing."""
    if draft.read["customer"] and not draft.read["refs_unknown"]:
        draft.say("No order can be linked with certainty, so we ask.")
        draft.add(replies.compose("ask_which_order", draft.read, draft.case, []))
    else:
        draft.say("No order of the sender can be linked; a person should identify sender and order first.")
        draft.add(_route(draft, "hand_over"))


def _discrepancy(draft: Draft) -> None:
    draft.add(_route(draft, "delivery_discrepancy"))
    facts = [_reply_item(draft, i) for i in draft.read["items"]]
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


def _reply_item(draft: Draft, item: Facts) -> str:
    name = draft.gathered["names"].get(item["sku"], "")
    uom = item["uom"] or draft.gathered["units"].get(item["sku"], "")
    return phrase(
        "line",
        draft.language,
        quantity=str(item["quantity"] or ""),
        uom=uom if item["quantity"] else "",
        sku=item["sku"],
        name=name,
    ).strip()


def _return(draft: Draft) -> None:
    told = returning.reason_of(draft.read["own_words"])
    if told:
        reason, version = told
        mark = draft.evidence.cite("model", f"return reason, version {version}: {reason.replace('_', ' ')}")
        draft.say(f"Why it comes back reads like: {reason.replace('_', ' ')} {mark}.")
    draft.add(_route(draft, "return"))
    draft.add(
        replies.compose("create_return", draft.read, draft.case, [_reply_item(draft, i) for i in draft.read["items"]])
    )


def _review_price(draft: Draft) -> None:
    for line in draft.gathered.get("prices", []):
        text = f"{line['sku']} ordered at {line['price']}, agreed or list price {line['expected']}"
        draft.say(f"{text} {draft.evidence.cite('price ' + line['sku'], text)}.")
    draft.add(_route(draft, "price_review"), replies.compose("review_price", draft.read, draft.case, []))


def _send_invoice(draft: Draft) -> None:
    invoices = draft.gathered.get("invoices", [])
    if draft.choice.queue == Queue.CREDIT or not invoices or not draft.read["customer"]:
        draft.add(_route(draft, "invoice_review", "statement or copy wanted"))
        return
    facts = []
    for invoice in invoices[:20]:
        facts.append(replies.invoice_line(invoice, draft.language))
        draft.say(
            f"{invoice['number']} of {invoice['date']} over {invoice['amount']} {draft.evidence.cite('invoice ' + invoice['number'], facts[-1])}."
        )
    draft.add(
        replies.compose(
            "send_invoice_copy", draft.read, draft.case, facts, invoices=[i["number"] for i in invoices[:20]]
        )
    )


def _review_invoice(draft: Draft) -> None:
    for invoice in draft.gathered.get("invoices", []):
        fact = f"{invoice['number']} of {invoice['date']} over {invoice['amount']}" + (
            f", paid {invoice['paid_at']}" if invoice["paid_at"] else ", unpaid"
        )
        draft.say(f"{fact} {draft.evidence.cite('invoice ' + invoice['number'], fact)}.")
    draft.add(_route(draft, "invoice_review"))


def _review_credit(draft: Draft) -> None:
    credit = draft.gathered.get("credit") or {}
    if credit:
        fact = f"exposure {credit['exposure']}, limit {credit['limit']} {credit['currency']}"
        draft.say(f"The account stands at {fact} {draft.evidence.cite('credit', fact)}.")
    if draft.read["blocked"]:
        draft.say(f"The customer is blocked {draft.evidence.cite('customer', 'status blocked')}; no order is entered.")
    draft.add(_route(draft, "credit_review"))


MONEY = re.compile(r"(?:[$€£]|USD|CAD|EUR)\s?(\d[\d,]*(?:\.\d{2})?)|(\d[\d,]*\.\d{2})\s?(?:USD|CAD|EUR|dollars)", re.I)
PAYMENT_REFERENCE = re.compile(
    r"(?:ach|wire|check|cheque|eft|trace|reference|ref|confirmation|transfer\w*|virement)\s*(?:no\.?|number|#|nr\.?|:)*\s*([A-Z]{0,6}-?\d[\dA-Z-]{3,20})",
    re.I,
)


def _record_remittance(draft: Draft) -> None:
    amount, reference = MONEY.search(draft.read["own_words"]), PAYMENT_REFERENCE.search(draft.read["own_words"])
    if not amount or not draft.read["customer"]:
        draft.say("The amount or the payer cannot be read with certainty.")
        draft.add(_route(draft, "credit_review", "remittance to be matched"))
        return
    value = Decimal((amount.group(1) or amount.group(2)).replace(",", ""))
    called = reference.group(1) if reference else f"mail of {draft.read['sent_day']}"
    invoices = [i["number"] for i in draft.gathered.get("invoices", [])]
    draft.add(RecordRemittance(customer=draft.read["customer"], reference=called, amount=value, invoices=invoices))
    draft.say(
        f"A payment of {value:,} is announced, reference {called} {draft.span('amount', 'payment')}; it is recorded unapplied."
    )
    fact = phrase("payment", draft.language, amount=f"{value:,}", reference=called)
    draft.add(replies.compose("record_remittance", draft.read, draft.case, [fact]))


def _quote(draft: Draft) -> None:
    offers = draft.gathered.get("offers", [])
    if not offers or draft.choice.queue == Queue.PRICING or not draft.read["customer"]:
        draft.add(_route(draft, "hand_over", "quote wanted"))
        return
    currency = (draft.gathered.get("credit") or {}).get("currency", "USD")
    facts = [replies.offer_line(offer, draft.language, currency) for offer in offers]
    for offer, fact in zip(offers, facts, strict=True):
        draft.say(f"{fact} {draft.evidence.cite('stock and price ' + offer['sku'], fact)}.")
    draft.add(
        replies.compose(
            "quote_availability",
            draft.read,
            draft.case,
            facts,
            today=replies.day(draft.gathered["today"], draft.language),
        )
    )


def _apply_substitution(draft: Draft) -> None:
    pair = _offered(draft)
    if draft.order is None or pair is None:
        draft.say("Which line the accepted item replaces does not follow from order and mail.")
        draft.add(_route(draft, "hand_over"))
        return
    line, sku = pair
    if part := _part_taken(draft, line, sku):
        draft.say(
            f"{part} of {sku} are wanted, and a substitute takes the place of the whole line; a person should settle it."
        )
        draft.add(_route(draft, "hand_over"))
        meant = "what it would be if all of it is meant"
        draft.ways.append(_way(draft, "Replace the whole line", meant, lambda other: _substitute(other, line, sku)))
        return
    _substitute(draft, line, sku)


def _part_taken(draft: Draft, line: Facts, sku: str) -> str | None:
    """How much of a substitute is wanted, where that is less than the line that it would replace."""
    said = next((i for i in draft.read["items"] if i["sku"] == sku and i["quantity"] is not None), None)
    if (
        said is None
        or said["uom"] not in (None, line["uom"])
        or not 0 < Decimal(said["quantity"]) < Decimal(line["quantity"])
    ):
        return None
    return str(said["quantity"])


def _substitute(draft: Draft, line: Facts, sku: str) -> None:
    assert draft.order is not None
    draft.add(SubstituteItem(order=draft.order["number"], line=line["line"], substitute_sku=sku, customer_agreed=True))
    draft.say(
        f"{sku} is a permitted substitute for line {line['line']}, {line['sku']} {draft.evidence.cite('item ' + line['sku'], 'permitted substitute ' + sku)}."
    )
    fact = phrase(
        "line",
        draft.language,
        quantity=line["quantity"],
        uom=line["uom"],
        sku=sku,
        name=draft.gathered["names"].get(sku, ""),
    )
    draft.add(replies.compose("apply_substitution", draft.read, draft.case, [fact]))


def _offered(draft: Draft) -> tuple[Facts, str] | None:
    """The line and the substitute meant: named in mail or history, else the only short line with one substitute."""
    lines = draft.order["lines"] if draft.order else []
    said = draft.read["skus_said"]
    named = [(x, s) for x in lines for s in x["substitutes"] if s in said]
    short = [(x, s) for x in lines if x["backordered"] != "0" for s in x["substitutes"]]
    pool = named or short
    return pool[0] if len(pool) == 1 else None


def _decline_substitution(draft: Draft) -> None:
    order = draft.order
    if order is None:
        _ask_which(draft)
        return
    short = [x for x in order["lines"] if x["backordered"] != "0"]
    named = [x for x in order["lines"] if x["sku"] in draft.read["skus_said"]]
    line = short[0] if len(short) == 1 else named[0] if len(named) == 1 else None
    draft.add(
        DeclineSubstitution(
            order=order["number"], line=line["line"] if line else None, note="customer waits for the item ordered"
        )
    )
    facts = [replies.line_status(x, draft.language) for x in ([line] if line else order["lines"])]
    draft.add(replies.compose("decline_substitution", draft.read, draft.case, facts))


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
        draft.add(_route(draft, "account_update"))
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
        draft.add(_route(draft, "inbound_supply"))


def _complaint(draft: Draft) -> None:
    draft.add(_route(draft, "complaint"), replies.compose("escalate_complaint", draft.read, draft.case, []))


def _security(draft: Draft) -> None:
    draft.say("Nothing the mail asks for is proposed; nobody is answered.")
    draft.add(_route(draft, "security"))


def _no_action(draft: Draft) -> None:
    if draft.read["auto"]:
        draft.add(CloseCase(case=draft.case, resolution="Machine mail that asks nothing", root_cause="machine_mail"))
    elif draft.choice.why.startswith("no request"):
        draft.add(_route(draft, "hand_over", "no request recognised"))
    else:
        why = draft.choice.why[:1].upper() + draft.choice.why[1:]
        draft.add(CloseCase(case=draft.case, resolution=why, root_cause="none"))


_BUILDERS: dict[Action, Callable[[Draft], None]] = {
    Action.CREATE_ORDER: _create_order,
    Action.CHANGE_ORDER: _change_order,
    Action.CANCEL_ORDER: _cancel_order,
    Action.EXPEDITE_ORDER: _expedite_order,
    Action.ANSWER_STATUS: _answer_status,
    Action.OPEN_DISCREPANCY_CASE: _discrepancy,
    Action.CREATE_RETURN: _return,
    Action.REVIEW_PRICE: _review_price,
    Action.SEND_INVOICE_COPY: _send_invoice,
    Action.REVIEW_INVOICE: _review_invoice,
    Action.REVIEW_CREDIT_HOLD: _review_credit,
    Action.RECORD_REMITTANCE: _record_remittance,
    Action.QUOTE_AVAILABILITY: _quote,
    Action.APPLY_SUBSTITUTION: _apply_substitution,
    Action.DECLINE_SUBSTITUTION: _decline_substitution,
    Action.UPDATE_ACCOUNT: _update_account,
    Action.UPDATE_INBOUND_SUPPLY: _inbound,
    Action.ESCALATE_COMPLAINT: _complaint,
    Action.FLAG_SECURITY: _security,
    Action.NO_ACTION: _no_action,
}
