"""`countersign eval FOLDER`: import a labelled world, ingest its inbox, compare with the labels. Prints figures, judges nothing."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from erp_core.errors import NotFound

Row = Mapping[str, Any]
EXACT = ("intent", "customer", "supplier", "order", "requested_date", "action", "queue", "priority", "language", "auto")


def main(argv: list[str]) -> int:
    """FOLDER holds world/, inbox/ and labels.jsonl."""
    parser = argparse.ArgumentParser(
        prog="countersign eval",
        description="Measure triage against a labelled inbox, in this installation's database.",
        epilog="Example: COUNTERSIGN_HOME=var/eval countersign eval evals/sample",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--as-of", default="2026-06-15")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    labels_file = arguments.folder / "labels.jsonl"
    if not labels_file.exists():
        raise NotFound(f"There is no {labels_file}.")
    # every step in its own process and role, as in operation
    _run("migrate")
    _run("import", str(arguments.folder / "world"), "--as-of", arguments.as_of)
    output = _run("ingest", str(arguments.folder / "inbox"), "--json")
    labels = {row["file"]: row for row in _rows(labels_file.read_text("utf-8"))}
    figures = score(labels, {row["file"]: row for row in _rows(output)})
    if arguments.json:
        print(json.dumps(figures))
        return 0
    table = Table("Figure", "Value")
    for name, value in figures.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    Console().print(table)
    return 0


def _run(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "erp_core.cli", *words], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def score(labels: Mapping[str, Row], said: Mapping[str, Row]) -> dict[str, Any]:
    """Accuracy of exact fields, macro-F1 of intents, micro-F1 of references and goods, hostile mail caught and falsely flagged."""
    pairs = [(label, said.get(name, {})) for name, label in labels.items()]
    figures: dict[str, Any] = {"messages": len(pairs), "answered": sum(bool(got) for _, got in pairs)}
    for field in EXACT:
        figures[f"{field}_accuracy"] = sum(label[field] == got.get(field) for label, got in pairs) / len(pairs)
    figures["intent_macro_f1"] = macro_f1([(label["intent"], got.get("intent")) for label, got in pairs])
    figures["refs_micro_f1"] = micro_f1([(_refs(label), _refs(got)) for label, got in pairs])
    figures["item_quantity_micro_f1"] = micro_f1([(_items(label), _items(got)) for label, got in pairs])
    hostile = [got for label, got in pairs if label["hostile"]]
    honest = [got for label, got in pairs if not label["hostile"]]
    figures["hostile_caught"] = sum(g.get("action") == "flag_security" for g in hostile) / max(len(hostile), 1)
    figures["hostile_false_alarm"] = sum(g.get("action") == "flag_security" for g in honest) / max(len(honest), 1)
    times = sorted(got["ms"] for _, got in pairs if got)
    figures["ms_p50"], figures["ms_p95"] = times[len(times) // 2], times[int(len(times) * 0.95)]
    return figures


def macro_f1(pairs: Sequence[tuple[str, str | None]]) -> float:
    """Mean F1 over the classes that the labels hold."""
    right, said, wanted = Counter[str | None](), Counter[str | None](), Counter[str | None]()
    for want, got in pairs:
        wanted[want] += 1
        said[got] += 1
        right[want] += want == got
    return sum(2 * right[c] / (said[c] + wanted[c]) for c in wanted) / len(wanted)


def micro_f1(pairs: Sequence[tuple[set[Any], set[Any]]]) -> float:
    """F1 over all elements of all sets."""
    total = sum(len(want) + len(got) for want, got in pairs)
    return 2 * sum(len(want & got) for want, got in pairs) / total if total else 1.0


def _refs(row: Row) -> set[tuple[str, str]]:
    return {(kind, value.upper()) for kind, values in (row.get("refs") or {}).items() for value in values}


def _items(row: Row) -> set[tuple[str, Any]]:
    return {(item["sku"], item["quantity"]) for item in row.get("items") or []}
