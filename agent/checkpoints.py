"""Where LangGraph keeps its threads: a schema of its own, in which the agent's role may write."""

from __future__ import annotations

import os

# a permissive serializer would let a checkpoint name any class to load
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

SCHEMA = "checkpoints"
GRANTS = f"""
GRANT USAGE ON SCHEMA {SCHEMA} TO countersign_agent;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO countersign_agent;
"""


def setup(owner_dsn: str) -> None:
    """Make the tables, as the owner (they run CREATE INDEX CONCURRENTLY, which needs autocommit)."""
    with psycopg.connect(_plain(owner_dsn), autocommit=True, row_factory=dict_row) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        connection.execute(f"SET search_path = {SCHEMA}")
        PostgresSaver(connection).setup()
        connection.execute(GRANTS)


def pool(agent_dsn: str) -> ConnectionPool[psycopg.Connection[DictRow]]:
    """Connections for a PostgresSaver, which looks its tables up by search path.

    A checkpoint lost with the machine is only a thread's memory, so nobody waits for its disk.
    """
    options = {
        "autocommit": True,
        "row_factory": dict_row,
        "options": f"-c search_path={SCHEMA} -c synchronous_commit=off",
        "prepare_threshold": 0,
    }
    return ConnectionPool(_plain(agent_dsn), kwargs=options, min_size=1, max_size=4, open=True)


def _plain(dsn: str) -> str:
    return dsn.replace("postgresql+psycopg://", "postgresql://", 1)
