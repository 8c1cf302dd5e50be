"""A proposal in the making, and what all kinds of proposals say: the order, the goods, the day, the desk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from agent import replies
from agent.alternatives import Option
from agent.choosing import Choice
from agent.evidence import Evidence
from erp_core.commands import (
    Command,
    Matter,
    MatterLine,
    RouteCase,
)
from erp_core.values import Queue
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


def way(draft: Draft, title: str, consequence: str, build: Callable[[Draft], None]) -> Option:
    """What else could be proposed in the same matter, on the same evidence."""
    other = Draft(draft.case, draft.read, draft.gathered, draft.choice, draft.evidence)
    build(other)
    return Option(title, other.commands, consequence)


def route(draft: Draft, kind: str, note: str = "") -> RouteCase:
    """To the queue that owns the matter, with all that was read in typed fields."""
    read = draft.read
    queue = draft.choice.queue if draft.choice.queue != Queue.NONE else Queue.CUSTOMER_SERVICE
    matter = Matter(
        kind=kind,
        order=read["order"] or read["cited_order"],
        purchase_order=next(iter(read["refs"]["purchase_order"]), None),
        shipment=next(iter(read["refs"]["shipment"] or read["refs"]["tracking"]), None),
        invoices=read["invoices"][:50],
        lines=[MatterLine(sku=i["sku"], quantity=number(i["quantity"]), uom=i["uom"]) for i in read["items"]],
        expected_date=date_of(read["requested_date"]),
        marks=[m["name"] for m in read["marks"]][:20],
        note=(note or draft.choice.why)[:2000],
    )
    for item in read["items"]:
        draft.span("item", item_text(item))
    return RouteCase(case=draft.case, queue=queue, priority=draft.choice.priority, matter=matter)


def hand_over(draft: Draft, note: str = "") -> RouteCase:
    """To a person, who reads it first."""
    return route(draft, "hand_over", note)


def item_text(item: Facts) -> str:
    quantity = f"{item['quantity']} {item['uom'] or ''} ".replace("  ", " ") if item["quantity"] is not None else ""
    return f"{quantity}{item['sku']}"


def wanted_day(draft: Draft) -> date | None:
    """The day that is asked for; one that is past when the mail is read is said, and not taken over."""
    wanted = date_of(draft.read["requested_date"])
    if wanted is None or wanted >= date.fromisoformat(draft.gathered["today"]):
        return wanted
    draft.say(
        f"The mail names {wanted.isoformat()} {draft.span('date', wanted.isoformat())}, which is past; it is not taken over."
    )
    return None


def number(text: str | None) -> Decimal | None:
    return Decimal(text) if text is not None else None


def date_of(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def say_stock(draft: Draft, order: Facts) -> None:
    for line in order["lines"]:
        if line["backordered"] != "0":
            elsewhere = ", ".join(f"{q} at {w}" for w, q in line["free_elsewhere"].items()) or "none elsewhere"
            due = f"; {line['backordered']} expected {line['promise']}" if line["promise"] else ""
            fact = f"{line['backordered']} backordered at {order['warehouse']}; {elsewhere}{due}"
            draft.say(f"{line['sku']} is short: {elsewhere} {draft.evidence.cite('stock ' + line['sku'], fact)}.")


def say_order(draft: Draft, order: Facts) -> None:
    """Where an order stands: status, shipments, holds, what is short."""
    stands = " and ".join(dict.fromkeys((order["status"], order["state"])))
    fact = f"{stands}, requested {order['requested_date'] or 'no date'}"
    draft.say(f"It is {order['state']} {draft.evidence.cite('order ' + order['number'], fact)}.")
    for shipment in order["shipments"]:
        when = f"delivered {shipment['delivered_at']}" if shipment["delivered_at"] else "not yet delivered"
        text = f"{shipment['number']} left {shipment['shipped_at']} with {shipment['carrier']}, {when}"
        draft.say(f"{text} {draft.evidence.cite('shipment ' + shipment['number'], text)}.")
    say_holds(draft, order)
    say_stock(draft, order)


def say_holds(draft: Draft, order: Facts) -> None:
    if order["holds"]:
        fact = f"holds: {', '.join(order['holds'])}"
        draft.say(f"H{fact[1:]} {draft.evidence.cite('order ' + order['number'], fact, internal=True)}.")


def ask_which(draft: Draft) -> None:
    """No order found: a customer is asked, an outsider is handed to a person and told nothing."""
    if draft.read["customer"] and not draft.read["refs_unknown"]:
        draft.say("No order can be linked with certainty, so we ask.")
        draft.add(replies.compose("ask_which_order", draft.read, draft.case, []))
    else:
        draft.say("No order of the sender can be linked; a person should identify sender and order first.")
        draft.add(route(draft, "hand_over"))


def reply_item(draft: Draft, item: Facts) -> str:
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
