"""What was said in chats, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from erp_core.errors import NotFound
from erp_core.tables.chat import Chat
from erp_core.tables.desk import Message


def numbered(session: Session, number: int) -> Chat:
    """A chat. Raises NotFound."""
    found = session.get(Chat, number)
    if found is None:
        raise NotFound(f"There is no chat {number}.")
    return found


def of_case(session: Session, case: int) -> Chat | None:
    """The chat whose case this is."""
    return session.scalars(select(Chat).where(Chat.case_id == case)).one_or_none()


def count(session: Session, chat: Chat) -> int:
    """How many messages a chat has."""
    return session.scalar(select(func.count()).select_from(Message).where(Message.case_id == chat.case_id)) or 0


def messages(session: Session, chat: Chat, after: int = 0, most: int = 200) -> Sequence[Message]:
    """What was said after a message, oldest first, without raw bytes."""
    if chat.case_id is None:
        return []
    query = select(Message).where(Message.case_id == chat.case_id, Message.id > after).options(defer(Message.raw))
    return session.scalars(query.order_by(Message.id).limit(most)).all()


def for_agent(session: Session, number: int) -> tuple[Chat, Sequence[Message]]:
    """A chat as the assistant may see it, which is without secrets, and what was said in it."""
    found = session.scalars(
        select(Chat)
        .where(Chat.id == number)
        .options(defer(Chat.token_hash), defer(Chat.leased_by), defer(Chat.leased_until))
    ).one()
    return found, messages(session, found)
