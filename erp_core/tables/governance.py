"""Policy versions, when which was in force, and facts of the installation."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Json, Moment


class PolicyVersion(Base):
    """The two texts of a policy as somebody proposed them; `content` is what they say, for functions in the database. Never changed."""

    __tablename__ = "policy_version"
    __table_args__ = (Index("uq_policy_version_hash", "hash", unique=True),)
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str]
    numbers: Mapped[str]
    authority: Mapped[str]
    content: Mapped[Json]
    summary: Mapped[str]
    author: Mapped[str]
    proposed_at: Mapped[Moment]
    based_on: Mapped[int | None] = mapped_column(ForeignKey("policy_version.id"))


class PolicyActivation(Base):
    """A version is in force from a moment on, until the next activation. A row is never changed; one that is withdrawn says so in another."""

    __tablename__ = "policy_activation"
    __table_args__ = (Index("ix_policy_activation_active_from", "active_from"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey("policy_version.id"))
    active_from: Mapped[Moment]
    activated_by: Mapped[str]
    activated_at: Mapped[Moment]
    reason: Mapped[str]


class PolicyBacktest(Base):
    """What a version would have done to the orders and decisions of some days."""

    __tablename__ = "policy_backtest"
    __table_args__ = (Index("ix_policy_backtest_version", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey("policy_version.id"))
    against: Mapped[int] = mapped_column(ForeignKey("policy_version.id"))
    days: Mapped[int]
    result: Mapped[Json]
    run_by: Mapped[str]
    run_at: Mapped[Moment]


class AgentStop(Base):
    """While this row is there the agent works no case of the firm (`*`: of any). People, queues and due times go on."""

    __tablename__ = "agent_stop"
    entity: Mapped[str] = mapped_column(primary_key=True)
    stopped_by: Mapped[str]
    stopped_at: Mapped[Moment]
    reason: Mapped[str]


class Installation(Base):
    """Named facts of this installation, such as the offset of its clock."""

    __tablename__ = "installation"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Json]
