"""What the agent records: thin calls of the functions in casework.sql, which check and journal for themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.values import canonical


@dataclass(frozen=True)
class Recorded:
    """Where a message went; `created` is False when it was there before."""

    message: int
    case: int
    created: bool


def record_message(
    session: Session,
    *,
    message_id: str,
    source: str | None,
    sender: str | None,
    sender_name: str | None,
    subject: str | None,
    sent_at: datetime | None,
    raw: bytes,
    parsed: dict[str, Any],
) -> Recorded:
    """Keep a message and open its case; the same `message_id` is taken once."""
    row = session.execute(
        text(
            "SELECT message_number, case_number, created FROM casework.record_message("
            ":message_id, :source, :sender, :sender_name, :subject, :sent_at, :raw, cast(:parsed AS jsonb))"
        ),
        {
            "message_id": message_id,
            "source": source,
            "sender": sender,
            "sender_name": sender_name,
            "subject": subject,
            "sent_at": sent_at,
            "raw": raw,
            "parsed": canonical(parsed),
        },
    ).one()
    return Recorded(row.message_number, row.case_number, row.created)


def claim_case(session: Session, worker: str, seconds: int, case: int | None = None) -> int | None:
    """Claim `case`, or the most urgent one that waits; None when there is none."""
    claimed: int | None = session.execute(
        text("SELECT casework.claim_case(:worker, :seconds, :case)"),
        {"worker": worker, "seconds": seconds, "case": case},
    ).scalar_one()
    return claimed


@dataclass(frozen=True)
class Triage:
    """Where a case belongs, as the agent sees it; amounts in the customer's currency."""

    queue: str
    priority: str
    customer: str | None
    supplier: str | None
    order: str | None
    at_stake: Decimal | None


def record_findings(
    session: Session, case: int, worker: str, run: str, content: dict[str, Any], triage: Triage
) -> None:
    """Write down what a run read and saw."""
    session.execute(
        text(
            "SELECT casework.record_findings(:case, :worker, :run, cast(:content AS jsonb), :queue, :priority, :customer, "
            ":supplier, :order, :at_stake)"
        ),
        {"case": case, "worker": worker, "run": run, "content": canonical(content), **triage.__dict__},
    )


@dataclass(frozen=True)
class Filing:
    """A proposal as the agent files it: plain JSON throughout."""

    action: str
    commands: list[dict[str, Any]]
    rationale: str
    evidence: list[dict[str, Any]]
    versions: dict[str, int]
    policy: dict[str, Any]
    confidence: str


def file_proposal(session: Session, case: int, worker: str, run: str, filing: Filing) -> int:
    """File a proposal, which ends the agent's work on the case for now. Returns its number."""
    filed: int = session.execute(
        text(
            "SELECT casework.file_proposal(:case, :worker, :run, :action, cast(:commands AS jsonb), :rationale, "
            "cast(:evidence AS jsonb), cast(:versions AS jsonb), cast(:policy AS jsonb), :confidence)"
        ),
        {
            "case": case,
            "worker": worker,
            "run": run,
            "action": filing.action,
            "commands": canonical(filing.commands),
            "rationale": filing.rationale,
            "evidence": canonical(filing.evidence),
            "versions": canonical(filing.versions),
            "policy": canonical(filing.policy),
            "confidence": filing.confidence,
        },
    ).scalar_one()
    return filed


def give_back(session: Session, case: int, worker: str, reason: str) -> None:
    """Return a claimed case unworked, with the reason as a note."""
    session.execute(
        text("SELECT casework.give_back(:case, :worker, :reason)"),
        {"case": case, "worker": worker, "reason": reason},
    )


def add_note(session: Session, case: int, note: str) -> int:
    """Add a note by the agent to an open case."""
    written: int = session.execute(
        text("SELECT casework.add_note(:case, :note)"), {"case": case, "note": note}
    ).scalar_one()
    return written


@dataclass(frozen=True)
class Trained:
    """A trained model as it is recorded; `figures` are what was measured of it."""

    name: str
    sha256: str
    source: str
    data_digest: str
    code: str
    figures: dict[str, Any]
    trainer: str | None


def record_model(session: Session, trained: Trained) -> int:
    """Record a trained model; nothing uses it before the core says so. Returns its version."""
    query = (
        "SELECT casework.record_model(:name, :sha256, :source, :data_digest, :code, cast(:figures AS jsonb), :trainer)"
    )
    said = {**trained.__dict__, "figures": canonical(trained.figures)}
    version: int = session.execute(text(query), said).scalar_one()
    return version


def record_predictions(session: Session, version: int, use: str, rows: list[dict[str, Any]]) -> int:
    """Write down what a version in use said: rows of subject, question, value, reasons, features. Returns how many."""
    query = "SELECT casework.record_predictions(:version, :use, cast(:rows AS jsonb))"
    number: int = session.execute(text(query), {"version": version, "use": use, "rows": canonical(rows)}).scalar_one()
    return number


def keep_goods(session: Session, goods: Mapping[str, Sequence[float]]) -> None:
    """Keep what orders hold, as vectors (256,) by order number; those of the last three days stay."""
    rows = [{"order": number, "goods": list(vector)} for number, vector in goods.items()]
    session.execute(text("SELECT casework.keep_goods(cast(:rows AS jsonb))"), {"rows": canonical(rows)})


@dataclass(frozen=True)
class Call:
    """One question to a language model, as it is recorded. `prompt`: SHA-256 of the prompt's text."""

    case: int | None
    run: str
    purpose: str
    model: str
    prompt: str
    tokens_in: int
    tokens_out: int
    cost: Decimal
    ms: int
    outcome: str
    detail: str


def record_call(session: Session, call: Call) -> None:
    """Write down what was asked of a language model."""
    query = (
        "SELECT casework.record_call(:case, :run, :purpose, :model, :prompt, :tokens_in, :tokens_out, :cost, :ms, "
        ":outcome, :detail)"
    )
    session.execute(text(query), call.__dict__)


def keep_passages(session: Session, embedder: str, rows: list[dict[str, Any]]) -> int:
    """Keep texts with their vectors (256,): rows of kind, subject, case_id, text, vector. Returns how many."""
    query = text("SELECT casework.keep_passages(:embedder, cast(:rows AS jsonb))")
    kept: int = session.execute(query, {"embedder": embedder, "rows": canonical(rows)}).scalar_one()
    return kept


def claim_chat(session: Session, worker: str, seconds: int) -> int | None:
    """A chat in which somebody waits for the assistant; None when nobody does."""
    query = text("SELECT casework.claim_chat(:worker, :seconds)")
    claimed: int | None = session.execute(query, {"worker": worker, "seconds": seconds}).scalar_one()
    return claimed


@dataclass(frozen=True)
class ChatAnswer:
    """What the assistant says: the text, what it rests on, what waits for a yes, what to remember, and whether a person takes over."""

    chat: int
    last: int
    text: str
    said: dict[str, Any]
    language: str
    pending: dict[str, Any] | None
    memory: dict[str, Any]
    hand_over: str | None
    summary: str


def answer_chat(session: Session, worker: str, answer: ChatAnswer) -> int:
    """Answer in a claimed chat. Returns the message's number."""
    query = text(
        "SELECT casework.answer_chat(:chat, :worker, :last, :text, cast(:said AS jsonb), :language, cast(:pending AS jsonb), "
        "cast(:memory AS jsonb), :hand_over, :summary)"
    )
    told = answer.__dict__ | {
        "worker": worker,
        "said": canonical(answer.said),
        "pending": canonical(answer.pending) if answer.pending is not None else None,
        "memory": canonical(answer.memory),
    }
    made: int = session.execute(query, told).scalar_one()
    return made


def tell_step(session: Session, chat: int, step: str) -> None:
    """Tell whoever waits in a chat what is being done; nothing is kept of it."""
    session.execute(text("SELECT pg_notify('chat_said', :told)"), {"told": f"{chat}:{step}"})


def keep_summary(session: Session, queue: str, entity: str, model: str, sentences: list[dict[str, Any]]) -> None:
    """Keep a firm's queue in words: rows of text and cases."""
    query = text("SELECT casework.keep_summary(:queue, :entity, :model, cast(:sentences AS jsonb))")
    session.execute(query, {"queue": queue, "entity": entity, "model": model, "sentences": canonical(sentences)})
