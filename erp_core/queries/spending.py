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
from erp_core.tables.desk import Case
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
