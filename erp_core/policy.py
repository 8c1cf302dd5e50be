"""The policy as typed values. One text, hashed; its hash is on every decision and journal entry."""

from __future__ import annotations

import hashlib
import tomllib
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from erp_core.values import Action, HoldReason, Priority, Queue

HERE = Path(__file__).parent


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OrderPolicy(_Part):
    price_tolerance_percent: Decimal
    margin_floor_percent: Decimal
    duplicate_days: int = Field(ge=0)
    abnormal_factor: Decimal = Field(gt=1)
    abnormal_minimum_orders: int = Field(ge=1)
    credit_tolerance_percent: Decimal = Field(ge=0)
    unrestricted_export_classes: list[str]


class ProposalPolicy(_Part):
    expire_after_hours: int = Field(gt=0)
    hand_over_below: Decimal = Field(ge=0, le=1)
    reply_signature: str
    high_from_amount: Decimal
    low_below_amount: Decimal


class MailPolicy(_Part):
    largest_bytes: int
    most_parts: int
    deepest_nesting: int


class HoldPolicy(_Part):
    queue: Queue
    priority: Priority
    blocks: list[str]
    keeps_stock: bool
    rule: str


class Policy(_Part):
    """Everything a policy version says, and the hash of its two files."""

    name: str
    orders: OrderPolicy
    proposals: ProposalPolicy
    mail: MailPolicy
    sla_hours: dict[Priority, int]
    four_eyes: dict[str, Decimal]
    holds: dict[HoldReason, HoldPolicy]
    routes: dict[Action, Queue]
    authority: str
    hash: str

    @property
    def short(self) -> str:
        """Name and the first digits of the hash, as people quote it."""
        return f"{self.name} {self.hash[:8]}"


def parse(toml: str, cedar: str) -> Policy:
    """Read the two texts of a policy. Raises pydantic's ValidationError naming the field."""
    content: dict[str, Any] = tomllib.loads(toml)
    fingerprint = hashlib.sha256(f"{toml}\0{cedar}".encode()).hexdigest()
    return Policy(**content, authority=cedar, hash=fingerprint)


@cache
def load() -> Policy:
    """The policy that ships with this version."""
    return parse((HERE / "policy.toml").read_text(), (HERE / "authority.cedar").read_text())
