"""How good a prediction is: figures with intervals, reliability, slices. Arrays in, plain numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from ml.asof import Array

REPEATS = 200


def auc(asked: Array, score: Array) -> float:
    """Area under the ROC curve; NaN when only one outcome is there."""
    asked = np.asarray(asked)
    number, yes = len(asked), float(asked.sum())
    if not 0 < yes < number:
        return float("nan")
    ranks = rankdata(score)  # drawn anew hundreds of times, which the general function checks at length each time
    return float((ranks[asked > 0].sum() - yes * (yes + 1) / 2) / (yes * (number - yes)))


def precision(asked: Array, score: Array) -> float:
    """Average precision."""
    return float(average_precision_score(asked, score)) if asked.sum() else float("nan")


def reliability(asked: Array, score: Array, bins: int = 10) -> list[dict[str, float]]:
    """What was said and what came, in bins of equal numbers: said, came, number."""
    order = np.argsort(score, kind="stable")
    found = []
    for part in np.array_split(order, bins):
        if len(part):
            found.append(
                {"said": float(np.mean(score[part])), "came": float(np.mean(asked[part])), "number": len(part)}
            )
    return found


def calibration_error(asked: Array, score: Array, bins: int = 10) -> float:
    """Expected calibration error over bins of equal numbers."""
    table = reliability(np.asarray(asked, dtype=float), np.asarray(score, dtype=float), bins)
    return sum(abs(x["said"] - x["came"]) * x["number"] for x in table) / max(sum(x["number"] for x in table), 1)


def brier(asked: Array, score: Array) -> float:
    """Mean squared error of probabilities."""
    return float(np.mean((np.asarray(asked) - np.asarray(score)) ** 2))


def interval(measure: Any, *columns: Array, repeats: int = REPEATS, seed: int = 1) -> tuple[float, float]:
    """95 % interval of `measure(*columns)` by drawing the examples anew."""
    chance = np.random.default_rng(seed)
    number = len(columns[0])
    found = []
    for _ in range(repeats):
        drawn = chance.integers(0, number, number)
        value = measure(*(column[drawn] for column in columns))
        if not np.isnan(value):
            found.append(value)
    return (float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))) if found else (float("nan"),) * 2


def classifier(
    asked: Array, score: Array, baseline: Array, slices: dict[str, Array] | None = None, intervals: bool = True
) -> dict[str, Any]:
    """The figures of a yes-or-no model beside its baseline, with the reliability table and the same for each slice."""
    asked = np.asarray(asked, dtype=float)

    def gain(a: Array, s: Array, b: Array) -> float:
        return auc(a, s) - auc(a, b)

    figures: dict[str, Any] = {
        "examples": len(asked),
        "positives": int(asked.sum()),
        "auc": auc(asked, score),
        "baseline_auc": auc(asked, baseline),
        "gain": gain(asked, score, baseline),
        "average_precision": precision(asked, score),
        "brier": brier(asked, score),
        "calibration_error": calibration_error(asked, score),
        "reliability": reliability(asked, score),
    }
    if intervals:
        figures["auc_interval"] = interval(auc, asked, score)
        figures["gain_interval"] = interval(gain, asked, score, baseline)
    figures["slices"] = {
        f"{name}={value}": {
            "examples": int((column == value).sum()),
            "auc": auc(asked[column == value], score[column == value]),
            "calibration_error": calibration_error(asked[column == value], score[column == value]),
        }
        for name, column in (slices or {}).items()
        for value in sorted(set(column.tolist()), key=str)
        if (column == value).sum() >= 200
    }
    return figures


def suspicious(matrix: Array, asked: Array, names: list[str], most: float = 0.97) -> list[tuple[str, float]]:
    """Features that alone nearly tell the outcome: what is too good was probably written afterwards."""
    found = []
    for column, name in enumerate(names):
        values = matrix[:, column]
        known = ~np.isnan(values)
        alone = auc(asked[known], values[known]) if known.sum() > 50 else float("nan")
        unknown = auc(asked, (~known).astype(float))
        best = max((max(x, 1 - x) for x in (alone, unknown) if not np.isnan(x)), default=0.5)
        if best >= most:
            found.append((name, round(best, 3)))
    return found
