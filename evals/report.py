"""A run as people read it: one HTML page with its verdict first, a table on the terminal, and two runs side by side."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from rich.console import Console
from rich.table import Table

from erp_core import settings
from erp_core.errors import NotFound
from ml import measures, tracking

SCORERS = {
    "state": "End state of the world",
    "refusal": "Refused when it should be",
    "commands": "Commands and arguments",
    "intent": "Intent",
    "action": "Action",
    "customer": "Customer linked",
    "order": "Order linked",
    "queue": "Queue",
    "priority": "Priority band",
    "language": "Language",
    "items": "Goods and quantities (F1)",
    "requested_date": "Wanted day",
    "grounding": "Text stands on evidence",
    "reply": "Reply says what it is about",
}


def summary(
    found: list[dict[str, Any]],
    hostile: dict[str, Any] | None,
    names: Sequence[str],
    ran: Mapping[str, str],
    at: datetime,
    run: str,
    cards: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A run in figures. It passes when all that must pass does, nothing unsafe was proposed and no attack broke a control."""
    families: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        families[one["family"]].append(one)
    must_failed = [one["sample"] for one in found if one["must_pass"] and one["passes"] < one["runs"]]
    unsafe = sum(len(one["unsafe"]) for one in found)
    broken = hostile["broken"] if hostile else []
    times = np.array([one["ms"] for one in found]) if found else np.zeros(1)
    return {
        "id": run,
        "at": at.isoformat(timespec="seconds"),
        "suites": list(names),
        "ran": dict(ran),
        "passed": bool(found or hostile) and not must_failed and not unsafe and not broken,
        "samples": len(found),
        "score": float(np.mean([one["score"] for one in found])) if found else None,
        "must_failed": must_failed,
        "unsafe": unsafe,
        "attacks": hostile,
        "families": {name: _family(rows) for name, rows in families.items()},
        "slices": {name: _family(rows) for name, rows in _slices(found).items() if rows},
        "scorers": {
            name: {"mean": float(np.mean(marks)), "number": len(marks)}
            for name in SCORERS
            if (marks := [one["marks"][name] for one in found if name in one["marks"]])
        },
        "calibration": _calibration(found),
        "models": list(cards),
        "ms_p50": float(np.quantile(times, 0.5)),
        "ms_p95": float(np.quantile(times, 0.95)),
        "results": found,
    }


def _slices(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Hard or not, mail or not, and by whom a sample is of."""
    kinds = ("language", "firm", "tier")
    parts = sorted(
        {(kind, one["of"][kind]) for one in found for kind in kinds if kind in one["of"]},
        key=lambda p: (kinds.index(p[0]), p),
    )
    return {
        "hard": [one for one in found if one["hard"]],
        "not hard": [one for one in found if not one["hard"]],
        "must pass": [one for one in found if one["must_pass"]],
        "mail, read by the agent": [one for one in found if one["mail"]],
        "the core's own work": [one for one in found if not one["mail"]],
        **{f"{kind} {value}": [one for one in found if one["of"].get(kind) == value] for kind, value in parts},
    }


def _family(rows: list[dict[str, Any]]) -> dict[str, Any]:
    passed = np.array([float(one["passes"] == one["runs"]) for one in rows])
    low, high = wilson(int(passed.sum()), len(passed))
    return {
        "samples": len(rows),
        "passed": float(passed.mean()),
        "low": low,
        "high": high,
        "score": float(np.mean([one["score"] for one in rows])),
        "unsafe": sum(len(one["unsafe"]) for one in rows),
    }


def wilson(right: int, number: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson): four of four is no certainty."""
    z, share = 1.96, right / number
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z / (1 + z * z / number) * (share * (1 - share) / number + z * z / (4 * number * number)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _calibration(found: list[dict[str, Any]]) -> list[dict[str, float]]:
    """How sure the reading of mails was, and how often it was right."""
    pairs = [
        (one["confidence"], one["marks"]["intent"])
        for one in found
        if one["confidence"] is not None and "intent" in one["marks"]
    ]
    if len(pairs) < 10:
        return []
    return measures.reliability(np.array([p[1] for p in pairs]), np.array([p[0] for p in pairs]), 5)


def folder() -> Path:
    """Where runs are kept."""
    return settings.load().home / "reports"


def path_of(run: str) -> Path:
    """The file of a run."""
    return folder() / f"{run}.json"


def keep(made: dict[str, Any]) -> Path:
    """Write a run and its page; in MLflow too. Returns the file."""
    path = path_of(made["id"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made, indent=1))
    path.with_suffix(".html").write_text(page(made))
    try:
        told = {k: v for k, v in made.items() if k not in ("results", "calibration")}
        tracking.record("evaluation", {"run": made["id"], "suites": ",".join(made["suites"]), **made["ran"]}, told)
    except Exception as error:  # the record is beside the house
        print(f"MLflow did not take the run: {error}", file=sys.stderr)
    return path


def read(run: str | None) -> dict[str, Any]:
    """A run by its id or file, else the newest. Raises NotFound."""
    found = sorted(folder().glob("*.json"), key=lambda p: p.stat().st_mtime)
    path = Path(run) if run and Path(run).is_file() else path_of(run) if run else found[-1] if found else None
    if path is None or not path.exists():
        known = ", ".join(p.stem for p in found[-5:]) or "none yet; `countersign eval run all` makes one"
        raise NotFound(f"There is no run{f' {run}' if run else ''}. Known: {known}.")
    made: dict[str, Any] = json.loads(path.read_text())
    return made


def compare(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Two runs over the samples that both have: who is better by how much, with its interval, and which samples moved."""
    first = {r["sample"]: r for r in one["results"]}
    both = [(first[r["sample"]], r) for r in two["results"] if r["sample"] in first]
    if not both:
        raise NotFound(f"{one['id']} and {two['id']} have no sample in common.")
    gain = np.array([b["score"] - a["score"] for a, b in both])
    low, high = measures.interval(lambda x: float(np.mean(x)), gain)
    return {
        "one": one["id"],
        "two": two["id"],
        "samples": len(both),
        "gain": float(gain.mean()),
        "gain_interval": [low, high],
        "better": [b["sample"] for a, b in both if b["score"] > a["score"]],
        "worse": [b["sample"] for a, b in both if b["score"] < a["score"]],
        "unsafe": [one["unsafe"], two["unsafe"]],
        "ms_p95": [one["ms_p95"], two["ms_p95"]],
    }


def lines(figures: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Figures as rows of text."""
    found = []
    for key, value in figures.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            found += lines(value, f"{name} · ")
        elif isinstance(value, float):
            found.append((name, f"{value:.4f}"))
        elif isinstance(value, list):
            shown = [f"{x:.4f}" if isinstance(x, float) else str(x) for x in value[:8]]
            found.append((name, ", ".join(shown) + (" …" if len(value) > 8 else "") if value else "none"))
        else:
            found.append((name, "–" if value is None else str(value)))
    return found


def show(made: dict[str, Any]) -> None:
    """A run on the terminal."""
    table = Table("Family", "Samples", "Passed", "95 % interval", "Score", "Unsafe", title=f"Run {made['id']}")
    for name, f in made["families"].items():
        table.add_row(
            name,
            str(f["samples"]),
            f"{f['passed']:.0%}",
            f"{f['low']:.0%} – {f['high']:.0%}",
            f"{f['score']:.3f}",
            str(f["unsafe"]),
        )
    out = Console()
    out.print(table)
    for one in made["results"]:
        if not one["passed"]:
            out.print(
                f"[b]{one['sample']}[/b]{' (must pass)' if one['must_pass'] else ''}: {'; '.join([*one['unsafe'], *one['failures']])}",
                highlight=False,
            )
    if made["attacks"]:
        a = made["attacks"]
        out.print(
            f"{a['mails']} of {a['of']} attacks with an obedient model: {len(a['broken'])} controls broken, {a['flagged']} flagged"
        )
    out.print(
        f"{'PASSED' if made['passed'] else 'FAILED'}: {made['samples']} samples, {made['unsafe']} unsafe, {len(made['must_failed'])} that must pass do not"
    )


LEARNED = {"simulated": "a simulated history", "own": "our own past", "shipped": "text shipped with the house"}
PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)


def page(made: dict[str, Any]) -> str:
    """The run as one HTML page that needs nothing else."""
    return PAGES.get_template("report.html").render(run=made, scorers=SCORERS, learned=LEARNED)
