"""All models of the house by name: what each is trained from, what it must show at the gate, and how two of them are compared.

A model file is one JSON text. What is recorded, promoted and loaded is the SHA-256 of that text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml import (
    case_late,
    demand,
    duplicates,
    hold_risk,
    late_shipment,
    late_supply,
    measures,
    price_anomaly,
    recipe,
    return_reason,
    root_cause,
    stockout,
)
from ml.asof import Array
from ml.boosted import Boosted, NotEnoughData, Quantiles
from ml.history import History, Table, take
from ml.recipe import Predictor, Recipe

Content = dict[str, Any]
RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE
    for module in (hold_risk, late_shipment, late_supply, stockout, case_late, root_cause)
}
PLANTED_SEED = 7  # errors that are asked about are not those that were learned from


@dataclass(frozen=True)
class Trained:
    """A model's text, its digest, and what was measured of it: `gate` for the gate, `detail` for people."""

    name: str
    text: str
    figures: dict[str, Any]

    @property
    def sha256(self) -> str:
        """What the file must hash to."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A model of the house: its title, the tables it needs, training, (asked, said) of a content since a moment, and its gate's figures."""

    name: str
    title: str
    needs: tuple[str, ...]
    train: Callable[[History], tuple[Content, dict[str, Any]]]
    answers: Callable[[Content, History, float], tuple[Array, Array]]
    score: Callable[[Array, Array], float]
    measure: Callable[[Content, History, float], dict[str, Any]]


def _recipe(one: Recipe) -> Entry:
    def learn(history: History) -> tuple[Content, dict[str, Any]]:
        predictor, figures = recipe.train(one, history)
        gate = _gate(recipe.main_figures(one, figures), figures["too_good"])
        spread = {"features": list(one.features), "spread": predictor.heads[one.main].spread}
        return {**predictor.to_json(), "until": figures["since"]}, {"gate": gate, "detail": figures, "spread": spread}

    def answers(content: Content, history: History, since: float) -> tuple[Array, Array]:
        subjects = one.subjects(history)
        known, asked = one.labels(history)[one.main]
        rows = np.flatnonzero(known & (subjects[one.moment] >= since))
        if not len(rows):
            return np.empty(0), np.empty(0)
        matrix = one.compute(one.past(history), subjects)[rows]
        return asked[rows], Predictor.of(one, content).heads[one.main].probabilities(matrix)

    def measured(content: Content, history: History, since: float) -> dict[str, Any]:
        subjects, past, labels = one.subjects(history), one.past(history), one.labels(history)
        matrix = one.compute(past, subjects)
        predictor = Predictor.of(one, content)
        told = recipe.evaluate(one, predictor, history, subjects, past, matrix, labels, since)
        return _gate(recipe.main_figures(one, told), told["too_good"])

    needs = {
        "orders": ("orders", "order_lines", "holds", "invoices", "shipments"),
        "purchases": ("purchases",),
        "levels": ("order_lines", "levels"),
        "cases": ("cases",),
    }
    return Entry(one.name, one.title, needs[one.about], learn, answers, measures.auc, measured)


def _planted(
    name: str,
    title: str,
    head: str,
    fit: Callable[[Table, float], Boosted],
    ask: Callable[[Boosted, History, float], tuple[Array, Array, Array]],
    kinds: tuple[Any, ...],
) -> Entry:
    """A model that is trained on, and asked about, errors of these kinds planted in order lines. `ask`: (asked, said, rule of thumb)."""

    def learn(history: History) -> tuple[Content, dict[str, Any]]:
        lines = history["order_lines"]
        if len(lines["at"]) < 600:
            raise NotEnoughData(f"{len(lines['at'])} order lines; 600 are needed.")
        cut = float(np.quantile(lines["at"], recipe.SEEN))
        model = fit(lines, cut)
        return {"heads": {head: model.to_json()}, "until": cut}, _figures(*ask(model, history, cut), cut, kinds)

    def asked(content: Content, history: History, since: float) -> tuple[Array, Array, Array]:
        return ask(Boosted.from_json(content["heads"][head]), history, since)

    return Entry(
        name, title, ("order_lines",), learn, lambda c, h, s: asked(c, h, s)[:2], measures.auc,
        lambda c, h, s: _gate(measures.classifier(*asked(c, h, s)), []),
    )  # fmt: skip


def _price_asked(model: Boosted, history: History, since: float) -> tuple[Array, Array, Array]:
    lines = history["order_lines"]
    past = price_anomaly.Past(lines)
    price, wrong = price_anomaly.planted(lines, 0.1, PLANTED_SEED)
    newer = np.flatnonzero(lines["at"] >= since)
    rows = take(lines, newer)
    said = model.probabilities(past.ask(rows, price[newer])) if len(newer) else np.empty(0)
    rule = price_anomaly.baseline(past, rows, price[newer]) if len(newer) else np.empty(0)
    return wrong[newer], said, rule


def _duplicate_asked(model: Boosted, history: History, since: float) -> tuple[Array, Array, Array]:
    orders = duplicates.baskets(history["order_lines"])
    before = [basket for basket in orders if basket.at < since]
    together, copies = duplicates.planted([basket for basket in orders if basket.at >= since], 0.08, PLANTED_SEED)
    rarity, habits = duplicates.Rarity.among(before), duplicates.usual(before)
    matrix, asked = duplicates.asked(together, copies, rarity, habits)
    if not len(asked):
        return np.empty(0), np.empty(0), np.empty(0)
    return asked, model.probabilities(matrix), duplicates.baseline(matrix)


def _gate(main: Mapping[str, Any], too_good: list[Any]) -> dict[str, Any]:
    return {
        "examples": main["examples"],
        "gain_low": main["gain_interval"][0],
        "calibration_error": main["calibration_error"],
        "score": main["auc"],
        "too_good": too_good,
    }


def _figures(asked: Array, said: Array, rule: Array, cut: float, planted: tuple[Any, ...]) -> dict[str, Any]:
    main = measures.classifier(asked, said, rule)
    return {
        "gate": _gate(main, []),
        "detail": {
            "main": "planted",
            "since": cut,
            "questions": {"planted": main},
            "missing": {},
            "planted": list(map(str, planted)),
            "rule": "the plain difference",
        },
    }


def _demand_train(history: History) -> tuple[Content, dict[str, Any]]:
    content, figures = demand.train(history)
    return {**content, "until": figures["since"]}, {"gate": _demand_gate(figures), "detail": figures}


def _demand_gate(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "examples": figures["examples"],
        "gain_low": figures["gain_interval"][0],
        "calibration_error": abs(figures["inside"] - (demand.LEVELS[2] - demand.LEVELS[0])),
        "score": -figures["error"],
        "too_good": [],
    }


def _demand_answers(content: Content, history: History, since: float) -> tuple[Array, Array]:
    came, said = demand.outcomes(Quantiles(content), history, since)
    return came, said


def _demand_measure(content: Content, history: History, since: float) -> dict[str, Any]:
    figures = demand.measured(Quantiles(content), history, since)
    return _demand_gate(figures)


def _load_train(history: History) -> tuple[Content, dict[str, Any]]:
    content: Content = {"weeks": demand.QueueLoad.WEEKS, "until": history.now}
    figures = demand.queue_figures(history["cases"], history.now, content["weeks"])
    return content, {"gate": _load_gate(figures), "detail": figures}


def _load_measure(content: Content, history: History, since: float) -> dict[str, Any]:
    """It learns nothing but how many weeks to remember, so it is asked about the newest weeks."""
    return _load_gate(demand.queue_figures(history["cases"], history.now, int(content["weeks"])))


def _load_gate(figures: Mapping[str, Any]) -> dict[str, Any]:
    low, score = figures["gain_interval"][0], -figures["error"]
    return {"examples": figures["examples"], "gain_low": low, "score": score, "too_good": []}


def _reason_train(history: History) -> tuple[Content, dict[str, Any]]:
    content, figures = return_reason.train()
    return {**content, "until": 0.0}, {"gate": _reason_gate(figures), "detail": figures}


def _reason_measure(content: Content, history: History, since: float) -> dict[str, Any]:
    """Asked the texts that no version is trained on."""
    return _reason_gate(return_reason.measured(return_reason.Reasons(content)))


def _reason_gate(figures: Mapping[str, Any]) -> dict[str, Any]:
    low, score = figures["gain_interval"][0], figures["macro_f1"]
    return {"examples": figures["examples"], "gain_low": low, "score": score, "too_good": []}


def _error(came: Array, said: Array) -> float:
    """Minus the weighted error, so that more is better."""
    return -float(np.abs(came - said).sum() / max(came.sum(), 1e-9))


def _nothing(content: Content, history: History, since: float) -> tuple[Array, Array]:
    return np.empty(0), np.empty(0)


ENTRIES: dict[str, Entry] = {
    **{name: _recipe(one) for name, one in RECIPES.items()},
    "price_anomaly": _planted(
        "price_anomaly", "Price anomaly", "wrong", price_anomaly.fit, _price_asked, price_anomaly.FACTORS
    ),
    "duplicate_order": _planted(
        "duplicate_order", "Duplicate order", "duplicate", duplicates.fit, _duplicate_asked, duplicates.KINDS
    ),
    "demand": Entry("demand", "Demand", ("order_lines",), _demand_train, _demand_answers, _error, _demand_measure),
    "queue_load": Entry("queue_load", "Queue load", ("cases",), _load_train, _nothing, _error, _load_measure),
    "return_reason": Entry("return_reason", "Return reason", (), _reason_train, _nothing, measures.auc, _reason_measure),
}  # fmt: skip


def train(name: str, history: History) -> Trained:
    """Train one model. Raises NotEnoughData."""
    content, figures = ENTRIES[name].train(history)
    text = json.dumps({"name": name, "source": history.source, **content}, sort_keys=True, separators=(",", ":"))
    return Trained(name, text, plain(figures))


def figures_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as JSON knows them: no numpy numbers, NaN is nothing."""
    found: dict[str, Any] = plain(told)
    return found


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value


def measure(name: str, content: Content, history: History) -> dict[str, Any]:
    """The gate's figures of a version, on what came after it was trained."""
    found: dict[str, Any] = plain(ENTRIES[name].measure(content, history, float(content["until"])))
    return found


def compare(name: str, candidate: Content, champion: Content, history: History) -> dict[str, Any]:
    """Both asked the same: what came after both were trained. `loss`: how much less the candidate knows, with its 95 % interval."""
    entry = ENTRIES[name]
    since = max(
        float(candidate["until"]), float(champion["until"]) if champion.get("source") == history.source else 0.0
    )
    asked, mine = entry.answers(candidate, history, since)
    again, theirs = entry.answers(champion, history, since)
    if len(asked) < 50 or len(asked) != len(again):
        return {"examples": len(asked)}

    def loss(a: Array, b: Array, c: Array) -> float:
        return entry.score(a, c) - entry.score(a, b)

    return {
        "examples": len(asked),
        "since": since,
        "score": entry.score(asked, mine),
        "champion_score": entry.score(asked, theirs),
        "loss": loss(asked, mine, theirs),
        "loss_interval": measures.interval(loss, asked, mine, theirs),
    }
