"""Models and prompts: their versions, what was measured of them, which of them is in use, what they said, and what came of it."""

from __future__ import annotations

from pgvector.sqlalchemy import Vector
from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Json, JsonList, Moment, Price, one_of
from erp_core.values import CALL_OUTCOMES, MODEL_KINDS, MODEL_USES, PASSAGE_KINDS, SAMPLE_STATES


class ModelVersion(Base):
    """A trained model, or a prompt, as it was recorded: what its file must hash to, what it learned from, who trained it. Never changed."""

    __tablename__ = "model_version"
    __table_args__ = (one_of("kind", MODEL_KINDS), UniqueConstraint("name", "sha256"))
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    sha256: Mapped[str]
    content: Mapped[str | None]
    source: Mapped[str]
    data_digest: Mapped[str]
    code: Mapped[str]
    figures: Mapped[Json]
    trained_by: Mapped[str]
    trained_at: Mapped[Moment]


class ModelReport(Base):
    """What the evaluation measured of a version beside what was in use then, and the gate's word on it. Never changed."""

    __tablename__ = "model_report"
    __table_args__ = (Index("ix_model_report_version", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    against: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))
    figures: Mapped[Json]
    gate: Mapped[Json]
    problems: Mapped[JsonList]
    run_by: Mapped[str]
    run_at: Mapped[Moment]


class ModelUse(Base):
    """From a moment on a version is the champion of its name, or its shadow; no version: none is. A row is never changed."""

    __tablename__ = "model_use"
    __table_args__ = (one_of("use", MODEL_USES), Index("ix_model_use_name", "name", "use", "since"))
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    use: Mapped[str]
    version: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))
    report: Mapped[int | None] = mapped_column(ForeignKey("model_report.id"))
    since: Mapped[Moment]
    said_by: Mapped[str]
    reason: Mapped[str]


class Prediction(Base):
    """What a version said of a subject when, why, from which features; later, what came. `value` is a probability, or an expected amount."""

    __tablename__ = "prediction"
    __table_args__ = (
        one_of("use", MODEL_USES),
        Index("ix_prediction_subject", "subject", "question", "use", "id"),
        Index("ix_prediction_version", "version", "asked_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    use: Mapped[str]
    subject: Mapped[str]
    question: Mapped[str]
    value: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    reasons: Mapped[JsonList]
    features: Mapped[list[object] | None] = mapped_column(JSONB(none_as_null=True))
    asked_at: Mapped[Moment]
    outcome: Mapped[float | None]
    outcome_at: Mapped[Moment | None]


class FeedbackSample(Base):
    """A case that somebody says was handled wrongly, private data masked: once reviewed, the evaluation asks it of every version."""

    __tablename__ = "feedback_sample"
    __table_args__ = (one_of("status", SAMPLE_STATES), UniqueConstraint("case_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"))
    content: Mapped[Json]
    why: Mapped[str]
    status: Mapped[str]
    kept_by: Mapped[str]
    kept_at: Mapped[Moment]
    reviewed_by: Mapped[str | None]
    reviewed_at: Mapped[Moment | None]


class ModelCall(Base):
    """One question to a language model: what for, on which prompt (SHA-256), what it used, and what came of it. `cost` in the policy's currency."""

    __tablename__ = "model_call"
    __table_args__ = (
        one_of("outcome", CALL_OUTCOMES),
        Index("ix_model_call_case_id", "case_id"),
        Index("ix_model_call_asked_at", "asked_at"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case_file.id"))
    run: Mapped[str]
    purpose: Mapped[str]
    model: Mapped[str]
    prompt: Mapped[str]
    tokens_in: Mapped[int]
    tokens_out: Mapped[int]
    cost: Mapped[Price]
    ms: Mapped[int]
    outcome: Mapped[str]
    detail: Mapped[str]
    entity: Mapped[str | None] = mapped_column(ForeignKey("entity.code"))
    asked_at: Mapped[Moment]


class Passage(Base):
    """A text that is looked up by what it means: a case and how it began, a rule of the policy, a step of a playbook. `embedder` made the vector."""

    __tablename__ = "passage"
    __table_args__ = (
        one_of("kind", PASSAGE_KINDS),
        UniqueConstraint("kind", "subject"),
        Index("ix_passage_vector", "vector", postgresql_using="hnsw", postgresql_ops={"vector": "vector_cosine_ops"}),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    subject: Mapped[str]
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case_file.id"), index=True)
    text: Mapped[str]
    embedder: Mapped[str]
    vector: Mapped[list[float]] = mapped_column(Vector(256))
    made_at: Mapped[Moment]
