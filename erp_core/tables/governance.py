"""Policy versions and facts of the installation."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Json, Moment


class PolicyVersion(Base):
    """One text of the policy that was in force from `activated_at` on; its hash is on every decision."""

    __tablename__ = "policy_version"
    __table_args__ = (Index("uq_policy_version_hash", "hash", unique=True),)
    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str]
    content: Mapped[Json]
    activated_at: Mapped[Moment]


class Installation(Base):
    """Named facts of this installation, such as the offset of its clock."""

    __tablename__ = "installation"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Json]
