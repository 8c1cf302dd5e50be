"""Models and prompts in the console: what is in use, what it shows, the way to promote another, and samples from feedback."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Caller, Me, Work, check_form
from api.console import page, refused
from api.risk import TITLES
from erp_core.actions import requests
from erp_core.commands import Command, KeepSample, NominateModel, PromoteModel, ReviewSample, RollBackModel
from erp_core.db import Session
from erp_core.errors import CountersignError
from erp_core.queries import desk, models, policies, traffic
from erp_core.rules import desk as rules
from erp_core.rules import gates
from erp_core.rules.desk import Subject
from erp_core.values import MODELS, Intent

router = APIRouter(include_in_schema=False)
interface = APIRouter(prefix="/api/v1", tags=["Models"])
VERBS = ("nominate_model", "promote_model", "roll_back_model", "review_sample")


@router.get("/models")
def models_page(session: Work, me: Me) -> HTMLResponse:
    """Every name with what is in use, what waits, and whether it should be looked at."""
    return _list(session, me)


def _list(session: Session, me: Caller, wrong: str = "") -> HTMLResponse:
    used = models.all_in_use(session, me.now)
    every = models.versions(session)
    names = sorted({*MODELS, *(v.name for v in every)}, key=lambda n: TITLES.get(n, n))
    rows = [
        {
            "name": name,
            "title": TITLES.get(name, name),
            "champion": champion,
            "shadow": used.get((name, "shadow")),
            "newest": next((v for v in every if v.name == name), None),
            "figures": models.figures_of(session, champion) if champion else {},
            "state": traffic.state_of(session, champion, me.now) if champion else None,
        }
        for name in names
        for champion in [used.get((name, "champion"))]
    ]
    return page(
        "models.html", me, session, status=422 if wrong else 200, rows=rows, trained=sum(1 for r in rows if r["newest"]), wrong=wrong,
        measuring=set(models.unmeasured_first(session)), simulated=any(v.source == "simulated" for (_, use), v in used.items() if use == "champion"), samples=models.samples(session),
        may=_may(session, me), people=desk.names(session), current="Models", all_names=MODELS,
    )  # fmt: skip


def _may(session: Session, me: Caller) -> dict[str, bool]:
    policy = policies.active(session, me.now)
    return {verb: rules.authority(policy, me.person, Subject(verb, entity="*")).allowed for verb in VERBS}


@router.get("/models/{number}")
def version_page(number: int, session: Work, me: Me) -> HTMLResponse:
    """A version's card: what it learned from, what was measured, the gate, when it was in use."""
    return _card(session, me, number)


def _card(session: Session, me: Caller, number: int, wrong: str = "") -> HTMLResponse:
    found = models.numbered(session, number)
    champion = models.in_use(session, found.name, me.now)
    report = models.latest_report(session, number)
    policy = policies.active(session, me.now)
    gate = gates.gate_of(found.name, found.kind, policy)
    since = me.now - timedelta(days=policy.models.watch_days)
    rivals = models.rivals(session, champion.id, number, since) if champion and champion.id != number else []
    return page(
        "model.html", me, session, status=422 if wrong else 200, found=found, title=TITLES.get(found.name, found.name), champion=champion,
        report=report, gate=gate, uses=models.uses_of(session, number), versions=models.versions(session, found.name), wrong=wrong,
        verdict=gates.judge(models.figures_of(session, found), gate), rivals=_rivals(rivals), may=_may(session, me),
        questions=_ordered(found.figures.get("detail") or {}), detail=found.figures.get("detail") or {}, state=traffic.state_of(session, found, me.now), people=desk.names(session), current="Models",
    )  # fmt: skip


def _ordered(detail: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Questions with their figures, the one that decides first."""
    return sorted((detail.get("questions") or {}).items(), key=lambda q: (q[0] != detail.get("main"), q[0]))


def _rivals(rows: Any) -> list[dict[str, Any]]:
    """Champion and shadow on the same subjects, a line a question."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        kept = found.setdefault(
            row.question,
            {"question": row.question, "number": 0, "apart": 0.0, "known": 0, "champion": 0.0, "shadow": 0.0},
        )
        kept["number"] += 1
        kept["apart"] += abs(row.champion - row.shadow)
        if row.outcome is not None:
            kept["known"] += 1
            kept["champion"] += (row.champion - row.outcome) ** 2
            kept["shadow"] += (row.shadow - row.outcome) ** 2
    return list(found.values())


def _done(session: Session, me: Caller, command: Command, back: str, number: int | None) -> Response:
    try:
        with session.begin_nested():
            key = f"console:{command.type}:{uuid.uuid4().hex}"
            requests.act(session, command, key=key, actor=me.person.email, now=me.now)
    except CountersignError as error:
        wrong = refused(session, me, command.type.replace("_", " "), error)
        return _card(session, me, number, wrong) if number else _list(session, me, wrong)
    return RedirectResponse(back, status_code=303)


@router.post("/models/{number}/nominate")
def nominate(
    number: int, session: Work, me: Me, token: Annotated[str, Form()], reason: Annotated[str, Form()]
) -> Response:
    """Put a version up; it runs in the shadow from now on."""
    check_form(me, token)
    return _done(session, me, NominateModel(version=number, reason=reason), f"/models/{number}", number)


@router.post("/models/{number}/promote")
def promote(
    number: int, session: Work, me: Me, token: Annotated[str, Form()], reason: Annotated[str, Form()]
) -> Response:
    """Bring a version into use."""
    check_form(me, token)
    return _done(session, me, PromoteModel(version=number, reason=reason), f"/models/{number}", number)


@router.post("/models/{number}/back")
def roll_back(
    number: int, session: Work, me: Me, token: Annotated[str, Form()], reason: Annotated[str, Form()] = ""
) -> Response:
    """Return to what was in use before this version."""
    check_form(me, token)
    name = models.numbered(session, number).name
    return _done(session, me, RollBackModel(name=name, reason=reason), "/models", number)


@router.post("/cases/{number}/sample")
def keep(
    number: int,
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    why: Annotated[str, Form()],
    intent: Annotated[str, Form()] = "",
) -> Response:
    """This was handled wrongly."""
    check_form(me, token)
    return _done(
        session,
        me,
        KeepSample(case=number, why=why, intent=Intent(intent) if intent in list(Intent) else None),
        "/models#samples",
        None,
    )


@router.post("/samples/{number}")
def review(
    number: int, session: Work, me: Me, token: Annotated[str, Form()], verdict: Annotated[str, Form()]
) -> Response:
    """Take a sample into the set, or leave it out."""
    check_form(me, token)
    return _done(session, me, ReviewSample(sample=number, accept=verdict == "accept"), "/models#samples", None)


@interface.get("/models")
def list_models(session: Work, me: Me) -> list[dict[str, Any]]:
    """What is in use, by name: version, digest, what it learned from, and what was measured of it."""
    return [
        {"name": name, "use": use, "version": v.id, "sha256": v.sha256, "source": v.source, "trained_by": v.trained_by, "figures": v.figures.get("gate", {})}
        for (name, use), v in sorted(models.all_in_use(session, me.now).items())
    ]  # fmt: skip


@interface.get("/orders/{number}/predictions")
def predictions(number: str, session: Work, me: Me) -> list[dict[str, Any]]:
    """The newest word of each champion on an order, with reasons, version, and outcome once it is known."""
    return [
        {"question": s.question, "value": s.prediction.value, "reasons": s.prediction.reasons, "model": s.version.name, "version": s.version.id,
         "asked_at": s.prediction.asked_at, "outcome": s.prediction.outcome}
        for s in models.said_of(session, f"sales_order:{number}")
    ]  # fmt: skip
