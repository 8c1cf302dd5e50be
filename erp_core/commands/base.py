"""What all commands are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Quantity = Annotated[Decimal, Field(ge=0, le=Decimal("9999999"), decimal_places=3)]
Amount = Annotated[Decimal, Field(ge=0, le=Decimal("999999999"), decimal_places=4)]
Code = Annotated[str, Field(min_length=1, max_length=64)]
Sentence = Annotated[str, Field(max_length=2000)]
Uom = Annotated[str, Field(pattern=r"^[A-Z]{1,6}$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Strict(BaseModel):
    """Unknown fields are errors; a command never carries more than it says."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OfLine(Protocol):
    """Says something of a line."""

    @property
    def line(self) -> int: ...


L = TypeVar("L", bound=OfLine)


def each_line_once(lines: list[L]) -> list[L]:
    """What is said of a line is said in one place."""
    numbers = [x.line for x in lines]
    if len(set(numbers)) < len(numbers):
        raise ValueError("a line is named twice")
    return lines
