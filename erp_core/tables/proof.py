"""What makes the journal evidence: images of every changed row, the chain over both, and seals. Rows here are only ever added."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Moment, one_of

TRANSACTION = text("(pg_current_xact_id()::text)::bigint")  # ties images to the journal entry of the same transaction


class RowImage(Base):
    """Rows of one table as a statement left them (I, U), or as they were before it removed them (D); B: as images began. Only by triggers."""

    __tablename__ = "row_image"
    __table_args__ = (one_of("op", ("I", "U", "D", "B")), Index("ix_row_image_relation", "relation", "id"))
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    relation: Mapped[str]
    op: Mapped[str]
    images: Mapped[list[object]] = mapped_column(JSONB)
    transaction: Mapped[int] = mapped_column(BigInteger, server_default=TRANSACTION)


class ChainLink(Base):
    """A journal entry (`entry`) or a row image (`image`) at its dense position: its content's SHA-256, and that of the chain up to here."""

    __tablename__ = "chain_link"
    __table_args__ = (
        one_of("source", ("entry", "image")),
        UniqueConstraint("source", "number", name="uq_chain_link_source_number"),
    )
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    source: Mapped[str]
    number: Mapped[int] = mapped_column(BigInteger)
    content_hash: Mapped[str]
    hash: Mapped[str]


class Seal(Base):
    """The chain stood here then. The same line goes to the witness file, outside the database."""

    __tablename__ = "seal"
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str]
    sealed_at: Mapped[Moment]
