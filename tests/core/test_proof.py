"""The journal as proof: what was sealed cannot be changed by anybody unseen, and the house can be rebuilt from it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session as PlainSession
from sqlalchemy.pool import NullPool

from api import clock as clock_process
from api import witness
from erp_core import casework, db
from erp_core.actions import execute, sealing
from erp_core.commands import PlaceHold, ReleaseHold
from erp_core.db import Session
from erp_core.queries import proof
from erp_core.server import SUPERUSER, Cluster
from erp_core.tables import Base
from erp_core.tables.desk import JournalEntry
from erp_core.tables.proof import ChainLink, Seal
from erp_core.values import HoldReason
from tests.conftest import TODAY
from tests.core.test_decisions import AVA, approve, file, free_order, to_one


@pytest.fixture
def sealed(database: str, open_folder: Path) -> Path:
    """Some decisions, sealed; the witness file."""
    with db.transaction(db.API) as session:
        for _ in range(3):
            order = free_order(session)
            execute(
                session,
                PlaceHold(order=order.number, reason=HoldReason.MANUAL, note="wait"),
                key=f"h:{order.number}",
                actor=AVA,
                now=TODAY,
            )
            execute(
                session,
                ReleaseHold(order=order.number, reason=HoldReason.MANUAL, note="go"),
                key=f"r:{order.number}",
                actor=AVA,
                now=TODAY,
            )
    with db.transaction(db.API) as session:
        order = free_order(session)
        number = file(order, [to_one(order)])
        approve(session, number)
    path = open_folder / "seals.jsonl"
    clock_process.seal_all(sealing.sequencer(), path)
    return path


@pytest.fixture
def root(database: str, cluster: Cluster) -> Iterator[PlainSession]:
    """A superuser, whom nothing in the database stops."""
    engine = create_engine(cluster.dsn(SUPERUSER, database), poolclass=NullPool)
    with PlainSession(engine) as session:
        yield session
    engine.dispose()


def test_what_is_sealed_verifies_and_its_rows_are_rebuilt(sealed: Path, api: Session) -> None:
    found = proof.verify(api, witness.read(sealed))
    assert (found.faults, found.waiting) == ([], 0)
    assert found.position == api.scalars(select(ChainLink.position).order_by(ChainLink.position.desc())).first()
    assert proof.rebuilt(api) == []
    assert proof.unexplained(api) == []


def test_every_table_leaves_images_or_is_named_as_one_that_need_not(api: Session) -> None:
    assert proof.unwatched(api) == []
    assert set(Base.metadata.tables) >= proof.NOT_KEPT


def test_what_was_rolled_back_leaves_no_image(sealed: Path, api: Session) -> None:
    count = "SELECT count(*) FROM row_image"
    before = api.scalar(text(count))
    order = free_order(api)
    savepoint = api.begin_nested()
    execute(api, PlaceHold(order=order.number, reason=HoldReason.MANUAL, note="wait"), key="x", actor=AVA, now=TODAY)
    assert api.scalar(text(count)) > before
    savepoint.rollback()
    assert api.scalar(text(count)) == before


@pytest.mark.parametrize("table", ["row_image", "chain_link", "seal", "journal_entry"])
def test_the_api_changes_nothing_of_the_proof(database: str, table: str) -> None:
    with db.transaction(db.API) as session:
        for statement in (f'UPDATE "{table}" SET hash = hash', f'DELETE FROM "{table}"', f'TRUNCATE "{table}" CASCADE'):
            with pytest.raises(db.Refused), session.begin_nested():
                session.execute(
                    text(
                        statement.replace("hash", "tag")
                        if table == "journal_entry"
                        else statement.replace("hash", "id")
                        if table == "row_image"
                        else statement
                    )
                )
    if table == "row_image":
        with db.transaction(db.API) as session, pytest.raises(db.Refused), session.begin_nested():
            session.execute(text("INSERT INTO row_image (relation, op, images) VALUES ('hold', 'D', '[]')"))


def test_what_commits_late_under_a_small_number_is_linked_all_the_same(sealed: Path, database: str) -> None:
    sequencer = sealing.sequencer()
    clock_process.seal_all(sequencer, sealed)
    slow = Session(db.engine(db.API), info={db.FIRMS: db.EVERY_FIRM})
    slow.execute(
        text(
            "INSERT INTO journal_entry (at, actor, tag, key, input_hash, facts) VALUES (now(), 'x', 'a:b:c', 'slow', 'h', '{}')"
        )
    )
    with db.transaction(db.API) as session:
        session.execute(
            text(
                "INSERT INTO journal_entry (at, actor, tag, key, input_hash, facts) VALUES (now(), 'x', 'a:b:c', 'fast', 'h', '{}')"
            )
        )
    clock_process.seal_all(sequencer, sealed)
    slow.commit()
    slow.close()
    clock_process.seal_all(sequencer, sealed)
    with db.reading(db.API) as session:
        linked = session.execute(
            select(JournalEntry.key)
            .join(ChainLink, (ChainLink.number == JournalEntry.id) & (ChainLink.source == "entry"))
            .where(JournalEntry.key.in_(["slow", "fast"]))
            .order_by(ChainLink.position)
        )
        assert [key for (key,) in linked] == ["fast", "slow"]
        assert proof.verify(session, witness.read(sealed)).faults == []


# --- tampering: each is done by a superuser and rolled back afterwards

FIELDS = {
    "actor": "'nobody'", "tag": "'order:hold:lifted'", "key": "key || 'x'", "subject": "'sales_order:SO-1'",
    "after": "'{\"status\": \"released\"}'", "at": "at + interval '1 second'", "facts": "'{}'", "input_hash": "'0'",
}  # fmt: skip


def _entry(root: PlainSession, chance: random.Random) -> int:
    return chance.choice(list(root.scalars(select(JournalEntry.id))))


def changed(root: PlainSession, chance: random.Random) -> None:
    field = chance.choice(list(FIELDS))
    where = f"id = {_entry(root, chance)} AND {field} IS DISTINCT FROM {FIELDS[field]}"
    done = root.execute(text(f"UPDATE journal_entry SET {field} = {FIELDS[field]} WHERE {where}"))
    if not done.rowcount:  # type: ignore[attr-defined]
        changed(root, chance)


def removed(root: PlainSession, chance: random.Random) -> None:
    root.execute(text("DELETE FROM journal_entry WHERE id = :n"), {"n": _entry(root, chance)})


def slipped_in(root: PlainSession, chance: random.Random) -> None:
    at = TODAY - timedelta(days=chance.randint(1, 300))
    query = "INSERT INTO journal_entry (at, actor, tag, key, input_hash, facts) VALUES (:at, :a, 'order:hold:released', :k, 'h', '{}')"
    root.execute(text(query), {"at": at, "a": AVA, "k": f"forged:{chance.random()}"})


def swapped(root: PlainSession, chance: random.Random) -> None:
    a, b = chance.sample(list(root.scalars(select(JournalEntry.id))), 2)
    root.execute(
        text("UPDATE journal_entry x SET actor = y.actor, tag = y.tag, after = y.after, subject = y.subject, at = y.at, command = y.command, "
             "before = y.before, facts = y.facts, input_hash = y.input_hash FROM journal_entry y WHERE (x.id, y.id) IN ((:a, :b), (:b, :a))"),
        {"a": a, "b": b},
    )  # fmt: skip
    if root.execute(text("SELECT 1 FROM journal_entry x JOIN journal_entry y ON (x.tag, x.after, x.actor, x.at) IS NOT DISTINCT FROM (y.tag, y.after, y.actor, y.at) "
                         "WHERE x.id = :a AND y.id = :b"), {"a": a, "b": b}).first():  # fmt: skip
        swapped(root, chance)


def image_changed(root: PlainSession, chance: random.Random) -> None:
    number = chance.choice(list(root.scalars(text("SELECT id FROM row_image WHERE jsonb_array_length(images) > 0"))))
    root.execute(text("UPDATE row_image SET images = images || '[{}]'::jsonb WHERE id = :n"), {"n": number})


def tail_cut(root: PlainSession, chance: random.Random) -> None:
    """The end is taken away, links and seals with it, as an old backup would."""
    last = root.scalar(text("SELECT max(position) FROM chain_link"))
    cut = chance.randint(max(1, last - 50), last)
    root.execute(
        text(
            "DELETE FROM journal_entry e USING chain_link l WHERE l.source = 'entry' AND l.number = e.id AND l.position >= :c"
        ),
        {"c": cut},
    )
    root.execute(
        text(
            "DELETE FROM row_image e USING chain_link l WHERE l.source = 'image' AND l.number = e.id AND l.position >= :c"
        ),
        {"c": cut},
    )
    for table in ("chain_link", "seal"):
        root.execute(text(f"DELETE FROM {table} WHERE position >= :c"), {"c": cut})


def chained_anew(
    change: Callable[[PlainSession, random.Random], None],
) -> Callable[[PlainSession, random.Random], None]:
    """Whoever knows how chains are made, makes a new one that is right in itself."""

    def forked(root: PlainSession, chance: random.Random) -> None:
        change(root, chance)
        root.execute(text("DELETE FROM chain_link"))
        root.execute(text("DELETE FROM seal"))
        sequencer = sealing.sequencer()
        while sequencer.step(root, TODAY, 0.0):
            pass

    return forked


TAMPERINGS = [
    changed, removed, slipped_in, swapped, image_changed, tail_cut, chained_anew(changed), chained_anew(removed), chained_anew(slipped_in),
    chained_anew(swapped),
]  # fmt: skip


def _tamper(root: PlainSession, seals: list[dict[str, Any]], seed: int) -> None:
    chance = random.Random(seed)
    tampering = TAMPERINGS[seed % len(TAMPERINGS)]
    root.execute(text("SET LOCAL session_replication_role = replica"))  # no trigger, no constraint
    tampering(root, chance)
    found = proof.verify(root, seals)
    root.rollback()
    assert found.faults, f"seed {seed}: {tampering.__name__} went unseen"


def test_no_tampering_escapes_a_verifier_that_holds_only_the_last_seal(sealed: Path, root: PlainSession) -> None:
    last = witness.read(sealed)[-1:]
    for seed in range(200):
        _tamper(root, last, seed)


@pytest.mark.campaign
def test_a_thousand_tamperings_in_a_full_campaign(sealed: Path, root: PlainSession) -> None:
    last = witness.read(sealed)[-1:]
    for seed in range(200, 1200):
        _tamper(root, last, seed)


ROWS = [
    (
        "UPDATE hold SET released_by = 'ida.marsh@northfieldsupply.example', released_at = now() WHERE released_at IS NULL",
        "another",
    ),
    (
        "UPDATE customer SET credit_limit = credit_limit + 1 WHERE code = (SELECT min(code) FROM customer)",
        "another credit_limit",
    ),
    ("DELETE FROM order_line WHERE order_number = (SELECT max(number) FROM sales_order)", "is gone"),
    (
        "INSERT INTO app_user (email, name, roles, approval_limit) VALUES ('x@y.example', 'X', '{supervisor}', 1)",
        "was added",
    ),
    ("UPDATE decision SET actor = 'ava.stone@northfieldsupply.example', verdict = 'reject'", "another"),
]


@pytest.mark.parametrize(("statement", "what"), ROWS)
def test_a_row_changed_behind_the_journal_is_found_by_rebuilding(
    sealed: Path, root: PlainSession, statement: str, what: str
) -> None:
    root.execute(text("SET LOCAL session_replication_role = replica"))
    assert root.execute(text(statement)).rowcount > 0  # type: ignore[attr-defined]
    faults = proof.rebuilt(root)
    root.rollback()
    assert any(what in f.what for f in faults)


@pytest.mark.parametrize(("statement", "what"), ROWS[:4])
def test_a_row_changed_past_the_door_has_an_image_and_no_entry(
    sealed: Path, root: PlainSession, statement: str, what: str
) -> None:
    root.execute(text(statement))
    faults = proof.unexplained(root)
    root.rollback()
    assert any("without a journal entry" in f.what for f in faults)
    assert root.scalars(select(Seal)).first() is not None


LAUNDERED = [
    "DROP TRIGGER keep_update ON customer",
    "ALTER TABLE hold DISABLE TRIGGER keep_insert",
]


@pytest.mark.parametrize("statement", LAUNDERED)
def test_a_table_that_keeps_no_images_is_found(sealed: Path, root: PlainSession, statement: str) -> None:
    root.execute(text(statement))
    faults = proof.unwatched(root)
    root.rollback()
    assert any("keeps no images" in f.what for f in faults)


def test_an_image_laid_down_anew_is_found(sealed: Path, root: PlainSession) -> None:
    root.execute(text("SET LOCAL session_replication_role = replica"))
    root.execute(text("UPDATE customer SET credit_limit = 1 WHERE code = (SELECT min(code) FROM customer)"))
    forged = "INSERT INTO row_image (relation, op, images) SELECT 'customer', 'B', jsonb_agg(to_jsonb(c) - 'name_vector') FROM customer c"
    root.execute(text(forged))
    found = [*proof.rebuilt(root, ["customer"]), *proof.unexplained(root)]
    root.rollback()
    assert any("laid down anew" in f.what for f in found)


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE message SET raw = 'forged'", "message"),
        ("UPDATE finding SET content = '{}'", "finding"),
        ("UPDATE note SET text = 'forged'", "note"),
    ],
)
def test_a_mail_a_finding_or_a_note_that_was_changed_is_found(
    sealed: Path, root: PlainSession, statement: str, where: str
) -> None:
    with db.transaction(db.AGENT) as session:
        told = {
            "source": None,
            "sender": "x@y.example",
            "sender_name": None,
            "subject": "s",
            "sent_at": None,
            "raw": b"From: x\n\nx",
        }
        recorded = casework.record_message(session, message_id="<p@test>", parsed={}, **told)  # type: ignore[arg-type]
        casework.claim_case(session, "w", 60, recorded.case)
        triage = casework.Triage("credit", "high", None, None, None, None)
        casework.record_findings(session, recorded.case, "w", "run", {"read": {"intent": "other"}}, triage)
        casework.add_note(session, recorded.case, "called the customer")
    assert proof.altered(root) == []
    root.execute(text(statement))
    faults = proof.altered(root)
    root.rollback()
    assert any(f.where.startswith(where) for f in faults)


PAST_THE_DOOR = [
    "INSERT INTO policy_activation (version, active_from, activated_by, activated_at, reason) VALUES (1, now(), 'x', now(), 'x')",
    "UPDATE case_file SET status = 'dismissed', due_at = NULL WHERE id = (SELECT min(id) FROM case_file)",
]


@pytest.mark.parametrize("statement", PAST_THE_DOOR)
def test_what_the_apis_own_role_does_past_the_door_is_found(sealed: Path, statement: str) -> None:
    with db.transaction(db.API) as session:
        session.execute(text(statement))
        assert any("without a journal entry" in f.what for f in proof.unexplained(session))


def test_seals_that_a_crash_left_unwitnessed_are_witnessed_at_the_next_start(sealed: Path) -> None:
    lines = sealed.read_text("utf-8").splitlines()
    sealed.write_text("\n".join(lines[:-1]) + ("\n" if lines[:-1] else ""), "utf-8")
    clock_process.seal_all(sealing.sequencer(), sealed)
    assert sealed.read_text("utf-8").splitlines() == lines
