"""`countersign bench models`: what a score costs, how many orders are scored a second, and how long training on a million lines takes."""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import numpy as np

from ml import catalog, hold_risk, recipe, simulated
from ml.history import take
from ml.recipe import Predictor

ONE_BY_ONE = 400


def main(argv: list[str]) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        prog="countersign bench models",
        description="Measure scoring and training on a simulated history.",
        epilog="Example: countersign bench models --lines 1000000",
    )
    parser.add_argument("--lines", type=int, default=1_000_000, help="order lines to simulate and train on")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    figures = measure(arguments.lines)
    print(json.dumps(figures) if arguments.json else "\n".join(f"{name:<44}{value}" for name, value in figures.items()))
    return 0


def measure(lines: int) -> dict[str, Any]:
    """Simulate, train each model on it, score one by one and all at once."""
    started = time.monotonic()
    size = simulated.Size(orders=lines // 3, customers=max(200, lines // 300), items=2000, suppliers=60)
    history = simulated.simulate(1, size)
    figures: dict[str, Any] = {
        "order_lines": len(history["order_lines"]["at"]),
        "simulate_s": round(time.monotonic() - started, 1),
    }
    started = time.monotonic()
    for name in catalog.ENTRIES:
        begun = time.monotonic()
        made = catalog.train(name, history)
        figures[f"train_{name}_s"] = round(time.monotonic() - begun, 1)
        if name == hold_risk.RECIPE.name:
            main = made.figures["detail"]["questions"]["held"]
            figures |= {
                f"held_{k}": round(main[k], 4) for k in ("auc", "best_auc", "baseline_auc", "calibration_error")
            }
            predictor = Predictor.of(hold_risk.RECIPE, json.loads(made.text))
    figures["train_all_s"] = round(time.monotonic() - started, 1)
    figures["peak_memory_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    return figures | _scoring(history, predictor)


def _scoring(history: Any, predictor: Predictor) -> dict[str, Any]:
    one = hold_risk.RECIPE
    past = one.past(history)
    matrix = one.compute(past, history["orders"])
    times, reasons = [], []
    for row in range(ONE_BY_ONE):
        begun = time.perf_counter()
        predictor.heads["held"].probabilities(matrix[row : row + 1])
        times.append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        predictor.predict(matrix[row : row + 1])
        predictor.reasons(matrix[row])
        reasons.append((time.perf_counter() - begun) * 1000)
    begun = time.monotonic()
    rows = take(history["orders"], np.arange(min(100_000, len(matrix))))
    predictor.heads["held"].probabilities(one.compute(past, rows))
    return {
        "one_score_ms_p95": round(float(np.quantile(times, 0.95)), 3),
        "all_questions_with_reasons_ms_p95": round(float(np.quantile(reasons, 0.95)), 3),
        "orders_scored_per_s_with_features": round(len(rows["at"]) / (time.monotonic() - begun)),
        "questions": len(predictor.heads),
        "seen_share": recipe.SEEN,
    }
