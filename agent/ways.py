"""What can be done in many cases of the core: leave it to its desk, let the order go, ask the customer and let the case wait, bring goods from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from agent.alternatives import Option
from agent.draft import Draft
from agent.letters import letter
from erp_core.commands import (
    Command,
    Matter,
    PauseCase,
    ReleaseHold,
    RouteCase,
    TransferStock,
)
from erp_core.policy import ProposalPolicy
from erp_core.values import HoldReason, Priority, Queue
from tools import world

Facts = Mapping[str, Any]
ASK = "Ask the customer"


def leave_to_desk(draft: Draft, given: Facts, broken: Sequence[Facts]) -> list[Option]:
    """The one way that is always there: a person of the desk judges."""
    return [Option("Leave it to the desk", [to_desk(draft, given)], "it stays held")]


MATTERS = {"hold_credit": "credit_review", "hold_price": "price_review", "hold_margin": "price_review"}


def to_desk(draft: Draft, given: Facts) -> RouteCase:
    """To a person of the queue that the core chose, with what the core found."""
    note = "; ".join(map(str, given["details"].get("problems", [])))[:2000]
    matter = Matter(
        kind=MATTERS.get(given["kind"], "hand_over"),
        order=given["order"],
        purchase_order=given["details"].get("purchase_order"),
        note=note,
    )
    return RouteCase(case=draft.case, queue=Queue(given["queue"]), priority=Priority(given["priority"]), matter=matter)


def release(draft: Draft, reason: HoldReason, why: str, cost: str = "", line: int | None = None) -> Option:
    """Release the hold; says which others stay."""
    order = draft.order or {}
    others = [h for h in order["holds"] if not h.startswith(reason.value)]
    stays = f"; it stays held for {', '.join(others)}" if others else ""
    let_go = ReleaseHold(order=order["number"], line=line, reason=reason, note=why[:500])
    return Option("Let it go as it is", [let_go], f"{order['total']} go on{stays}", cost)


def ask(draft: Draft, given: Facts, name: str, lines: Sequence[str], **slots: str) -> Option:
    """Write to the customer, and let the case wait for the answer. Who cannot be written to, or was written to before, is for the desk."""
    written = None
    if given["asked_on"]:
        asked = f"asked on {given['asked_on']}"
        draft.say(f"The customer was {asked}, and the order is still held {draft.evidence.cite('case', asked)}.")
    else:
        written = letter(draft, given, name, lines, **slots)
    if written is None:
        return leave_to_desk(draft, given, [])[0]
    commands: list[Command] = [written]
    if not given["late"]:  # what is late is not put off
        commands.append(wait(draft, "asked, see the letter"))
    return Option(ASK, commands, "it stays held until the answer comes")


def bring(
    transfers: Iterable[Facts], sku: str, target: str, missing: Decimal, reason: str
) -> tuple[list[TransferStock], Decimal]:
    """Moves that cover what is missing, as far as other warehouses have it; and what stays uncovered."""
    moves = []
    for way in transfers:
        quantity = min(Decimal(way["quantity"]), missing)
        if quantity > 0:
            moves.append(TransferStock(source=way["source"], target=target, sku=sku, quantity=quantity, reason=reason))
            missing -= quantity
    return moves, missing


def wait(draft: Draft, note: str) -> PauseCase:
    """The due time stands still for the days that policy grants."""
    until = world.worked_from(draft.case, world.now() + timedelta(days=limits().wait_days))
    return PauseCase(case=draft.case, waits_for="customer", until=until, note=note)


def limits() -> ProposalPolicy:
    """The numbers that decide what is proposed."""
    return world.policy_in_force().proposals
