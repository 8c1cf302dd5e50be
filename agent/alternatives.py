"""What else could be done, beside the first proposal: whole proposals with consequence and cost, from the facts read. The core's preview has the last word.

They are ranked: what the customer's preferences and the policy favour comes first, handing over comes last. None of them is more than a proposal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent import replies
from erp_core.commands import (
    AmendOrder,
    Command,
    ExpediteOrder,
    LineChange,
    OpenCase,
    PromiseDate,
    RouteCase,
    SendMessage,
    SubstituteItem,
    TransferStock,
)
from erp_core.values import Action, kind_words, plain
from prompts.replies import phrase
from tools import world

if TYPE_CHECKING:
    from agent.draft import Draft

Facts = Mapping[str, Any]
MOST = 6
# kinds of case and actions for which goods that are missing are brought from elsewhere; who cancels or owes money wants none
MOVES = (
    "hold_stock",
    "service_recovery",
    Action.CHANGE_ORDER,
    Action.EXPEDITE_ORDER,
    Action.ANSWER_STATUS,
    Action.APPLY_SUBSTITUTION,
    Action.DECLINE_SUBSTITUTION,
)


@dataclass(frozen=True)
class Option:
    """A way to settle the case: its commands, what it leads to, and what it costs, in words."""

    title: str
    commands: list[Command]
    consequence: str
    cost: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, as it is kept with the findings and shown."""
        commands = [c.model_dump(mode="json", exclude_none=True) for c in self.commands]
        return {"title": self.title, "commands": commands, "consequence": self.consequence, "cost": self.cost}


def options(draft: Draft, given: Facts, hand_over: Callable[[Draft], RouteCase]) -> list[Option]:
    """The draft's own commands first, then other ways, the hand-over last; each different from the others."""
    first = Option(draft.title, list(draft.commands), _consequence(draft.commands, draft.order))
    if draft.read["hostile"] or draft.read["auto"] or not draft.commands:
        return [first]
    found = [first, *draft.ways]
    order = draft.order
    if order is not None and order["state"] == "open":
        if given["kind"] in MOVES or (given["kind"] == "mail" and draft.choice.action in MOVES):
            found += _for_stock(draft, order)
        if draft.choice.action == Action.CHANGE_ORDER and given["parsed"] is not None:
            found += _less(draft, order)
    if not any(isinstance(c, RouteCase) for one in found for c in one.commands):
        found.append(Option("Hand over", [hand_over(draft)], "a person looks at it; nothing changes until then"))
    return [_with_rest(one, draft.rest) for one in _different(found)[:MOST]]


def opened_by(option: Option) -> OpenCase | None:
    """The case that a way opens for what the mail asks besides."""
    return next((c for c in option.commands if isinstance(c, OpenCase)), None)


def handed_over(option: Option) -> bool:
    """Whether a person is given the mail itself to read."""
    return any(isinstance(c, RouteCase) and c.matter.kind == "hand_over" for c in option.commands)


def _with_rest(option: Option, rest: str) -> Option:
    """What becomes of the rest that the mail asks for, when it has a case in some ways and none in others."""
    if not rest or handed_over(option):
        return option
    opened = opened_by(option)
    told = f"opens a case for {kind_words(opened.queue)} about {rest}" if opened else f"{rest} stays open"
    return replace(option, consequence=f"{option.consequence}; {told}")


def _consequence(commands: Sequence[Command], order: Facts | None) -> str:
    """What it leads to, as far as the facts read say it."""
    told = []
    for command in commands:
        if isinstance(command, RouteCase):
            told.append(f"goes to {command.queue.replace('_', ' ')}; nothing of the order changes")
        elif isinstance(command, AmendOrder) and order is not None:
            told += _amended(command, order)
    return "; ".join(told) or "runs as it stands; see the preview"


def _amended(command: AmendOrder, order: Facts) -> list[str]:
    by_line = {line["line"]: line for line in order["lines"]}
    told = []
    for change in command.changes:
        line = by_line.get(change.line)
        if line is None or change.quantity is None or change.uom is not None:
            continue
        more = change.quantity - Decimal(line["quantity"])
        value = (more * Decimal(line["price"])).quantize(Decimal("0.01"))
        told.append(f"{line['sku']} {'+' if more > 0 else ''}{plain(more)}, {'+' if value > 0 else ''}{value} in value")
        if more > Decimal(line["free_here"]):
            told.append(f"{plain(more - Decimal(line['free_here']))} of it are not in stock at {order['warehouse']}")
    return told


def _for_stock(draft: Draft, order: Facts) -> list[Option]:
    """For a line that is short: bring it from another warehouse, send a permitted substitute, or promise the day it is covered."""
    found = []
    short = [line for line in order["lines"] if line["backordered"] != "0"]
    for line in short[:2]:
        need = Decimal(line["backordered"])
        source = max(line["free_elsewhere"].items(), key=lambda kv: Decimal(kv[1]), default=None)
        if source is not None:
            quantity = min(need, Decimal(source[1]))
            move = TransferStock(
                source=source[0],
                target=order["warehouse"],
                sku=line["sku"],
                quantity=quantity,
                reason=f"{plain(need)} missing on {order['number']}",
            )
            found.append(
                Option(
                    f"Bring {plain(quantity)} {line['sku']} from {source[0]}",
                    [*_kept(draft), move, *_letters(draft, order, "moved", f"{plain(quantity)} {line['sku']}")],
                    f"{plain(need - quantity)} stay uncovered" if quantity < need else "the line is covered",
                    "a transfer",
                )
            )
        for sku in world.free_substitutes(line["sku"], order["warehouse"], need)[:1]:
            swap = SubstituteItem(order=order["number"], line=line["line"], substitute_sku=sku)
            found.append(
                Option(
                    f"Substitute {sku}",
                    [swap, *_letters(draft, order, "swapped", f"{sku} ({line['sku']})")],
                    f"{sku} goes out at the price of the line",
                )
            )
    days = [line["promise"] for line in short]
    if short and all(days):
        day = max(d for d in days if d)
        promise = PromiseDate(order=order["number"], promised_date=date.fromisoformat(day))
        found.append(
            Option(
                f"Promise {day}",
                [promise, *_letters(draft, order, "planned", "")],
                "all lines are covered on that day",
            )
        )
    return found


def _kept(draft: Draft) -> list[Command]:
    """What the draft does of itself besides writing; it goes with the goods."""
    return [c for c in draft.commands if isinstance(c, ExpediteOrder)]


def _letters(draft: Draft, order: Facts, name: str, goods: str) -> list[Command]:
    """A letter that says what this way does, with the day that the core finds once it has run; none when the mail's is none."""
    if not any(isinstance(c, SendMessage) for c in draft.commands):
        return []
    slot = phrase("delivery", draft.language, day=f"{{promised_date:{order['number']}:{draft.language}}}")
    written = replies.compose(name, draft.read, draft.case, [*([goods] if goods else []), slot])
    return [written] if written is not None else []


def _less(draft: Draft, order: Facts) -> list[Option]:
    """A change to more than there is: only as much as can be covered at once."""
    amend = next((c for c in draft.commands if isinstance(c, AmendOrder)), None)
    if amend is None:
        return []
    by_line = {line["line"]: line for line in order["lines"]}
    fits = []
    for change in amend.changes:
        line = by_line.get(change.line)
        if line is None or change.quantity is None or change.uom is not None:
            return []
        most = Decimal(line["quantity"]) + max(Decimal(line["free_here"]), Decimal(0))
        fits.append(LineChange(line=line["line"], quantity=min(change.quantity, most)))
    if not fits or [f.quantity for f in fits] == [c.quantity for c in amend.changes]:
        return []
    smaller = amend.model_copy(update={"changes": fits})
    return [
        Option("Only what is in stock", [smaller], "nothing waits; the customer gets less than asked and must be told")
    ]


def _different(found: Sequence[Option]) -> list[Option]:
    kept: dict[str, Option] = {}
    for option in found:
        kept.setdefault(str([c.model_dump(mode="json") for c in option.commands]), option)
    return list(kept.values())
