"""Connections by role, and the only commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
import psycopg.pq
import psycopg.sql
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError as Refused
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import OperationalError as Lost
from sqlalchemy.orm import Session

from erp_core import settings as settings_module
from erp_core.errors import BadSetting, WrongRole
from erp_core.server import Cluster

__all__ = [
    "AGENT",
    "API",
    "EVERY_FIRM",
    "FIRMS",
    "OWNER",
    "PICTURE",
    "READER",
    "Lost",
    "Refused",
    "Session",
    "check_role",
    "dsn",
    "engine",
    "forget_engines",
    "hearing",
    "in_use",
    "listening",
    "look_at",
    "passing",
    "picture",
    "raw",
    "reading",
    "transaction",
]

OWNER, API, AGENT, READER = settings_module.ROLES


def dsn(role: str) -> str:
    """The SQLAlchemy URL a role connects with."""
    settings = settings_module.load()
    if settings.embedded:
        return Cluster(settings).dsn(role)
    if role not in settings.dsns:
        raise BadSetting(f"Set {settings_module.DSN_VARIABLES[role]}: this command runs as {role}.")
    return settings.dsns[role].replace("postgresql://", "postgresql+psycopg://", 1)


_engines: dict[str, Engine] = {}
_making = threading.Lock()
REST_SECONDS = 2.0


def engine(role: str) -> Engine:
    """One pool a role. Every new connection proves that it is that role and no superuser; one that rested is asked whether it lives."""
    with _making:
        if role not in _engines:
            made = create_engine(dsn(role), pool_size=8, max_overflow=8, pool_use_lifo=True)
            event.listen(made, "connect", lambda connection, _record: check_role(connection, role))
            event.listen(made, "checkout", _asked_after_a_rest)
            event.listen(made, "checkin", lambda _connection, record: record.info.update(rested=time.monotonic()))
            _engines[role] = made
        return _engines[role]


def _asked_after_a_rest(connection: Any, record: Any, _proxy: Any) -> None:
    """Asking costs a round trip, so a connection in steady use is not asked; a server that restarted is noticed all the same."""
    if time.monotonic() - record.info.get("rested", float("inf")) < REST_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error


def passing(error: BaseException) -> bool:
    """Whether the same again may well succeed: two hands were in each other's way."""
    return isinstance(
        getattr(error, "orig", None), psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure
    )


def forget_engines() -> None:
    """Close all pools; the next use reads the settings anew."""
    while _engines:
        _engines.popitem()[1].dispose()


def check_role(connection: Any, role: str) -> None:
    """Raise WrongRole unless the connection is exactly `role` and not a superuser."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
        user, superuser = cursor.fetchone()
    connection.rollback()
    if user != role or superuser:
        connection.close()
        is_what = f"{user}, a superuser" if superuser else user
        raise WrongRole(f"This process must connect as {role}, but its database URL connects as {is_what}.")


EVERY_FIRM = ("*",)
FIRMS = "firms"  # what a session may see: codes of our firms; nothing said, nothing seen


def look_at(session: Session, firms: Sequence[str]) -> None:
    """Let a session see the rows of these firms (`*`: all of them), in this transaction and its later ones."""
    session.info[FIRMS] = tuple(firms)
    if session.in_transaction():
        _set_firms(session.connection(), firms)


def _set_firms(connection: Any, firms: Sequence[str]) -> None:
    raw = connection.connection.driver_connection
    said = psycopg.sql.Literal(",".join(EVERY_FIRM if "*" in firms else firms)).as_string(raw)
    telling = f"SELECT set_config('countersign.entities', {said}, true)"
    if raw.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raw.execute(telling)
        return
    # each transaction says it, so it is begun in the same round trip; the driver takes one that was begun as it is
    begin = "BEGIN READ ONLY" if raw.read_only else "BEGIN"
    answer = raw.pgconn.exec_(f"{begin}; {telling}".encode())
    if answer.status != psycopg.pq.ExecStatus.TUPLES_OK:
        raise psycopg.OperationalError(raw.pgconn.get_error_message())


@event.listens_for(Session, "after_begin")
def _begun(session: Session, transaction: Any, connection: Any) -> None:
    """Each transaction is begun for somebody's firms, or sees no row that belongs to one."""
    firms = session.info.get(FIRMS)
    if firms and not transaction.nested:
        _set_firms(connection, firms)


@contextmanager
def transaction(role: str, firms: Sequence[str] = EVERY_FIRM) -> Iterator[Session]:
    """One request or one step: committed at the end, rolled back at an error. A process sees every firm, a request at first none."""
    with Session(engine(role), expire_on_commit=False, info={FIRMS: tuple(firms)}) as session:
        yield session
        session.commit()


@contextmanager
def reading(role: str, firms: Sequence[str] = EVERY_FIRM) -> Iterator[Session]:
    """A read-only transaction."""
    connection = engine(role).execution_options(postgresql_readonly=True)
    with Session(connection, expire_on_commit=False, info={FIRMS: tuple(firms)}) as session:
        yield session
        session.expunge_all()  # what was read stays readable


PICTURE = "picture"


@contextmanager
def picture(role: str, firms: Sequence[str] = EVERY_FIRM) -> Iterator[Session]:
    """A read-only transaction for somebody who asks for the same things again: rows that were read by key stay as they were read, and so does the time."""
    with reading(role, firms) as session:
        kept: list[Any] = []  # the session alone would forget what nobody holds
        event.listen(session, "loaded_as_persistent", lambda _session, row: kept.append(row))
        session.info[PICTURE] = True
        yield session


@contextmanager
def raw(session: Session) -> Iterator[Any]:
    """The driver's connection inside the session's transaction, for statements sent together. Errors come as SQLAlchemy's."""
    try:
        yield session.connection().connection.driver_connection
    except psycopg.Error as error:
        raise Refused.instance("pipeline", None, error, psycopg.Error) from error


@contextmanager
def listening(role: str, channel: str) -> Iterator[Callable[[float], bool]]:
    """Wait to be woken: a function that returns after so many seconds at most, and says whether somebody notified the channel."""
    with hearing(role, channel) as heard:
        yield lambda seconds: bool(heard(seconds))


@contextmanager
def in_use() -> Iterator[None]:
    """Keep the embedded server up while inside; a named database needs nothing. Raises BadSetting where nobody has set it up."""
    settings = settings_module.load()
    with Cluster(settings).lease() if settings.embedded else nullcontext():
        try:
            yield
        except Lost as error:
            said = str(error.orig).strip().rpartition("\n")[2]
            raise BadSetting(f"{said}. If this installation is new, set it up with `countersign migrate`.") from error
        finally:
            if settings.embedded:
                forget_engines()


@contextmanager
def hearing(role: str, *channels: str) -> Iterator[Callable[[float], list[tuple[str, str]]]]:
    """Hear what is told on channels: a function that waits so many seconds at most and returns what came, as channel and payload."""
    url = engine(role).url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        for channel in channels:
            connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(channel)))
        yield lambda seconds: [(n.channel, n.payload) for n in connection.notifies(timeout=seconds, stop_after=1)]
