"""Make roles, extension and database; bring the schema up to date; apply functions and grants. All of it again and again."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from erp_core import clock, db, policy
from erp_core import settings as settings_module
from erp_core.actions import clocks
from erp_core.errors import BadSetting
from erp_core.queries import policies
from erp_core.server import DATABASE, SUPERUSER, Cluster
from erp_core.values import canonical

HERE = Path(__file__).parent

SHIP = """
INSERT INTO policy_version (hash, numbers, authority, content, summary, author, proposed_at)
VALUES (:hash, :numbers, :authority, cast(:content AS jsonb), 'As it ships', 'shipped', casework.desk_now()) ON CONFLICT (hash) DO NOTHING
"""
ACTIVATE_SHIPPED = """
WITH ours AS (SELECT v.author, v.hash FROM policy_activation a JOIN policy_version v ON v.id = a.version
  WHERE a.active_from <= casework.desk_now() ORDER BY a.active_from DESC, a.id DESC LIMIT 1)
INSERT INTO policy_activation (version, active_from, activated_by, activated_at, reason)
SELECT v.id, CASE WHEN EXISTS (SELECT FROM ours) THEN casework.desk_now() ELSE 'epoch' END, 'shipped', casework.desk_now(), 'As it ships'
FROM policy_version v WHERE v.hash = :hash AND NOT EXISTS (SELECT FROM ours WHERE author <> 'shipped' OR ours.hash = v.hash)
"""
# what `migrate` itself does is in the journal like everything else
TELL = """
INSERT INTO journal_entry (at, actor, tag, key, input_hash, subject, after, facts)
SELECT casework.desk_now(), 'migrate', 'policy:version:shipped', 'migrate:' || v.hash || ':' || (SELECT count(*) FROM policy_activation), :hash, 'policy:' || v.id,
 jsonb_build_object('hash', v.hash, 'summary', v.summary), '{}' FROM policy_version v WHERE v.hash = :hash
"""


def main(argv: list[str]) -> int:
    """`countersign migrate [--bootstrap ADMIN_URL]`."""
    parser = argparse.ArgumentParser(
        prog="countersign migrate",
        description="Set up or update the database.",
        epilog="Example: countersign migrate --bootstrap postgresql://postgres:secret@db/postgres",
    )
    parser.add_argument(
        "--bootstrap", metavar="ADMIN_URL", help="make roles, database and extension with this superuser"
    )
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate(arguments.bootstrap)
    print("The database is up to date.")
    return 0


def migrate(admin_url: str | None = None) -> None:
    """Idempotent; the embedded server bootstraps itself."""
    settings = settings_module.load()
    if settings.embedded:
        cluster = Cluster(settings)
        admin = cluster.dsn(SUPERUSER, "postgres")
        bootstrap(admin, {r: cluster.password(r) for r in settings_module.ROLES}, DATABASE)
        _own_database(admin, settings_module.RECORD, db.AGENT)
    elif admin_url:
        bootstrap(admin_url, *_from_dsns(settings.dsns))
    upgrade()


def upgrade() -> None:
    """Schema, functions, grants, checkpoints and policy, as the owner."""
    owner = db.dsn(db.OWNER)
    command.upgrade(alembic_config(owner), "head")
    with create_engine(owner, poolclass=NullPool).begin() as connection:
        _run_script(connection, "SELECT set_config('countersign.entities', '*', true)")
        for script in ("casework.sql", "proof.sql", "entities.sql"):
            _run_script(connection, (HERE / script).read_text())
        _activate_policy(connection)
    # the checkpoint tables belong to the agent's library; it is named, not imported
    importlib.import_module("agent.checkpoints").setup(owner)


def alembic_config(url: str) -> Config:
    """Alembic without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(HERE / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def bootstrap(admin_url: str, passwords: dict[str, str], database: str) -> None:
    """Make the roles (cluster-wide), the database and its extension."""
    admin = admin_url.replace("postgresql://", "postgresql+psycopg://", 1)
    with create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        for role, password in passwords.items():
            _make_role(connection, role, password)
        exists = connection.execute(
            text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": database}
        ).scalar()
        if not exists:
            _ddl(connection, "CREATE DATABASE {} OWNER {}", database, db.OWNER)
    parts = urlsplit(admin)
    inside = (
        parts._replace(path=f"/{database}").geturl() if parts.netloc else admin.replace("/postgres?", f"/{database}?")
    )
    with create_engine(inside, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        _ddl(connection, "CREATE EXTENSION IF NOT EXISTS vector")
        _ddl(connection, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
        _ddl(connection, "GRANT ALL ON SCHEMA public TO {}", db.OWNER)
        _ddl(connection, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC", database)
        for role in passwords:
            _ddl(connection, "GRANT CONNECT ON DATABASE {} TO {}", database, role)


def _own_database(admin: str, name: str, role: str) -> None:
    """A database that is a role's own: what MLflow keeps of training, beside the house and out of its reach."""
    with create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        if not connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).scalar():
            _ddl(connection, "CREATE DATABASE {} OWNER {}", name, role)
            _ddl(connection, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC", name)


def _make_role(connection: Connection, role: str, password: str) -> None:
    exists = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": role}).scalar()
    verb = "ALTER" if exists else "CREATE"
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    raw: Any = connection.connection.driver_connection
    statement = sql.SQL(f"{verb} ROLE {{}} {rights} PASSWORD {{}}")
    raw.execute(statement.format(sql.Identifier(role), sql.Literal(password)))


def _ddl(connection: Connection, statement: str, *names: str) -> None:
    raw: Any = connection.connection.driver_connection
    raw.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _run_script(connection: Connection, script: str) -> None:
    raw: Any = connection.connection.driver_connection
    raw.execute(script)


def _activate_policy(connection: Connection) -> None:
    """The shipped policy becomes a version when its text changed: in force at once, unless people made the one that is. Then they decide."""
    current, (numbers, authority) = policy.shipped(), policy.texts()
    content = canonical(current.model_dump(mode="json"))
    shipped = {"hash": current.hash, "numbers": numbers, "authority": authority, "content": content}
    done = [connection.execute(text(SHIP), shipped), connection.execute(text(ACTIVATE_SHIPPED), {"hash": current.hash})]
    if any(result.rowcount for result in done):
        connection.execute(text(TELL), {"hash": current.hash})
    with Session(connection, info={db.FIRMS: db.EVERY_FIRM}) as session:
        clocks.keep_spans(session, policies.active(session), clock.now(session))
        session.flush()


def _from_dsns(dsns: dict[str, str]) -> tuple[dict[str, str], str]:
    missing = [settings_module.DSN_VARIABLES[role] for role in settings_module.ROLES if role not in dsns]
    if missing:
        raise BadSetting(f"Bootstrapping needs all four database URLs; not set: {', '.join(missing)}.")
    parts = {role: urlsplit(url) for role, url in dsns.items()}
    wrong = [role for role, part in parts.items() if part.username != role or not part.password]
    if wrong:
        raise BadSetting(f"The database URL of {', '.join(wrong)} must name that user and a password.")
    passwords = {role: unquote(part.password or "") for role, part in parts.items()}
    return passwords, parts[db.OWNER].path.lstrip("/")
