"""Chats with customers: who somebody is comes first, then questions; a person may take over at any time, and then the assistant is silent.

What is said are messages on the chat's case. A chat changes no document: what a customer asks for becomes a proposal, as if it had come by mail.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from erp_core import db
from erp_core.actions.context import Change, Context, write_journal
from erp_core.actions.messages import put_out
from erp_core.errors import LimitReached, NotAuthorised, NotFound, Problem, RuleViolation
from erp_core.queries import chats, policies, references
from erp_core.tables.chat import Chat, ChatCode
from erp_core.tables.desk import Case, Message
from erp_core.tables.parties import Customer
from erp_core.values import CaseStatus, ChatState, Priority, Queue

CODE_MINUTES, WRONG_TRIES = 10, 5
CODES_AN_HOUR = 5  # for one address
HOURS = 12  # a chat lasts
IDLE_HOURS = 2  # then the assistant's part is over
LONGEST = 2000
CODE_TEXT = {
    "en": "Your code for the chat is {code}. It is good for {minutes} minutes. If you did not ask for it, nothing has happened; ignore this mail.",
    "es": "Su código para el chat es {code}. Vale {minutes} minutos. Si no lo pidió, no ha pasado nada; ignore este correo.",
    "fr": "Votre code pour le chat est {code}. Il est valable {minutes} minutes. Si vous ne l'avez pas demandé, ignorez ce message.",
    "de": "Ihr Code für den Chat ist {code}. Er gilt {minutes} Minuten. Wenn Sie ihn nicht angefordert haben, ist nichts geschehen.",
}


@dataclass(frozen=True)
class Begun:
    """A chat's secret, which only its browser has; `chat` is None for an address that nobody knows, and the secret then opens nothing."""

    secret: str
    chat: Chat | None


def ask(session: Session, email: str, language: str, now: datetime) -> Begun:
    """Begin a chat: a known contact is mailed a code. Nobody is told which addresses are known."""
    email, secret = email.strip().lower(), secrets.token_urlsafe(32)
    contact = references.contact_at(session, email)
    if contact is None:
        return Begun(secret, None)
    lately = (
        select(func.count()).select_from(Chat).where(Chat.email == email, Chat.started_at > now - timedelta(hours=1))
    )
    if (session.scalar(lately) or 0) >= CODES_AN_HOUR:
        return Begun(secret, None)  # said to nobody either: a flood of codes must not be a way to learn addresses
    chat = _made(session, email, contact.name, None, language, secret, now)
    code = f"{secrets.randbelow(10**6):06d}"
    ends = now + timedelta(minutes=CODE_MINUTES)
    session.add(ChatCode(chat_id=chat.id, code_hash=_hash(f"{chat.id}:{code}"), expires_at=ends))
    body = CODE_TEXT[language].format(code=code, minutes=CODE_MINUTES)
    put_out(session, secrets.token_hex(12), email, code, body, now)
    _journal(session, chat, "asked", email, now, {"email": email})
    return Begun(secret, chat)


def identify(session: Session, secret: str, code: str, now: datetime) -> Chat | None:
    """The chat, open, once the code is right; None for a wrong one. Raises LimitReached after too many, and then the code is dead."""
    chat = session.scalars(select(Chat).where(Chat.token_hash == _hash(secret)).with_for_update()).one_or_none()
    kept = session.get(ChatCode, chat.id, with_for_update=True) if chat is not None else None
    if chat is None or kept is None or kept.expires_at <= now or chat.state != ChatState.ASKED:
        return None
    if kept.tries >= WRONG_TRIES:
        raise LimitReached("Too many wrong codes; ask for a new one.")
    kept.tries += 1
    if not hmac.compare_digest(kept.code_hash, _hash(f"{chat.id}:{code.strip()}")):
        return None
    session.delete(kept)
    contact = references.contact_at(session, chat.email)
    if contact is None:  # taken off since the code was mailed
        return None
    _opened(session, chat, contact.customer, now)
    return chat


def from_portal(session: Session, token: str, key: str | None, language: str, now: datetime) -> Begun:
    """A chat for somebody whom the house's own portal has signed in: a JWT (HS256) with `email` and `exp`. Raises NotAuthorised."""
    if not key:
        raise NotAuthorised("This installation takes no portal's word; COUNTERSIGN_PORTAL_SECRET is not set.")
    try:
        # the portal's clock is the world's, whatever day it is here
        said = jwt.decode(token, key, algorithms=["HS256"], options={"require": ["exp", "email"]})
    except jwt.PyJWTError as error:
        raise NotAuthorised("The portal's token is not valid, or has expired.") from error
    email = str(said["email"]).strip().lower()
    contact = references.contact_at(session, email)
    if contact is None:
        raise NotAuthorised("The portal's token names nobody we know.")
    secret = secrets.token_urlsafe(32)
    chat = _made(session, email, contact.name, None, language, secret, now)
    _opened(session, chat, contact.customer, now)
    return Begun(secret, chat)


def for_colleague(session: Session, customer: str, name: str, *, actor: str, now: datetime) -> Chat:
    """The same assistant for a colleague who asks on a customer's behalf. Raises NotFound for a customer of another firm."""
    if session.get(Customer, customer) is None:
        raise NotFound(f"There is no customer {customer}.")
    chat = _made(session, actor, name, actor, "en", secrets.token_urlsafe(32), now)
    _opened(session, chat, customer, now)
    return chat


def say(session: Session, chat: Chat, said: str, now: datetime) -> Message:
    """The customer says something. The assistant is woken while it has the chat. Raises RuleViolation when it is over."""
    chat = session.scalars(select(Chat).where(Chat.id == chat.id).with_for_update()).one()
    said = said.strip()[:LONGEST]
    if not said or chat.state in (ChatState.ASKED, ChatState.CLOSED) or chat.expires_at <= now:
        raise RuleViolation(
            [Problem("chat_over", "This chat is over; begin a new one." if said else "Write something.")]
        )
    made = _message(session, chat, said, "in", now, sender=chat.email, name=chat.name)
    chat.last_at, chat.waiting = now, chat.state == ChatState.OPEN
    session.flush()
    _journal(session, chat, "received", chat.email, now, {"message": made.id, "digest": made.digest})
    _wake(session, "chat_asked" if chat.waiting else "chat_said", chat.id)
    return made


def take(session: Session, chat: Chat, *, actor: str, name: str, now: datetime) -> None:
    """A person takes over; the assistant is silent from then on. Raises RuleViolation when another has it, or it is over."""
    chat = session.scalars(select(Chat).where(Chat.id == chat.id).with_for_update()).one()
    if chat.state == ChatState.TAKEN and chat.taken_by == actor:
        return
    if chat.state not in (ChatState.OPEN, ChatState.HANDED_OVER):
        raise RuleViolation([Problem("chat_taken", f"{chat.taken_by or 'Nobody'} has this chat; it is {chat.state}.")])
    case = session.get_one(Case, chat.case_id)
    chat.state, chat.taken_by, chat.waiting, chat.pending = ChatState.TAKEN, actor, False, None
    case.assignee, case.worked = actor, True
    if case.queue == Queue.NONE:
        case.queue, case.priority = Queue.CUSTOMER_SERVICE, Priority.NORMAL
    session.flush()
    _journal(session, chat, "taken", actor, now, {"by": actor, "name": name})
    _wake(session, "chat_said", chat.id)


def reply(session: Session, chat: Chat, said: str, *, actor: str, name: str, now: datetime) -> None:
    """The person who has the chat answers. Raises NotAuthorised for anybody else."""
    if chat.state != ChatState.TAKEN or chat.taken_by != actor:
        raise NotAuthorised("Take the chat first; the assistant is silent then.")
    said = said.strip()[:LONGEST]
    if not said:
        raise RuleViolation([Problem("message_empty", "Write something.")])
    made = _message(session, chat, said, "out", now, sender=actor, name=name)
    chat.last_at = now
    session.flush()
    _journal(session, chat, "answered", actor, now, {"message": made.id, "digest": made.digest})
    _wake(session, "chat_said", chat.id)


def close(session: Session, chat: Chat, *, actor: str, now: datetime) -> None:
    """End a chat. Its case ends with it, unless it waits for a person."""
    chat = session.scalars(select(Chat).where(Chat.id == chat.id).with_for_update()).one()
    if chat.state == ChatState.CLOSED:
        return
    waits = chat.state == ChatState.HANDED_OVER
    chat.state, chat.waiting, chat.pending = ChatState.CLOSED, False, None
    case = session.get(Case, chat.case_id) if chat.case_id else None
    if case is not None and not waits and case.status in (CaseStatus.NEW, CaseStatus.INVESTIGATING):
        case.status, case.resolved_at, case.root_cause = CaseStatus.RESOLVED, now, "none"
    session.flush()
    _journal(session, chat, "closed", actor, now, {"by": actor})
    _wake(session, "chat_said", chat.id)


def close_idle(session: Session, now: datetime) -> int:
    """End chats in which nobody said anything for a while, a few at a time; how many."""
    waiting = (ChatState.ASKED, ChatState.OPEN, ChatState.TAKEN)
    query = select(Chat).where(Chat.state.in_(waiting), Chat.last_at < now - timedelta(hours=IDLE_HOURS)).limit(50)
    found = session.scalars(query.order_by(Chat.id)).all()
    for chat in found:
        close(session, chat, actor="clock", now=now)
    return len(found)


def told(session: Session, chat: Chat, message: Message) -> str:
    """What may be shown of an answer by the assistant: the text, unless it names a document of somebody else's. The last look before it leaves."""
    said = str(message.parsed.get("newest", ""))
    by_agent = message.direction == "out" and message.parsed.get("by") == "agent"
    return "…" if by_agent and references.strangers(session, said, chat.customer) else said


def _made(
    session: Session,
    email: str,
    name: str,
    staff: str | None,
    language: str,
    secret: str,
    now: datetime,
) -> Chat:
    chat = Chat(
        email=email,
        name=name,
        staff=staff,
        state=ChatState.ASKED,
        language=language,
        started_at=now,
        last_at=now,
        expires_at=now + timedelta(hours=HOURS),
        token_hash=_hash(secret),
    )
    session.add(chat)
    session.flush()
    return chat


def _opened(session: Session, chat: Chat, customer: str, now: datetime) -> None:
    """From now on it is known whose documents may be told. Its case is in no queue before a person is wanted."""
    case = Case(
        kind="chat",
        subject=f"chat:{chat.id}",
        title=f"Chat with {chat.name}",
        queue=Queue.NONE,
        priority=Priority.NORMAL,
        status=CaseStatus.NEW,
        customer=customer,
        opened_at=now,
        due_at=None,
        details={"chat": chat.id},
        worked=True,
    )
    session.add(case)
    session.flush()
    chat.customer, chat.case_id, chat.state = customer, case.id, ChatState.OPEN
    session.flush()
    _journal(session, chat, "identified", chat.email, now, {"customer": customer, "staff": chat.staff})


def _message(
    session: Session, chat: Chat, said: str, direction: str, now: datetime, *, sender: str, name: str
) -> Message:
    number = chats.count(session, chat) + 1
    made = Message(
        direction=direction,
        message_id=f"<chat-{chat.id}-{number}@countersign>",
        digest=hashlib.sha256(said.encode()).hexdigest(),
        case_id=chat.case_id,
        source="chat",
        sender=sender,
        sender_name=name,
        subject=None,
        sent_at=now,
        received_at=now,
        machine=False,
        raw=said.encode(),
        parsed={"newest": said, "by": "customer" if direction == "in" else "colleague"},
    )
    session.add(made)
    session.flush()
    return made


def _wake(session: Session, channel: str, chat: int) -> None:
    session.execute(text("SELECT pg_notify(:channel, :told)"), {"channel": channel, "told": f"{chat}:said"})


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _journal(session: Session, chat: Chat, verb: str, actor: str, now: datetime, after: dict[str, object]) -> None:
    key = f"chat:{chat.id}:{verb}:{secrets.token_hex(8)}"
    context = Context(session, key, actor, now, policies.active(session, now), chat.case_id)
    write_journal(context, Change(f"chat:customer:{verb}", f"chat:{chat.id}", None, dict(after)), key, None)


def found(session: Session, secret: str, now: datetime) -> Chat:
    """The chat of a secret. Raises NotAuthorised for one that opens nothing, or nothing any more."""
    db.look_at(session, db.EVERY_FIRM)
    chat = session.scalars(select(Chat).where(Chat.token_hash == _hash(secret))).one_or_none()
    if chat is None or chat.expires_at <= now:
        raise NotAuthorised("Begin a chat first.")
    return chat
