"""The graph: read → understand → gather → propose → check → file. It ends when its proposal is filed.

State is plain JSON, validated where a node enters it. Only the thread's memory is kept in a checkpoint: a second run on a finished thread
starts with that and nothing else, and what a mail says is stored once, in the database proper. No node has an effect besides its state update, except the last one, which files.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, TypedDict

from langgraph.channels import UntrackedValue
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph

from agent import (
    alternatives,
    asked,
    besides,
    choosing,
    core_cases,
    gathering,
    instructing,
    investigating,
    planning,
    proposing,
    quarantine,
    reading,
)
from agent.draft import Draft, hand_over
from agent.llm import Ask, Asked, Failed
from agent.mail.parse import Parsed
from agent.planning import Matter, Planned
from agent.reading import Understanding
from agent.signs import Sign, signs_of
from erp_core import casework, db
from erp_core.casework import Filing, Triage
from erp_core.commands import COMMANDS, MOST_COMMANDS
from ml import pipeline
from ml.reader import Reader
from prompts import replies
from tools import world
from tools.facts import Scope
from tools.registry import together

CARRIES_OUT = ("amend_order", "cancel_order", "place_order", "substitute_item", "expedite_order")
CONDITIONS = {
    "price": " about the price",
    "day": " about a day",
    "stock": " about stock",
    "answer": ", an answer first",
}
ORDER_NUMBERS = ("sales_order", "customer_po")
STRENGTHS = ((0.8, "strong"), (0.6, "good"), (0.4, "fair"), (0.0, "weak"))


Object = Annotated[dict[str, Any], UntrackedValue]
Text = Annotated[str, UntrackedValue]
Moment = Annotated[float, UntrackedValue]


class State(TypedDict, total=False):
    """What a run knows. `memory` alone outlives a run: one line for each earlier run of the case."""

    case: Annotated[int, UntrackedValue]
    worker: Text
    run: Text
    started: Moment
    until: Moment
    memory: list[str]
    input: Object
    read: Object
    gathered: Object
    choice: Object
    plan: Object
    commands: Annotated[list[dict[str, Any]], UntrackedValue]
    rationale: Text
    evidence: Annotated[list[dict[str, Any]], UntrackedValue]
    checks: Annotated[list[str], UntrackedValue]
    versions: Annotated[dict[str, int], UntrackedValue]
    policy: Object
    proposal: Annotated[int | None, UntrackedValue]


def build(given: Reader | None, saver: BaseCheckpointSaver[Any] | None, line: Asked | None = None) -> Any:
    """The compiled graph. One thread a case: `case:<id>`. Mail is read by the reader in use, unless one is given; a language model, if
    there is a line to one, reads it again and plans."""
    graph: Any = StateGraph(State)
    steps: list[tuple[str, Callable[[State], Any]]] = [
        ("read", read),
        ("understand", lambda state: understand(state, given, line)),
        ("gather", gather),
        ("propose", lambda state: propose(state, given, line)),
        ("check", check),
        ("file", file),
    ]
    for name, step in steps:
        graph.add_node(name, step)
    graph.add_edge(START, "read")
    for (name, _), (following, _) in pairwise(steps):
        graph.add_edge(name, following)
    graph.add_edge("file", END)
    return graph.compile(checkpointer=saver)


def read(state: State) -> dict[str, Any]:
    """The case as the database has it."""
    return {"input": world.case_input(state["case"])}


def understand(state: State, given: Reader | None, line: Asked | None) -> dict[str, Any]:
    """What the mail says; for a case without mail, what the core says."""
    case = state["input"]
    if case["parsed"] is None:
        return {"read": core_cases.of_core_case(case) | {"instruction": case["instruction"]}}
    confirmed = case["parsed"].get("request")
    parsed = Parsed.from_json({k: v for k, v in case["parsed"].items() if k != "request"})
    own = given or world.mail_reader()
    moment = datetime.fromisoformat(case["received_at"])
    said, degraded = reading.read(parsed, own.nlp, moment, machine_mail=case["machine"]), ""
    if line is not None and not confirmed and not (case["machine"] and said.auto):
        try:
            said = quarantine.read(said, parsed, moment, asking(line, state))
        except Failed as failure:
            degraded = str(failure)
    found = as_json(said, parsed)
    found |= {
        "model": own.name,
        "by": "language model" if said.signs is not None else "local models",
        "degraded": degraded,
    }
    if confirmed:
        found = asked.apply(found, confirmed)
    if case["instruction"]:
        found = _instructed(found, state, line)
    return {"read": found}


def _instructed(found: dict[str, Any], state: State, line: Asked | None) -> dict[str, Any]:
    """What was read, overruled by what a colleague said."""
    text = state["input"]["instruction"]
    if line is None or found["degraded"]:
        return instructing.apply(found, text)
    try:
        return instructing.read(found, text, asking(line, state))
    except Failed as failure:
        return instructing.apply(found, text) | {"degraded": str(failure)}


def asking(line: Asked, state: State) -> Ask:
    """Ask about this run's case, as long as the run may last."""
    return lambda question: line.ask(question, state["case"], state["run"], state.get("until"))


def gather(state: State) -> dict[str, Any]:
    """Facts of the core that this matter needs."""
    with together(_firms(state)):
        return {"gathered": gathering.gather(state["read"], state["case"])}


def _firms(state: State) -> tuple[str, ...]:
    """What a customer is told is of the firm that sells to it."""
    customer = state["read"]["customer"]
    return (world.firm_of(customer),) if customer else db.EVERY_FIRM


def propose(state: State, given: Reader | None = None, line: Asked | None = None) -> dict[str, Any]:
    """One to three commands with their reasons, and what else could be done."""
    degraded = state["read"].get("degraded", "")
    plans = line is not None and not (degraded or state["read"]["hostile"] or state["read"]["auto"])
    with together(), replies.using(world.prompt_in_use(replies.NAME)):  # over before a model is asked
        scope = Scope(state["case"], state["read"]["customer"], state["read"]["supplier"], world.now(), _firms(state))
        draft = _drafted(state, plans)
        if plans or state["input"]["parsed"] is None:
            _investigate(draft, state, scope)
        options = alternatives.options(draft, state["input"], hand_over)
        prompt = replies.digest()
    planned = Planned(options)
    if line is not None and plans:
        speaks = (given or world.mail_reader()).nlp
        matter = Matter(
            draft.read,
            options,
            draft.evidence,
            scope,
            state["input"]["kind"],
            scope.moment.date(),
            lambda text: pipeline.read(speaks, "", text).language,
        )
        try:
            planned = planning.plan(matter, asking(line, state))
        except Failed as failure:
            degraded = str(failure)
    commands = [c.model_dump(mode="json", exclude_none=True) for c in planned.options[0].commands]
    for command in commands:
        if command["type"] == "send_message" and planned.letter:
            command["body"] = planned.letter
    said = [f"The language model could not be used: {degraded}"] if degraded else []
    said += besides.left_by(planned.options[0], draft.rest)
    plan = {
        "by": "language model" if planned.prompt else "local models",
        "prompt": planned.prompt,
        "tools": planned.tools,
        "dropped": planned.dropped,
        "similar": state["gathered"].get("similar", []),
        "alternatives": [o.as_json() for o in planned.options[1:]],
    }
    return {
        "choice": {k: str(v) for k, v in asdict(draft.choice).items()},
        "plan": plan,
        "commands": commands,
        "rationale": " ".join([*planned.sentences, *draft.sentences, *said]),
        "read": {**state["read"], "prompt": prompt, "degraded": degraded, "strength": _strength(state, commands)},
        "evidence": draft.evidence.items,
    }


def _strength(state: State, commands: list[dict[str, Any]]) -> str:
    """How sure the proposal is. Of what the core found we are; to leave it to the desk is no advice, and what was instructed is not followed."""
    no_advice = all(c["type"] == "route_case" for c in commands) or state["input"]["instruction"]
    return "weak" if state["input"]["parsed"] is None and no_advice else str(state["read"]["strength"])


def _drafted(state: State, plans: bool) -> Draft:
    """What our rules make of it; `plans`: a language model ranks the ways afterwards, and follows an instruction where one of them does."""
    choice = choosing.choose(choosing.known_of(state["read"], state["gathered"]), world.policy_in_force())
    choice = instructing.override(choice, state["read"], state["input"])
    draft = Draft(state["case"], state["read"], state["gathered"], choice)
    for other in state["read"]["disagrees"]:
        draft.say(f"Read otherwise: {other} {draft.evidence.cite('check', other)}.")
    if _asked_enough(draft):
        draft.commands.append(hand_over(draft))
    elif state["input"]["parsed"] is None:
        if state["input"]["instruction"] and not plans:
            draft.say("The rules for such cases cannot follow an instruction; amend the commands or take another way.")
        core_cases.propose(draft, state["input"])
    else:
        proposing.propose(_handed_over(draft))
    if Sign.CONDITIONAL in draft.read["signs"] and any(c.type in CARRIES_OUT for c in draft.commands):
        depends = CONDITIONS.get(draft.read.get("condition", ""), "")
        draft.say(f"The mail sets a condition{depends}; look whether it is met before you sign.")
    wish = instructing.preference(draft.read, state["input"]["instruction"] or "")
    if wish is not None and len(draft.commands) < MOST_COMMANDS:
        draft.add(wish)
        draft.say(
            f"Kept for good, once signed: {wish.customer} {'takes' if wish.ships_partial else 'takes no'} part deliveries."
        )
    elif wish is not None:
        draft.say(
            "What the instruction says for good does not fit into this proposal; change it on the customer's page."
        )
    if state["input"]["parsed"] is not None and not (draft.read["hostile"] or draft.read["auto"]):
        besides.settle(draft, lambda intent: _desk_of(state, intent))
    return draft


def _desk_of(state: State, intent: str) -> choosing.Choice:
    """Who owns a matter of another intent."""
    known = replace(choosing.known_of(state["read"], state["gathered"]), intent=intent)
    return choosing.choose(known, world.policy_in_force())


SAID_TOO = ("ageing", "payments")  # sources that a credit manager reads before the evidence


def _investigate(draft: Draft, state: State, scope: Scope) -> None:
    """What people look at in a case of this kind, as evidence; some of it in the rationale."""
    case = state["input"]
    kind = case["kind"] if case["parsed"] is None else draft.read["intent"]
    known = investigating.known_of(draft.gathered, case.get("details") or {}, draft.read["items"])
    with together(scope.firms):
        found = investigating.look_up(kind, known, scope, draft.evidence)
    for mark, fact in found:
        if fact.source in SAID_TOO:
            draft.say(f"{fact.text[:1].upper()}{fact.text[1:]} {mark}.")


def _asked_enough(draft: Draft) -> bool:
    """People are not asked to death: after so many proposals for one order somebody looks at it as a whole."""
    limits, order = world.policy_in_force().proposals, draft.read["order"]
    if not order or world.asked_lately(order) < limits.per_order:
        return False
    draft.say(
        f"{limits.per_order} proposals were made for {order} in {limits.per_order_days} days; look at it as a whole."
    )
    return True


def _handed_over(draft: Draft) -> Draft:
    """Below the policy's confidence a person reads the mail first; the guess is said, not acted upon."""
    if unclear := draft.read.get("unclear"):
        draft.say(unclear)
        draft.commands.append(hand_over(draft))
        return draft
    sure = Decimal(str(draft.read["confidence"])) >= world.policy_in_force().proposals.hand_over_below
    if not sure and not draft.read["hostile"] and not draft.read["instructed"]:
        draft.say("The local models are not sure what this mail wants; a person should read it first.")
        draft.commands.append(hand_over(draft))
    return draft


def check(state: State) -> dict[str, Any]:
    """The agent checks itself before filing: well-formed commands, no other case, no order, sold or bought, but those linked."""
    commands = COMMANDS.validate_python(state["commands"])
    problems = []
    linked = {state["read"]["order"], *core_cases.orders_of(state["input"])}
    bought = {po["number"] for po in state["gathered"].get("purchase_orders", [])}
    purchases = bought | {state["input"].get("details", {}).get("purchase_order")}
    for command in commands:
        if getattr(command, "case", None) not in (None, state["case"]):
            problems.append("a command names another case")
        if getattr(command, "order", None) not in (None, *linked):
            problems.append("a command names an order that is not linked")
        if getattr(command, "purchase_order", None) not in (None, *purchases):
            problems.append("a command names a purchase order that is not linked")
    if problems:
        raise ValueError("; ".join(problems))
    with together():
        policy, versions = world.signers(commands), world.versions_of(commands)
    return {
        "checks": ["commands are well-formed", "own case only", "linked orders only"],
        "policy": policy,
        "versions": {**versions, **_read_versions(state)},
    }


def _read_versions(state: State) -> dict[str, int]:
    """The order and the purchase orders as they were read, also when no command touches them."""
    order, bought = state["gathered"].get("order"), state["gathered"].get("purchase_orders", [])
    found = {f"sales_order:{order['number']}": order["version"]} if order else {}
    return found | {f"purchase_order:{po['number']}": po["version"] for po in bought}


def file(state: State) -> dict[str, Any]:
    """The only effect: findings and proposal, in one transaction, through the casework functions."""
    said, choice = state["read"], state["choice"]
    stake = state["gathered"].get("at_stake")
    triage = Triage(
        choice["queue"],
        choice["priority"],
        said["customer"],
        said["supplier"],
        said["order"],
        Decimal(stake) if stake else None,
    )
    filing = Filing(
        choice["action"],
        state["commands"],
        state["rationale"],
        state["evidence"],
        state["versions"],
        state["policy"],
        said["strength"],
    )
    content = {
        "read": said,
        "queue": choice["queue"],
        "checks": state["checks"],
        "mode": state["plan"]["by"],
        "plan": state["plan"],
        "ms": round((time.monotonic() - state.get("started", time.monotonic())) * 1000),
    }
    with db.transaction(db.AGENT) as session:
        casework.record_findings(session, state["case"], state["worker"], state["run"], content, triage)
        filed = casework.file_proposal(session, state["case"], state["worker"], state["run"], filing)
    line = f"{state['run']}: proposed {choice['action']}"
    return {"proposal": filed, "memory": [*state.get("memory", []), line][-20:]}


def as_json(said: Understanding, parsed: Parsed) -> dict[str, Any]:
    """An understanding as plain JSON, with what the later nodes ask for."""
    facts = said.facts
    attached = "\n".join(a.text[:2000] for a in parsed.attachments)
    known = [r for r in said.references if r.own]
    po = next((r for r in known if r.kind == "customer_po"), None)
    own_words = f"{parsed.subject}\n{said.own}\n{said.passed_on}\n{attached if len(said.own) < 300 else ''}".strip()
    signs = said.signs if said.signs is not None else signs_of(own_words[:20000])
    return {
        "intent": said.intent,
        "confidence": said.confidence,
        "strength": next(word for floor, word in STRENGTHS if said.confidence >= floor),
        "secondary": said.secondary,
        "other_orders": list(
            dict.fromkeys(r.order for r in known if r.order and r.kind in ORDER_NUMBERS and r.order != said.order)
        ),
        "language": said.language,
        "auto": said.auto,
        "hostile": said.hostile,
        "instructed": False,
        "sender": parsed.sender,
        "first_name": replies.first_name(parsed.sender_name),
        "message_id": parsed.message_id,
        "subject": parsed.subject,
        "sent_day": (parsed.sent_local or parsed.sent_at or "")[:10],
        "own_words": own_words[:20000],
        "customer": said.customer,
        "customer_name": facts.name if said.customer else None,
        "country": facts.country,
        "supplier": said.supplier,
        "blocked": bool(said.customer) and facts.status == "blocked",
        "credit": facts.credit if said.customer else {},
        "order": said.order,
        "cited_order": said.cited_order,
        "order_how": said.order_how,
        "order_as_called": _as_called(said),
        "po_known_on": po.order if po else None,
        "refs": said.refs(),
        "refs_unknown": any(r.value is not None and not r.own for r in said.references),
        "invoices": list(dict.fromkeys(r.value for r in known if r.kind == "invoice" and r.value)),
        "purchase_orders": list(dict.fromkeys(r.value for r in known if r.kind == "purchase_order" and r.value)),
        "items": [g.as_json() for g in said.items],
        "signs": sorted(signs),
        "condition": said.condition,
        "disagrees": said.disagrees,
        "skus_said": sorted({g.sku for g in said.items} | set(said.skus_said)),
        "requested_date": said.requested_date,
        "marks": [{"name": m.name, "text": m.text, "part": m.part, "strong": m.strong} for m in said.marks],
        "problems": parsed.problems,
        "places": _places(said),
    }


def _as_called(said: Understanding) -> str | None:
    """The order as the customer calls it, for the reply: by order or PO number, never by what else led to it."""
    own = next(
        (
            r.written
            for r in said.references
            if r.order == said.order and r.own and r.kind in ("sales_order", "customer_po")
        ),
        None,
    )
    return own or said.order


def _places(said: Understanding) -> list[dict[str, Any]]:
    """Where in the mail the order, the items and the date stand."""
    places = [
        {"kind": "order", "part": r.part, "start": r.start, "end": r.end}
        for r in said.references
        if r.order is not None and r.order == said.order
    ]
    places += [
        {"kind": "item", "part": g.part, "start": g.start, "end": g.end} for g in said.items if g.part != "words"
    ]
    if said.date_place:
        places.append({"kind": "date", "part": "newest", "start": said.date_place[0], "end": said.date_place[1]})
    return places
