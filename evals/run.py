"""`countersign eval`: run suites, compare two runs, read a report, measure a version for promotion, and suites on outside data."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from agent import llm
from agent.llm import Line
from agent.worker import worker as working
from erp_core import clock, db, scratch, settings
from erp_core.errors import CountersignError, NotFound
from erp_core.queries import models
from evals import attacks, inbox, obedient, outside, report, running, samples, versions
from ml import pipeline
from ml.reader import Reader, current
from prompts import replies

ADVERSARIAL = "adversarial"
EVERY = 29  # of the attacks in a short run; prime to the numbers of goals, wordings, places and senders, so that all of them come up
OUTSIDE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "scms": outside.scms,
    "dataco": outside.dataco,
    "retail": outside.retail,
    "intents": outside.intents,
}


def main(argv: list[str]) -> int:
    """Entry of `countersign eval`."""
    if argv and Path(argv[0]).is_dir():
        return inbox.main(argv)
    arguments = _parser().parse_args(argv)
    done: int = arguments.act(arguments)
    return done


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="countersign eval",
        description="Evaluate the agent, its models and prompts. A FOLDER with labels.jsonl measures triage against a labelled inbox.",
        epilog="Example: countersign eval run all   ·   countersign eval report   ·   countersign eval version 12   ·   countersign eval evals/sample",
    )
    words = parser.add_subparsers(
        required=True, metavar="run|compare|report|version|prompt|scms|dataco|retail|intents|FOLDER"
    )
    run = words.add_parser(
        "run", help="run a suite, or all, in worlds of their own", epilog="Example: countersign eval run credit"
    )
    run.add_argument("suite", help=f"all, {ADVERSARIAL}, {', '.join(available())}")
    run.add_argument(
        "--repeat", type=int, default=1, help="run each sample so many times; it passes when all of them do"
    )
    run.add_argument(
        "--with-model", action="store_true", help="ask the configured language model as well (OPENAI_BASE_URL)"
    )
    run.add_argument("--full", action="store_true", help="all attacks instead of a sample of them")
    run.add_argument("--json", action="store_true")
    run.set_defaults(act=_run)
    compare = words.add_parser(
        "compare", help="two runs, sample by sample", epilog="Example: countersign eval compare RUN_A RUN_B"
    )
    compare.add_argument("one")
    compare.add_argument("two")
    compare.add_argument("--json", action="store_true")
    compare.set_defaults(act=_compare)
    shown = words.add_parser("report", help="where the page of a run is (the newest, unless one is named)")
    shown.add_argument("run", nargs="?")
    shown.set_defaults(act=_report)
    version = words.add_parser(
        "version",
        help="measure a version against what is in use, for its promotion",
        epilog="Example: countersign eval version 12",
    )
    version.add_argument("number", type=int)
    version.add_argument("--json", action="store_true")
    version.set_defaults(act=_version)
    first = words.add_parser("first", help="measure the first versions of a new installation; the clock calls it")
    first.add_argument("--json", action="store_true")
    first.set_defaults(act=_first)
    prompt = words.add_parser(
        "prompt",
        help="keep a prompt's text as a version, and measure it",
        epilog="Example: countersign eval prompt replies my.toml --as EMAIL",
    )
    prompt.add_argument("name", choices=["replies"])
    prompt.add_argument("file", type=Path)
    prompt.add_argument("--as", dest="who", required=True, metavar="EMAIL")
    prompt.set_defaults(act=_prompt)
    for name, act in OUTSIDE.items():
        one = words.add_parser(
            name, help=(act.__doc__ or "").split("\n")[0], epilog=f"Example: countersign eval {name} PATH"
        )
        one.add_argument("path", type=Path)
        one.add_argument("--json", action="store_true")
        one.set_defaults(act=_outside, name=name)
    return parser


def available() -> list[str]:
    """Suites there are."""
    return [name for name in samples.FAMILIES if (samples.HERE / f"{name}.yaml").exists()]


def _run(arguments: argparse.Namespace) -> int:
    names = [*available(), ADVERSARIAL] if arguments.suite == "all" else [arguments.suite]
    if arguments.suite != "all" and arguments.suite not in (*available(), ADVERSARIAL):
        raise NotFound(f"There is no suite {arguments.suite}; there are: all, {ADVERSARIAL}, {', '.join(available())}.")
    made = evaluate(
        names,
        arguments.repeat,
        versions.here(_replies),
        full=arguments.full,
        quiet=arguments.json,
        line=_line(arguments),
    )
    path = report.keep(made)
    if arguments.json:
        print(json.dumps(made))
    else:
        report.show(made)
        print(f"\nReport: {path.with_suffix('.html')}")
    return 0 if made["passed"] else 1


def _line(arguments: argparse.Namespace) -> Line | None:
    """The configured language model, when it is to be asked. Raises CountersignError when none is."""
    if not arguments.with_model:
        return None
    found = llm.configured()
    if found is None:
        raise CountersignError("No language model is configured: set OPENAI_API_KEY or OPENAI_BASE_URL.")
    return found


def evaluate(
    names: Sequence[str],
    repeat: int,
    prompt: str | None,
    own: Reader | None = None,
    *,
    full: bool = False,
    quiet: bool = False,
    line: Line | None = None,
) -> dict[str, Any]:
    """Run suites; what came of them, with the gate's word: every sample that must pass does, and nothing unsafe was proposed."""
    reader = own or _in_use()
    listed = [one for name in names if name != ADVERSARIAL for one in [*samples.suite(name), *versions.accepted(name)]]
    found: list[dict[str, Any]] = []
    hostile: dict[str, Any] | None = None
    with running.world(settings.load().home) as cluster:
        ran = {"reader": reader.name, **running.what_ran(prompt)}
        for one in track(listed, "Samples", console=Console(stderr=True), disable=quiet or not sys.stderr.isatty()):
            turns = [running.run(cluster, one, reader, prompt, line) for _ in range(repeat)]
            worst = min(turns, key=lambda t: (t.passed, t.score))
            found.append(
                {**worst.as_json(), "runs": repeat, "passes": sum(t.passed for t in turns), "about": one.about}
            )
        if ADVERSARIAL in names:
            hostile = _attack(cluster, full)
    cards = versions.here(_cards) or []
    return report.summary(found, hostile, names, ran, clock.of_the_machine(), uuid.uuid4().hex[:10], cards)


def _in_use() -> Reader:
    """The reader of this installation; where there is none yet, the shipped one."""
    return versions.here(lambda: current(db.API)) or Reader(
        pipeline.load_or_train(settings.load().models), "as shipped"
    )


def _replies() -> str | None:
    """The text that replies are written from here, when it is another than the shipped one."""
    with db.reading(db.API) as session:
        used = models.in_use(session, replies.NAME, clock.now(session))
        return used.content if used else None


def _cards() -> list[dict[str, Any]]:
    """What this installation's models showed when they were measured: one card a model in use."""
    with db.reading(db.API) as session:
        used = models.all_in_use(session, clock.now(session))
        cards = []
        for (name, use), version in sorted(used.items()):
            if use == "champion" and version.kind == "model":
                card = {"name": name, "version": version.id, "source": version.source, "trained_by": version.trained_by}
                cards.append({**card, **models.figures_of(session, version)})
        return cards


def _attack(cluster: Any, full: bool) -> dict[str, Any]:
    mails = attacks.attacks() if full else attacks.sampled(EVERY)
    reader = attacks.Obedient()
    with scratch.clone(cluster, f"attack{uuid.uuid4().hex[:6]}"), working(Reader(reader, "obedient")) as own:
        came = attacks.run(own, reader, mails)
        told = obedient.talk(own, None)
    # the same mails again, with a language model that obeys in the place of the reader's second opinion; and talks with it
    with (
        scratch.clone(cluster, f"attack{uuid.uuid4().hex[:6]}"),
        working(Reader(reader, "obedient"), obedient.line()) as own,
    ):
        again = attacks.run(own, reader, mails if full else mails[::3])
        talked = obedient.talk(own, obedient.line())
    return {
        "mails": came.mails + again.mails,
        "recorded": came.recorded + again.recorded,
        "flagged": came.flagged + again.flagged,
        "turns": told.turns + talked.turns,
        "broken": [*came.broken, *told.broken, *again.broken, *talked.broken],
        "of": len(attacks.attacks()),
    }


def _compare(arguments: argparse.Namespace) -> int:
    figures = report.compare(report.read(arguments.one), report.read(arguments.two))
    _print(figures, arguments.json)
    return 0


def _report(arguments: argparse.Namespace) -> int:
    made = report.read(arguments.run)
    report.show(made)
    print(f"\nReport: {report.path_of(made['id']).with_suffix('.html')}")
    return 0


def _version(arguments: argparse.Namespace) -> int:
    said = versions.measure(
        arguments.number, lambda names, text, own: _kept(evaluate(names, 1, text, own, quiet=arguments.json))
    )
    _print(said, arguments.json)
    return 0 if said["passed"] else 1


def _kept(made: dict[str, Any]) -> dict[str, Any]:
    report.keep(made)
    return made


def _first(arguments: argparse.Namespace) -> int:
    said = versions.measure_first()
    _print({f"version {number}": figures for number, figures in said.items()}, arguments.json)
    failed = [text for figures in said.values() if "examples" not in figures for text in figures["problems"]]
    print("\n".join(failed), file=sys.stderr)
    return 1 if failed else 0


def _prompt(arguments: argparse.Namespace) -> int:
    if not arguments.file.exists():
        raise NotFound(f"There is no file {arguments.file}.")
    number = versions.record_prompt(arguments.name, arguments.file.read_text("utf-8"), arguments.who)
    print(f"Kept as version {number}.")
    arguments.number, arguments.json = number, False
    return _version(arguments)


def _outside(arguments: argparse.Namespace) -> int:
    if not arguments.path.exists():
        raise NotFound(f"There is nothing at {arguments.path}.")
    try:
        figures = OUTSIDE[arguments.name](arguments.path)
    except (KeyError, ValueError, OSError) as error:
        raise CountersignError(f"{arguments.path} cannot be read as {arguments.name}: {error}") from error
    _print(figures, arguments.json)
    return 0


def _print(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("Figure", "Value")
    for name, value in report.lines(figures):
        table.add_row(name, value)
    Console().print(table)
