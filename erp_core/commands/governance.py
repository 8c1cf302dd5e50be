"""Changing the policy: proposed by one, replayed over what was, put in force by another."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from erp_core.commands.base import Sentence, Strict

Text = Annotated[str, Field(min_length=1, max_length=200_000)]
Why = Annotated[str, Field(min_length=3, max_length=500)]


class ProposePolicy(Strict):
    """Put up the two texts of a policy as a new version. Nothing follows it before somebody else activates it."""

    type: Literal["propose_policy"] = "propose_policy"
    numbers: Text
    authority: Text
    summary: Why


class BacktestPolicy(Strict):
    """Replay the orders and decisions of the last days under a version, and keep what would have gone another way."""

    type: Literal["backtest_policy"] = "backtest_policy"
    version: int
    days: Annotated[int, Field(ge=1, le=366)] = 30


class ActivatePolicy(Strict):
    """Put a version in force, at once or from a moment on. Not by its author, and not before it was replayed."""

    type: Literal["activate_policy"] = "activate_policy"
    version: int
    active_from: datetime | None = None
    reason: Why


class WithdrawPolicy(Strict):
    """Call off a version that was to come into force."""

    type: Literal["withdraw_policy"] = "withdraw_policy"
    version: int
    reason: Why


class RollBackPolicy(Strict):
    """Return to a version that was in force before, at once."""

    type: Literal["roll_back_policy"] = "roll_back_policy"
    version: int
    reason: Sentence = ""
