"""Which models and prompts there are, which of them are in use, what was measured of them, and what they said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from erp_core.db import PICTURE
from erp_core.errors import NotFound
from erp_core.tables.models import FeedbackSample, ModelReport, ModelUse, ModelVersion, Prediction


def numbered(session: Session, number: int) -> ModelVersion:
    """A version. Raises NotFound."""
    found = session.get(ModelVersion, number)
    if found is None:
        raise NotFound(f"There is no model version {number}.")
    return found


def in_use(session: Session, name: str, now: datetime, use: str = "champion") -> ModelVersion | None:
    """The version of a name that is in use at a moment; None when none is."""
    number = _numbers(session, now).get((name, use))
    return session.get_one(ModelVersion, number) if number is not None else None


def all_in_use(session: Session, now: datetime) -> dict[tuple[str, str], ModelVersion]:
    """Versions by (name, use)."""
    return {key: session.get_one(ModelVersion, number) for key, number in _numbers(session, now).items()}


NUMBERS_IN_USE = "numbers in use"  # what a picture knows of them: the moment, the numbers
IN_USE = """SELECT DISTINCT ON (name, use) name, use, version FROM model_use WHERE since <= :now ORDER BY name, use, since DESC, id DESC"""


def _numbers(session: Session, now: datetime) -> dict[tuple[str, str], int]:
    """Numbers of versions by (name, use); in a picture they are asked for once."""
    known: tuple[datetime, dict[tuple[str, str], int]] | None = session.info.get(NUMBERS_IN_USE)
    if known is not None and known[0] == now:
        return known[1]
    rows = session.execute(text(IN_USE), {"now": now})
    found = {(r.name, r.use): r.version for r in rows if r.version is not None}
    if session.info.get(PICTURE):
        session.info[NUMBERS_IN_USE] = (now, found)
    return found


def uses(session: Session, name: str) -> Sequence[ModelUse]:
    """What was in use when, newest first."""
    query = select(ModelUse).where(ModelUse.name == name)
    return session.scalars(query.order_by(ModelUse.since.desc(), ModelUse.id.desc())).all()


def uses_of(session: Session, version: int) -> Sequence[ModelUse]:
    """When a version was in use, newest first."""
    query = select(ModelUse).where(ModelUse.version == version)
    return session.scalars(query.order_by(ModelUse.since.desc(), ModelUse.id.desc())).all()


def versions(session: Session, name: str | None = None) -> Sequence[ModelVersion]:
    """All versions, newest first."""
    query = select(ModelVersion).order_by(ModelVersion.id.desc())
    return session.scalars(query.where(ModelVersion.name == name) if name else query).all()


def latest_report(session: Session, version: int) -> ModelReport | None:
    """What was measured of a version last."""
    query = select(ModelReport).where(ModelReport.version == version).order_by(ModelReport.id.desc()).limit(1)
    return session.scalars(query).one_or_none()


def figures_of(session: Session, version: ModelVersion) -> dict[str, Any]:
    """What was measured of a version last: by the evaluation, else by training."""
    measured = latest_report(session, version.id)
    return measured.figures if measured else version.figures.get("gate") or {}


def unmeasured_first(session: Session) -> list[int]:
    """Versions from a simulated past or from shipped text, of names that nothing was ever in use of, that the evaluation has not measured."""
    query = """SELECT v.id FROM model_version v WHERE v.source IN ('simulated', 'shipped') AND NOT EXISTS (SELECT FROM model_use u WHERE u.name = v.name)
        AND NOT EXISTS (SELECT FROM model_report r WHERE r.version = v.id) ORDER BY v.id"""
    return list(session.scalars(text(query)))


def reports(session: Session, version: int) -> Sequence[ModelReport]:
    """Everything that was measured of a version, newest first."""
    return session.scalars(
        select(ModelReport).where(ModelReport.version == version).order_by(ModelReport.id.desc())
    ).all()


@dataclass(frozen=True)
class Said:
    """What is said of a subject now: question, value, interval, reasons, by which version, and its standing."""

    question: str
    prediction: Prediction
    version: ModelVersion


def said_of(session: Session, subject: str, use: str = "champion") -> list[Said]:
    """The newest word on each question about a subject."""
    last = select(Prediction.id).where(Prediction.subject == subject, Prediction.use == use)
    last = last.ext(distinct_on(Prediction.question)).order_by(Prediction.question, Prediction.id.desc())
    return _said(session, select(Prediction).where(Prediction.id.in_(last)).order_by(Prediction.id))


def samples(session: Session, status: str | None = None) -> Sequence[FeedbackSample]:
    """Samples from feedback, newest first."""
    query = select(FeedbackSample).order_by(FeedbackSample.id.desc())
    return session.scalars(query.where(FeedbackSample.status == status) if status else query).all()


def is_sample(session: Session, case: int) -> bool:
    """Whether a case was kept as a sample."""
    return session.scalars(select(FeedbackSample.id).where(FeedbackSample.case_id == case)).first() is not None


WATCHED = """
SELECT p.question, p.value, p.outcome, CASE WHEN :inputs THEN p.features END AS features FROM prediction p
WHERE p.asked_at >= :since AND p.version = :version ORDER BY p.id DESC LIMIT 20000"""


def watched(session: Session, version: int, since: datetime, inputs: bool = False) -> Sequence[Any]:
    """What a version said since a moment, with what came of it; with what it was asked from, where `inputs` are wanted."""
    return session.execute(text(WATCHED), {"version": version, "since": since, "inputs": inputs}).all()


RIVALS = """
SELECT a.question, a.value AS champion, b.value AS shadow, coalesce(a.outcome, b.outcome) AS outcome
FROM (SELECT DISTINCT ON (subject, question) * FROM prediction WHERE version = :champion AND asked_at >= :since ORDER BY subject, question, id DESC) a
JOIN (SELECT DISTINCT ON (subject, question) * FROM prediction WHERE version = :shadow AND asked_at >= :since ORDER BY subject, question, id DESC) b
  ON b.subject = a.subject AND b.question = a.question WHERE a.question NOT IN ('demand_28', 'cases_24', 'days_late')"""


def rivals(session: Session, champion: int, shadow: int, since: datetime) -> Sequence[Any]:
    """What both said of the same subjects since a moment, as probabilities, and what came."""
    asked = {"champion": champion, "shadow": shadow, "since": since}
    return session.execute(text(RIVALS), asked).all()


NEWEST = """
SELECT DISTINCT ON (p.subject, p.question) p.id FROM prediction p WHERE p.use = 'champion' AND p.question = ANY(:questions) AND p.asked_at >= :since
 AND p.subject LIKE :subject ORDER BY p.subject, p.question, p.id DESC"""


def newest(session: Session, questions: Sequence[str], subject: str, since: datetime) -> list[Said]:
    """The newest words on some questions about subjects that look like `subject` (SQL LIKE), the likeliest first."""
    asked = {"questions": list(questions), "subject": subject, "since": since}
    found = session.scalars(text(NEWEST), asked).all()
    return _said(session, select(Prediction).where(Prediction.id.in_(found)).order_by(Prediction.value.desc()))


def _said(session: Session, query: Select[Prediction]) -> list[Said]:
    rows = session.scalars(query).all()
    return [Said(row.question, row, session.get_one(ModelVersion, row.version)) for row in rows]


REVIEWERS = """
WITH d AS (SELECT d.*, p.filed_by, (SELECT min(v.seen_at) FROM case_view v WHERE v.case_id = d.case_id AND v.person = d.actor AND v.seen_at <= d.decided_at) AS seen
  FROM decision d JOIN proposal p ON p.id = d.proposal_id WHERE d.decided_at >= :since AND p.filed_by = 'agent' AND NOT d.detail ? 'drill')
SELECT actor, count(*) AS decided, (SELECT count(*) FROM drill r WHERE r.decided_by = d.actor AND r.decided_at >= :since AND r.outcome IN ('caught', 'missed')) AS drills,
 (SELECT count(*) FROM drill r WHERE r.decided_by = d.actor AND r.decided_at >= :since AND r.outcome = 'caught') AS caught, count(*) FILTER (WHERE verdict = 'approve') AS approved,
 count(*) FILTER (WHERE verdict IN ('reject', 'amend', 'instruct')) AS otherwise,
 count(*) FILTER (WHERE verdict = 'approve' AND seen IS NULL) AS unopened,
 percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM decided_at - seen)) FILTER (WHERE verdict = 'approve' AND seen IS NOT NULL) AS seconds
FROM d GROUP BY actor ORDER BY decided DESC"""


def reviewers(session: Session, since: datetime) -> Sequence[Any]:
    """How people decide on what the agent proposes: how many, how often otherwise, how long they look, what they sign unopened, and
    how many of the proposals that were made wrong on purpose they saw."""
    return session.execute(text(REVIEWERS), {"since": since}).all()
