"""Numbered evidence: each fact of a rationale points to a place in the mail or a row of the core."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Evidence:
    """Collects facts; `cite` returns the marker to put into a sentence."""

    items: list[dict[str, Any]] = field(default_factory=list)

    def cite(
        self, source: str, fact: str, *, part: str = "", start: int = 0, end: int = 0, internal: bool = False
    ) -> str:
        """Add a fact once, return its marker such as `[2]`. What is `internal` is for our own people: no letter may draw on it."""
        for known in self.items:
            if known["source"] == source and known["fact"] == fact:
                return f"[{known['n']}]"
        number = len(self.items) + 1
        item: dict[str, Any] = {"n": number, "source": source, "fact": fact}
        if internal:
            item["internal"] = True
        if part:
            item |= {"part": part, "start": start, "end": end}
        self.items.append(item)
        return f"[{number}]"
