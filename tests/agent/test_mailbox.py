"""A mailbox on a server: each message once, as it came, whatever the server does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from agent.mail import fetch
from agent.mail.fetch import Raw
from erp_core import db
from erp_core.errors import BadSetting
from erp_core.tables.desk import Case, Message
from tests.agent.imap_twin import ImapTwin


def mail(number: int) -> bytes:
    text = f"Message-ID: <box-{number}@buyer.example>\nFrom: a@buyer.example\nSubject: Order {number}\n\nHello \xe9 {number}"
    return text.encode("latin-1").replace(b"\n", b"\r\n")  # an undeclared charset: must come through untouched


@pytest.fixture
def twin() -> Iterator[ImapTwin]:
    with ImapTwin() as server:
        yield server


class Reader:
    """A fetching thread and what it took."""

    def __init__(self, server: ImapTwin) -> None:
        self.server = server
        self.taken: list[Raw] = []
        self.stop = False
        arguments = {"once": False, "taken": self.taken.append, "stopped": lambda: self.stop, "first_pause": 0.05}
        self.thread = threading.Thread(
            target=fetch.from_imap, args=(server.url, "right"), kwargs=arguments, daemon=True
        )
        self.thread.start()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop = True
        self.server.put(b"Subject: wake up\r\n\r\n")  # so that waiting ends
        self.thread.join(20)

    def until(self, true: Callable[[], bool]) -> bool:
        limit = time.monotonic() + 20
        while time.monotonic() < limit and not true():
            time.sleep(0.02)
        return true()


def read_once(url: str) -> list[bytes]:
    taken: list[Raw] = []
    fetch.from_imap(url, "right", once=True, taken=taken.append)
    return [raw.data for raw in taken]


def test_every_message_is_taken_once_byte_for_byte(twin: ImapTwin) -> None:
    for number in range(3):
        twin.put(mail(number))
    assert read_once(twin.url) == [mail(0), mail(1), mail(2)]
    assert read_once(twin.url) == []
    assert all("\\Seen" not in m.flags for m in twin.messages)


def test_renumbered_messages_are_not_taken_again(twin: ImapTwin) -> None:
    twin.put(mail(0))
    assert len(read_once(twin.url)) == 1
    twin.renumber()
    twin.put(mail(1))
    assert read_once(twin.url) == [mail(1)]


def test_new_mail_arrives_while_waiting_and_after_the_line_dropped(twin: ImapTwin) -> None:
    with Reader(twin) as reader:
        assert reader.until(lambda: twin.connections == 1)
        twin.put(mail(0))
        assert reader.until(lambda: len(reader.taken) == 1)
        twin.hang_up_after = 0
        twin.put(mail(1))
        assert reader.until(lambda: len(reader.taken) == 2)
    assert twin.connections == 2
    assert [r.data for r in reader.taken[:2]] == [mail(0), mail(1)]


def test_a_server_without_idle_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "POLL_SECONDS", 0.05)
    with ImapTwin(idle=False) as server, Reader(server) as reader:
        assert reader.until(lambda: server.connections == 1)
        server.put(mail(0))
        assert reader.until(lambda: len(reader.taken) == 1)


def test_a_server_that_keeps_no_keywords_gives_each_message_once_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "POLL_SECONDS", 0.02)
    with ImapTwin(idle=False, keeps_keywords=False) as server, Reader(server) as reader:
        server.put(mail(0))
        assert reader.until(lambda: len(reader.taken) == 1)
        server.put(mail(1))
        assert reader.until(lambda: len(reader.taken) == 2)
        time.sleep(0.2)
        assert [r.data for r in reader.taken] == [mail(0), mail(1)]


def test_a_wrong_password_says_so_without_showing_one(twin: ImapTwin) -> None:
    with pytest.raises(BadSetting, match="cannot be read") as told:
        fetch.from_imap(twin.url.replace("orders@", "orders:sesame@"), "wrong", once=True, taken=print)
    assert "sesame" not in str(told.value)


def test_a_mailbox_becomes_cases_once(twin: ImapTwin, worker: Any) -> None:
    for number in range(4):
        twin.put(mail(number))
    twin.put(mail(0))  # the same message delivered twice
    fetch.from_imap(twin.url, "right", once=True, taken=worker.take)
    twin.keeps_keywords = False
    for message in twin.messages:
        message.flags.clear()  # the server was restored from before our marks
    fetch.from_imap(twin.url, "right", once=True, taken=worker.take)
    with db.reading(db.API) as session:
        ours = Message.message_id.like("<box-%")
        assert session.scalar(select(func.count()).select_from(Message).where(ours)) == 4
        cases = select(func.count(func.distinct(Case.id))).join(Message, Message.case_id == Case.id).where(ours)
        assert session.scalar(cases) == 4
