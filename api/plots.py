"""Charts: what they show as plain data. The browser draws them (uPlot); without script the same numbers stand in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Literal

Points = Sequence[tuple[date, Decimal | float | int | None]]


@dataclass(frozen=True)
class Plot:
    """A chart: days along, one or more series up, in a unit."""

    title: str
    kind: Literal["lines", "steps", "bars"]
    along: list[str]
    series: list[tuple[str, list[float | None]]]
    unit: str = ""

    @property
    def data(self) -> dict[str, object]:
        """As the script reads it: seconds for days."""
        xs = [_seconds(day) for day in self.along]
        return {
            "kind": self.kind,
            "unit": self.unit,
            "labels": [name for name, _ in self.series],
            "data": [xs, *(values for _, values in self.series)],
        }


def lines(title: str, series: Sequence[tuple[str, Points]], unit: str = "", *, steps: bool = False) -> Plot | None:
    """Lines over the same days; nothing when there are no days."""
    days = sorted({day for _, points in series for day, _ in points})
    if not days:
        return None
    found = [(name, dict(points)) for name, points in series]
    shown = [(name, [_number(values.get(day)) for day in days]) for name, values in found]
    return Plot(title, "steps" if steps else "lines", [d.isoformat() for d in days], shown, unit)


def bars(title: str, points: Points, unit: str = "") -> Plot | None:
    """Bars over days or weeks."""
    if not points:
        return None
    return Plot(title, "bars", [d.isoformat() for d, _ in points], [(title, [_number(v) for _, v in points])], unit)


@dataclass(frozen=True)
class Bar:
    """A named value and how long it is beside the others, in percent."""

    name: str
    shown: str
    length: int


@dataclass(frozen=True)
class Bars:
    """A bar for each name: plain rows, for names want to be read."""

    title: str
    rows: list[Bar]


def named(title: str, values: Sequence[tuple[str, Decimal, str]]) -> Bars | None:
    """Bars for names: name, value, and the value as it is shown."""
    most = max((abs(v) for _, v, _ in values), default=Decimal(0)) or Decimal(1)
    return Bars(title, [Bar(n, shown, round(100 * abs(v) / most)) for n, v, shown in values]) if values else None


def _number(value: Decimal | float | int | None) -> float | None:
    """Charts are drawn in floats; what is counted with is not."""
    return None if value is None else round(float(value), 4)


def _seconds(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), time(12), UTC).timestamp())
