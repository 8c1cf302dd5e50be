"""The journal as proof: contents as they are hashed, the chain checked from its start, and the house rebuilt from its images.

Nothing here trusts a function or a hash that the database keeps: contents are read as text by statements said here, and hashed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.tables import Base
from erp_core.tables.proof import ChainLink, Seal

START = "0" * 64
GRACE = timedelta(seconds=60)
# no state of the house: said once and digested in entries, sums, what processes keep for themselves, secrets
NOT_KEPT = {
    "journal_entry", "row_image", "chain_link", "seal", "message", "finding", "note", "asked", "customer_account", "customer_item", "queue_depth",
    "working_span", "case_view", "leadership", "installation", "waiting_event", "order_goods", "credential", "sign_in", "prediction",
    "model_call", "passage", "chat", "chat_code", "summary", "subscription", "saved_view", "kpi_day", "notice_seen",
}  # fmt: skip
DERIVED = ["name_vector"]  # reckoned from the row's own name

CONTENT = {
    "entry": """jsonb_build_array('entry', s.id, to_char(s.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), s.actor, s.tag, s.key,
  s.input_hash, s.subject, s.case_id, s.command, s.before, s.after, s.facts,
  s.transaction)::text""",
    "image": "jsonb_build_array('image', s.id, s.relation, s.op, s.images, s.transaction)::text",
}
TABLE = {"entry": "journal_entry", "image": "row_image"}


def link_hash(previous: str, position: int, content_hash: str) -> str:
    """The chain's next hash (hex): SHA-256 of the one before, the position and the content's SHA-256, each on a line."""
    return hashlib.sha256(f"{previous}\n{position}\n{content_hash}".encode()).hexdigest()


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was when it was sealed: where, and what."""

    where: str
    what: str


@dataclass(frozen=True)
class Verified:
    """What a check of the chain found; `position` and `hash` are where it stands."""

    position: int
    hash: str
    waiting: int
    faults: list[Fault]


def verify(session: Session, seals: Sequence[dict[str, Any]] = (), most: int = 50) -> Verified:
    """Read every content again and follow the chain from its start; compare it with seals that were kept elsewhere."""
    faults: list[Fault] = []
    wanted = {int(s["position"]): str(s["hash"]) for s in seals}
    previous, position = START, 0
    links = _links(session)
    for found in links:
        position += 1
        if found.position != position:
            faults.append(Fault(f"position {position}", f"is missing; the next is {found.position}"))
            position = found.position
        where = f"position {position}, {found.source} {found.number}"
        if found.content is None:
            faults.append(Fault(where, "is gone"))
        elif hashlib.sha256(found.content.encode()).hexdigest() != found.content_hash:
            faults.append(Fault(where, "says something else than when it was sealed"))
        previous = link_hash(previous, position, found.content_hash)
        if previous != found.hash:
            faults.append(Fault(where, "does not follow from what is before it"))
            previous = found.hash
        if position in wanted and wanted.pop(position) != found.hash:
            faults.append(Fault(where, "is not what the witness saw there"))
        if len(faults) >= most:
            break
    links.close()
    faults += [Fault(f"position {p}", "was witnessed and is gone") for p in sorted(wanted)[:most] if len(faults) < most]
    waiting = 0
    if len(faults) < most:
        waiting, late = _unlinked(session)
        faults += late[:most]
    return Verified(position, previous, waiting, faults[:most])


@dataclass(frozen=True)
class _Link:
    position: int
    source: str
    number: int
    content_hash: str
    hash: str
    content: str | None


def _links(session: Session) -> Generator[_Link]:
    query = f"""
SELECT l.position, l.source, l.number, l.content_hash, l.hash,
 CASE l.source WHEN 'entry' THEN (SELECT {CONTENT["entry"]} FROM journal_entry s WHERE s.id = l.number)
  ELSE (SELECT {CONTENT["image"]} FROM row_image s WHERE s.id = l.number) END AS content
FROM chain_link l ORDER BY l.position"""
    rows = session.connection().execution_options(stream_results=True, max_row_buffer=2000).execute(text(query))
    with rows:
        for row in rows:
            yield _Link(*row)


def _unlinked(session: Session) -> tuple[int, list[Fault]]:
    """What is not in the chain: new things wait for the clock, at most seconds; older ones were slipped in or left out."""
    found, waiting = [], 0
    sealed = session.scalars(select(Seal.sealed_at).order_by(Seal.position.desc()).limit(1)).first()
    for source, table in TABLE.items():
        last = session.scalar(text(f"SELECT coalesce(max(number), 0) FROM chain_link WHERE source = '{source}'"))
        moment = "s.at" if source == "entry" else "NULL::timestamptz"
        query = f"""
SELECT s.id, {moment} AS at FROM {table} s
WHERE NOT EXISTS (SELECT FROM chain_link l WHERE l.source = '{source}' AND l.number = s.id) ORDER BY s.id"""
        for number, at in session.execute(text(query)):
            waiting += 1
            old = at is not None and sealed is not None and at < sealed - GRACE
            if old or (last and number < last - 20_000):
                found.append(Fault(f"{source} {number}", "is in no position of the chain, though later ones are"))
    return waiting, found


def seals_after(session: Session, position: int) -> list[dict[str, Any]]:
    """Seals beyond a position, as the witness file has them."""
    return [seal_line(s) for s in session.scalars(select(Seal).where(Seal.position > position).order_by(Seal.position))]


def seal_line(seal: Seal) -> dict[str, Any]:
    """A seal as one line of the witness file."""
    return {"position": seal.position, "hash": seal.hash, "sealed_at": seal.sealed_at.isoformat()}


def last_seal(session: Session) -> Seal | None:
    """Where the chain was sealed last."""
    return session.scalars(select(Seal).order_by(Seal.position.desc()).limit(1)).first()


def positions(session: Session, numbers: Sequence[int]) -> dict[int, int]:
    """Positions of journal entries, by their numbers; those not sealed yet are left out."""
    query = select(ChainLink.number, ChainLink.position).where(
        ChainLink.source == "entry", ChainLink.number.in_(numbers)
    )
    return {number: position for number, position in session.execute(query)}


def kept_tables() -> list[str]:
    """The tables whose rows must leave images: what the program says, not what the database has triggers for."""
    return sorted(set(Base.metadata.tables) - NOT_KEPT)


def unwatched(session: Session) -> list[Fault]:
    """Tables without all three triggers that keep images, or with one that is switched off."""
    query = """SELECT c.relname, count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE t.tgname IN ('keep_insert', 'keep_update', 'keep_delete') AND t.tgenabled IN ('O', 'A') GROUP BY c.relname"""
    found: dict[str, int] = {name: number for name, number in session.execute(text(query))}
    return [Fault(table, "keeps no images of its rows") for table in kept_tables() if found.get(table) != 3]


SAID = """
SELECT 'message ' || m.id FROM message m WHERE m.direction = 'in' AND NOT EXISTS (SELECT FROM journal_entry e
  WHERE e.subject = 'message:' || m.id AND e.tag = 'message:case:received'
   AND coalesce(e.after ->> 'digest', encode(sha256(m.raw), 'hex')) = encode(sha256(m.raw), 'hex'))
UNION ALL SELECT 'finding ' || f.id FROM finding f JOIN journal_entry e ON e.case_id = f.case_id AND e.tag = 'case:facts:recorded'
  AND (e.after ->> 'finding')::bigint = f.id WHERE e.after ->> 'digest' <> encode(sha256(convert_to(f.content::text, 'UTF8')), 'hex')
UNION ALL SELECT 'note ' || n.id FROM note n JOIN journal_entry e ON e.subject = 'note:' || n.id AND e.tag = 'case:note:added'
  WHERE left(n.text, 200) <> left(e.after ->> 'text', 200) OR (length(e.after ->> 'text') > 200 AND n.text <> e.after ->> 'text')
LIMIT :most"""


def altered(session: Session, most: int = 50) -> list[Fault]:
    """Mails, findings and notes that are not what their entries took in."""
    return [
        Fault(where, "is not what its journal entry took in") for where in session.scalars(text(SAID), {"most": most})
    ]


def rebuilt(session: Session, tables: Sequence[str] | None = None, most: int = 50) -> list[Fault]:
    """Rebuild each table from its images and compare it, row by row and field by field, with what is there."""
    faults: list[Fault] = []
    for table in tables or kept_tables():
        keys = [column.name for column in Base.metadata.tables[table].primary_key]
        listed = ", ".join(f"'{key}'" for key in keys)
        own = f"(SELECT jsonb_object_agg(k, i -> k) FROM unnest(ARRAY[{listed}]) AS k)"
        query = f"""
WITH images AS (SELECT s.id, s.op, x.i, x.n, {own.replace("i -> k", "x.i -> k")} AS key FROM row_image s,
  jsonb_array_elements(s.images) WITH ORDINALITY AS x (i, n) WHERE s.relation = :table),
 last AS (SELECT DISTINCT ON (key) key, op, i FROM images ORDER BY key, id DESC, n DESC),
 then_ AS (SELECT key, i FROM last WHERE op <> 'D'),
 now_ AS (SELECT {own.replace("i -> k", "r.i -> k")} AS key, r.i FROM (SELECT to_jsonb(t) - cast(:derived AS text[]) AS i FROM "{table}" t) r)
SELECT coalesce(t.key, n.key) AS key, t.i IS NULL AS added, n.i IS NULL AS gone,
 (SELECT array_agg(a.key) FROM jsonb_each(t.i) a JOIN jsonb_each(n.i) b ON b.key = a.key WHERE a.value IS DISTINCT FROM b.value) AS fields
FROM then_ t FULL JOIN now_ n ON n.key = t.key
WHERE t.i IS NULL OR n.i IS NULL OR EXISTS (SELECT FROM jsonb_each(t.i) a JOIN jsonb_each(n.i) b ON b.key = a.key
 WHERE a.value IS DISTINCT FROM b.value) LIMIT :most"""
        for row in session.execute(text(query), {"table": table, "most": most, "derived": DERIVED}):
            where = f"{table} {', '.join(str(v) for v in row.key.values())}"
            what = "was added" if row.added else "is gone" if row.gone else f"has another {', '.join(row.fields)}"
            faults.append(Fault(where, f"{what} than its images say" if row.fields else f"{what}, which no image says"))
    return faults[:most]


def unexplained(session: Session, most: int = 50) -> list[Fault]:
    """Changes of rows that belong to no journal entry: somebody went past the door. Images of what was there before come first or not at all."""
    query = """
SELECT s.id, s.relation, s.op FROM row_image s WHERE CASE WHEN s.op = 'B'
 THEN EXISTS (SELECT FROM row_image p WHERE p.relation = s.relation AND p.id < s.id AND p.op <> 'B')
 ELSE NOT EXISTS (SELECT FROM journal_entry e WHERE e.transaction = s.transaction) END ORDER BY s.id LIMIT :most"""
    found = session.execute(text(query), {"most": most})
    verbs = {"I": "was added", "U": "was changed", "D": "was removed", "B": "was laid down anew"}
    return [Fault(f"{r.relation}, image {r.id}", f"{verbs[r.op]} without a journal entry") for r in found]


@dataclass(frozen=True)
class Segment:
    """The chain from one seal (None: the start) to the next: what lies between two things that the witness saw."""

    before: Seal | None
    links: list[ChainLink]
    seal: Seal


def segments(session: Session, positions: Sequence[int]) -> list[Segment]:
    """The segments that hold some positions, in order; a position that no seal covers yet has none."""
    found: list[Segment] = []
    for position in sorted(positions):
        if found and position <= found[-1].seal.position:
            continue
        seal = session.scalars(select(Seal).where(Seal.position >= position).order_by(Seal.position).limit(1)).first()
        if seal is None:
            break
        before = session.scalars(
            select(Seal).where(Seal.position < position).order_by(Seal.position.desc()).limit(1)
        ).first()
        between = ChainLink.position.between((before.position if before else 0) + 1, seal.position)
        links = list(session.scalars(select(ChainLink).where(between).order_by(ChainLink.position)))
        found.append(Segment(before, links, seal))
    return found


def contents(session: Session, source: str, numbers: Sequence[int]) -> dict[int, str]:
    """Contents as they are hashed, by number."""
    query = f"SELECT s.id, {CONTENT[source]} FROM {TABLE[source]} s WHERE s.id = ANY(:numbers) ORDER BY s.id"
    return {number: content for number, content in session.execute(text(query), {"numbers": list(numbers)})}


SINCE = """
SELECT DISTINCT e.case_id FROM chain_link l JOIN journal_entry e ON e.id = l.number
WHERE l.source = 'entry' AND l.position > :since AND l.position <= :last AND e.case_id IS NOT NULL LIMIT 1000
"""


def cases_since(session: Session, position: int | None) -> tuple[int, list[int]]:
    """Where the chain stands, and the cases that its entries after a position are about (of none: no cases)."""
    last = session.scalar(text("SELECT coalesce(max(position), 0) FROM chain_link")) or 0
    if position is None or position >= last:
        return last, []
    return last, list(session.scalars(text(SINCE), {"since": position, "last": last}))
