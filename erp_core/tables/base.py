"""The declarative base and the column types that carry a unit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import CheckConstraint, Computed, DateTime, Index, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column

from erp_core.rules.names import DIMENSIONS, spelling

Money = Annotated[Decimal, mapped_column(Numeric(16, 2))]
UnitPrice = Annotated[Decimal, mapped_column(Numeric(16, 4))]
Price = Annotated[Decimal, mapped_column(Numeric(16, 6))]
Percent = Annotated[Decimal, mapped_column(Numeric(7, 3))]
Quantity = Annotated[Decimal, mapped_column(Numeric(16, 3))]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
JsonList = Annotated[list[Any], mapped_column(JSONB)]


def _spelled(context: Any) -> list[float]:
    return spelling(context.get_current_parameters()["name"])


# goes with the name of a new row by itself; who changes the name changes it too
NameVector = Annotated[list[float] | None, mapped_column(Vector(DIMENSIONS), default=_spelled, deferred=True)]


class Base(DeclarativeBase):
    """All tables; constraint names are fixed so that migrations can name them."""

    type_annotation_map = {str: Text}  # noqa: RUF012 - SQLAlchemy reads this name
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def one_of(column: str, words: Iterable[StrEnum | str]) -> CheckConstraint:
    """The database agrees with the closed set."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def neighbours(table: str) -> Index:
    """Finds names that are spelled much alike."""
    operators = {"name_vector": "vector_cosine_ops"}
    return Index(f"ix_{table}_name_vector", "name_vector", postgresql_using="hnsw", postgresql_ops=operators)


def key_of(column: str) -> MappedColumn[Any]:
    """A number by its letters and digits alone, to be found whatever spaces, dashes and case it is written with.

    A column, not an index on the expression: where rows are kept apart by firm, PostgreSQL uses no index on what its functions
    might tell of other firms' rows, and would read the whole table for every mail.
    """
    return derived(f"regexp_replace(upper({column}), '[^A-Z0-9]', '', 'g')")


def derived(expression: str) -> MappedColumn[Any]:
    """What the database reckons from other columns, to look rows up by; nobody reads it."""
    return mapped_column(Computed(expression, persisted=True), index=True, deferred=True)
