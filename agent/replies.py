"""Replies as proposed commands: composed from facts of the identified customer, in the customer's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from erp_core.commands import SendMessage
from erp_core.rules.letters import written
from prompts.replies import phrase, reply
from tools import world

Facts = Mapping[str, Any]


def compose(
    name: str, read: Facts, case: int, lines: Sequence[str], *, invoices: Sequence[str] = (), today: str = ""
) -> SendMessage | None:
    """A reply to the sender; None when nobody may be answered (unknown, hostile or machine senders)."""
    if not read["sender"] or read["hostile"] or read["auto"] or not (read["customer"] or read["supplier"]):
        return None
    number = read.get("order_as_called")
    text = reply(
        name,
        read["language"],
        to=read["first_name"],
        signature=world.policy_in_force().proposals.signature(read["language"]),
        reference=f" {number}" if number else "",
        of_order=phrase("of_order", read["language"], order=number) if number else "",
        facts="\n".join(f"- {line}" for line in lines) or "-",
        today=today,
    )
    subject = read["subject"] or "Your message"
    return SendMessage(
        case=case,
        to=read["sender"],
        subject=(subject if subject.lower().startswith("re:") else f"Re: {subject}")[:300],
        body=text,
        in_reply_to=read["message_id"] or None,
        invoices=list(invoices),
    )


def status_lines(order: Facts, language: str, today: str) -> list[str]:
    """Where an order stands: shipments, holds, dates, lines. A promised day that is past is said to be missed; a wished one is no news."""
    lines = []
    for shipment in order["shipments"]:
        if shipment["delivered_at"]:
            lines.append(phrase("delivered", language, day=day(shipment["delivered_at"], language)))
        shipped = {"carrier": shipment["carrier"] or "-", "tracking": shipment["tracking"] or "-"}
        lines.append(phrase("shipped", language, day=day(shipment["shipped_at"], language), **shipped))
    if order["state"] == "open":
        if order["requested_date"] and order["requested_date"] >= today:
            lines.append(phrase("requested", language, day=day(order["requested_date"], language)))
        if order["promised_date"]:
            kept = "promised" if order["promised_date"] >= today else "missed"
            lines.append(phrase(kept, language, day=day(order["promised_date"], language)))
        blocking = [h for h in order["holds"] if not h.startswith("stock")]
        waits = any(line["backordered"] != "0" for line in order["lines"])
        lines.append(phrase("on_hold" if blocking else "awaiting" if waits else "in_process", language))
        lines += [line_status(line, language) for line in order["lines"]]
    return lines or [phrase("cancelled" if order["state"] == "cancelled" else "left", language)]


def invoice_line(invoice: Facts, language: str) -> str:
    """An invoice by number, day and amount."""
    told = {"number": invoice["number"], "day": day(invoice["date"], language), "amount": invoice["amount"]}
    return phrase("invoice", language, **told)


def with_more(body: str, heading: str, lines: Sequence[str]) -> str:
    """A letter with one paragraph more before its closing."""
    before, between, closing = body.rpartition("\n\n")
    paragraph = "\n".join([heading, *(f"- {line}" for line in lines)])
    return f"{before}\n\n{paragraph}{between}{closing}"


def line_status(line: Facts, language: str) -> str:
    """One line: set aside, awaited, or awaited by a day."""
    values = {k: str(line[k]) for k in ("quantity", "uom", "sku", "name")}
    if line["backordered"] == "0":
        return phrase("line_ready", language, **values)
    if line["promise"]:
        return phrase("line_due", language, short=line["backordered"], day=day(line["promise"], language), **values)
    return phrase("line_short", language, short=line["backordered"], **values)


def offer_line(offer: Facts, language: str, currency: str) -> str:
    """Availability and price of one item; at which quantity, where one was named."""
    line = _offer(offer, language, currency)
    if "quantity" not in offer or offer["status"] == "discontinued":
        return line
    return f"{line} {phrase('at_quantity', language, quantity=offer['quantity'], uom=offer['quantity_uom'])}"


def _offer(offer: Facts, language: str, currency: str) -> str:
    free = sum(float(q) for q in offer["free"].values())
    values = {"sku": offer["sku"], "name": offer["name"]}
    if offer["status"] == "discontinued":
        return phrase("gone", language, **values)
    price = {"price": offer["price"].rstrip("0").rstrip("."), "currency": currency}
    if free > 0:
        return phrase("free", language, free=f"{free:g}", uom=offer["uom"], **values, **price)
    dated = [i["expected"] for i in offer["inbound"] if i["expected"]]
    if dated:
        return phrase("none", language, day=day(dated[0], language), **values, **price)
    return phrase("unknown", language, **values, **price)


def day(iso: str, language: str) -> str:
    """A date as the reader writes it."""
    return written(date.fromisoformat(iso[:10]), language)
