"""Alembic's entry: runs as the owner, with timeouts so that a migration never blocks the house."""

from alembic import context
from sqlalchemy import create_engine, text

from erp_core.tables import Base

url = context.config.get_main_option("sqlalchemy.url")
assert url is not None
engine = create_engine(url)
with engine.connect() as connection:
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    connection.execute(text("SET countersign.entities = '*'"))  # a migration sees every firm's rows
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
