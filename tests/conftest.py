"""One embedded server a test worker, a template database with the sample world, and a clone of it for each test that asks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from erp_core import db, scratch
from erp_core.db import Session
from erp_core.server import Cluster
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
    MODELS.mkdir(parents=True, exist_ok=True)
    (home_folder / "models").symlink_to(MODELS)
    with scratch.server(home_folder, SAMPLE / "world", TODAY.date()) as own:
        yield own


@pytest.fixture
def database(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a fresh clone of the sample world; every role connects to it while the test runs."""
    with scratch.clone(cluster, request.node.name) as name:
        world_tools.forget_world()
        yield name
        world_tools.forget_world()


@pytest.fixture
def api(database: str) -> Iterator[Session]:
    """A session of the API's role, rolled back in the end unless the test commits."""
    with Session(db.engine(db.API), expire_on_commit=False, info={db.FIRMS: db.EVERY_FIRM}) as session:
        yield session


@pytest.fixture(scope="session")
def nlp() -> Any:
    """The trained pipeline, trained once for all workers."""
    from ml import pipeline

    return pipeline.load_or_train(MODELS)


@pytest.fixture
def worker(database: str, nlp: Any) -> Iterator[Any]:
    """An agent's worker on the clone."""
    from agent.worker import worker as make

    with make() as own:
        yield own
