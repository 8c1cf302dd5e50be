"""The language model that plans: it sees typed fields, facts of the core and what a colleague said, never a mail, and ranks whole proposals of the closed set.

It may look facts up with query tools that are bound to the case's party. What it says is checked sentence by sentence; what does not hold is dropped,
and our own wording stands. What it chooses is one of the proposals that our rules built: there is nothing else it could return.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pydantic import BaseModel, Field

from agent import grounding, wording
from agent.alternatives import Option
from agent.evidence import Evidence
from agent.llm import Ability, Answer, Ask, Failed, Question
from agent.wording import Reader
from erp_core.commands import SendMessage
from erp_core.errors import CountersignError
from erp_core.values import Intent
from prompts import files
from tools import facts, world
from tools.facts import Fact, Scope
from tools.registry import together

PROMPTS = ("investigate", "propose", "reply")
MOST_SENTENCES = 6
OUTSIDE = ("mail", "check", "case")  # evidence that quotes outside text is not shown to who plans
TELLABLE = (
    "order",
    "shipment",
    "invoice",
    "stock",
    "price",
    "substitute",
    "contact",
)  # sources that a letter may draw on


MEANT = {
    Intent.ORDER_CHANGE: "as the line shall be",
    Intent.ORDER_CANCELLATION: "as the line shall be; 0 is dropped",
    Intent.DELIVERY_DISCREPANCY: "with the quantity affected",
    Intent.RETURN_REQUEST: "with the quantity affected",
    Intent.SUPPLIER_NOTICE: "that the notice names",
}


class Because(BaseModel):
    """A sentence and the facts it rests on, by number."""

    text: str
    evidence: list[int]


class Plan(BaseModel):
    """The ranking of the ways to settle a case, why, and the letter that goes with the first."""

    ranking: list[int] = Field(description="Numbers of the ways, best first")
    because: list[Because]
    reply: str | None


@dataclass
class Planned:
    """What came of planning: options in their new order, sentences that hold, a letter that holds, and what was dropped and why."""

    options: list[Option]
    sentences: list[str] = field(default_factory=list)
    letter: str | None = None
    dropped: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    prompt: str = ""


@dataclass(frozen=True)
class Matter:
    """What is planned: the fields read, the options, the evidence so far, and whose case it is."""

    read: Mapping[str, Any]
    options: Sequence[Option]
    evidence: Evidence
    scope: Scope
    kind: str
    today: date
    speaks: Callable[[str], str]  # the language of a text


def plan(matter: Matter, ask: Ask) -> Planned:
    """Rank the options and write why. Raises Failed when the model gives nothing usable; then nothing was chosen by it."""
    policy = world.policy_in_force()
    tools = {tool.name: tool for tool in facts.offered()}
    abilities = tuple(Ability(t.name, " ".join(t.about.split()), t.form) for t in tools.values())
    steps = policy.language_model.most_steps
    filled = files.filled(
        PROMPTS,
        world.prompts_in_use(),
        our_name=world.our_name(),
        most_steps=str(steps),
        high_from_amount=f"{policy.proposals.high_from_amount}",
        signature=policy.proposals.signature(matter.read["language"]),
    )
    messages = [{"role": "system", "content": filled.text}, {"role": "user", "content": _told(matter)}]
    used: list[str] = []
    for step in range(steps + 1):
        offered = abilities if step < steps else ()
        answer = ask(Question("plan", filled.sha256, tuple(messages), Plan, offered))
        if answer.form is not None:
            assert isinstance(answer.form, Plan)
            made = _checked(answer.form, matter)
            made.tools, made.prompt = used, filled.sha256
            return made
        messages.append(_wished(answer))
        for wish in answer.wishes:
            used.append(wish.name)
            shown = (
                _looked_up(matter, tools[wish.name], wish.arguments) if wish.name in tools else "There is no such tool."
            )
            messages.append({"role": "tool", "tool_call_id": wish.id, "content": shown})
    raise Failed("unusable", "The language model looked facts up without end.")


def _told(matter: Matter) -> str:
    """Fields, facts and ways as text. Nothing here was written outside but numbers and days that were checked."""
    read = matter.read
    fields = {
        "case": "chat" if read.get("asked_in_chat") else matter.kind.replace("_", " "),
        "intent": read["intent"],
        "also asks": read["secondary"],
        "signs": read["signs"],
        "condition": read.get("condition") or "none",
        "customer": read["customer_name"] or read["customer"],
        "supplier": read["supplier"],
        "order": read["order"],
        f"items, {_meant(matter)}": [{k: i[k] for k in ("sku", "quantity", "uom")} for i in read["items"]],
        "wanted by": _day_wanted(read["requested_date"], matter.today),
        "language of the letter": read["language"],
        "first name": read["first_name"] if read["first_name"].isalpha() else "",
        "today": matter.today.isoformat(),
    }
    known = [
        f"[{e['n']}] {e['source']}: {e['fact']}{'' if _tellable(e) else ' (internal)'}"
        for e in matter.evidence.items
        if e["source"] not in OUTSIDE
    ]
    ways = [
        f"{n}. {o.title}: {', '.join(c.type for c in o.commands)}. {o.consequence}{f' Costs {o.cost}.' if o.cost else ''}\n{json.dumps(_shown(o, letter=True), ensure_ascii=False)}"
        for n, o in enumerate(matter.options, 1)
    ]
    return "\n".join(
        [
            "What was read:",
            json.dumps(fields, ensure_ascii=False),
            *([files.of_colleague(read["instruction"])] if read.get("instruction") else []),
            "",
            "Facts (tellable unless marked internal):",
            *known,
            "",
            "Ways to settle it:",
            *ways,
        ]
    )


def _meant(matter: Matter) -> str:
    """What the quantity of an item says."""
    whole = any(c.type == "cancel_order" for c in matter.options[0].commands)
    return "all of it cancelled with the order" if whole else MEANT.get(matter.read["intent"], "as wanted")


def _day_wanted(day: str | None, today: date) -> str | None:
    return f"{day} (past)" if day and day < today.isoformat() else day


def _tellable(fact: Mapping[str, Any]) -> bool:
    """Whether the customer may be told of it: nothing internal, and only of some sources."""
    return not fact.get("internal") and str(fact["source"]).split(" ")[0] in TELLABLE


def _shown(option: Option, *, letter: bool) -> list[dict[str, Any]]:
    """The commands without what outside text could hide in."""
    hidden = {"subject", "in_reply_to", "note", *(() if letter else ("body",))}
    return [c.model_dump(mode="json", exclude_none=True, exclude=hidden) for c in option.commands]


def _wished(answer: Answer) -> dict[str, Any]:
    calls = [
        {"id": w.id, "type": "function", "function": {"name": w.name, "arguments": json.dumps(w.arguments)}}
        for w in answer.wishes
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _looked_up(matter: Matter, tool: facts.Offered, arguments: Mapping[str, Any]) -> str:
    """Facts with their numbers, or why there are none. Each becomes evidence."""
    try:
        with together(matter.scope.firms):
            found: list[Fact] = tool.run(matter.scope, tool.form.model_validate(arguments))
    except (CountersignError, ValueError) as error:
        return str(error)[:300]
    told = []
    for fact in found[: facts.MOST]:
        mark = matter.evidence.cite(fact.source, fact.text, internal=fact.internal)
        told.append(f"{mark} {fact.source}: {fact.text}{' (internal)' if fact.internal else ''}")
    return "\n".join(told) or "Nothing is known of it."


def _checked(said: Plan, matter: Matter) -> Planned:
    """Only what holds: options that exist, sentences whose facts hold them, a letter that may be sent."""
    count = len(matter.options)
    order = list(dict.fromkeys(n for n in said.ranking if 1 <= n <= count))
    order += [n for n in range(1, count + 1) if n not in order]
    made = Planned([matter.options[n - 1] for n in order])
    by_number = {e["n"]: e["fact"] for e in matter.evidence.items}
    own = _own_words(matter)
    ways = [json.dumps([_shown(o, letter=False) for o in made.options])]
    follows = made.options[0].consequence
    for one in said.because[:MOST_SENTENCES]:
        cited = [n for n in one.evidence if n in by_number]
        sources = [*(by_number[n] for n in cited), *own, *ways]
        missing = grounding.unsupported(one.text, sources, matter.today)
        if missing and not grounding.unsupported(one.text, [*sources, follows], matter.today):
            made.sentences.append(f"{_sentence(one.text, cited)[:-1]} {matter.evidence.cite('consequence', follows)}.")
        elif missing:
            made.dropped.append(f"a sentence that names {', '.join(missing[:3])} without a fact")
        else:
            made.sentences.append(_sentence(one.text, cited))
    letter = next((c for c in made.options[0].commands if isinstance(c, SendMessage)), None)
    if said.reply and letter is not None:
        tellable = [e["fact"] for e in matter.evidence.items if _tellable(e)]
        reader = Reader(matter.scope.customer, matter.scope.supplier, matter.read["language"], matter.speaks)
        beside = [c.model_dump(mode="json") for c in made.options[0].commands]
        problem = wording.problem(said.reply, [*tellable, *own, letter.body], beside, reader, matter.today)
        if problem:
            made.dropped.append(f"a letter that {problem}")
        else:
            made.letter = said.reply.strip()
    return made


def _sentence(text: str, cited: Sequence[int]) -> str:
    marks = " ".join(f"[{n}]" for n in cited)
    body = text.strip().rstrip(".")
    return f"{body} {marks}.".replace(" .", ".")


def _own_words(matter: Matter) -> list[str]:
    """What the mail itself gave in checked fields: any sentence may name it."""
    read = matter.read
    items = [f"{i['quantity'] or ''} {i['uom'] or ''} {i['sku']}" for i in read["items"]]
    numbers = [n for listed in read["refs"].values() for n in listed]
    plain = [
        read["order"],
        read["customer"],
        read["supplier"],
        read["requested_date"],
        read["customer_name"],
        matter.today.isoformat(),
    ]
    return [str(x) for x in (*items, *numbers, *plain) if x]
