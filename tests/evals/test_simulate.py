"""The simulator: the same seed leaves the same journal, and the books are right after every day."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from erp_core import db, migrate
from erp_core.errors import CountersignError
from erp_core.server import SUPERUSER, Cluster
from erp_core.settings import DSN_VARIABLES
from evals.simulate import simulate


@pytest.fixture
def make(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Makes a database, migrated and without a world; the environment points to the newest."""
    made: list[str] = []

    def fresh() -> None:
        name = f"simulated_{os.getpid()}_{len(made)}"
        passwords = {role: cluster.password(role) for role in DSN_VARIABLES}
        migrate.bootstrap(cluster.dsn(SUPERUSER, "postgres"), passwords, name)
        for role, variable in DSN_VARIABLES.items():
            monkeypatch.setenv(variable, cluster.dsn(role, name))
        db.forget_engines()
        migrate.upgrade()
        made.append(name)

    yield fresh
    db.forget_engines()
    admin = create_engine(cluster.dsn(SUPERUSER, "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        for name in made:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


def test_days_of_business_leave_the_books_right_and_one_journal_a_seed(make: Callable[[], None]) -> None:
    runs = []
    for _ in range(2):
        make()
        runs.append(simulate(5, 80, seed=3))
    first, second = runs
    assert first["books_wrong"] == []
    assert first["orders"] > 40
    assert first["invoices"] > 10
    assert first == second
    with pytest.raises(CountersignError, match="installation of its own"):
        simulate(1, 10, seed=3)
