"""What is looked up by meaning: open cases, those that are over with how they ended, rules of the policy, playbooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.values import kind_words

LIKE = 0.35  # texts less alike than this have nothing to do with each other

UNKEPT = """
SELECT c.id, c.kind, c.title, c.details ->> 'problems' AS problems, f.content -> 'read' ->> 'own_words' AS words,
  CASE WHEN c.status = 'resolved' THEN 'case' ELSE 'open' END AS known_as
FROM case_file c LEFT JOIN LATERAL (SELECT content FROM finding WHERE case_id = c.id ORDER BY id DESC LIMIT 1) f ON true
LEFT JOIN passage p ON p.case_id = c.id AND p.embedder = :embedder AND p.kind = CASE WHEN c.status = 'resolved' THEN 'case' ELSE 'open' END
WHERE c.status <> 'dismissed' AND c.queue <> 'none' AND (c.status = 'resolved' OR c.worked OR f.content IS NOT NULL) AND p.id IS NULL
ORDER BY c.id DESC LIMIT :most"""


@dataclass(frozen=True)
class Unkept:
    """A case that is over, or one that is open and was read, which nobody can look up by meaning yet."""

    case: int
    kind: str
    text: str


def unkept(session: Session, embedder: str, most: int) -> list[Unkept]:
    """Cases without a vector of this embedder, newest first."""
    rows = session.execute(text(UNKEPT), {"embedder": embedder, "most": most})
    return [
        Unkept(r.id, r.known_as, f"{kind_words(r.kind)}. {r.title}. {r.problems or ''} {r.words or ''}".strip())
        for r in rows
    ]


def kept_texts(session: Session, embedder: str, kinds: Sequence[str]) -> dict[tuple[str, str], str]:
    """Texts by kind and subject that this embedder has a vector for."""
    query = "SELECT kind, subject, text FROM passage WHERE embedder = :embedder AND kind = ANY(:kinds)"
    rows = session.execute(text(query), {"embedder": embedder, "kinds": list(kinds)})
    return {(r.kind, r.subject): r.text for r in rows}


def any_at_all(session: Session) -> bool:
    """Whether there is anything to look up."""
    return bool(session.scalar(text("SELECT EXISTS (SELECT FROM passage)")))


@dataclass(frozen=True)
class Near:
    """A text close in meaning; `likeness` is the cosine."""

    kind: str
    subject: str
    case: int | None
    text: str
    likeness: float


NEAREST = """
SELECT kind, subject, case_id, text, 1 - (vector <=> cast(:vector AS vector)) AS likeness FROM passage
WHERE embedder = :embedder AND kind = ANY(:kinds)
  AND (cast(:but AS int) IS NULL OR case_id IS DISTINCT FROM :but)
ORDER BY vector <=> cast(:vector AS vector) LIMIT :most"""


def nearest(
    session: Session, vector: Sequence[float], embedder: str, kinds: Sequence[str], most: int, but: int | None = None
) -> list[Near]:
    """The texts closest in meaning, closest first (HNSW, searched on until enough of the kinds are found)."""
    session.execute(text("SET LOCAL hnsw.iterative_scan = 'relaxed_order'"))
    given = {"vector": str(list(vector)), "embedder": embedder, "kinds": list(kinds), "most": most, "but": but}
    rows = [
        Near(r.kind, r.subject, r.case_id, r.text, float(r.likeness)) for r in session.execute(text(NEAREST), given)
    ]
    return sorted(rows, key=lambda n: -n.likeness)


OPEN = """
SELECT c.id, c.title, c.kind, c.queue, u.name AS customer, 1 - (p.vector <=> cast(:vector AS vector)) AS likeness
FROM passage p JOIN case_file c ON c.id = p.case_id LEFT JOIN customer u ON u.code = c.customer
WHERE p.embedder = :embedder AND p.kind = 'open' AND c.status IN ('new', 'investigating', 'awaiting_review')
ORDER BY p.vector <=> cast(:vector AS vector) LIMIT :most"""


@dataclass(frozen=True)
class OpenCase:
    """An open case close in meaning to what is looked for."""

    case: int
    title: str
    kind: str
    queue: str
    customer: str | None
    likeness: float


def open_like(session: Session, vector: Sequence[float], embedder: str, most: int) -> list[OpenCase]:
    """Open cases that the session may see, closest in meaning first."""
    session.execute(text("SET LOCAL hnsw.iterative_scan = 'relaxed_order'"))
    given = {"vector": str(list(vector)), "embedder": embedder, "most": most}
    rows = [
        OpenCase(r.id, r.title, r.kind, r.queue, r.customer, float(r.likeness))
        for r in session.execute(text(OPEN), given)
    ]
    return sorted(rows, key=lambda c: -c.likeness)


ENDED = """
SELECT c.id, c.kind, c.resolved_at, c.root_cause, p.action, p.commands, p.amended, d.verdict, d.actor,
  EXISTS (SELECT FROM case_file l WHERE l.id > c.id AND l.opened_at BETWEEN c.resolved_at AND c.resolved_at + interval '14 days'
    AND l.kind = c.kind AND (l.order_number = c.order_number OR (c.order_number IS NULL AND l.customer = c.customer))) AS came_back
FROM case_file c LEFT JOIN LATERAL (SELECT * FROM proposal WHERE case_id = c.id AND status = 'executed' ORDER BY id DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT verdict, actor FROM decision WHERE proposal_id = p.id AND outcome = 'executed' ORDER BY id DESC LIMIT 1) d ON true
WHERE c.id = ANY(:cases)"""


@dataclass(frozen=True)
class Ended:
    """How a case ended, and whether it held: the same kind of case on the same order did not come back within two weeks."""

    case: int
    kind: str
    resolved_at: datetime
    action: str
    commands: list[str]
    amended: bool
    root_cause: str | None
    held: bool


def ended(session: Session, cases: Sequence[int]) -> dict[int, Ended]:
    """How cases ended, by number."""

    def of(row: Any) -> Ended:
        commands = [c["type"] for c in row.amended or row.commands or []]
        action = row.action or "closed by a person"
        return Ended(
            row.id, row.kind, row.resolved_at, action, commands, bool(row.amended), row.root_cause, not row.came_back
        )

    return {row.id: of(row) for row in session.execute(text(ENDED), {"cases": list(cases)})} if cases else {}
