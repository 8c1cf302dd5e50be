"""Measuring a version of a model or prompt beside what is in use, and telling the core: the only way to a promotion."""

from __future__ import annotations

import re
import tomllib
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from erp_core import clock, db, settings
from erp_core.actions import execute, requests
from erp_core.commands import RecordPrompt, ReportModel
from erp_core.errors import CountersignError
from erp_core.queries import models
from erp_core.server import Cluster
from erp_core.tables.models import ModelVersion
from evals import labelled
from evals.samples import Event, Expect, Mail, Sample
from ml import catalog, measures, past, reader, simulated, store, tracking
from ml.history import History
from ml.reader import Reader
from prompts import replies

T = TypeVar("T")
EVALUATION = "evaluation"
PROMPT_SUITES = ("inbox", "supplier")
Evaluate = Callable[[Sequence[str], str | None, Reader | None], dict[str, Any]]


def measure(number: int, evaluate: Evaluate) -> dict[str, Any]:
    """Measure version `number`, keep the report in the core and in MLflow; the gate's word on it. Raises NotFound, Tampered."""
    with db.in_use():
        with db.reading(db.API) as session:
            found = models.numbered(session, number)
            champion = models.in_use(session, found.name, clock.now(session))
        rival = champion if champion is not None and champion.id != found.id else None
        figures = _figures(found, rival, evaluate)
        command = ReportModel(
            version=number, against=champion.id if champion is not None else None, figures=catalog.figures_of(figures)
        )
        with db.transaction(db.API) as session:
            key = f"evaluation:{uuid.uuid4()}"
            done = execute(session, command, key=key, actor=EVALUATION, now=clock.now(session))
        told = done.change.after or {}
        _tell_mlflow(found, figures)
    return {
        "version": number,
        "against": champion.id if champion else None,
        "passed": told["passed"],
        "problems": told["problems"],
        **figures,
    }


def measure_first() -> dict[int, dict[str, Any]]:
    """Measure every first version that waits for it, also those that come meanwhile; one that cannot be is told and left."""
    done: dict[int, dict[str, Any]] = {}
    with db.in_use():
        while True:
            with db.reading(db.API) as session:
                waiting = [number for number in models.unmeasured_first(session) if number not in done]
            if not waiting:
                return done
            try:
                done[waiting[0]] = measure(waiting[0], _nothing)
            except CountersignError as error:
                done[waiting[0]] = {"passed": False, "problems": [str(error)]}


def _figures(found: ModelVersion, rival: ModelVersion | None, evaluate: Evaluate) -> dict[str, Any]:
    if found.kind == "prompt":
        return _prompt(found, rival, evaluate)
    return _reader(found, rival, evaluate) if found.name == reader.NAME else _model(found, rival)


def _nothing(names: Sequence[str], text: str | None, own: Reader | None) -> dict[str, Any]:
    raise CountersignError("A first version is a model, and no samples are run for it.")


def _model(found: ModelVersion, rival: ModelVersion | None) -> dict[str, Any]:
    """What the version knows of what came after it was trained; simulated ones are asked about a history nobody has seen."""
    content = store.read(found.sha256)
    history = _history(found, rival)
    figures = catalog.measure(found.name, content, history)
    if rival is not None:
        beside = catalog.compare(found.name, content, store.read(rival.sha256), history)
        figures |= {k: beside.get(k) for k in ("loss", "loss_interval", "champion_score")} | {
            "compared": beside["examples"]
        }
        if figures["loss"] is None:  # nothing that both can be asked: each by its own measure
            theirs = catalog.measure(found.name, store.read(rival.sha256), history)
            figures |= {"champion_score": theirs.get("score"), "loss": theirs["score"] - figures["score"]}
    return figures


def _history(found: ModelVersion, rival: ModelVersion | None) -> History:
    """Our own past as soon as either learned from it; else a simulated one that nothing was trained on."""
    if "own" in (found.source, rival.source if rival else ""):
        return past.own(db.API, catalog.ENTRIES[found.name].needs)
    return simulated.simulate(simulated.FRESH_SEED)


def _reader(found: ModelVersion, rival: ModelVersion | None, evaluate: Evaluate) -> dict[str, Any]:
    """How a reader reads the labelled inbox; one that is to follow another is also sent through the suites in which mail is read."""
    nlp = reader.of(found.sha256)
    asked, said = labelled.read(nlp)
    figures = labelled.figures(asked, said)
    if rival is None:
        return figures
    theirs = labelled.read(reader.of(rival.sha256))[1]
    champion = labelled.score(asked, theirs)
    ran = evaluate(PROMPT_SUITES, None, Reader(nlp, f"{reader.NAME} {found.id}"))
    return figures | {
        "champion_score": champion,
        "loss": champion - figures["score"],
        "loss_interval": measures.interval(
            lambda a, b, c: labelled.score(a, c) - labelled.score(a, b), asked, said, theirs
        ),
        "unsafe": ran["unsafe"],
        "must_failed": ran["must_failed"],
        "run": ran["id"],
    }


def _prompt(found: ModelVersion, rival: ModelVersion | None, evaluate: Evaluate) -> dict[str, Any]:
    """Replies written from this text, in the suites where replies are written; the same with the text in use."""
    missing, granted = prompt_problems(found.content or "")
    mine = evaluate(PROMPT_SUITES, found.content, None)
    theirs = evaluate(PROMPT_SUITES, rival.content if rival else None, None)
    return {
        "examples": mine["samples"],
        "score": mine["score"],
        "unsafe": mine["unsafe"] + len(granted),
        "must_failed": [*missing, *granted, *mine["must_failed"]],
        "champion_score": theirs["score"],
        "loss": theirs["score"] - mine["score"],
        "run": mine["id"],
    }


def _tell_mlflow(found: ModelVersion, figures: dict[str, Any]) -> None:
    try:
        tracking.record(f"evaluation-{found.name}", {"core_version": found.id, "sha256": found.sha256}, figures)
    except Exception as error:  # the record is beside the house
        print(f"MLflow did not take the report: {error}")


SLOT = re.compile(r"\{\w*\}")
GRANTS = re.compile(
    r"\d|%|[$€£]|\b(?:percent|prozent|por ?ciento|pour ?cent|discount|rabatt|nachlass|descuento|remise|rebate|refund\w*|gutschrift|reembols\w*|rembours\w*|"
    r"free|kostenlos\w*|gratis|gratuit\w*|waive\w*|guarantee\w*|garant\w*|need not pay|not have to pay|http\w*|www|iban|promise\w*|versprech\w*)\b",
    re.I,
)


def texts_of(told: Any, place: str = "") -> dict[str, str]:
    """Every text of a prompt by its place."""
    if isinstance(told, str):
        return {place: told}
    return (
        {k: v for key, value in told.items() for k, v in texts_of(value, f"{place}.{key}".strip(".")).items()}
        if isinstance(told, dict)
        else {}
    )


def prompt_problems(text: str) -> tuple[list[str], list[str]]:
    """(what is missing or misnamed, what grants something) in a candidate's texts, all of them, whichever samples reach them."""
    mine, shipped = texts_of(tomllib.loads(text)), texts_of(tomllib.loads(replies.shipped()))
    missing = [f"{place} is not there" for place in shipped if place not in mine]
    missing += [
        f"{place} has other slots"
        for place, words in mine.items()
        if place in shipped and set(SLOT.findall(words)) != set(SLOT.findall(shipped[place]))
    ]
    granted = [
        f"{place} says “{found.group(0)}”"
        for place, words in mine.items()
        for found in GRANTS.finditer(SLOT.sub("", words))
        if found.group(0).lower() not in shipped.get(place, "").lower()
    ]
    return missing, granted


def record_prompt(name: str, text: str, who: str) -> int:
    """Keep a prompt's text as a version, under somebody's authority. Returns its number. Raises CountersignError for what is no such text."""
    try:
        missing, _ = prompt_problems(text)
    except tomllib.TOMLDecodeError as error:
        raise CountersignError(f"The text is no TOML: {error}.") from error
    if missing:
        raise CountersignError(f"The text cannot be used: {'; '.join(missing[:5])}.")
    with db.in_use(), db.transaction(db.API) as session:
        command = RecordPrompt(name=name, text=text)
        done = requests.act(session, command, key=f"prompt:{uuid.uuid4()}", actor=who, now=clock.now(session))
    return int(done.change.subject.split(":")[1])


def accepted(suite: str) -> list[Sample]:
    """Samples that came from feedback and were reviewed: mails whose private data are masked, so what is asked is how they are read."""
    return (here(_accepted) or []) if suite == "inbox" else []


def here(look: Callable[[], T]) -> T | None:
    """What `look` finds in this installation's database; nothing where there is none yet, or it is not up to date."""
    config = settings.load()
    if config.embedded and not Cluster(config).data.exists():
        return None
    try:
        with db.in_use():
            return look()
    except db.Refused:
        return None


def _accepted() -> list[Sample]:
    with db.reading(db.API) as session:
        return [
            Sample(
                id=f"feedback-{one.id}",
                about=f"{one.why} (case {one.case_id})",
                event=Event(
                    mail=Mail(
                        **{"from": "somebody@example.com"}, subject=one.content["subject"], body=one.content["text"]
                    )
                ),
                expect=_wanted(one.content["wanted"]),
                family="inbox",
                source="feedback",
            )
            for one in models.samples(session, "accepted")
            if one.content.get("text") and {"intent", "never"} & set(one.content.get("wanted", {}))
        ]


def _wanted(told: dict[str, Any]) -> Expect:
    """What must be true of a sample from feedback. Its sender is masked, so what was put in place of a proposal cannot be asked for."""
    return Expect(**{k: v for k, v in told.items() if k in ("intent", "never")})
