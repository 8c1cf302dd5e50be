"""Cases, messages, proposals, decisions, the journal and the outbox."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Computed,
    FetchedValue,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from erp_core.tables.base import Base, Json, JsonList, Moment, Money, one_of
from erp_core.tables.proof import TRANSACTION
from erp_core.values import DRILL_OUTCOMES, CaseStatus, Outcome, Priority, ProposalStatus, Queue, Verdict

OPEN = text("status IN ('new', 'investigating', 'awaiting_review')")
IS_OPEN = text(f"case_file.{OPEN}")  # said as the indexes of open cases say it, for a prepared plan knows no parameters
BANDS: dict[str, int] = {Priority.URGENT: 0, Priority.HIGH: 1, Priority.NORMAL: 2}  # any other comes last
LAST_BAND = 3
_WHEN = " ".join(f"WHEN '{priority}' THEN {band}" for priority, band in BANDS.items())
BAND = f"CASE priority {_WHEN} ELSE {LAST_BAND} END"


class Case(Base):
    """One thing a person must see to its end.

    Queues are in order of `band` (from the priority) and within it of `place`, smallest first: see rules.queues. `due_at` stands still
    while `paused_at` is set. `came_as` is what was known of it when it came to its queue (`came_at`); `late_chance` is how likely the clock
    took it to miss its due time, from a model's word: it moves the case within its band, no further. `entity` is the firm it is about, found by a trigger; none for mail that nobody has linked yet.
    """

    __tablename__ = "case_file"
    __table_args__ = (
        one_of("status", CaseStatus),
        one_of("queue", Queue),
        one_of("priority", Priority),
        Index(
            "uq_case_file_open_subject",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text(f"{OPEN} AND kind <> 'mail'"),
        ),
        Index("ix_case_file_subject", "subject", "kind"),
        Index("ix_case_file_came_at", "came_at"),
        Index("ix_case_file_opened_at", "opened_at"),
        Index("ix_case_file_assignee", "assignee", postgresql_where=OPEN),
        Index("ix_case_file_resolved_at", "resolved_at"),
        Index("ix_case_file_open", "queue", "band", "place", "id", postgresql_where=OPEN),
        Index("ix_case_file_money", "queue", "band", text("at_stake DESC NULLS LAST"), "id", postgresql_where=OPEN),
        Index("ix_case_file_order_number", "order_number", postgresql_where=text("order_number IS NOT NULL")),
        Index("ix_case_file_customer", "customer", "id", postgresql_where=text("customer IS NOT NULL")),
        Index("ix_case_file_escalate_at", "escalate_at", postgresql_where=text("escalate_at IS NOT NULL")),
        Index("ix_case_file_paused_until", "paused_until", postgresql_where=text("paused_until IS NOT NULL")),
        Index("ix_case_file_next", "band", "place", "id", postgresql_where=OPEN),
        Index(
            "ix_case_file_due", "due_at", postgresql_where=text(f"{OPEN} AND breached_at IS NULL AND paused_at IS NULL")
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    subject: Mapped[str]
    title: Mapped[str]
    queue: Mapped[str]
    priority: Mapped[str]
    status: Mapped[str]
    customer: Mapped[str | None] = mapped_column(ForeignKey("customer.code"))
    supplier: Mapped[str | None] = mapped_column(ForeignKey("supplier.code"))
    order_number: Mapped[str | None] = mapped_column(ForeignKey("sales_order.number"))
    at_stake: Mapped[Money | None]
    opened_at: Mapped[Moment]
    due_at: Mapped[Moment | None] = mapped_column(server_default=FetchedValue())
    snoozed_until: Mapped[Moment | None]
    resolved_at: Mapped[Moment | None]
    root_cause: Mapped[str | None]
    assignee: Mapped[str | None] = mapped_column(ForeignKey("app_user.email"))
    disruption_id: Mapped[int | None] = mapped_column(ForeignKey("disruption.id"), index=True)
    entity: Mapped[str | None] = mapped_column(ForeignKey("entity.code"), server_default=FetchedValue())
    band: Mapped[int] = mapped_column(SmallInteger, Computed(BAND, persisted=True))
    place: Mapped[int] = mapped_column(BigInteger, server_default="0")
    paused_at: Mapped[Moment | None]
    paused_for: Mapped[str | None]
    paused_until: Mapped[Moment | None]
    escalate_at: Mapped[Moment | None]
    breached_at: Mapped[Moment | None]
    escalations: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    details: Mapped[Json] = mapped_column(default=dict, server_default="{}")
    instruction: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    worked: Mapped[bool] = mapped_column(default=False, server_default="false")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    came_at: Mapped[Moment | None] = mapped_column(server_default=FetchedValue())
    came_as: Mapped[Json | None] = mapped_column(server_default=FetchedValue(), server_onupdate=FetchedValue())
    late_chance: Mapped[float | None]
    leased_by: Mapped[str | None]
    leased_until: Mapped[Moment | None]


class WorkingSpan(Base):
    """Time in which people of a calendar work, as the policy in force says: due times run in these."""

    __tablename__ = "working_span"
    calendar: Mapped[str] = mapped_column(primary_key=True)
    starts: Mapped[Moment] = mapped_column(primary_key=True)
    ends: Mapped[Moment]


class CaseStep(Base):
    """A step of the case's playbook that somebody checked off."""

    __tablename__ = "case_step"
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    checked_by: Mapped[str]
    checked_at: Mapped[Moment]


class CaseView(Base):
    """Who opened a case, and which preview was on the screen."""

    __tablename__ = "case_view"
    __table_args__ = (Index("ix_case_view_case_id", "case_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"))
    person: Mapped[str]
    digest: Mapped[str | None]
    seen_at: Mapped[Moment]


class QueueDepth(Base):
    """Open, late and signable cases of each queue, counted by the clock as often as counting is cheap."""

    __tablename__ = "queue_depth"
    entity: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    open: Mapped[int]
    late: Mapped[int]
    to_sign: Mapped[int]
    at_stake: Mapped[Money]
    counted_at: Mapped[Moment]


class Message(Base):
    """An inbound or outbound mail; the raw bytes are kept, `digest` is their SHA-256."""

    __tablename__ = "message"
    __table_args__ = (
        one_of("direction", ("in", "out")),
        UniqueConstraint("message_id"),
        Index("ix_message_case_id", "case_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    direction: Mapped[str]
    message_id: Mapped[str]
    digest: Mapped[str]
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"))
    source: Mapped[str | None]
    sender: Mapped[str | None]
    sender_name: Mapped[str | None]
    subject: Mapped[str | None]
    sent_at: Mapped[Moment | None]
    received_at: Mapped[Moment]
    machine: Mapped[bool]
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    parsed: Mapped[Json]


class Finding(Base):
    """What one run of the agent read and saw: classification, extraction, facts with their sources."""

    __tablename__ = "finding"
    __table_args__ = (Index("ix_finding_case_id", "case_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"))
    run: Mapped[str]
    content: Mapped[Json]
    recorded_at: Mapped[Moment]


class Note(Base):
    """A remark on a case."""

    __tablename__ = "note"
    __table_args__ = (Index("ix_note_case_id", "case_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"))
    author: Mapped[str]
    text: Mapped[str]
    written_at: Mapped[Moment]


class Drill(Base):
    """A proposal that is shown with something `wrong` in it on purpose: `commands` in place of its own, until somebody decides. They never run."""

    __tablename__ = "drill"
    __table_args__ = (one_of("outcome", DRILL_OUTCOMES), Index("ix_drill_case_id", "case_id"))
    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposal.id"), primary_key=True, autoincrement=False)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"))
    commands: Mapped[JsonList]
    versions: Mapped[Json]
    wrong: Mapped[str]
    made_at: Mapped[Moment]
    outcome: Mapped[str | None]
    decided_by: Mapped[str | None]
    decided_at: Mapped[Moment | None]


class Proposal(Base):
    """One to three commands that have not been executed yet."""

    __tablename__ = "proposal"
    __table_args__ = (
        one_of("status", ProposalStatus),
        Index("uq_proposal_pending", "case_id", unique=True, postgresql_where=text("status = 'pending'")),
        Index("ix_proposal_case_id", "case_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"))
    action: Mapped[str]
    commands: Mapped[JsonList]
    amended: Mapped[JsonList | None] = mapped_column(JSONB(none_as_null=True))
    rationale: Mapped[str]
    evidence: Mapped[JsonList]
    versions: Mapped[Json]
    policy: Mapped[Json]
    confidence: Mapped[str]
    digest: Mapped[str]
    status: Mapped[str]
    asked_by: Mapped[str | None]
    filed_by: Mapped[str]
    filed_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    drill: Mapped[Drill | None] = relationship(
        viewonly=True, uselist=False, primaryjoin=lambda: (Drill.proposal_id == Proposal.id) & Drill.outcome.is_(None)
    )

    @property
    def shown(self) -> list[Any]:
        """The commands that people see: a drill's while it is open, else the amended ones, else the agent's."""
        return self.drill.commands if self.drill is not None else self.amended or self.commands


class Asked(Base):
    """That the agent proposed something for an order: people are not asked about one order to death."""

    __tablename__ = "asked"
    __table_args__ = (Index("ix_asked_order_number", "order_number", "filed_at"),)
    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposal.id", ondelete="CASCADE"), primary_key=True)
    order_number: Mapped[str] = mapped_column(primary_key=True)
    filed_at: Mapped[Moment]


class Decision(Base):
    """What a person said to a proposal, on which digest and policy, and what became of it."""

    __tablename__ = "decision"
    __table_args__ = (
        one_of("verdict", Verdict),
        one_of("outcome", Outcome),
        Index("ix_decision_proposal_id", "proposal_id"),
        Index("ix_decision_actor", "actor", "decided_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposal.id"))
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"))
    actor: Mapped[str]
    verdict: Mapped[str]
    reason: Mapped[str | None]
    digest_shown: Mapped[str | None]
    policy_hash: Mapped[str]
    outcome: Mapped[str]
    detail: Mapped[Json]
    decided_at: Mapped[Moment]


class JournalEntry(Base):
    """Append-only: who did what, under which key, on which case, before and after."""

    __tablename__ = "journal_entry"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_journal_entry_case_id", "case_id"),
        Index("ix_journal_entry_subject", "subject"),
        Index("ix_journal_entry_transaction", "transaction"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[Moment]
    actor: Mapped[str]
    tag: Mapped[str]
    key: Mapped[str]
    input_hash: Mapped[str]
    subject: Mapped[str | None]
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case_file.id"))
    command: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    before: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    facts: Mapped[Json] = mapped_column(default=dict, server_default="{}")
    transaction: Mapped[int | None] = mapped_column(BigInteger, server_default=TRANSACTION)


class OutboxMail(Base):
    """A mail that somebody signed and the clock delivers; the agent's role cannot read this table."""

    __tablename__ = "outbox"
    __table_args__ = (one_of("status", ("waiting", "sent", "failed")), UniqueConstraint("message_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case_file.id"))
    message_id: Mapped[str]
    to: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]
    in_reply_to: Mapped[str | None]
    attachments: Mapped[JsonList]
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    last_error: Mapped[str | None]
    queued_at: Mapped[Moment]
    sent_at: Mapped[Moment | None]


class Summary(Base):
    """A firm's queue in the words of a language model, each sentence checked and with its cases; the newest one."""

    __tablename__ = "summary"
    queue: Mapped[str] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(ForeignKey("entity.code"), primary_key=True)
    sentences: Mapped[JsonList]
    model: Mapped[str]
    made_at: Mapped[Moment]


class KpiDay(Base):
    """What a key figure counted on a day, by everything that it can be cut by; the clock keeps it. A figure is value by weight, or value alone."""

    __tablename__ = "kpi_day"
    kpi: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(primary_key=True)
    warehouse: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    segment: Mapped[str] = mapped_column(primary_key=True)
    supplier: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Decimal] = mapped_column(Numeric)
    weight: Mapped[Decimal] = mapped_column(Numeric)
    counted_at: Mapped[Moment] = mapped_column(index=True)


class NoticeSeen(Base):
    """Up to which journal entry somebody has read the news of the own cases."""

    __tablename__ = "notice_seen"
    person: Mapped[str] = mapped_column(ForeignKey("app_user.email"), primary_key=True)
    entry: Mapped[int] = mapped_column(BigInteger)


class SavedView(Base):
    """Filters of the queue that somebody keeps under a name, as the address has them."""

    __tablename__ = "saved_view"
    person: Mapped[str] = mapped_column(ForeignKey("app_user.email"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    query: Mapped[str]


class Subscription(Base):
    """Who gets the digest of a queue by mail, from which hour (UTC) of the day on, and when it was sent last."""

    __tablename__ = "subscription"
    person: Mapped[str] = mapped_column(ForeignKey("app_user.email"), primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[int] = mapped_column(SmallInteger)
    last_on: Mapped[date | None]


class Leadership(Base):
    """Which process does a work that only one may do, and until when it need not be asked again."""

    __tablename__ = "leadership"
    work: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[Moment]
