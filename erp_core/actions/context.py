"""What an action is told, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from erp_core.errors import KeyReused, Problem
from erp_core.policy import Policy
from erp_core.tables.desk import JournalEntry
from erp_core.values import digest

CORE = "core"  # who acts when nobody asked
PREVIEW = "preview"  # who looks at what a command would do
ENTRY = text("SELECT * FROM casework.entry(:key)")
NEXT_NUMBER = text("SELECT nextval(cast(:name AS regclass))")


@dataclass(frozen=True)
class Change:
    """One subject before and after a command, in plain values without technical ids."""

    tag: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    problems: list[Problem] = field(default_factory=list)


@dataclass
class Context:
    """One command being executed: who, when, under which key and policy. Collects what happens beside it."""

    session: Session
    key: str
    actor: str
    now: datetime
    policy: Policy
    case: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    beside: list[Change] = field(default_factory=list)
    depth: int = 0
    numbered: int = 0
    former: Policy | None = None  # when orders are checked again because the policy changed: what it was

    def next_number(self, sequence: str, prefix: str) -> str:
        """The next number of a series. Looking at what a command would do uses up none; several are told apart by their places."""
        if self.actor == PREVIEW:
            self.numbered += 1
            return f"{prefix}NEW-{self.key.rsplit(':', 1)[-1]}-{self.numbered}"
        return f"{prefix}{self.session.scalar(NEXT_NUMBER, {'name': sequence})}"

    def also(self, change: Change, case: int | None = None) -> None:
        """Journal a consequence of the command, such as a hold it placed, under a key of its own."""
        self.beside.append(change)
        self.depth += 1
        write_journal(self, change, f"{self.key}#{self.depth}", None, case)


def earlier(session: Session, key: str, said: Any) -> JournalEntry | None:
    """What was done under a key, if anything. One writer a key: a second one waits here. Raises KeyReused for another input."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"key:{key}", 0))))
    query = select(JournalEntry).from_statement(ENTRY)  # a key counts whoever used it, and for whichever firm
    entry = session.scalars(query, {"key": key}).one_or_none()
    if entry is not None and entry.input_hash != digest(said):
        raise KeyReused(f"The key {key} was used before with another input.")
    return entry


def facts_of(policy: Policy, more: dict[str, Any]) -> dict[str, Any]:
    """What an entry says about the ground it stands on."""
    return {"policy": policy.hash, "policy_name": policy.name, **more}


def write_journal(
    context: Context, change: Change, key: str, command: dict[str, Any] | None, case: int | None = None
) -> JournalEntry:
    """One row: who, when, what, before and after, under which policy."""
    entry = JournalEntry(
        at=context.now,
        actor=context.actor,
        tag=change.tag,
        key=key,
        input_hash=digest(command if command is not None else change.after),
        subject=change.subject,
        case_id=case or context.case,
        command=command,
        before=change.before,
        after=change.after,
        facts=facts_of(context.policy, context.facts),
    )
    context.session.add(entry)
    context.session.flush()
    return entry
