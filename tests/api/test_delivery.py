"""Signed mail leaves once, by the clock, and what a server says of it stays with it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession
from sqlalchemy import select

from api import clock as clock_process
from erp_core import clock, db, settings
from erp_core.actions import upkeep
from erp_core.settings import Settings
from erp_core.tables.desk import JournalEntry, Leadership, OutboxMail


class Postman:
    """Takes mail, or refuses it as told."""

    def __init__(self) -> None:
        self.answer = "250 OK"
        self.got: list[bytes] = []

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        if self.answer.startswith("250"):
            self.got.append(bytes(envelope.content or b""))
        return self.answer


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def config(postman: Postman, database: str) -> Iterator[Settings]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(postman, hostname="127.0.0.1", port=port)
    server.start()
    yield replace(settings.load(), smtp_url=f"smtp://127.0.0.1:{port}", mail_from="orders@northstar.example")
    server.stop()


def queue(number: int, now: datetime, **more: object) -> int:
    with db.transaction(db.API) as session:
        mail = OutboxMail(
            message_id=f"<out-{number}@countersign>",
            to="buyer@harbor.example",
            subject="Your order\r\nBcc: everybody@harbor.example",
            body="Grüße",
            attachments=[{"name": "order.csv", "text": "sku,quantity\nVAL-1,4\n"}],
            status="waiting",
            queued_at=now,
            **more,
        )
        session.add(mail)
        session.flush()
        return mail.id


def now() -> datetime:
    with db.reading(db.API) as session:
        return clock.now(session)


def state(number: int) -> OutboxMail:
    with db.reading(db.API) as session:
        return session.get_one(OutboxMail, number)


def test_a_signed_mail_leaves_once_as_it_was_signed(config: Settings, postman: Postman) -> None:
    number = queue(1, now(), in_reply_to="<asked@harbor.example>")
    clock_process.tick(config)
    clock_process.tick(config)
    assert len(postman.got) == 1
    sent = message_from_bytes(postman.got[0], policy=policy.default)
    assert sent["Message-ID"] == "<out-1@countersign>"
    assert sent["In-Reply-To"] == sent["References"] == "<asked@harbor.example>"
    assert sent["Subject"] == "Your order Bcc: everybody@harbor.example"
    assert sent["Bcc"] is None
    body = sent.get_body(("plain",))
    assert body is not None
    assert body.get_content().strip() == "Grüße"
    assert [a.get_filename() for a in sent.iter_attachments()] == ["order.csv"]
    assert state(number).status == "sent"
    with db.reading(db.API) as session:
        written = select(JournalEntry.tag).where(JournalEntry.key == f"outbox:{number}:sent")
        assert session.scalars(written).all() == ["message:outbox:sent"]


def test_a_refused_mail_waits_with_the_reason_and_holds_up_no_other(config: Settings, postman: Postman) -> None:
    postman.answer = "451 try later"
    refused = queue(1, now())
    clock_process.tick(config)
    assert state(refused).status == "waiting"
    assert "try later" in (state(refused).last_error or "")
    postman.answer = "250 OK"
    following = queue(2, now())
    clock_process.tick(config)
    assert state(following).status == "sent"
    assert state(refused).status == "waiting"  # its pause is not over
    with db.transaction(db.API) as session:
        later = clock.now(session) + timedelta(seconds=5)
        assert upkeep.deliver_next(session, later, lambda mail: clock_process.send(mail, config))
    assert state(refused).status == "sent"


def test_a_mail_refused_for_days_is_given_up_and_written_down(config: Settings, postman: Postman) -> None:
    postman.answer = "550 no such user"
    number = queue(1, now() - timedelta(days=3), attempts=upkeep.MOST_ATTEMPTS - 1)
    clock_process.tick(config)
    assert state(number).status == "failed"
    with db.reading(db.API) as session:
        assert session.scalars(select(JournalEntry).where(JournalEntry.key == f"outbox:{number}:failed")).one()


def test_one_clock_leads_until_it_falls_silent(database: str) -> None:
    assert clock_process.leads("first")
    assert not clock_process.leads("second")
    assert clock_process.leads("first")
    with db.transaction(db.API) as session:
        session.get_one(Leadership, "clock").until -= timedelta(minutes=1)
    assert clock_process.leads("second")
    assert not clock_process.leads("first")
