"""Worlds to try things in: an embedded server of its own, a world imported once, and a clone of it for whoever asks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from erp_core import clock, db, importer, migrate, settings
from erp_core.errors import CountersignError
from erp_core.server import DATABASE, SUPERUSER, Cluster
from erp_core.settings import DSN_VARIABLES


@contextmanager
def server(home: Path, world: Path, as_of: date) -> Iterator[Cluster]:
    """A server under `home` with `world` imported, as it is at `as_of`; every role of this process talks to it meanwhile."""
    kept = {name: os.environ.get(name) for name in ("COUNTERSIGN_HOME", *DSN_VARIABLES.values())}
    models = settings.load().models
    home.mkdir(parents=True, exist_ok=True)
    os.environ["COUNTERSIGN_HOME"] = str(home)
    for name in DSN_VARIABLES.values():
        os.environ.pop(name, None)
    db.forget_engines()
    if not (home / "models").exists():
        models.mkdir(parents=True, exist_ok=True)
        (home / "models").symlink_to(models)
    own = Cluster(replace(settings.load(), home=home, dsns={}))
    try:
        with own.lease():
            _fresh(own)
            migrate.migrate()
            with db.transaction(db.API) as session:
                importer.set_clock(session, as_of, in_the_evening=True)
                report = importer.import_folder(session, world, clock.now(session))
                if report.complaints:
                    raise CountersignError(f"The world in {world} cannot be imported: {report.complaints[0]}")
            db.forget_engines()
            yield own
            db.forget_engines()
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        db.forget_engines()


def _fresh(cluster: Cluster) -> None:
    admin(cluster, f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')


@contextmanager
def clone(cluster: Cluster, name: str) -> Iterator[str]:
    """A copy of the world that is gone afterwards; every role talks to it meanwhile."""
    name = f"{re.sub(r'[^a-z0-9_]', '_', name.lower())[:40]}_{os.getpid()}"
    kept = {variable: os.environ.get(variable) for variable in DSN_VARIABLES.values()}
    db.forget_engines()  # what somebody is connected to cannot be copied
    admin(cluster, f'CREATE DATABASE "{name}" TEMPLATE "{DATABASE}" STRATEGY FILE_COPY')
    try:
        for role, variable in DSN_VARIABLES.items():
            os.environ[variable] = cluster.dsn(role, name)
            admin(cluster, f'GRANT CONNECT ON DATABASE "{name}" TO {role}')
        db.forget_engines()
        yield name
    finally:
        db.forget_engines()
        for variable, value in kept.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value
        admin(cluster, f'DROP DATABASE "{name}" WITH (FORCE)')


def admin(cluster: Cluster, statement: str) -> None:
    """One statement as the superuser, outside a transaction."""
    engine = create_engine(cluster.dsn(SUPERUSER, "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
