"""Gradient-boosted trees with calibrated probabilities and exact contributions, stored as text: nothing in a model file can run.

LightGBM needs the system's OpenMP library (`libgomp1` on Debian); without it no model is loaded or trained, an error says so, and all
else works.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from erp_core.errors import CountersignError
from ml.asof import Array

LEAST = 40  # so many of either outcome, or there is nothing to learn from
EDGES = 10  # bins of a feature's spread that drift is measured against
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.06,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "verbosity": -1,
    "num_threads": 2,
    "seed": 1,
    "deterministic": True,
    "force_col_wise": True,
}


@cache
def lightgbm() -> Any:
    """The library, when a model is first asked for. Raises CountersignError on a machine without OpenMP."""
    try:
        return importlib.import_module("lightgbm")
    except OSError as error:
        raise CountersignError(
            f"The models need OpenMP ({error}). Install it (Debian: `apt-get install libgomp1`) and start again."
        ) from error


class Unsound(CountersignError):
    """A model's trees are not such as training makes them."""


def sound(text: str, features: int) -> None:
    """LightGBM trusts its own text; a forged one would read beyond its arrays, or never end. Raises Unsound unless every tree is a tree.

    A child that is no leaf was split later than its parent, so its number is larger; leaves are told as -1, -2, …
    """
    try:
        head, *trees = text.split("\nTree=")
        told = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
        if (
            int(told["max_feature_idx"]) != features - 1
            or int(told["num_class"]) != 1
            or int(told["num_tree_per_iteration"]) != 1
        ):
            raise Unsound("the features are others than the trees were grown on")
        for tree in trees:
            _sound_tree(
                dict(line.split("=", 1) for line in tree.split("\n\n")[0].splitlines()[1:] if "=" in line), features
            )
    except (KeyError, ValueError) as error:
        raise Unsound(f"The model's trees cannot be read: {error}.") from error


def _sound_tree(told: dict[str, str], features: int) -> None:
    leaves = int(told["num_leaves"])
    if leaves < 1 or leaves > 4096 or int(told.get("num_cat", "0")) or int(told.get("is_linear", "0")):
        raise Unsound("a tree is of another kind than training makes")
    if len(told["leaf_value"].split()) != leaves:
        raise Unsound("a tree's leaves do not add up")
    if leaves == 1:
        return
    splits = leaves - 1
    split, left, right = (
        [int(x) for x in told[name].split()] for name in ("split_feature", "left_child", "right_child")
    )
    for name in ("threshold", "decision_type", "internal_value", "internal_count"):
        if len(told[name].split()) != splits:
            raise Unsound(f"a tree's {name} does not add up")
    if len(told["leaf_count"].split()) != leaves or not len(split) == len(left) == len(right) == splits:
        raise Unsound("a tree's splits do not add up")
    children = [*left, *right]
    if any(not 0 <= x < features for x in split) or sorted(x for x in children if x < 0) != list(range(-leaves, 0)):
        raise Unsound("a tree splits by what is not there")
    if any(child >= 0 and not at < child < splits for side in (left, right) for at, child in enumerate(side)):
        raise Unsound("a tree runs in a circle")


class NotEnoughData(CountersignError):
    """There are not enough examples to learn from."""


@dataclass
class Boosted:
    """One yes-or-no question. `knots` map raw probabilities to calibrated ones, `spread` says how its features were spread in training."""

    features: list[str]
    booster: Any
    knots: tuple[Array, Array]
    spread: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)

    @classmethod
    def fit(cls, matrix: Array, asked: Array, features: Sequence[str], **changed: Any) -> Boosted:
        """Learn from `matrix` (n, features) in the order of time and `asked` (n,) of 0 and 1.

        The newest 15 % say when to stop and calibrate. Raises NotEnoughData.
        """
        asked = np.asarray(asked, dtype=np.float64)
        cut = int(len(asked) * 0.85)
        few = min(asked[:cut].sum(), (1 - asked[:cut]).sum())
        if few < LEAST or min(asked[cut:].sum(), (1 - asked[cut:]).sum()) < 5:
            raise NotEnoughData(
                f"Only {int(asked.sum())} of {len(asked)} examples say yes; {LEAST} of either are needed."
            )
        booster = _grown(matrix, asked, features, cut, {**PARAMETERS, **changed})
        raw = booster.predict(matrix[cut:], num_threads=2)
        return cls(list(features), booster, _calibrated(raw, asked[cut:]), _spread(matrix, features))

    def probabilities(self, matrix: Array) -> Array:
        """float64 (n,): calibrated."""
        threads = 1 if len(matrix) < 1000 else 2  # one thread answers a single question sooner
        raw = self.booster.predict(matrix, num_threads=threads)
        return np.interp(raw, *self.knots)

    def contributions(self, matrix: Array) -> Array:
        """float64 (n, features): what each feature adds to the log-odds; exact (SHAP values of the trees)."""
        return self.booster.predict(matrix, pred_contrib=True, num_threads=1)[:, :-1]

    def to_json(self) -> dict[str, Any]:
        """Plain values: the trees as LightGBM's own text."""
        return {
            "features": self.features,
            "trees": self.booster.model_to_string(),
            "knots": [list(map(float, knot)) for knot in self.knots],
            "spread": self.spread,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Boosted:
        """Back from `to_json`."""
        sound(stored["trees"], len(stored["features"]))
        knots = (np.array(stored["knots"][0]), np.array(stored["knots"][1]))
        spread = {name: (list(x[0]), list(x[1])) for name, x in stored["spread"].items()}
        return cls(list(stored["features"]), lightgbm().Booster(model_str=stored["trees"]), knots, spread)


def quantiles(matrix: Array, value: Array, features: Sequence[str], levels: Sequence[float]) -> dict[str, Any]:
    """A regression a level, as plain values; `Quantiles` reads them. The newest 15 % say when to stop."""
    cut = int(len(value) * 0.85)
    if cut < 4 * LEAST:
        raise NotEnoughData(f"{len(value)} examples; {5 * LEAST} are needed.")
    trees = {}
    for level in levels:
        settings = {**PARAMETERS, "objective": "quantile", "alpha": level}
        trees[str(level)] = _grown(matrix, value, features, cut, settings).model_to_string()
    return {"features": list(features), "levels": list(levels), "trees": trees, "spread": _spread(matrix, features)}


class Quantiles:
    """The regressions of `quantiles`, loaded."""

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self.features = list(stored["features"])
        self.levels = list(stored["levels"])
        for level in self.levels:
            sound(stored["trees"][str(level)], len(self.features))
        self._boosters = [lightgbm().Booster(model_str=stored["trees"][str(level)]) for level in self.levels]

    def predict(self, matrix: Array) -> Array:
        """float64 (n, levels), never crossing."""
        columns = [booster.predict(matrix, num_threads=2) for booster in self._boosters]
        return np.sort(np.stack(columns, axis=1), axis=1)


def _grown(matrix: Array, asked: Array, features: Sequence[str], cut: int, settings: dict[str, Any]) -> Any:
    seen = lightgbm().Dataset(matrix[:cut], asked[:cut], feature_name=list(features), free_raw_data=True)
    unseen = lightgbm().Dataset(matrix[cut:], asked[cut:], reference=seen)
    stop = lightgbm().early_stopping(30, verbose=False)
    rounds = settings.pop("rounds", 400)
    return lightgbm().train(settings, seen, rounds, valid_sets=[unseen], callbacks=[stop])


def _calibrated(raw: Array, asked: Array) -> tuple[Array, Array]:
    """Knots of a monotone map. With few positives a sigmoid, which needs less to go by than steps."""
    if asked.sum() < 300:
        odds = np.log(np.clip(raw, 1e-6, 1 - 1e-6) / (1 - np.clip(raw, 1e-6, 1 - 1e-6)))
        fitted = LogisticRegression(C=1.0).fit(odds[:, None], asked)
        at = np.linspace(-10, 6, 161)
        return 1 / (1 + np.exp(-at)), fitted.predict_proba(at[:, None])[:, 1]
    steps = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-4, out_of_bounds="clip").fit(raw, asked)
    return np.asarray(steps.X_thresholds_), np.asarray(steps.y_thresholds_)


def _spread(matrix: Array, features: Sequence[str]) -> dict[str, tuple[list[float], list[float]]]:
    found = {}
    for column, name in enumerate(features):
        values = matrix[:, column]
        known = values[~np.isnan(values)]
        edges = np.unique(np.quantile(known, np.linspace(0.1, 0.9, EDGES - 1))).tolist() if len(known) else []
        found[name] = (edges, _shares(values, edges).tolist())
    return found


def _shares(values: Array, edges: Sequence[float]) -> Array:
    """Share of values a bin, the last bin for the unknown."""
    unknown = np.isnan(values)
    bins = np.bincount(np.searchsorted(edges, values[~unknown], side="right"), minlength=len(edges) + 1)
    return np.append(bins, unknown.sum()) / max(len(values), 1)
