"""Chats with customers: who somebody is, who answers, what waits for a yes. What is said are messages on the chat's case."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Json, Moment, one_of
from erp_core.values import ChatState, HandOver


class Chat(Base):
    """One conversation. Secret and code are kept as SHA-256; `pending` is what was read back and waits for a yes.

    `staff` is the colleague who asks on a customer's behalf; such a chat wants no code.
    """

    __tablename__ = "chat"
    __table_args__ = (
        one_of("state", ChatState),
        one_of("reason", HandOver),
        Index("uq_chat_token_hash", "token_hash", unique=True),
        Index("ix_chat_case_id", "case_id"),
        Index("ix_chat_waiting", "id", postgresql_where=text("waiting")),
        Index("ix_chat_email", "email", "started_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    customer: Mapped[str | None] = mapped_column(ForeignKey("customer.code"))
    staff: Mapped[str | None] = mapped_column(ForeignKey("app_user.email"))
    state: Mapped[str]
    reason: Mapped[str | None]
    language: Mapped[str]
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case_file.id"))
    taken_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.email"))
    waiting: Mapped[bool] = mapped_column(default=False, server_default="false")
    pending: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    memory: Mapped[Json] = mapped_column(default=dict, server_default="{}")
    leased_by: Mapped[str | None]
    leased_until: Mapped[Moment | None]
    started_at: Mapped[Moment]
    last_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    token_hash: Mapped[str]


class ChatCode(Base):
    """A one-time code that was mailed for a chat; the agent's role cannot read this table."""

    __tablename__ = "chat_code"
    chat_id: Mapped[int] = mapped_column(ForeignKey("chat.id"), primary_key=True)
    code_hash: Mapped[str]
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    expires_at: Mapped[Moment]
