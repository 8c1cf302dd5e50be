"""The policy as typed values: two texts, numbers (TOML) and authority (Cedar), hashed together; the hash is on every decision.

The file that ships is version 1 of an installation. Versions live in the database; `queries.policies` says which one is in force.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from datetime import date, time
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

import cedarpy
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from erp_core.errors import Problem, RuleViolation
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
    handling: Decimal = Field(default=Decimal(0), ge=0)


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
    late_days: int = Field(default=0, ge=0)
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
    per_order: int = Field(gt=0)
    per_order_days: int = Field(gt=0)
    reply_signature: str
    reply_signatures: dict[str, str] = {}
    high_from_amount: Decimal
    low_below_amount: Decimal
    release_over_percent: Decimal = Field(ge=0)
    release_paid_invoices: int = Field(ge=0)
    release_days_late: int = Field(ge=0)
    wait_days: int = Field(gt=0)

    def signature(self, language: str) -> str:
        """Under which name a letter in this language leaves."""
        return self.reply_signatures.get(language, self.reply_signature)


class LanguageModelPolicy(_Part):
    """Budgets of a language model, how long it is tried, and what may not leave to it. Prices are [in, out] per million tokens."""

    tokens_per_case: int = Field(ge=0)
    money_per_case: Decimal = Field(ge=0)
    tokens_per_hour: int = Field(ge=0)
    money_per_hour: Decimal = Field(ge=0)
    firm_tokens_per_hour: int = Field(ge=0)
    firm_money_per_hour: Decimal = Field(ge=0)
    longest_text: int = Field(gt=0)
    most_steps: int = Field(ge=0, le=20)
    most_failures: int = Field(gt=0)
    pause_seconds: int = Field(gt=0)
    redact: list[Literal["iban", "card", "tax_id", "phone", "email"]]
    prices: dict[str, tuple[Decimal, Decimal]]


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


class Chain(_Part):
    """Above an amount each step wants one person of one of its roles: all steps or nothing."""

    above: Decimal
    steps: list[list[str]]


class Pair(_Part):
    """Two duties that one person may not have: commands, or `release_hold:reason`."""

    id: str
    text: str
    one: list[str]
    other: list[str]


class AccessPolicy(_Part):
    longest_delegation_days: int = Field(gt=0)
    session_hours: int = Field(gt=0)
    token_days: int = Field(gt=0)


class WorkCalendar(_Part):
    """When people work at a site: days of the week (1 is Monday), hours of its own clock, and days off."""

    zone: str
    days: list[int]
    opens: time
    closes: time
    holidays: list[date]

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"there is no time zone {zone}")
        return zone


class ClockPolicy(_Part):
    """Which calendar counts, by firm or its country, and for which pauses a due time stands still."""

    default: str
    sites: dict[str, str]
    pauses: list[str]
    longest_pause_days: int = Field(gt=0)


class EscalationPolicy(_Part):
    """Who gets a case that is late: one role after the other, so many hours apart."""

    path: list[str] = Field(min_length=1)
    hours_between: int = Field(gt=0)
    paths: dict[Queue, list[str]]


class WeightPolicy(_Part):
    """What brings a case forward within its band, in hours of waiting that it is worth."""

    per_1000_at_stake: Decimal = Field(ge=0)
    most_at_stake: Decimal = Field(ge=0)
    per_1000_margin: Decimal = Field(ge=0)
    tier: dict[str, Decimal]
    strategic: list[str]
    strategic_weight: Decimal = Field(ge=0)
    expedited_weight: Decimal = Field(ge=0)
    late_weight: Decimal = Field(ge=0)


class BatchPolicy(_Part):
    """What may be signed together: so many, each so small, and one of so many must have been opened."""

    most: int = Field(gt=1, le=100)
    amount: Decimal = Field(ge=0)
    sample_every: int = Field(gt=0, le=20)


class DrillPolicy(_Part):
    """Of how many of the agent's proposals one is shown with something wrong in it; 0: of none."""

    one_in: int = Field(ge=0)


class Gate(_Part):
    """What a version must show before it may come into use; what is not said is not asked."""

    examples: int = Field(ge=0)
    gain: Decimal | None = None
    calibration_error: Decimal | None = None
    score: Decimal | None = None
    unsafe: int | None = None
    loss: Decimal = Decimal(0)


class ModelPolicy(_Part):
    """When predictions move something, and how far what they see may drift."""

    review_above: Decimal = Field(gt=0, le=1)
    review_amount: Decimal = Field(ge=0)
    reports_last_days: int = Field(gt=0)
    drift_above: Decimal = Field(gt=0)
    calibration_above: Decimal = Field(gt=0)
    watch_days: int = Field(gt=0)


class LocalPolicy(_Part):
    """Which numbers a firm may have of its own (`part.field` or a whole part), and those that some firms have."""

    configurable: list[str]
    firms: dict[str, dict[str, Any]] = {}


class Policy(_Part):
    """Everything a policy version says, and the hash of its two texts."""

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
    notices: dict[Literal["shipped", "delayed", "breached"], str]
    proposals: ProposalPolicy
    language_model: LanguageModelPolicy
    mail: MailPolicy
    sla_hours: dict[Priority, int]
    four_eyes: dict[str, Decimal]
    chains: dict[str, list[Chain]]
    apart: list[Pair]
    batch: BatchPolicy
    calendars: dict[str, WorkCalendar]
    clocks: ClockPolicy
    owners: dict[Queue, str]
    escalation: EscalationPolicy
    weights: WeightPolicy
    gates: dict[str, Gate]
    drills: DrillPolicy
    models: ModelPolicy
    playbooks: dict[str, list[str]]
    root_causes: dict[str, str]
    usual_causes: dict[str, str]
    access: AccessPolicy
    holds: dict[HoldReason, HoldPolicy]
    routes: dict[Action, Queue]
    local: LocalPolicy
    authority: str
    hash: str

    @property
    def short(self) -> str:
        """Name and the first digits of the hash, as people quote it."""
        return f"{self.name} {self.hash[:8]}"

    @cached_property
    def _firms(self) -> dict[str, Policy]:
        return {}

    def of(self, firm: str) -> Policy:
        """The policy as it is for one of our firms: the common one, with the numbers that are the firm's own."""
        own = self.local.firms.get(firm)
        if not own:
            return self
        if firm not in self._firms:
            content = self.model_dump(mode="json")
            for part, fields in own.items():
                content[part] = {**content[part], **fields}
            self._firms[firm] = Policy(**content)
        return self._firms[firm]


def parse(toml: str, cedar: str, *, whole: bool = False) -> Policy:
    """Read the two texts of a policy. Raises RuleViolation naming each place that cannot be used, and why.

    A `whole` one says everything itself; otherwise what an older text does not know yet is as shipped.
    """
    try:
        content: dict[str, Any] = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise RuleViolation([_unusable("numbers", str(error))]) from error
    fingerprint = hashlib.sha256(f"{toml}\0{cedar}".encode()).hexdigest()
    try:
        policy = Policy(**(content if whole else _filled(content)), authority=cedar, hash=fingerprint)
        found = [*_local_problems(policy), *_calendar_problems(policy), *_cedar_problems(cedar)]
        found = found or _name_problems(policy)
    except ValidationError as error:
        found = [_unusable(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
    if found:
        raise RuleViolation(found)
    return policy


def _unusable(place: str, why: str) -> Problem:
    return Problem("policy_unusable", f"{place}: {why}", {"place": place})


def _filled(content: dict[str, Any]) -> dict[str, Any]:
    """A part or number that an older text does not know yet is the shipped one; tables (routes, taxes) are taken as they are."""
    shipped = tomllib.loads(texts()[0])
    for name, part in shipped.items():
        kind = Policy.model_fields[name].annotation
        mine = content.setdefault(name, part)
        if name == "gates" and isinstance(mine, dict):
            content[name] = {**part, **mine}  # a model that an older text does not know has a gate all the same
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(mine, dict):
            content[name] = {**{k: v for k, v in part.items() if k != "firms"}, **mine}
    return content


def _local_problems(policy: Policy) -> list[Problem]:
    """A firm has numbers of its own only where the common policy lets it, and they must be usable."""
    found: list[Problem] = []
    allowed = set(policy.local.configurable)
    for firm, parts in policy.local.firms.items():
        for part, fields in parts.items():
            names = fields if isinstance(fields, dict) else {}
            barred = [f"{part}.{name}" for name in names if not {part, f"{part}.{name}"} & allowed]
            found += [_unusable(f"local.firms.{firm}.{name}", "is the same for all firms") for name in barred]
            if not names or part not in Policy.model_fields:
                found.append(_unusable(f"local.firms.{firm}.{part}", "is no part of the policy"))
        if not found:
            policy.of(firm)
    return found


MAY_BE_LOCAL = ("orders", "credit", "costs", "sla_hours", "language_model")


def _name_problems(policy: Policy) -> list[Problem]:
    """Commands and roles that no rule knows are slips of the pen: a control under a wrong name is none."""
    actions = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", schema().split("\naction ")[1]))
    roles = set(re.findall(r"\"([a-z_]+)\"", policy.authority)) - actions
    asked = [("four_eyes", n) for n in policy.four_eyes] + [("chains", n) for n in policy.chains]
    asked += [(f"apart.{p.id}", n) for p in policy.apart for n in (*p.one, *p.other)]
    causes = [("usual_causes", c) for c in policy.usual_causes.values() if c not in policy.root_causes]
    found = [_unusable(place, f"there is no root cause {c}") for place, c in causes]
    found += [_unusable(place, f"there is no command {n}") for place, n in asked if n.partition(":")[0] not in actions]
    listed = [r for chains in policy.chains.values() for c in chains for step in c.steps for r in step]
    listed += [
        *policy.owners.values(),
        *policy.escalation.path,
        *(r for path in policy.escalation.paths.values() for r in path),
    ]
    found += [_unusable("roles", f"authority knows no role {role}") for role in sorted(set(listed) - roles)]
    wide = [n for n in policy.local.configurable if n.partition(".")[0] not in MAY_BE_LOCAL]
    return found + [_unusable("local.configurable", f"{n} is the same for all firms") for n in wide]


def _calendar_problems(policy: Policy) -> list[Problem]:
    named = {policy.clocks.default, *policy.clocks.sites.values()}
    return [_unusable("clocks", f"there is no calendar {name}") for name in sorted(named - policy.calendars.keys())]


def _cedar_problems(cedar: str) -> list[Problem]:
    """What the schema says of the authority: unknown roles' attributes, actions or types, and rules without id or text."""
    try:
        checked = cedarpy.validate_policies(cedar, schema())
        problems = [_unusable("authority", str(error.error)) for error in checked.errors]
        if problems or not checked.validation_passed:
            return problems or [_unusable("authority", "does not fit the schema")]
        policies = json.loads(cedarpy.policies_to_json_str(cedar))["staticPolicies"].values()
    except ValueError as error:
        return [_unusable("authority", str(error))]
    named = [p.get("annotations", {}) for p in policies]
    found = [_unusable("authority", "each rule wants @id and @text") for n in named if not {"id", "text"} <= n.keys()]
    twice = sorted({n["id"] for n in named if "id" in n and sum(m.get("id") == n["id"] for m in named) > 1})
    return found + [_unusable("authority", f"two rules have the id {code}") for code in twice]


@cache
def schema() -> str:
    """What authority may speak of: people, commands and their actions."""
    return (HERE / "authority.cedarschema").read_text()


@cache
def samples() -> dict[str, list[dict[str, Any]]]:
    """What every policy must do, as it ships: situations and what must come of them."""
    return tomllib.loads((HERE / "policy_samples.toml").read_text("utf-8"))


@cache
def texts() -> tuple[str, str]:
    """The two texts that ship with this version: numbers and authority."""
    return (HERE / "policy.toml").read_text(), (HERE / "authority.cedar").read_text()


@cache
def shipped() -> Policy:
    """The policy that ships with this version, before anybody changed it."""
    return parse(*texts())
