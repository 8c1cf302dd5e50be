"""What models say, in words for people: how likely, why, and which version said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from erp_core.queries.models import Said
from erp_core.values import CAUSE, HoldReason

TITLES = {
    "hold_risk": "Hold risk",
    "late_shipment": "Late shipment",
    "late_supply": "Late supplier delivery",
    "stockout": "Stockout",
    "price_anomaly": "Price anomaly",
    "duplicate_order": "Duplicate order",
    "demand": "Demand",
    "queue_load": "Queue load",
    "return_reason": "Return reason",
    "case_late": "Case priority",
    "root_cause": "Root cause",
    "mail_reader": "Mail reader",
    "replies": "Replies (text)",
}
QUESTIONS = {
    "held": "Held before it ships?",
    "unpaid": "Paid very late?",
    "late": "Late?",
    "differs": "Arrives otherwise than ordered?",
    "price_anomaly": "A wrong price?",
    "duplicate_order": "The same order twice?",
    "case_late": "Late with this case?",
    "within_7": "Out of stock within 7 days?",
    "within_14": "Out of stock within 14 days?",
}
SHORT = {
    "held": "a hold before it ships",
    "unpaid": "a bill paid very late",
    "late": "a late arrival",
    "differs": "a difference at the dock",
    "price_anomaly": "a wrong price",
    "duplicate_order": "the same order twice",
}
FIRST = ("held", "unpaid", "late", "price_anomaly", "duplicate_order", "differs", "case_late")
WORDS = (
    (0.75, 4, "Very likely", "danger"),
    (0.5, 3, "Likely", "danger"),
    (0.25, 2, "Possible", "warn"),
    (0.0, 1, "Unlikely", "ok"),
)
HALF = 22  # pixels that a bar has to either side


@dataclass(frozen=True)
class Why:
    """A reason with its bar: to the right what raises, to the left what lowers."""

    text: str
    x: float
    width: float
    side: str


@dataclass(frozen=True)
class Risk:
    """One question as the screen shows it."""

    question: str
    title: str
    probability: float
    bars: int
    word: str
    tone: str
    why: list[Why]
    source: str
    version: int
    asked_at: Any
    outcome: float | None
    mostly: str

    @property
    def worth_a_look(self) -> bool:
        """Whether it deserves more than a word."""
        return self.probability >= WORDS[2][0]

    @property
    def short(self) -> str:
        """The question as a phrase."""
        return SHORT[self.question]


def risks(said: list[Said]) -> list[Risk]:
    """The questions worth a line on a screen, the likeliest first."""
    by_name = {s.question: s for s in said}
    found = [_risk(by_name[name], by_name) for name in FIRST if name in by_name]
    return sorted(found, key=lambda r: -r.probability)  # what is likeliest first


@dataclass(frozen=True)
class Cause:
    """The likeliest root cause of a case, and why it is thought to be that."""

    code: str
    probability: float
    why: str
    source: str
    version: int


def likely_cause(said: list[Said], known: Mapping[str, str]) -> Cause | None:
    """What a model takes for the root cause, when policy knows it and it is likelier than not."""
    found = [
        s
        for s in said
        if s.version.name == "root_cause" and s.question.startswith(CAUSE) and s.question.removeprefix(CAUSE) in known
    ]
    last = max(found, key=lambda s: s.prediction.id, default=None)
    if last is None or last.prediction.value < 0.5:
        return None
    why = str(last.prediction.reasons[0]["text"]) if last.prediction.reasons else ""
    code = last.question.removeprefix(CAUSE)
    return Cause(code, float(last.prediction.value), why, source(last.version), last.version.id)


def _risk(said: Said, others: dict[str, Said]) -> Risk:
    value = float(said.prediction.value)
    _, bars, word, tone = next(w for w in WORDS if value >= w[0])
    likely = [(float(others[r].prediction.value), r.value) for r in HoldReason if r in others]
    mostly = max(likely)[1] if said.question == "held" and likely and value >= 0.25 else ""
    return Risk(
        said.question, QUESTIONS[said.question], value, bars, word, tone, _why(said.prediction.reasons), source(said.version),
        said.version.id, said.prediction.asked_at, said.prediction.outcome, mostly,
    )  # fmt: skip


def _why(reasons: list[Any]) -> list[Why]:
    largest = max((abs(r["share"]) for r in reasons if r["share"] is not None), default=1.0) or 1.0
    found = []
    for r in reasons:
        share = r["share"] or 0.0
        width = round(abs(share) / largest * HALF, 1)
        found.append(Why(str(r["text"]), HALF if share >= 0 else HALF - width, width, "up" if share >= 0 else "down"))
    return found


def source(version: Any) -> str:
    """Which model, and what it learned from."""
    error = (version.figures.get("gate") or {}).get("calibration_error")
    if version.source == "shipped":
        return f"{TITLES.get(version.name, version.name)} {version.id}"
    if version.source == "simulated":  # how well it is calibrated is known of the simulated history alone
        return f"{TITLES.get(version.name, version.name)} {version.id}, learned from a simulated history"
    sure = "" if error is None else ", well calibrated" if error <= 0.03 else ", roughly calibrated"
    return f"{TITLES.get(version.name, version.name)} {version.id}{sure}"
