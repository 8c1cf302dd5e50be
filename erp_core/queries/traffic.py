"""How a version does on live traffic: are its inputs and its scores spread as in training, and does what it says come true, by slice?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.policy import Policy
from erp_core.queries import models, policies
from erp_core.rules.drift import stability
from erp_core.tables.models import ModelVersion

LEAST = 100  # with fewer answers nothing is said of them
SLICES = """
SELECT p.question, s.kind || ' ' || s.name AS slice, count(*) AS number, avg(p.value) AS said, avg(p.outcome) AS came
FROM prediction p JOIN sales_order o ON o.number = substr(p.subject, 13) JOIN customer c ON c.code = o.customer,
 LATERAL (VALUES ('tier', c.tier), ('warehouse', o.warehouse), ('channel', o.channel)) AS s (kind, name)
WHERE p.version = :version AND p.asked_at >= :since AND p.outcome IS NOT NULL AND p.subject LIKE 'sales_order:%' AND p.question = ANY(:questions)
GROUP BY 1, 2 HAVING count(*) >= :least ORDER BY 1, 2"""


def state_of(session: Session, version: ModelVersion, now: datetime) -> dict[str, Any]:
    """Drift a feature and of the scores, said and came a question and a slice, and what is wrong. Outcomes count as they come, whenever that is."""
    policy = policies.active(session, now)
    since = now - timedelta(days=policy.models.watch_days)
    # that a simulated history is another than ours is no news
    own = version.source == "own"
    kept = (version.figures.get("spread") or {}) if own else {}
    rows = models.watched(session, version.id, since, inputs=bool(kept))
    detail = version.figures.get("detail") or {}
    drifted = drift(kept, [r.features for r in rows if r.features])
    if own and (main := (detail.get("questions") or {}).get(detail.get("main"))):
        drifted |= score_drift(main["reliability"], [r.value for r in rows if r.question == detail["main"]])
    by_question: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row.outcome is not None:
            by_question[row.question].append((float(row.value), float(row.outcome)))
    came = {
        question: {
            "number": len(pairs),
            "said": sum(s for s, _ in pairs) / len(pairs),
            "came": sum(c for _, c in pairs) / len(pairs),
            "error": calibration_error(pairs),
        }
        for question, pairs in by_question.items()
    }
    asked = {"version": version.id, "since": since, "questions": list(came), "least": LEAST}
    slices = [dict(row._mapping) for row in session.execute(text(SLICES), asked)] if came else []
    return {
        "asked": len(rows),
        "drift": drifted,
        "came": came,
        "slices": slices,
        "problems": _problems(policy, drifted, came, slices),
    }


def _problems(
    policy: Policy,
    drifted: Mapping[str, float],
    came: Mapping[str, Mapping[str, Any]],
    slices: Sequence[Mapping[str, Any]],
) -> list[str]:
    limit, off = float(policy.models.drift_above), float(policy.models.calibration_above)
    problems = [
        f"{name} is spread otherwise than in training (stability index {v:.2f})"
        for name, v in drifted.items()
        if v > limit
    ]
    told = [(question, c, c["error"]) for question, c in came.items() if c["number"] >= LEAST]
    # in a slice the mean alone is looked at: bins of few answers would cry wolf
    told += [(f"{s['question']}, {s['slice']}", s, abs(s["said"] - s["came"])) for s in slices]
    return problems + [
        f"{name.replace('_', ' ')}: said {c['said']:.0%}, came {c['came']:.0%} of {c['number']}"
        for name, c, error in told
        if error > off
    ]


def drift(kept: Mapping[str, Any], rows: Sequence[Sequence[float | None]]) -> dict[str, float]:
    """Population stability index of each feature against training; nothing with too few rows."""
    if len(rows) < LEAST or not kept:
        return {}
    found = {}
    for column, name in enumerate(kept["features"]):
        edges, shares = kept["spread"][name]
        counts = [0] * (len(edges) + 2)
        for row in rows:
            value = row[column]
            counts[-1 if value is None else sum(value >= edge for edge in edges)] += 1
        found[name] = stability(shares, [n / len(rows) for n in counts])
    return found


def score_drift(reliability: Sequence[Mapping[str, float]], values: Sequence[float]) -> dict[str, float]:
    """The same of the scores: the bins of the reliability table, parted half-way between what they said on average."""
    if len(values) < LEAST or len(reliability) < 2:
        return {}
    total = sum(x["number"] for x in reliability)
    edges = [(a["said"] + b["said"]) / 2 for a, b in pairwise(reliability)]
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[sum(value >= edge for edge in edges)] += 1
    return {"the score": stability([x["number"] / total for x in reliability], [n / len(values) for n in counts])}


def calibration_error(pairs: Sequence[tuple[float, float]], bins: int = 5) -> float:
    """Expected calibration error over bins of equal numbers; pairs of (said, came)."""
    ordered = sorted(pairs)
    size = max(len(ordered) // bins, 1)
    parts = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    return sum(abs(sum(s for s, _ in p) - sum(c for _, c in p)) for p in parts) / len(ordered)
