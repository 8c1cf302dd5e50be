"""The wall in the database: what each role may not do is refused by PostgreSQL itself."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import create_engine

from erp_core import casework, cli, db, policy, settings
from erp_core.db import Session
from erp_core.errors import WrongRole
from erp_core.server import Cluster, binaries
from erp_core.tables import Base

TABLES = sorted(Base.metadata.tables)
SECRET = ("credential", "sign_in", "outbox", "bank_account")
REFUSED = (errors.InsufficientPrivilege,)


def connect(role: str) -> psycopg.Connection[Any]:
    return psycopg.connect(db.dsn(role).replace("+psycopg", ""), autocommit=True)


@pytest.mark.parametrize("role", [*settings.ROLES, "postgres"])
def test_nobody_connects_without_a_password(cluster: Cluster, role: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(cluster.run), user=role, dbname="countersign")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=str(cluster.run), user=role, dbname="countersign", password="wrong")


def test_password_files_are_readable_by_their_owner_alone(cluster: Cluster) -> None:
    for role in settings.ROLES:
        assert (cluster.secrets / role).stat().st_mode & 0o777 == 0o600
    assert cluster.secrets.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("table", TABLES)
def test_the_agent_writes_no_table(database: str, table: str) -> None:
    column = next(iter(Base.metadata.tables[table].columns)).name
    with connect(db.AGENT) as connection:
        for statement in (
            f'INSERT INTO "{table}" DEFAULT VALUES',
            f'UPDATE "{table}" SET "{column}" = "{column}"',
            f'DELETE FROM "{table}"',
            f'TRUNCATE "{table}" CASCADE',
            f'ALTER TABLE "{table}" ADD COLUMN x int',
            f'DROP TABLE "{table}"',
        ):
            with pytest.raises(REFUSED):
                connection.execute(statement)


@pytest.mark.parametrize("table", SECRET)
@pytest.mark.parametrize("role", [db.AGENT, db.READER])
def test_credentials_sessions_and_outbox_stay_unread(database: str, role: str, table: str) -> None:
    with connect(role) as connection, pytest.raises(REFUSED):
        connection.execute(f'SELECT * FROM "{table}"')


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT casework.journal('order:hold:released', NULL, 'sales_order:SO-40224', '{}')",
        "SELECT casework.held(1, 'x')",
        "INSERT INTO journal_entry (at, actor, tag, key, input_hash, facts) VALUES (now(), 'ida', 'x:y:z', 'proposal:1:1', 'h', '{}')",
        "INSERT INTO decision (proposal_id, case_id, actor, verdict, policy_hash, outcome, detail, decided_at) VALUES (1, 1, 'ida', 'approve', 'h', 'executed', '{}', now())",
        "UPDATE proposal SET status = 'executed'",
        "UPDATE case_file SET status = 'resolved'",
        "UPDATE case_file SET due_at = now() + interval '1 year'",
        "UPDATE case_file SET queue = 'none'",
        "UPDATE installation SET value = '{\"days\": 9999}'",
        "INSERT INTO policy_version (hash, numbers, authority, content, summary, author, proposed_at) VALUES ('x', '', '', '{}', '', '', now())",
        "INSERT INTO policy_activation (version, active_from, activated_by, activated_at, reason) VALUES (1, now(), 'x', now(), 'x')",
        "DELETE FROM agent_stop",
        "UPDATE app_user SET roles = ARRAY['supervisor']",
        "SET ROLE countersign_api",
        "SET SESSION AUTHORIZATION countersign_owner",
        "CREATE TABLE mine (x int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "COPY app_user TO PROGRAM 'cat'",
        "ALTER ROLE countersign_agent SUPERUSER",
        "CREATE EXTENSION dblink",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE OR REPLACE FUNCTION casework.desk_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
    ],
)
def test_the_agent_cannot_approve_forge_close_or_climb(database: str, statement: str) -> None:
    with connect(db.AGENT) as connection, pytest.raises((*REFUSED, errors.UndefinedFile, errors.FeatureNotSupported)):
        connection.execute(statement)


@pytest.mark.parametrize("table", ["journal_entry", "decision", "message", "policy_version"])
def test_even_the_api_cannot_rewrite_what_was_written(database: str, table: str) -> None:
    with connect(db.API) as connection:
        for statement in (f'UPDATE "{table}" SET id = id', f'DELETE FROM "{table}"', f'TRUNCATE "{table}" CASCADE'):
            with pytest.raises(REFUSED):
                connection.execute(statement)


def test_the_reader_writes_nothing(database: str) -> None:
    with connect(db.READER) as connection, pytest.raises(REFUSED):
        connection.execute("UPDATE sales_order SET version = version + 1")


def filing(**changes: Any) -> casework.Filing:
    values: dict[str, Any] = {
        "action": "answer_status", "commands": [{"type": "close_case", "case": 1, "resolution": "x"}], "rationale": "r", "evidence": [],
        "versions": {}, "policy": {}, "confidence": "weak",
    }  # fmt: skip
    return casework.Filing(**{**values, **changes})


def claimed_case(session: Session, name: str = "1") -> int:
    raw = b"From: a@b.example\r\nSubject: x\r\nMessage-ID: <1@b>\r\n\r\nhello"
    told = {
        "message_id": f"<{name}@b>",
        "source": None,
        "sender": "a@b.example",
        "sender_name": None,
        "subject": "x",
        "sent_at": None,
    }
    recorded = casework.record_message(session, **told, raw=raw, parsed={})  # type: ignore[arg-type]
    assert casework.claim_case(session, "w", 60, recorded.case) == recorded.case
    return recorded.case


@pytest.mark.parametrize(
    "bad",
    [
        {"commands": []},
        {"commands": [{"type": "close_case", "case": 999999, "resolution": "x"}]},
        {"commands": [{"type": "cancel_order", "order": "SO-40224"}], "versions": {"sales_order:SO-40224": 999}},
        {"commands": [{"type": "cancel_order", "order": "SO-40224"}]},
    ],
    ids=["empty", "another case", "stale order", "order without version"],
)
def test_a_proposal_that_oversteps_is_refused_by_the_function(database: str, bad: dict[str, Any]) -> None:
    with Session(db.engine(db.AGENT), info={db.FIRMS: db.EVERY_FIRM}) as session:
        case = claimed_case(session)
        with pytest.raises(Exception, match=r"touches no other case|one to three|the order changed"):
            casework.file_proposal(session, case, "w", "run", filing(**bad))


def test_only_the_holder_of_the_lease_files(database: str) -> None:
    with Session(db.engine(db.AGENT), info={db.FIRMS: db.EVERY_FIRM}) as session:
        case = claimed_case(session)
        with pytest.raises(Exception, match="is not claimed by"):
            casework.file_proposal(
                session,
                case,
                "somebody else",
                "run",
                filing(commands=[{"type": "close_case", "case": case, "resolution": "x"}]),
            )


def test_the_agent_cannot_call_a_mail_machine_mail_to_hide_it(database: str) -> None:
    with Session(db.engine(db.AGENT), info={db.FIRMS: db.EVERY_FIRM}) as session:
        case = claimed_case(session)
        triage = casework.Triage("none", "low", None, None, None, None)
        casework.record_findings(session, case, "w", "run", {}, triage)
        row = session.connection().exec_driver_sql(f"SELECT queue, due_at FROM case_file WHERE id = {case}").one()
    assert row.queue == "customer_service"
    assert row.due_at is not None


def test_a_low_priority_never_moves_the_due_time_back(database: str) -> None:
    with Session(db.engine(db.AGENT), info={db.FIRMS: db.EVERY_FIRM}) as session:
        case = claimed_case(session)
        query = f"SELECT due_at FROM case_file WHERE id = {case}"
        before = session.connection().exec_driver_sql(query).scalar_one()
        casework.record_findings(
            session, case, "w", "run", {}, casework.Triage("billing", "low", None, None, None, None)
        )
        assert session.connection().exec_driver_sql(query).scalar_one() == before


@pytest.mark.parametrize("role", [db.API, db.AGENT])
def test_a_process_with_another_role_refuses_to_run(cluster: Cluster, role: str) -> None:
    for other in ("postgres", db.OWNER, db.READER):
        engine = create_engine(cluster.dsn(other))
        with engine.connect() as connection, pytest.raises(WrongRole, match=f"must connect as {role}"):
            db.check_role(connection.connection.driver_connection, role)
        engine.dispose()


def test_a_killed_server_recovers_what_was_committed(cluster: Cluster, open_folder: Path) -> None:
    config = settings.Settings(**{**settings.load().__dict__, "home": open_folder, "dsns": {}})
    own = Cluster(config)
    with own.lease():
        dsn = own.dsn("postgres", "postgres").replace("+psycopg", "")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (x int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        pid = (own.data / "postmaster.pid").read_text().split()[0]
        subprocess.run(["kill", "-9", pid], check=True)
    with own.lease(), psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT x FROM kept").fetchone()
        assert row == (7,)
    assert not own.running()
    assert binaries().exists()


def test_a_command_on_a_new_installation_says_what_to_do(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in settings.DSN_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COUNTERSIGN_HOME", str(open_folder))
    db.forget_engines()
    try:
        assert cli.run(["cases"]) == 1
    finally:
        db.forget_engines()
    assert "`countersign migrate`" in capsys.readouterr().err


def _file(session: Session, case: int, commands: list[dict[str, Any]], action: str = "change_order") -> int:
    versions = {}
    for command in commands:
        if "order" in command:
            query = f"SELECT version FROM sales_order WHERE number = '{command['order']}'"
            versions[f"sales_order:{command['order']}"] = session.connection().exec_driver_sql(query).scalar_one()
    return casework.file_proposal(
        session, case, "w", "run", casework.Filing(action, commands, "because", [], versions, {}, "good")
    )


@pytest.mark.parametrize("action", ["change_order", "hand_over"])
def test_people_are_not_asked_to_death_about_one_order_whatever_the_agent_calls_it(database: str, action: str) -> None:
    filed = 0
    with Session(db.engine(db.AGENT), info={db.FIRMS: db.EVERY_FIRM}) as session:
        for turn in range(20):
            case = claimed_case(session, f"turn{turn}")
            with suppress(db.Refused), session.begin_nested():
                _file(session, case, [{"type": "cancel_order", "order": "SO-40210", "reason": "x"}], action)
                filed += 1
    assert filed == policy.shipped().proposals.per_order


@pytest.mark.parametrize(
    "kind", ["save_user", "activate_policy", "propose_policy", "delegate_authority", "resume_agent", "set_bank_account"]
)
def test_the_agent_proposes_nothing_of_policy_people_or_bank_accounts(database: str, kind: str) -> None:
    with Session(db.engine(db.AGENT), info={db.FIRMS: db.EVERY_FIRM}) as session:
        case = claimed_case(session)
        with pytest.raises(db.Refused, match="proposes nothing of policy"):
            _file(session, case, [{"type": kind}])


def test_findings_link_no_order_to_another_customer_and_push_no_case_back(database: str) -> None:
    with Session(db.engine(db.AGENT), info={db.FIRMS: db.EVERY_FIRM}) as session:
        case = claimed_case(session)
        owner = (
            session.connection()
            .exec_driver_sql("SELECT customer FROM sales_order WHERE number = 'SO-40210'")
            .scalar_one()
        )
        other = (
            session.connection().exec_driver_sql(f"SELECT min(code) FROM customer WHERE code <> '{owner}'").scalar_one()
        )
        with pytest.raises(db.Refused, match="is no order of customer"), session.begin_nested():
            casework.record_findings(
                session, case, "w", "run", {}, casework.Triage("credit", "high", other, None, "SO-40210", None)
            )
        before = session.connection().exec_driver_sql(f"SELECT place FROM case_file WHERE id = {case}").scalar_one()
        casework.record_findings(
            session, case, "w", "run", {}, casework.Triage("credit", "normal", None, None, None, Decimal(-(10**9)))
        )
        assert (
            session.connection().exec_driver_sql(f"SELECT place FROM case_file WHERE id = {case}").scalar_one()
            <= before
        )


def test_a_stop_for_a_firm_holds_for_its_orders_too(database: str) -> None:
    with db.transaction(db.API) as session:
        session.connection().exec_driver_sql(
            "INSERT INTO agent_stop SELECT c.entity, 'x', now(), 'x' FROM sales_order o JOIN customer c ON c.code = o.customer WHERE o.number = 'SO-40210'"
        )
    with Session(db.engine(db.AGENT), info={db.FIRMS: db.EVERY_FIRM}) as session:
        case = claimed_case(session)
        with pytest.raises(db.Refused, match="the agent is stopped"):
            _file(session, case, [{"type": "cancel_order", "order": "SO-40210", "reason": "x"}])
