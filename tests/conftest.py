"""One embedded server a test worker, a template database with the sample world, and a clone of it for each test that asks."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from erp_core import clock, db, importer, migrate, settings
from erp_core.db import Session
from erp_core.server import SUPERUSER, Cluster
from erp_core.settings import DSN_VARIABLES
from tools import world as world_tools

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "evals" / "sample"
MODELS = ROOT / "var" / "models"
TODAY = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


def _open_folder() -> Iterator[Path]:
    """A folder that any user can enter: as root the server runs as another user, and pytest closes its own folders at every start."""
    with tempfile.TemporaryDirectory(prefix="countersign-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


open_folder = pytest.fixture(_open_folder)
home_folder = pytest.fixture(_open_folder, scope="session")


@pytest.fixture(scope="session")
def cluster(home_folder: Path) -> Iterator[Cluster]:
    """A running server of this worker's own, migrated, with the sample world imported."""
    home = home_folder
    os.environ["COUNTERSIGN_HOME"] = str(home)
    for name in DSN_VARIABLES.values():
        os.environ.pop(name, None)
    MODELS.mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(MODELS)
    own = Cluster(settings.load())
    with own.lease():
        migrate.migrate()
        with db.transaction(db.API) as session:
            importer.set_clock(session, TODAY.date())
            report = importer.import_folder(session, SAMPLE / "world", clock.now(session))
            assert not report.complaints
        _forget_engines()
        yield own
        _forget_engines()


@pytest.fixture
def database(cluster: Cluster, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a fresh clone of the sample world; every role connects to it while the test runs."""
    name = re.sub(r"\W", "_", request.node.name.lower())[:40] + f"_{os.getpid()}"
    _admin(cluster, f'CREATE DATABASE "{name}" TEMPLATE countersign STRATEGY FILE_COPY')
    for role, variable in DSN_VARIABLES.items():
        monkeypatch.setenv(variable, cluster.dsn(role, name))
        _admin(cluster, f'GRANT CONNECT ON DATABASE "{name}" TO {role}')
    _forget_engines()
    yield name
    _forget_engines()
    _admin(cluster, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def api(database: str) -> Iterator[Session]:
    """A session of the API's role, rolled back in the end unless the test commits."""
    with Session(db.engine(db.API), expire_on_commit=False, info={db.FIRMS: db.EVERY_FIRM}) as session:
        yield session


@pytest.fixture(scope="session")
def nlp() -> Any:
    """The trained pipeline, trained once for all workers."""
    from ml import pipeline

    MODELS.mkdir(parents=True, exist_ok=True)
    with (MODELS / "training.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return pipeline.load_or_train(MODELS)


@pytest.fixture
def worker(database: str, nlp: Any) -> Iterator[Any]:
    """An agent's worker on the clone."""
    from agent.worker import worker as make

    with make() as own:
        yield own


def _admin(cluster: Cluster, statement: str) -> None:
    engine = create_engine(cluster.dsn(SUPERUSER, "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _forget_engines() -> None:
    db.forget_engines()
    world_tools.forget_world()
