"""The policy as typed values. One text, hashed; its hash is on every decision and journal entry."""

from __future__ import annotations

import hashlib
import tomllib
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from erp_core.values import Action, Disposition, HoldReason, Priority, Queue, ReturnReason

HERE = Path(__file__).parent


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OrderPolicy(_Part):
    price_tolerance_percent: Decimal
    margin_floor_percent: Decimal
    duplicate_days: int = Field(ge=0)
    abnormal_factor: Decimal = Field(gt=1)
    abnormal_minimum_orders: int = Field(ge=1)
    similar_days: int = Field(ge=0)
    similar_percent: Decimal = Field(ge=0)
    abnormal_order_factor: Decimal = Field(gt=1)
    unrestricted_export_classes: list[str]


class CreditPolicy(_Part):
    tolerance_percent: Decimal = Field(ge=0)
    free_below: Decimal = Field(ge=0)
    overdue_amount: Decimal = Field(ge=0)
    overdue_days: int = Field(ge=0)
    grace_days: int = Field(ge=0)
    order_percent_of_limit: Decimal = Field(gt=0)
    watch_changes_days: int = Field(ge=0)
    report_hours: int = Field(gt=0)


class ChangePolicy(_Part):
    reshelve_per_line: Decimal = Field(ge=0)
    return_freight_percent: Decimal = Field(ge=0)


class CostPolicy(_Part):
    freight_percent: Decimal = Field(ge=0)
    fulfilment_per_line: Decimal = Field(ge=0)


class AllocationPolicy(_Part):
    tier_weight: dict[str, int]
    late_weight_per_day: int
    expedited_weight: int
    margin_weight_per_percent: Decimal
    reserve_hours: int = Field(gt=0)


class SupplyPolicy(_Part):
    history_days: int = Field(gt=0)
    review_days: int = Field(ge=0)
    safety_factor: Decimal = Field(ge=0)
    transfer_days: int = Field(ge=0)
    transfer_cost: Decimal = Field(ge=0)
    transfer_percent: Decimal = Field(ge=0)
    expedite_percent: Decimal = Field(ge=0)
    log_hours: int = Field(gt=0)
    hands_off_days: int = Field(ge=0)
    failures: int = Field(gt=0)
    failure_days: int = Field(gt=0)
    response: Literal["review", "raise_risk"]


class MatchPolicy(_Part):
    short_percent: Decimal = Field(ge=0)
    over_percent: Decimal = Field(ge=0)
    price_percent: Decimal = Field(ge=0)
    amount: Decimal = Field(ge=0)
    block_percent: Decimal = Field(ge=0)
    charges: Decimal = Field(ge=0)
    terms_days: int = Field(ge=0)
    pay_days: int = Field(ge=0)
    twin_days: int = Field(ge=0)


class ReturnPolicy(_Part):
    days: int = Field(ge=0)
    approve_above: Decimal = Field(ge=0)
    restocking_percent: dict[ReturnReason, Decimal]
    disposition: dict[ReturnReason, Disposition]


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
    blocks: list[Literal["allocate", "release", "ship", "invoice"]]
    waiver_hours: int = Field(gt=0)
    keeps_stock: bool
    rule: str


class Policy(_Part):
    """Everything a policy version says, and the hash of its two files."""

    name: str
    orders: OrderPolicy
    credit: CreditPolicy
    costs: CostPolicy
    changes: ChangePolicy
    tax_percent: dict[str, Decimal]
    allocation: AllocationPolicy
    supply: SupplyPolicy
    match: MatchPolicy
    returns: ReturnPolicy
    stewards: dict[str, str]
    notices: dict[Literal["shipped", "delayed"], str]
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
