"""`countersign train MODEL`: from this installation's own past, or a simulated one, to a recorded version that somebody may promote."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from erp_core import casework, db, settings
from erp_core.values import MODELS
from ml import catalog, corpus, past, pipeline, reader, simulated, store, tracking
from ml.boosted import NotEnoughData
from ml.history import History

SEED = 1
Report = Callable[[str, float], None]


def main(argv: list[str]) -> int:
    """Entry of `countersign train`."""
    parser = argparse.ArgumentParser(
        prog="countersign train",
        description="Train a model and record it as a version. Nothing uses it before it passed its gate and somebody else promoted it.",
        epilog="Example: countersign train hold_risk --as lee@northfield.example",
    )
    parser.add_argument("--uri", action="store_true", help="print where MLflow's record is, and stop")
    parser.add_argument("what", nargs="?", choices=["all", *MODELS])
    parser.add_argument(
        "--simulated", action="store_true", help="learn from a simulated distributor instead of our own orders"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="which simulated distributor")
    parser.add_argument("--as", dest="trainer", metavar="EMAIL", help="who trains; that person may not promote it")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args(argv)
    if arguments.uri:
        print(tracking.uri())
        return 0
    if arguments.seed == simulated.FRESH_SEED:
        parser.error(f"{simulated.FRESH_SEED} is the history that versions are measured on")
    if arguments.what is None:
        parser.error("name a model, or `all`")
    with _bar() as said:
        names = list(MODELS) if arguments.what == "all" else [arguments.what]
        with db.in_use():
            found = train(names, arguments.seed if arguments.simulated else None, arguments.trainer, said)
    print(json.dumps(found) if arguments.json else "\n".join(_lines(found)))
    return 0 if all("missing" not in figures for figures in found.values()) else 1


def train(names: list[str], seed: int | None, trainer: str | None, said: Report) -> dict[str, Any]:
    """Train and record each; what lacks data says so. `seed`: of a simulated past, None: our own."""
    found: dict[str, Any] = {reader.NAME: train_reader(trainer, said)} if reader.NAME in names else {}
    names = [name for name in names if name != reader.NAME]
    if not names:
        return found
    said("Reading the past", 0.05)
    history = simulated.simulate(seed) if seed is not None else past.own()
    for number, name in enumerate(names):
        said(f"Training {catalog.ENTRIES[name].title.lower()}", 0.1 + 0.9 * number / len(names))
        try:
            found[name] = train_one(name, history, trainer)
        except NotEnoughData as error:
            found[name] = {"missing": f"{error} Until then the model that is in use stays."}
    said("Trained", 1.0)
    return found


def train_reader(trainer: str | None, said: Report) -> dict[str, Any]:
    """The reader of mails, from the text in this repository; the same text makes the same version."""
    models = settings.load().models
    sha256 = pipeline.shipped(models, said)
    measured = json.loads(pipeline.pointer(models).read_text())["figures"]
    figures = {"gate": {}, "detail": measured}
    made = casework.Trained(reader.NAME, sha256, "shipped", corpus.fingerprint(), code(), figures, trainer)
    return {**_record(made, pipeline.folder(models) / sha256), **measured}


def train_one(name: str, history: History, trainer: str | None) -> dict[str, Any]:
    """One model, kept as a file and recorded as a version; in MLflow too. Raises NotEnoughData."""
    made = catalog.train(name, history)
    path = store.keep(made.text)
    trained = casework.Trained(name, made.sha256, history.source, history.digest, code(), made.figures, trainer)
    return {**_record(trained, path), **made.figures["gate"]}


def _record(made: casework.Trained, path: Path) -> dict[str, Any]:
    """A version in the core, and a run in MLflow with its file."""
    with db.transaction(db.AGENT) as session:
        version = casework.record_model(session, made)
    parameters = {
        "sha256": made.sha256,
        "source": made.source,
        "data": made.data_digest,
        "code": made.code,
        "trainer": made.trainer or "agent",
    }
    try:
        tracking.record(made.name, parameters, made.figures, path, version)
    except Exception as error:  # the record is beside the house: without it a version is a version all the same
        print(f"MLflow did not take the run of {made.name}: {error}", file=sys.stderr, flush=True)
    return {"version": version, "sha256": made.sha256}


@cache
def code() -> str:
    """Which code trained: the digest of the modules of this package."""
    whole = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()


@contextmanager
def _bar() -> Iterator[Report]:
    """A progress bar when somebody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("Training", total=1.0)
        yield lambda text, done: bar.update(task, description=text, completed=done)


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for name, figures in found.items():
        lines.append(name)
        for key, value in figures.items():
            shown = f"{value:.4f}" if isinstance(value, float) else value
            lines.append(f"  {key:<26}{shown}")
    return lines
