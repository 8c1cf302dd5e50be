"""The assistant in a chat: reads a message, looks up what this customer may know, and answers in its language; changes are read back first.

A run is: read (local models, or a language model behind the same quarantine) → look up (facts of the identified customer alone) → say (the house's
wording, or a language model's, checked) → answer, or pass on. Nothing unchecked leaves, nothing is changed, and what is passed on is a proposal.
"""

from __future__ import annotations

import re
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent import asked, chat_reading, choosing, gathering, graph, replies, wording
from agent.asked import Request
from agent.chat_reading import Act, Heard
from agent.llm import Failed, Line
from agent.wording import Reader
from erp_core import casework, db
from erp_core.casework import ChatAnswer
from erp_core.tables.chat import Chat
from erp_core.values import Action, HandOver, Intent
from ml import pipeline
from prompts import chat as texts
from tools import world
from tools.registry import together

if TYPE_CHECKING:
    from agent.worker import Worker

MOST_LINES = 6
MOST_NOT_UNDERSTOOD = 2  # in a row; then a person is better
LEASE = 60
LONGEST_ANSWER = 3000
AT_ONCE = 4  # chats that one process answers beside each other when a language model thinks


@dataclass
class Turn:
    """One message to answer, and what is known of the chat."""

    chat: Chat
    words: str
    last: int
    before: list[str]
    heard: Heard
    moment: datetime
    read: dict[str, Any] = field(default_factory=dict)

    @property
    def language(self) -> str:
        return self.heard.language

    @property
    def memory(self) -> dict[str, Any]:
        return dict(self.chat.memory)


@dataclass(frozen=True)
class Reply:
    """What to say. `facts` is what it rests on; `request` is what was read back and waits for a yes."""

    text: str
    facts: list[str] = field(default_factory=list)
    pending: dict[str, Any] | None = None
    order: str | None = None
    hand_over: HandOver | None = None
    confirmed: dict[str, Any] | None = None
    understood: bool = True
    fixed: bool = True  # the house's own words stay as they are


class Assistant:
    """Answers chats, one at a time. `name` is what chats are claimed under."""

    def __init__(self, own: Worker, line: Line | None = None) -> None:
        self.worker, self.line = own, line
        self.name = f"{own.name}:chat:{uuid.uuid4().hex[:4]}"
        self.lease = int(LEASE + 2 * line.seconds) if line is not None else LEASE

    def step(self) -> int | None:
        """Answer one chat in which somebody waits; its number, or None when nobody does."""
        with db.transaction(db.AGENT) as session:
            number = casework.claim_chat(session, self.name, self.lease)
        if number is None:
            return None
        try:
            self._answer(number)
        except Exception as error:  # whatever a customer writes, somebody answers
            print(f"Chat {number} goes to a person: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self._give_up(number)
        return number

    def _answer(self, number: int) -> None:
        turn = self._heard(number)
        _tell(number, "looking_up")
        with together((world.firm_of(str(turn.chat.customer)),)):
            reply = answer(turn)
        _tell(number, "checking")
        text, by = self._worded(turn, reply)
        if reply.confirmed is not None:
            case = self._pass_on(turn, reply.confirmed)
            text = texts.said("passed_on", turn.language, case=str(case))
        self._record(turn, replace(reply, text=text), by)

    def _heard(self, number: int) -> Turn:
        chat, said = world.chat(number)
        _tell(number, "reading")
        incoming = [m for m in said if m.direction == "in"]
        words, last = str(incoming[-1].parsed["newest"]), incoming[-1].id
        before = [f"{'customer' if m.direction == 'in' else 'assistant'}: {m.parsed['newest']}" for m in said[-9:-1]]
        moment = world.now()
        found = chat_reading.local(chat, words, moment, world.mail_reader().nlp)
        degraded = ""
        if self.line is not None:
            line = self.line
            try:
                found = chat_reading.by_model(found, before, lambda q: line.ask(q, chat.case_id, f"chat-{number}"))
            except Failed as failure:
                degraded = str(failure)
        heard = replace(found.heard, degraded=degraded)
        return Turn(chat, words, last, before, heard, moment, graph.as_json(found.said, found.parsed))

    def _worded(self, turn: Turn, reply: Reply) -> tuple[str, str]:
        """The language model's wording where it holds, else the house's."""
        if self.line is None or turn.heard.degraded or reply.fixed or not reply.facts:
            return reply.text, "local models"
        try:
            question = chat_reading.wording(turn.words, turn.language, reply.facts, reply.text)
            said = self.line.ask(question, turn.chat.case_id, f"chat-{turn.chat.id}").form
        except Failed:
            return reply.text, "local models"
        assert isinstance(said, chat_reading.Worded)
        if self._holds(said.text, turn, reply):
            return said.text.strip(), "language model"
        return reply.text, "local models"

    def _holds(self, text: str, turn: Turn, reply: Reply) -> bool:
        """Every number, date and document stands in the facts, nothing is promised, nobody else's is named, and it is the right language."""
        known = [*reply.facts, reply.text, turn.moment.date().isoformat()]
        speaks = world.mail_reader().nlp
        whom = Reader(turn.chat.customer, None, turn.language, lambda said: pipeline.read(speaks, "", said).language)
        short = 1 <= len(text.strip()) <= LONGEST_ANSWER
        return short and wording.problem(text, known, [], whom, turn.moment.date()) is None

    def _pass_on(self, turn: Turn, request: Mapping[str, Any]) -> int:
        """The request becomes a case with a proposal, worked at once. The same turn passes on once."""
        chat = turn.chat
        # a mail that speaks of an assistant is looked at askance; here it is we who spoke
        words = [re.sub(r"^assistant:", "we:", said) for said in turn.before[-4:]] + [f"customer: {turn.words}"]
        who, policy = (chat.name, chat.email), world.policy_in_force().mail
        raw, parsed = asked.message(chat.id, turn.last, who, words, str(request["read_back"]), policy, turn.moment)
        told = parsed.as_json() | {"request": request["request"]}
        with db.transaction(db.AGENT) as session:
            recorded = casework.record_message(
                session,
                message_id=parsed.message_id,
                source=f"chat:{chat.id}",
                sender=parsed.sender,
                sender_name=chat.name,
                subject=f"Chat: {str(request['read_back']).splitlines()[0].lstrip('- ')}"[:200],
                sent_at=turn.moment,
                raw=raw.data,
                parsed=told,
            )
        if recorded.created:
            self.worker.work(recorded.case)
        return recorded.case

    def _record(self, turn: Turn, reply: Reply, by: str) -> None:
        memory = turn.memory
        memory["lost"] = 0 if reply.understood else int(memory.get("lost", 0)) + 1
        hand_over = reply.hand_over
        text = reply.text
        if hand_over is None and memory["lost"] >= MOST_NOT_UNDERSTOOD:
            hand_over, text = HandOver.NOT_UNDERSTOOD, texts.said("person", turn.language)
        if reply.order:
            memory["order"] = reply.order
        said = {"act": turn.heard.act.value, "by_model": by, "facts": reply.facts[:40], "degraded": turn.heard.degraded}
        kept = ChatAnswer(
            turn.chat.id,
            turn.last,
            text,
            said,
            turn.language,
            reply.pending,
            memory,
            hand_over,
            _summary(turn, hand_over),
        )
        with db.transaction(db.AGENT) as session:
            casework.answer_chat(session, self.name, kept)

    def _give_up(self, number: int) -> None:
        chat, said = world.chat(number)
        last = max((m.id for m in said if m.direction == "in"), default=0)
        text, summary = texts.said("person", chat.language), "The assistant could not answer."
        kept = ChatAnswer(number, last, text, {}, chat.language, None, dict(chat.memory), HandOver.FAILED, summary)
        with db.transaction(db.AGENT) as session:
            casework.answer_chat(session, self.name, kept)


def _tell(chat: int, step: str) -> None:
    with db.transaction(db.AGENT) as session:
        casework.tell_step(session, chat, step)


def _summary(turn: Turn, hand_over: HandOver | None) -> str:
    """For the person who takes over: who, what about, and the last words."""
    if hand_over is None:
        return ""
    about = f" about {turn.memory['order']}" if turn.memory.get("order") else ""
    why = hand_over.value.replace("_", " ")
    return f"{turn.chat.name} of {turn.chat.customer} asks{about} ({turn.heard.act.value.replace('_', ' ')}): {why}. Last: “{turn.words[:400]}”"


def answer(turn: Turn) -> Reply:
    """What to say to a message, from the facts of the chat's customer."""
    if turn.read["hostile"] or turn.heard.act == Act.MISLEADING:
        return Reply(texts.said("person", turn.language), hand_over=HandOver.MISLEADING)
    if turn.heard.act == Act.WANTS_PERSON:
        return Reply(texts.said("person", turn.language), hand_over=HandOver.WANTS_PERSON)
    if turn.heard.act == Act.COMPLAINS:
        return Reply(texts.said("person", turn.language), hand_over=HandOver.COMPLAINT)
    waiting = turn.chat.pending
    if waiting is not None:
        if turn.heard.act == Act.SAYS_YES:
            return Reply("", confirmed=waiting, order=waiting["request"]["order"])
        if turn.heard.act == Act.SAYS_NO:
            return Reply(texts.said("not_passed", turn.language))
        if turn.heard.act in (Act.UNCLEAR, Act.GREETS):
            facts = str(waiting["read_back"])
            return Reply(texts.said("yes_or_no", turn.language, facts=facts), pending=waiting)
    if turn.heard.foreign:
        return Reply(texts.said("not_found", turn.language))
    return _ANSWERS[turn.heard.act](turn)


def _greets(turn: Turn) -> Reply:
    first = turn.chat.name.split()[0]
    return Reply(texts.said("thanks", turn.language) if turn.before else texts.said("hello", turn.language, name=first))


def _unclear(turn: Turn) -> Reply:
    return Reply(texts.said("not_understood", turn.language), understood=False)


def _which(turn: Turn) -> Reply:
    """No order is meant for sure: those that are open, or the wish for a number."""
    cards = [c for c in world.orders_of(str(turn.chat.customer), turn.moment) if c.state in ("open", "shipped")]
    lines = [
        texts.words(
            "order", turn.language, order=c.number, po=c.customer_po or "-", state=texts.words(c.state, turn.language)
        )
        for c in cards[:MOST_LINES]
    ]
    if not lines:
        return Reply(texts.said("no_orders", turn.language))
    return Reply(texts.said("which_order", turn.language, facts=_listed(lines)), lines)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _order(turn: Turn) -> str | None:
    """The order meant: named now, else the one spoken of, else the only one that is open."""
    if turn.heard.order:
        return turn.heard.order
    if turn.memory.get("order"):
        return str(turn.memory["order"])
    cards = [c for c in world.orders_of(str(turn.chat.customer), turn.moment) if c.state in ("open", "shipped")]
    return str(cards[0].number) if len(cards) == 1 else None


def _status(turn: Turn) -> Reply:
    number = _order(turn)
    if number is None:
        return _which(turn)
    order = world.order_facts(number, turn.moment)
    if order["state"] == "cancelled":
        return Reply(texts.said("cancelled", turn.language, order=number), order=number)
    lines = replies.status_lines(order, turn.language, turn.moment.date().isoformat())
    if order["state"] == "open":
        lines += _held(order, turn.language)
    return Reply(
        texts.said("status", turn.language, order=number, facts=_listed(lines)), lines, order=number, fixed=False
    )


def _held(order: Mapping[str, Any], language: str) -> list[str]:
    """Why it does not leave, in words that a customer may read."""
    reasons = dict.fromkeys(h.split(" ")[0] for h in order["holds"])
    known = {"credit": "hold_credit", "price": "hold_price", "margin": "hold_price", "stock": "hold_stock"}
    return list(dict.fromkeys(texts.words(known.get(r, "hold_other"), language) for r in reasons)) or [
        texts.words("no_hold", language)
    ]


def _invoices(turn: Turn) -> Reply:
    found = world.invoices_of(str(turn.chat.customer), turn.moment.date())
    if turn.heard.invoices:
        found = [i for i in found if i["number"] in turn.heard.invoices]
    elif turn.heard.order:
        found = [i for i in found if i["order"] == turn.heard.order] or found
    lines = [
        texts.words(
            "invoice",
            turn.language,
            number=i["number"],
            day=replies.day(i["date"], turn.language),
            order=i["order"],
            amount=i["amount"],
            currency=i["currency"],
            state=texts.words("paid" if i["paid"] else "unpaid", turn.language),
        )
        for i in found[:MOST_LINES]
    ]
    if not lines:
        return Reply(texts.said("no_invoices", turn.language))
    return Reply(
        texts.said("invoices", turn.language, facts=_listed(lines)), lines, order=turn.heard.order, fixed=False
    )


def _offers(turn: Turn) -> Reply:
    wanted = turn.heard.items
    if not wanted:
        return Reply(texts.said("which_item", turn.language))
    currency = world.currency_of(str(turn.chat.customer))
    lines = []
    for item in wanted[:MOST_LINES]:
        quantity = Decimal(item.quantity or "1")
        offer = world.availability(item.sku, str(turn.chat.customer), quantity, turn.moment.date())
        lines.append(replies.offer_line(offer, turn.language, currency))
    today = replies.day(turn.moment.date().isoformat(), turn.language)
    return Reply(texts.said("offer", turn.language, today=today, facts=_listed(lines)), lines, fixed=False)


def _wishes(turn: Turn) -> Reply:
    """Something that changes: read back what is understood, and wait for a yes. What cannot be done any more is said at once."""
    intent = INTENTS[turn.heard.act]
    number = _order(turn)
    if number is None and intent != Intent.ORDER_SUBMISSION:
        return _which(turn)
    read = turn.read | {"intent": intent.value, "order": number, "items": [i.model_dump() for i in turn.heard.items]}
    read["requested_date"] = turn.heard.day
    gathered = gathering.gather(read, turn.chat.case_id or 0)
    choice = choosing.choose(choosing.known_of(read, gathered), world.policy_in_force())
    order = gathered.get("order")
    if order and choice.action == Action.ANSWER_STATUS and order["state"] != "open":
        return Reply(texts.said("too_late", turn.language, order=str(number)), order=number)
    lines = _read_back(turn, intent, choice.action, order)
    if not lines:
        return Reply(texts.said("how_many" if order else "which_item", turn.language), order=number)
    request = Request(
        intent=intent,
        action=choice.action,
        order=number if intent != Intent.ORDER_SUBMISSION else None,
        items=turn.heard.items,
        requested_date=turn.heard.day,
        customer=turn.chat.customer if turn.chat.staff else None,
    )
    pending = {"request": request.model_dump(mode="json"), "read_back": _listed(lines)}
    return Reply(texts.said("read_back", turn.language, facts=_listed(lines)), lines, pending, order=number)


def _read_back(turn: Turn, intent: Intent, action: Action, order: Mapping[str, Any] | None) -> list[str]:
    """What will be passed on, line by line; empty when it does not say enough."""
    language, number = turn.language, order["number"] if order else ""
    items = [f"{i.quantity or ''} {i.sku}".strip() for i in turn.heard.items]
    day = replies.day(turn.heard.day, language) if turn.heard.day else ""
    if intent == Intent.ORDER_SUBMISSION:
        return [
            texts.words("ordered", language, now=i.quantity, uom=i.uom or "EA", sku=i.sku)
            for i in turn.heard.items
            if i.quantity
        ]
    if action == Action.CREATE_RETURN or intent == Intent.RETURN_REQUEST:
        listed = ", ".join(items) or texts.words("all", language)
        return [texts.words("return", language, order=number, items=listed)]
    if intent == Intent.ORDER_CANCELLATION and not items:
        return [texts.words("cancel", language, order=number)]
    if intent in (Intent.ORDER_CHANGE, Intent.ORDER_CANCELLATION):
        return _changes(turn, order or {}, day)
    if intent == Intent.EXPEDITE_REQUEST:
        by = texts.words("by", language, day=day) if day else ""
        return [texts.words("expedite", language, order=number, day=by)]
    if intent == Intent.DELIVERY_DISCREPANCY:
        return [
            texts.words("discrepancy", language, order=number, items=", ".join(items) or texts.words("all", language))
        ]
    matters = {
        Intent.PRICE_DISPUTE: "price_review",
        Intent.INVOICE_QUERY: "invoice_review",
        Intent.ACCOUNT_CHANGE: "account_update",
    }
    matter = texts.words(matters.get(intent, "other_matter"), language)
    return [texts.words("matter", language, matter=matter, order=f", {number}" if number else "")]


def _changes(turn: Turn, order: Mapping[str, Any], day: str) -> list[str]:
    by_sku = {line["sku"]: line for line in order.get("lines", [])}
    lines = []
    for item in turn.heard.items:
        line = by_sku.get(item.sku)
        told = {"order": str(order["number"]), "sku": item.sku}
        if item.quantity is None:
            continue
        if Decimal(item.quantity) == 0 and line:
            lines.append(texts.words("drop", turn.language, **told))
        elif line:
            uom = item.uom or line["uom"]
            lines.append(texts.words("change", turn.language, was=line["quantity"], now=item.quantity, uom=uom, **told))
        else:
            lines.append(texts.words("new_line", turn.language, now=item.quantity, uom=item.uom or "EA", **told))
    if day:
        lines.append(texts.words("date", turn.language, order=str(order["number"]), day=day))
    return lines


INTENTS = {
    Act.ORDERS: Intent.ORDER_SUBMISSION,
    Act.CHANGES_ORDER: Intent.ORDER_CHANGE,
    Act.CANCELS_ORDER: Intent.ORDER_CANCELLATION,
    Act.EXPEDITES: Intent.EXPEDITE_REQUEST,
    Act.RETURNS: Intent.RETURN_REQUEST,
    Act.REPORTS: Intent.DELIVERY_DISCREPANCY,
    Act.QUESTIONS_PRICE: Intent.PRICE_DISPUTE,
    Act.QUESTIONS_INVOICE: Intent.INVOICE_QUERY,
    Act.CHANGES_ACCOUNT: Intent.ACCOUNT_CHANGE,
}
_ANSWERS: dict[Act, Callable[[Turn], Reply]] = {
    Act.ASKS_STATUS: _status,
    Act.ASKS_INVOICES: _invoices,
    Act.ASKS_OFFER: _offers,
    Act.GREETS: _greets,
    Act.SAYS_YES: _unclear,
    Act.SAYS_NO: _greets,
    Act.UNCLEAR: _unclear,
    **dict.fromkeys(INTENTS, _wishes),
}


def run(stop: threading.Event, own: Callable[[], Assistant], at_once: int) -> None:
    """Beside the worker, until stopped: woken by each message, at the latest after a second."""
    with ThreadPoolExecutor(at_once) as pool:
        assistants = [own() for _ in range(at_once)]
        while not stop.is_set():
            try:
                with db.listening(db.AGENT, "chat_asked") as wait:
                    while not stop.is_set():
                        while any(pool.map(Assistant.step, assistants)):
                            pass
                        wait(1.0)
            except db.Lost as error:
                print(f"Chats wait: {error}", file=sys.stderr, flush=True)
                stop.wait(2.0)
