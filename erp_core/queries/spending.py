"""What language models used: by case, hour and firm, as budgets count it, and by day for the page of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from erp_core.policy import LanguageModelPolicy, Policy
from erp_core.tables.desk import Case, Finding
from erp_core.tables.models import ModelCall


@dataclass(frozen=True)
class Used:
    """Tokens in and out together, and money by the policy's prices."""

    tokens: int
    money: Decimal


def used(session: Session, *conditions: Any) -> Used:
    """The sum over the calls that meet all conditions."""
    tokens = func.coalesce(func.sum(ModelCall.tokens_in + ModelCall.tokens_out), 0)
    query = select(tokens, func.coalesce(func.sum(ModelCall.cost), 0)).where(*conditions)
    row = session.execute(query).one()
    return Used(int(row[0]), Decimal(row[1]))


def exhausted(session: Session, case: int | None, policy: Policy, now: datetime) -> str | None:
    """Which budget is used up, in words; None while all have something left."""
    found = session.get(Case, case) if case else None
    firm = found.entity if found else None
    budget: LanguageModelPolicy = (policy.of(firm) if firm else policy).language_model
    lately = ModelCall.asked_at > now - timedelta(hours=1)
    asked: list[tuple[str, int, Decimal, list[Any]]] = [
        ("this hour", budget.tokens_per_hour, budget.money_per_hour, [lately]),
    ]
    if case:
        asked.append(("this case", budget.tokens_per_case, budget.money_per_case, [ModelCall.case_id == case]))
    if firm:
        limit = budget.firm_tokens_per_hour, budget.firm_money_per_hour
        asked.append((f"{firm} this hour", *limit, [lately, ModelCall.entity == firm]))
    for what, tokens, money, conditions in asked:
        spent = used(session, *conditions)
        if spent.tokens >= tokens:
            return f"the budget of {tokens} tokens for {what} is used up"
        if spent.money >= money:
            return f"the budget of {money} for {what} is used up"
    return None


def calls_of(session: Session, case: int) -> Sequence[ModelCall]:
    """What was asked about a case, oldest first."""
    return session.scalars(select(ModelCall).where(ModelCall.case_id == case).order_by(ModelCall.id)).all()


def by_purpose(session: Session, since: datetime) -> list[dict[str, Any]]:
    """Calls since a moment by purpose and model: number, answered, tokens, money, and how long they took (ms at the median)."""
    answered = func.count().filter(ModelCall.outcome == "answered")
    middle = func.percentile_cont(0.5).within_group(ModelCall.ms)
    query = (
        select(
            ModelCall.purpose,
            ModelCall.model,
            func.count(),
            answered,
            func.sum(ModelCall.tokens_in + ModelCall.tokens_out),
            func.sum(ModelCall.cost),
            middle,
        )
        .where(ModelCall.asked_at >= since)
        .group_by(ModelCall.purpose, ModelCall.model)
        .order_by(ModelCall.purpose, ModelCall.model)
    )
    names = ("purpose", "model", "calls", "answered", "tokens", "money", "ms")
    return [dict(zip(names, row, strict=True)) for row in session.execute(query)]


@dataclass(frozen=True)
class Run:
    """One run of the agent as it is traced: its finding, and what it asked of a language model."""

    finding: int
    case: int
    run: str
    by: str
    tools: list[str]
    ms: int
    prompts: dict[str, str]
    at: datetime
    calls: list[ModelCall]


def last_finding(session: Session) -> int:
    """The number of the newest finding; 0 when there is none."""
    return session.scalar(select(func.max(Finding.id))) or 0


def runs_after(session: Session, finding: int, most: int) -> list[Run]:
    """Runs that were recorded after a finding, oldest first."""
    found = session.scalars(select(Finding).where(Finding.id > finding).order_by(Finding.id).limit(most)).all()
    calls: dict[str, list[ModelCall]] = {}
    for call in session.scalars(
        select(ModelCall).where(ModelCall.run.in_([f.run for f in found])).order_by(ModelCall.id)
    ):
        calls.setdefault(call.run, []).append(call)
    return [
        Run(
            f.id,
            f.case_id,
            f.run,
            str(f.content.get("mode", "local models")),
            list((f.content.get("plan") or {}).get("tools", [])),
            int(f.content.get("ms", 0)),
            {c.purpose: c.prompt for c in calls.get(f.run, [])}
            | {"replies": str(f.content.get("read", {}).get("prompt", ""))},
            f.recorded_at,
            calls.get(f.run, []),
        )
        for f in found
    ]
