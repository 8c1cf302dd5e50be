"""The policy in the console: its versions, what one changes and would have changed, and the way to put it in force."""

from __future__ import annotations

import difflib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.access import Caller, Me, Work, check_form
from api.console import page, refused
from erp_core.actions import requests
from erp_core.commands import ActivatePolicy, BacktestPolicy, Command, ProposePolicy, RollBackPolicy, WithdrawPolicy
from erp_core.db import Session
from erp_core.errors import CountersignError, NotFound
from erp_core.queries import desk, policies
from erp_core.rules import desk as rules
from erp_core.rules.desk import Subject
from erp_core.tables.governance import PolicyBacktest, PolicyVersion

router = APIRouter(include_in_schema=False)
interface = APIRouter(prefix="/api/v1", tags=["Policy"])
FEW_LINES = 3


@dataclass(frozen=True)
class Line:
    """A line of a difference: its number in the newer text, a sign, and what it says."""

    number: str
    kind: str
    text: str


def changed_lines(old: str, new: str) -> list[Line]:
    """What changed between two texts, with a few lines around it."""
    found: list[Line] = []
    at = 0
    for line in list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=FEW_LINES))[2:]:
        if line.startswith("@@"):
            at = int(line.split("+")[1].split(",")[0].split(" ")[0])
            found.append(Line("", "hunk", line.strip("@ ")))
            continue
        kind = {"+": "add", "-": "del"}.get(line[0], "")
        found.append(Line("" if kind == "del" else str(at), kind, line[1:]))
        at += 0 if kind == "del" else 1
    return found


@router.get("/policy")
def policy_now(session: Work, me: Me) -> HTMLResponse:
    """The version in force."""
    return _page(session, me, policies.active_number(session, me.now))


@router.get("/policy/new")
def new_policy(session: Work, me: Me) -> HTMLResponse:
    """The two texts, to be changed."""
    base = policies.numbered(session, policies.active_number(session, me.now))
    return _form(session, me, base.numbers, base.authority)


def _form(
    session: Session, me: Caller, numbers: str, authority: str, summary: str = "", wrong: str = ""
) -> HTMLResponse:
    return page(
        "policy_new.html", me, session, status=422 if wrong else 200, numbers=numbers, authority=authority, summary=summary, wrong=wrong,
        rows=policies.versions(session, me.now), people=desk.names(session), number=0, current="Policy",
    )  # fmt: skip


@router.post("/policy")
def propose(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    numbers: Annotated[str, Form()],
    authority: Annotated[str, Form()],
    summary: Annotated[str, Form()] = "",
) -> Response:
    """Put up a version, and replay it over the last thirty days at once."""
    check_form(me, token)
    texts = (numbers.replace("\r\n", "\n"), authority.replace("\r\n", "\n"))
    if len(summary.strip()) < 3:
        return _form(session, me, *texts, summary, "Say in a sentence what changes and why.")
    command = ProposePolicy(numbers=texts[0], authority=texts[1], summary=summary.strip()[:500])
    try:
        with session.begin_nested():
            made = _act(session, me, command)
            number = int(made.split(":")[1])
            _act(session, me, BacktestPolicy(version=number))
    except CountersignError as error:
        return _form(session, me, *texts, summary, refused(session, me, "propose policy", error))
    return RedirectResponse(f"/policy/{number}", status_code=303)


def _act(session: Session, me: Caller, command: Command) -> str:
    key = f"console:{command.type}:{uuid.uuid4().hex}"
    return requests.act(session, command, key=key, actor=me.person.email, now=me.now).change.subject


@router.get("/policy/{number}")
def version_page(number: int, session: Work, me: Me) -> HTMLResponse:
    """One version."""
    return _page(session, me, number)


@router.get("/policy/of/{fingerprint}")
def version_of(fingerprint: str, session: Work, me: Me) -> Response:
    """The version with a hash, as decisions and the journal name it."""
    found = policies.numbers_of(session, fingerprint)
    if not found:
        raise NotFound(f"There is no policy version with the hash {fingerprint[:64]}.")
    return RedirectResponse(f"/policy/{found[0]}", status_code=303)


def _page(session: Session, me: Caller, number: int, wrong: str = "") -> HTMLResponse:
    found = policies.numbered(session, number)
    rows = policies.versions(session, me.now)
    row = next(r for r in rows if r.version.id == number)
    base = policies.numbered(session, found.based_on) if found.based_on else None
    parsed = policies.version(session, found.hash) if found.numbers else None
    old = policies.version(session, base.hash) if base and base.numbers else None
    return page(
        "policy.html", me, session, status=422 if wrong else 200, number=number, row=row, rows=rows, found=found, base=base, shown=parsed, wrong=wrong,
        rules=rules.rule_names(found.authority).values() if found.numbers else [],
        changes=policies.differences(old, parsed) if old and parsed else [],
        numbers=changed_lines(base.numbers, found.numbers) if base else [], authority=changed_lines(base.authority, found.authority) if base else [],
        approved=policies.approvals_of_firms(session, found),
        backtest=_own(policies.latest_backtest(session, number), me), starts=policies.activations(session, number), people=desk.names(session),
        may=_may(session, me, found), current="Policy",
    )  # fmt: skip


def _own(backtest: PolicyBacktest | None, me: Caller) -> PolicyBacktest | None:
    """A replay covers all firms; who works for some of them is not shown it."""
    return backtest if "*" in me.person.firms else None


def _may(session: Session, me: Caller, found: PolicyVersion) -> dict[str, bool]:
    """What this person could do with a version; the core decides anew when it is done."""
    active = policies.active(session, me.now)
    verbs = ("propose_policy", "backtest_policy", "activate_policy", "roll_back_policy", "withdraw_policy")
    able: dict[str, bool] = {v: rules.authority(active, me.person, Subject(v, entity="*")).allowed for v in verbs}
    able["activate_policy"] = able["activate_policy"] and found.author != me.person.email
    return able


@router.post("/policy/{number}/{verb}")
def change_standing(
    number: int,
    verb: str,
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    fingerprint: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "",
    active_from: Annotated[str, Form()] = "",
) -> Response:
    """Replay, put in force, or return to a version."""
    check_form(me, token)
    try:
        if policies.numbered(session, number).hash != fingerprint:
            raise CountersignError("This page shows another text than the version has; reload it.")
        with session.begin_nested():
            _act(session, me, _command(number, verb, reason.strip()[:500], active_from))
    except (CountersignError, ValueError) as error:
        text = refused(session, me, f"{verb} policy", error)
        if not isinstance(error, CountersignError):
            text = "Say why, in a sentence; a time reads 2026-06-16 06:00."
        return _page(session, me, number, wrong=text)
    return RedirectResponse(f"/policy/{number}", status_code=303)


def _command(number: int, verb: str, reason: str, active_from: str) -> Command:
    if verb == "activate":
        start = datetime.fromisoformat(active_from).replace(tzinfo=UTC) if active_from.strip() else None
        return ActivatePolicy(version=number, active_from=start, reason=reason)
    if verb == "rollback":
        return RollBackPolicy(version=number, reason=reason)
    if verb == "backtest":
        return BacktestPolicy(version=number)
    if verb == "withdraw":
        return WithdrawPolicy(version=number, reason=reason)
    raise CountersignError(f"A policy cannot be {verb}.")


@interface.get("/policy/versions")
def versions(session: Work, me: Me) -> list[dict[str, Any]]:
    """All versions, newest first, and which is in force."""
    return [
        {
            "version": r.version.id,
            "hash": r.version.hash,
            "summary": r.version.summary,
            "author": r.version.author,
            "proposed_at": r.version.proposed_at,
            "state": r.state,
            "since": r.since,
            "until": r.until,
        }
        for r in policies.versions(session, me.now)
    ]


@interface.get("/policy/versions/{number}")
def version(number: int, session: Work, me: Me) -> dict[str, Any]:
    """A version's two texts, when it was in force, and its latest replay."""
    found = policies.numbered(session, number)
    backtest = _own(policies.latest_backtest(session, number), me)
    return {
        "version": found.id,
        "hash": found.hash,
        "summary": found.summary,
        "author": found.author,
        "based_on": found.based_on,
        "numbers": found.numbers,
        "authority": found.authority,
        "activations": [
            {"from": a.active_from, "by": a.activated_by, "reason": a.reason}
            for a in policies.activations(session, number)
        ],
        "backtest": backtest.result if backtest else None,
    }
