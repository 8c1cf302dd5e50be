"""Proposals about what is ordered: new orders, changes, cancellations, haste, substitutes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent import cancelling, replies
from agent.draft import (
    Draft,
    ask_which,
    item_text,
    number,
    route,
    say_holds,
    say_stock,
    wanted_day,
    way,
)
from agent.signs import Sign
from erp_core.commands import (
    AmendOrder,
    CancelOrder,
    DeclineSubstitution,
    ExpediteOrder,
    LineChange,
    NewLine,
    PlaceOrder,
    SubstituteItem,
)
from prompts.replies import phrase

Facts = Mapping[str, Any]


def create_order(draft: Draft) -> None:
    read = draft.read
    counted = [i for i in read["items"] if i["quantity"] not in (None, "0")]
    if not read["customer"] or not counted or len(counted) < len(read["items"]):
        missing = ", ".join(i["sku"] for i in read["items"] if i["quantity"] is None) or "the items"
        draft.say(
            "The order cannot be entered from the mail alone: "
            + ("no quantity for " + missing if read["customer"] else "the sender is unknown")
            + "."
        )
        draft.add(route(draft, "order_entry"))
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
            requested_date=wanted_day(draft),
            lines=lines,
        )
    )
    cited = " ".join(
        draft.evidence.cite("mail", item_text(i), part=i["part"], start=i["start"], end=i["end"]) for i in counted
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


def change_order(draft: Draft) -> None:
    order = draft.order
    if order is None:
        ask_which(draft)
        return
    changes, facts = _changes(draft, order)
    wanted = wanted_day(draft)
    if wanted and wanted.isoformat() == order["requested_date"]:
        wanted = None
    if not changes and wanted is None:
        draft.say("What should change does not show in the mail's words; a person should read it.")
        draft.add(route(draft, "hand_over"))
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
        quantity, line = number(item["quantity"]), by_sku.get(item["sku"])
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
        mark = draft.evidence.cite("mail", item_text(item), part=item["part"], start=item["start"], end=item["end"])
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


def cancel_order(draft: Draft) -> None:
    order = draft.order
    if order is None:
        ask_which(draft)
        return
    part, sure = cancelling.part_of(draft.read, order["lines"])
    if sure:
        _cancel(draft, order, part)
        return
    draft.say("Only part of the order may be meant; a person should read what goes and what stays.")
    draft.add(route(draft, "hand_over"))
    meant = "what it would be if that is meant"
    if part:
        draft.ways.append(way(draft, "Cancel the goods named alone", meant, lambda other: _cancel(other, order, part)))
    draft.ways.append(way(draft, "Cancel the whole order", meant, lambda other: _cancel(other, order, [])))


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


def expedite_order(draft: Draft) -> None:
    order = draft.order
    if order is None:
        ask_which(draft)
        return
    needed = wanted_day(draft)
    note = ", ".join(item_text(i) for i in draft.read["items"])
    draft.add(ExpediteOrder(order=order["number"], needed_by=needed, note=note))
    if needed:
        draft.say(f"Needed by {needed.isoformat()} {draft.span('date', 'needed by ' + needed.isoformat())}.")
    say_holds(draft, order)
    say_stock(draft, order)
    draft.add(
        replies.compose(
            "expedite_order",
            draft.read,
            draft.case,
            replies.status_lines(order, draft.language, draft.gathered["today"]),
        )
    )


def apply_substitution(draft: Draft) -> None:
    pair = _offered(draft)
    if draft.order is None or pair is None:
        draft.say("Which line the accepted item replaces does not follow from order and mail.")
        draft.add(route(draft, "hand_over"))
        return
    line, sku = pair
    if part := _part_taken(draft, line, sku):
        draft.say(
            f"{part} of {sku} are wanted, and a substitute takes the place of the whole line; a person should settle it."
        )
        draft.add(route(draft, "hand_over"))
        meant = "what it would be if all of it is meant"
        draft.ways.append(way(draft, "Replace the whole line", meant, lambda other: _substitute(other, line, sku)))
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


def decline_substitution(draft: Draft) -> None:
    order = draft.order
    if order is None:
        ask_which(draft)
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
