"""The assistant in a chat: who somebody is comes first; only that customer's facts; changes are read back and passed on; people take over."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import select

from agent.chatting import Assistant
from agent.worker import Worker
from erp_core import clock, db
from erp_core.actions import chats
from erp_core.errors import LimitReached, NotAuthorised, RuleViolation
from erp_core.queries import chats as queries
from erp_core.queries.evaluating import fingerprint
from erp_core.tables.chat import Chat
from erp_core.tables.desk import Case, OutboxMail, Proposal

SOFIA = "sofia.lindqvist@redstoneelectric.example"  # buys for C1018, whose order SO-40352 is open
AVA = "ava.stone@northfieldsupply.example"


class Talk:
    """A customer in a chat, and the assistant that answers."""

    def __init__(self, worker: Worker, email: str = SOFIA, line: Any = None) -> None:
        self.assistant = Assistant(worker, line)
        with db.transaction(db.API) as session:
            now = clock.now(session)
            begun = chats.ask(session, email, "en", now)
            self.secret = begun.secret
            code = session.scalars(select(OutboxMail).order_by(OutboxMail.id.desc())).first()
            assert code is not None
            chat = chats.identify(session, begun.secret, code.subject, now)
            assert chat is not None
            self.id = chat.id

    def say(self, words: str) -> str:
        """Say something; what is answered, or nothing when nobody answers."""
        with db.transaction(db.API) as session:
            chat = queries.numbered(session, self.id)
            said = chats.say(session, chat, words, clock.now(session)).id
        self.assistant.step()
        with db.transaction(db.API) as session:
            chat = queries.numbered(session, self.id)
            answers = [
                chats.told(session, chat, m) for m in queries.messages(session, chat, said) if m.direction == "out"
            ]
        return "\n".join(answers)

    @property
    def chat(self) -> Chat:
        with db.reading(db.API) as session:
            return queries.numbered(session, self.id)


@pytest.fixture
def talk(worker: Worker) -> Talk:
    return Talk(worker)


def pending(case: int) -> Proposal | None:
    with db.reading(db.API) as session:
        return session.scalars(select(Proposal).where(Proposal.case_id == case)).one_or_none()


def test_a_code_is_mailed_to_a_known_contact_and_to_nobody_else(database: str) -> None:
    with db.transaction(db.API) as session:
        now = clock.now(session)
        known, unknown = chats.ask(session, SOFIA, "es", now), chats.ask(session, "who@nowhere.example", "es", now)
        mails = session.scalars(select(OutboxMail)).all()
        assert [m.to for m in mails] == [SOFIA]
        assert re.fullmatch(r"\d{6}", mails[0].subject)
        assert known.secret != unknown.secret
        assert len(known.secret) == len(unknown.secret)
        with pytest.raises(NotAuthorised):
            chats.found(session, unknown.secret, now)


def test_a_code_is_guessed_five_times_at_most(database: str) -> None:
    with db.transaction(db.API) as session:
        now = clock.now(session)
        begun = chats.ask(session, SOFIA, "en", now)
        code = session.scalars(select(OutboxMail.subject)).one()
        wrong = f"{(int(code) + 1) % 10**6:06d}"
        assert [chats.identify(session, begun.secret, wrong, now) for _ in range(5)] == [None] * 5
        with pytest.raises(LimitReached):
            chats.identify(session, begun.secret, code, now)


def test_a_code_is_good_once_for_ten_minutes_and_for_its_own_chat(database: str) -> None:
    with db.transaction(db.API) as session:
        now = clock.now(session)
        begun, other = chats.ask(session, SOFIA, "en", now), chats.ask(session, SOFIA, "en", now)
        codes = session.scalars(select(OutboxMail.subject).order_by(OutboxMail.id)).all()
        assert chats.identify(session, other.secret, codes[0], now) is None
        assert chats.identify(session, begun.secret, codes[0], now + timedelta(minutes=11)) is None
        assert chats.identify(session, begun.secret, codes[0], now) is not None
        assert chats.identify(session, begun.secret, codes[0], now) is None


def test_codes_are_not_mailed_without_end(database: str) -> None:
    with db.transaction(db.API) as session:
        for _ in range(9):
            chats.ask(session, SOFIA, "en", clock.now(session))
        assert len(session.scalars(select(OutboxMail)).all()) == chats.CODES_AN_HOUR


def portal(key: str, **said: Any) -> str:
    told = {"email": SOFIA, "exp": time.time() + 60} | said
    return jwt.encode({k: v for k, v in told.items() if v is not None}, key, algorithm="HS256")


KEY = "k" * 32


def test_a_portals_word_is_taken_when_it_is_signed_and_fresh(database: str) -> None:
    with db.transaction(db.API) as session:
        now = clock.now(session)
        assert chats.from_portal(session, portal(KEY), KEY, "en", now).chat.customer == "C1018"  # type: ignore[union-attr]
        none = jwt.encode({"email": SOFIA, "exp": time.time() + 60}, "", algorithm="none")
        late = portal(KEY, exp=time.time() - 1)
        for token in (
            none,
            late,
            portal("x" * 32),
            portal(KEY, exp=None),
            portal(KEY, email="who@nowhere.example"),
            "junk",
        ):
            with pytest.raises(NotAuthorised):
                chats.from_portal(session, token, KEY, "en", now)
        with pytest.raises(NotAuthorised):
            chats.from_portal(session, portal(KEY), None, "en", now)


@pytest.mark.parametrize(
    ("words", "language", "told"),
    [
        ("Where is my order SO-40352? When will it ship?", "en", "Your order SO-40352"),
        ("Hola, ¿dónde está mi pedido SO-40352? ¿Cuándo llega?", "es", "Su pedido SO-40352"),
        ("Bonjour, où en est ma commande SO-40352 ? Merci", "fr", "Votre commande SO-40352"),
        ("Guten Tag, wo bleibt meine Bestellung SO-40352? Wann kommt sie?", "de", "Ihre Bestellung SO-40352"),
    ],
)
def test_where_an_order_is_in_the_customers_language(talk: Talk, words: str, language: str, told: str) -> None:
    said = talk.say(words)
    assert told in said
    assert talk.chat.language == language
    assert "VAL-7461" in said


def test_a_change_is_read_back_confirmed_and_becomes_a_proposal(talk: Talk) -> None:
    with db.reading(db.API) as session:
        before = fingerprint(session)
    talk.say("Where is SO-40352?")
    said = talk.say("Please change VAL-7461 to 40 pieces instead of 50")
    assert "50 → 40 EA" in said
    assert talk.chat.pending is not None
    with db.reading(db.API) as session:
        assert session.scalars(select(Case).where(Case.kind == "mail", Case.subject.contains("asked"))).all() == []
    said = talk.say("yes")
    number = int(re.search(r"#(\d+)", said).group(1))  # type: ignore[union-attr]
    assert "nothing has changed yet" in said
    proposal = pending(number)
    assert proposal is not None
    assert proposal.commands[0]["type"] == "amend_order"
    assert proposal.commands[0]["changes"] == [{"line": 1, "quantity": "40"}]
    assert talk.chat.pending is None
    with db.reading(db.API) as session:
        assert fingerprint(session) == before


def test_the_done_when_in_spanish(talk: Talk) -> None:
    assert "Su pedido SO-40352" in talk.say("Buenos días, ¿dónde está mi pedido SO-40352?")
    assert "50 → 35 EA" in talk.say("Por favor cambien la cantidad de VAL-7461 a 35 piezas en ese pedido")
    said = talk.say("sí")
    assert "todavía no ha cambiado nada" in said
    proposal = pending(int(re.search(r"#(\d+)", said).group(1)))  # type: ignore[union-attr]
    assert proposal is not None
    assert proposal.commands[0]["changes"][0]["quantity"] == "35"


def test_a_no_passes_nothing_on(talk: Talk) -> None:
    talk.say("Please cancel order SO-40352")
    assert talk.chat.pending is not None
    talk.say("no, leave it")
    assert talk.chat.pending is None
    with db.reading(db.API) as session:
        assert session.scalars(select(Case).where(Case.subject.contains("asked"))).all() == []


@pytest.mark.parametrize(
    "words", ["Where is SO-40349?", "status of SO-40443 please", "Cancel SO-40349", "Where is SO-99999?"]
)
def test_somebody_elses_order_is_as_unknown_as_one_that_is_not_there(talk: Talk, words: str) -> None:
    said = talk.say(words)
    assert "no such number" in said
    assert not re.search(r"SO-\d", said)
    assert talk.chat.pending is None


def test_a_person_takes_over_and_the_assistant_is_silent(talk: Talk) -> None:
    said = talk.say("I want to talk to a person please")
    assert "colleague" in said
    assert (talk.chat.state, talk.chat.reason) == ("handed_over", "wants_person")
    with db.reading(db.API) as session:
        case = session.get_one(Case, talk.chat.case_id)
        assert (case.queue, case.status) == ("customer_service", "new")
        assert case.due_at is not None
        assert "Sofia" in case.details["problems"][0]
    assert talk.say("are you there?") == ""
    with db.transaction(db.API) as session:
        now = clock.now(session)
        chat = queries.numbered(session, talk.id)
        chats.take(session, chat, actor=AVA, name="Ava Stone", now=now)
        chats.reply(session, chat, "Hi Sofia, Ava here.", actor=AVA, name="Ava Stone", now=now)
        with pytest.raises(NotAuthorised):
            chats.reply(session, chat, "me too", actor="lee.voss@northfieldsupply.example", name="Lee", now=now)
        with pytest.raises(RuleViolation):
            chats.take(session, chat, actor="lee.voss@northfieldsupply.example", name="Lee", now=now)
    assert talk.say("thanks Ava, where is SO-40352?") == ""
    assert talk.chat.state == "taken"


def test_who_is_not_understood_twice_gets_a_person(talk: Talk) -> None:
    talk.say("purple monkey dishwasher")
    said = talk.say("flibber the wobble")
    assert "colleague" in said
    assert talk.chat.reason == "not_understood"


def test_the_agent_is_stopped_for_chats_too(talk: Talk) -> None:
    from erp_core.actions import execute
    from erp_core.commands import StopAgent

    with db.transaction(db.API) as session:
        execute(
            session,
            StopAgent(entity="*", reason="look"),
            key="s",
            actor="ida.marsh@northfieldsupply.example",
            now=clock.now(session),
        )
    assert talk.say("Where is SO-40352?") == ""


def test_idle_chats_end_and_their_cases_with_them(talk: Talk) -> None:
    talk.say("Where is SO-40352?")
    with db.transaction(db.API) as session:
        assert chats.close_idle(session, clock.now(session) + timedelta(hours=3)) == 1
    assert talk.chat.state == "closed"
    with db.reading(db.API) as session:
        assert session.get_one(Case, talk.chat.case_id).status == "resolved"
    with db.transaction(db.API) as session, pytest.raises(RuleViolation):
        chats.say(session, queries.numbered(session, talk.id), "hello", clock.now(session))


@pytest.fixture
def colleague(worker: Worker) -> Talk:
    own = Talk.__new__(Talk)
    own.assistant = Assistant(worker)
    with db.transaction(db.API) as session:
        own.id = chats.for_colleague(session, "C1018", "Ava Stone", actor=AVA, now=clock.now(session)).id
    return own


def test_a_colleague_asks_on_a_customers_behalf(colleague: Talk) -> None:
    assert "SO-40352" in colleague.say("where is SO-40352")
    colleague.say("change VAL-7461 on SO-40352 to 40 pieces")
    said = colleague.say("yes")
    proposal = pending(int(re.search(r"#(\d+)", said).group(1)))  # type: ignore[union-attr]
    assert proposal is not None
    assert proposal.commands[0]["type"] == "amend_order"


def test_every_step_of_a_chat_is_in_the_journal_with_words(talk: Talk) -> None:
    from api.words import TAGS
    from erp_core.tables.desk import JournalEntry

    talk.say("I want to talk to a person")
    with db.transaction(db.API) as session:
        now, chat = clock.now(session), queries.numbered(session, talk.id)
        chats.take(session, chat, actor=AVA, name="Ava Stone", now=now)
        chats.reply(session, chat, "Ava here.", actor=AVA, name="Ava Stone", now=now)
        chats.close(session, chat, actor=AVA, now=now)
        tags = set(session.scalars(select(JournalEntry.tag).where(JournalEntry.subject == f"chat:{talk.id}")))
    assert {
        f"chat:customer:{verb}" for verb in ("asked", "identified", "received", "taken", "answered", "closed")
    } <= tags
    assert tags <= TAGS.keys()
