"""What every model of the trade has: facts as of a moment, outcomes, a rule of thumb to beat, words for its reasons.

`train` learns from the older part of a history and `evaluate` asks about the newer part, so that nothing is measured on what was learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ml import measures
from ml.asof import Array
from ml.boosted import Boosted, NotEnoughData, Quantiles, quantiles
from ml.history import History, Table

Reason = dict[str, Any]  # text, share
Heads = dict[str, tuple[Array, Array]]  # a question: (is the outcome known, was it so)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SEEN = 0.75  # the older share of the examples is learned from, the newer asked about


@dataclass(frozen=True)
class Amount:
    """A number that is foreseen beside the questions, with its interval. `of`: of each subject, is it known, and what was it."""

    question: str
    of: Callable[[History], tuple[Array, Array]]
    naive: float = 0.0  # what is said without a model


LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Recipe:
    """One model of the trade. `main` is the question without which it is not used; `truth` names the probabilities a simulator knows."""

    name: str
    title: str
    about: str  # table whose rows are asked about
    features: tuple[str, ...]
    past: Callable[[History], Any]
    compute: Callable[[Any, Table], Array]
    labels: Callable[[History], Heads]
    main: str
    baseline: Callable[[Any, Table], Array]
    rule: str  # the baseline in words
    words: Mapping[str, Callable[[float], str]]
    subjects: Callable[[History], Table]
    slices: tuple[str, ...] = ()
    truth: Mapping[str, str] = field(default_factory=dict)
    moment: str = "at"
    amount: Amount | None = None


@dataclass
class Predictor:
    """A trained recipe. `missing` says which questions had too little to learn from."""

    recipe: Recipe
    heads: dict[str, Boosted]
    missing: dict[str, str]
    amounts: dict[str, Any] = field(default_factory=dict)  # plain values of the regressions, if there are any

    @cached_property
    def interval(self) -> Quantiles | None:
        """The regressions of the recipe's amount."""
        return Quantiles(self.amounts) if self.amounts else None

    def predict(self, matrix: Array) -> dict[str, Array]:
        """Probabilities (rows,) a question."""
        return {name: head.probabilities(matrix) for name, head in self.heads.items()}

    def reasons(self, row: Array, head: str | None = None, number: int = 3) -> list[Reason]:
        """What moved the probability most for one row (features,), in words; `share` is what it added to the log-odds."""
        shares = self.heads[head or self.recipe.main].contributions(row[None, :])[0]
        return told(self.recipe.features, self.recipe.words, row, shares, number)

    def to_json(self) -> dict[str, Any]:
        """Plain values, `Predictor.of` reads them."""
        heads = {name: head.to_json() for name, head in self.heads.items()}
        return {"heads": heads, "missing": self.missing, **({"amount": self.amounts} if self.amounts else {})}

    @classmethod
    def of(cls, recipe: Recipe, stored: Mapping[str, Any]) -> Predictor:
        """Back from `to_json`. Raises KeyError when the features are not those of the recipe."""
        heads = {name: Boosted.from_json(head) for name, head in stored["heads"].items()}
        for head in heads.values():
            if tuple(head.features) != recipe.features:
                raise KeyError(
                    f"The model was trained on other features than {recipe.name} computes now; train it anew."
                )
        return cls(recipe, heads, dict(stored["missing"]), dict(stored.get("amount") or {}))


def train(recipe: Recipe, history: History, until: float | None = None) -> tuple[Predictor, dict[str, Any]]:
    """Learn from the older part, then ask about what came after. What was measured is what is given back. Raises NotEnoughData."""
    subjects = recipe.subjects(history)
    past = recipe.past(history)
    matrix, labels = recipe.compute(past, subjects), recipe.labels(history)
    moments = subjects[recipe.moment]
    cut = until if until is not None else cut_of(moments[labels[recipe.main][0]])
    trial = _fit(recipe, matrix, labels, moments < cut)
    if recipe.amount is not None:
        known, value = recipe.amount.of(history)
        used = known & (moments < cut)
        try:
            trial.amounts = quantiles(matrix[used], value[used], recipe.features, LEVELS)
        except NotEnoughData as error:
            trial.missing[recipe.amount.question] = str(error)
    return trial, evaluate(recipe, trial, history, subjects, past, matrix, labels, cut)


def told(
    features: Sequence[str], words: Mapping[str, Callable[[float], str]], row: Array, shares: Array, number: int = 3
) -> list[Reason]:
    """The features that moved a probability most, largest first; what is not known explains nothing."""
    known = [i for i in np.argsort(-np.abs(shares)) if not np.isnan(row[i])][:number]
    return [{"text": words[features[i]](float(row[i])), "share": round(float(shares[i]), 3)} for i in known]


def counted(x: float, what: str) -> str:
    """So many of something, in words."""
    return f"{x:.0f} {what}{'' if round(x) == 1 else 's'}"


def cut_of(moments: Array) -> float:
    """The moment that parts the older share from the newer. Raises NotEnoughData."""
    if len(moments) < 200:
        raise NotEnoughData(f"Only {len(moments)} outcomes are known; 200 are needed.")
    return float(np.quantile(moments, SEEN))


def _fit(recipe: Recipe, matrix: Array, labels: Heads, within: Array) -> Predictor:
    heads, missing = {}, {}
    for name, (known, asked) in labels.items():
        used = known & within
        try:
            heads[name] = Boosted.fit(matrix[used], asked[used], recipe.features)
        except NotEnoughData as error:
            if name == recipe.main:
                raise
            missing[name] = str(error)
    return Predictor(recipe, heads, missing)


def evaluate(
    recipe: Recipe,
    predictor: Predictor,
    history: History,
    subjects: Table,
    past: Any,
    matrix: Array,
    labels: Heads,
    since: float,
) -> dict[str, Any]:
    """Figures on what happened from `since` on: the main question in full with slices, the others in short."""
    newer = subjects[recipe.moment] >= since
    rule = recipe.baseline(past, subjects)
    found: dict[str, Any] = {
        "main": recipe.main,
        "since": since,
        "questions": {},
        "missing": predictor.missing,
        "rule": recipe.rule,
    }
    for name, head in predictor.heads.items():
        known, asked = labels[name]
        asking = np.flatnonzero(known & newer)
        if len(asking) < 50:
            found["missing"] = {**found["missing"], name: f"Only {len(asking)} outcomes after the cut."}
            continue
        said = head.probabilities(matrix[asking])
        slices = {column: subjects[column][asking] for column in recipe.slices} if name == recipe.main else {}
        figures = measures.classifier(asked[asking], said, rule[asking], slices, name == recipe.main)
        if name in recipe.truth and recipe.truth[name] in history.truth:
            best = history.truth[recipe.truth[name]][asking]
            figures["best_auc"] = measures.auc(asked[asking], best)
        found["questions"][name] = figures
    if recipe.main not in found["questions"]:
        raise NotEnoughData(f"Too few outcomes of {recipe.title.lower()} are known to say how good it is.")
    if recipe.amount is not None and predictor.interval is not None:
        found["amount"] = _amount(recipe.amount, predictor.interval, history, matrix, newer)
    known, asked = labels[recipe.main]
    used = known & ~newer
    found["too_good"] = measures.suspicious(matrix[used], asked[used], list(recipe.features))
    return found


def _amount(amount: Amount, interval: Quantiles, history: History, matrix: Array, newer: Array) -> dict[str, Any]:
    """How far off the middle is, beside what is said without a model, and how often the truth lies in the interval."""
    known, value = amount.of(history)
    rows = known & newer
    low, middle, high = interval.predict(matrix[rows]).T
    came = value[rows]
    return {
        "question": amount.question,
        "examples": int(rows.sum()),
        "error": float(np.abs(came - middle).mean()),
        "baseline_error": float(np.abs(came - amount.naive).mean()),
        "inside": float(((came >= low) & (came <= high)).mean()),
        "levels": list(LEVELS),
    }


def main_figures(recipe: Recipe, figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figures of the question that decides."""
    found: Mapping[str, Any] = figures["questions"][recipe.main]
    return found


def all_of(name: str) -> Callable[[History], Table]:
    """Every row of a table is asked about."""
    return lambda history: history[name]
