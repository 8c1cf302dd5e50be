"""A run as people read it: one HTML page with its verdict first, a table on the terminal, and two runs side by side."""

from __future__ import annotations

import html
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
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


STYLE = """body{font:15px/1.5 system-ui,sans-serif;color:#1d2321;background:#f7f7f4;margin:0}main{max-width:980px;margin:0 auto;padding:32px 24px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:16px;margin:32px 0 8px}table{border-collapse:collapse;width:100%;background:#fff}td,th{padding:6px 10px;
border-bottom:1px solid #e4e4de;text-align:left;vertical-align:top}th{font-weight:500;color:#6b706d;font-size:12px}.n{text-align:right;font-variant-numeric:tabular-nums}
.ok{color:#1f6a3d}.bad{color:#a11d1d}.verdict{font-size:18px;padding:14px 18px;background:#fff;border-left:6px solid}.verdict.ok{border-color:#1f6a3d}
.verdict.bad{border-color:#a11d1d}.mute{color:#6b706d}.bar{height:8px;background:#e4e4de;width:160px}.bar i{display:block;height:8px;background:#2c5d63}svg text{font-size:11px;fill:#6b706d}"""


def page(made: dict[str, Any]) -> str:
    """The run as one HTML page that needs nothing else."""
    say = html.escape
    tone = "ok" if made["passed"] else "bad"
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation {say(made['id'])}</title><style>{STYLE}</style><main>",
        f"<h1>Evaluation {say(made['id'])}</h1><p class=mute>{say(made['at'])} · suites {say(', '.join(made['suites']))}</p>",
        f"<p class=mute>What was evaluated: {say(' · '.join(f'{k} {v}' for k, v in made['ran'].items()))}</p>",
        f"<p class='verdict {tone}'>{_verdict(made)}</p>",
        "<h2>By family</h2><table><tr><th>Family<th class=n>Samples<th>Passed<th class=n>95 % interval<th class=n>Score<th class=n>Unsafe</tr>",
        *(_row(name, f) for name, f in made["families"].items()),
        "</table><h2>Slices</h2><table><tr><th>Slice<th class=n>Samples<th>Passed<th class=n>95 % interval<th class=n>Score<th class=n>Unsafe</tr>",
        *(_row(name, f) for name, f in made["slices"].items()),
        "</table><h2>What was judged</h2><p class=mute>First the state that the world was left in, then what was proposed, then what was read, last the words.</p>",
        "<table><tr><th>Scorer<th class=n>Samples<th>Right</tr>",
        *(
            f"<tr><td>{say(SCORERS[name])}<td class=n>{s['number']}<td><div class=bar><i style='width:{s['mean']:.0%}'></i></div>{s['mean']:.1%}</tr>"
            for name, s in made["scorers"].items()
        ),
        f"</table><p class=mute>A sample takes {made['ms_p50']:.0f} ms at the median, {made['ms_p95']:.0f} ms at worst of 95 in 100. No paid model was asked.</p>",
        _plot(made["calibration"]),
        _attacks(made["attacks"]),
        "<h2>What failed</h2>",
        _failures(made["results"]),
        "<h2>All samples</h2><table><tr><th>Sample<th>What is asked<th>Result</tr>",
        *(
            f"<tr><td>{say(r['family'])} · {say(r['sample'])}<td>{say(r['about'])}<td class={'ok' if r['passed'] else 'bad'}>{'passed' if r['passed'] else 'failed'}</tr>"
            for r in made["results"]
        ),
        "</table></main>",
    ]
    return "".join(parts)


def _verdict(made: dict[str, Any]) -> str:
    if made["passed"]:
        hostile = (
            f", and {made['attacks']['mails']} attacks with an obedient model broke no control"
            if made["attacks"]
            else ""
        )
        return f"<b>Passed.</b> All samples that must pass do, nothing unsafe was proposed{hostile}."
    reasons = []
    if made["must_failed"]:
        reasons.append(f"{len(made['must_failed'])} samples that must pass do not")
    if made["unsafe"]:
        reasons.append(f"{made['unsafe']} unsafe proposals")
    if made["attacks"] and made["attacks"]["broken"]:
        reasons.append(f"{len(made['attacks']['broken'])} controls were broken")
    return f"<b>Failed:</b> {html.escape('; '.join(reasons))}."


def _row(name: str, f: Mapping[str, Any]) -> str:
    tone = " class=bad" if f["unsafe"] else ""
    return (
        f"<tr><td>{html.escape(name)}<td class=n>{f['samples']}<td><div class=bar><i style='width:{f['passed']:.0%}'></i></div>{f['passed']:.0%}"
        f"<td class=n>{f['low']:.0%} – {f['high']:.0%}<td class=n>{f['score']:.3f}<td class=n><span{tone}>{f['unsafe']}</span></tr>"
    )


def _plot(table: list[dict[str, float]]) -> str:
    """Said against came, drawn as SVG."""
    if not table:
        return ""
    points = [(30 + 200 * x["said"], 230 - 200 * x["came"]) for x in table]
    dots = "".join(f"<circle cx={x:.1f} cy={y:.1f} r=4 fill=#2c5d63 />" for x, y in points)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        "<h2>How sure, and how often right</h2><p class=mute>The nearer to the line, the better what is said of a mail's intent can be relied on.</p>"
        f"<svg width=260 height=260><path d='M30 230 L230 30' stroke=#ccc /><path d='M30 30 V230 H230' stroke=#888 fill=none />"
        f"<polyline points='{line}' fill=none stroke=#2c5d63 />{dots}<text x=110 y=252>said</text><text x=2 y=24>right</text></svg>"
    )


def _attacks(told: dict[str, Any] | None) -> str:
    if told is None:
        return ""
    broken = "".join(f"<li>{html.escape(text)}" for text in told["broken"])
    return (
        f"<h2>Attacks</h2><p>{told['mails']} of {told['of']} mails that want something done, read by a model that obeys them. "
        f"<b class={'bad' if told['broken'] else 'ok'}>{len(told['broken'])} controls broken.</b> {told['recorded']} cases, {told['flagged']} handed to security.</p>"
        f"<ul class=bad>{broken}</ul>"
    )


def _failures(results: list[dict[str, Any]]) -> str:
    failed = [r for r in results if not r["passed"]]
    if not failed:
        return "<p class=ok>Nothing.</p>"
    rows = "".join(
        f"<tr><td>{html.escape(r['family'])} · {html.escape(r['sample'])}{' <b>must pass</b>' if r['must_pass'] else ''}<td>{html.escape(r['about'])}"
        f"<td class=bad>{html.escape('; '.join([*r['unsafe'], *r['failures']]))}<td class=mute>{html.escape(str(r['said'].get('rationale', ''))[:300])}</tr>"
        for r in failed
    )
    return f"<table><tr><th>Sample<th>What is asked<th>What was wrong<th>What the agent said</tr>{rows}</table>"
