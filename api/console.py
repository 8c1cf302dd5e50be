"""The console: sign in, queues, a case and its decision, an order, the journal, the policy. Rendered here, no framework in the browser."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import ValidationError

from api import amending, views, words
from api.access import COOKIE, Caller, Me, Work, check_form
from api.command_words import command_words
from api.errors import status_of
from api.risk import likely_cause, risks
from erp_core import clock, db, settings
from erp_core.actions import access, batches, cases, requests
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.commands import COMMANDS, CheckStep, CloseCase, Command, DismissCase, PauseCase, ResumeCase
from erp_core.db import Session
from erp_core.errors import CountersignError, LimitReached, NotFound, RuleViolation
from erp_core.queries import chats, desk, fulfilment, models, notices, policies, proof, spending
from erp_core.queries.desk import CaseFile
from erp_core.rules import desk as rules
from erp_core.values import OPEN_CASE_STATUSES, Intent, Outcome, ProposalStatus, Queue, Verdict, plain

router = APIRouter(include_in_schema=False)
PAGE = 100
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {
    "money": words.money,
    "quantity": words.quantity,
    "plain": plain,
    "moment": words.moment,
    "stamp": words.stamp,
    "title_": words.title,
    "wishes": words.wishes,
    "initials": words.initials,
    "command": command_words,
    "tag": words.tag_words,
    "entry_link": words.entry_link,
    "rationale": views.marked_rationale,
    "summary": views.summary_of,
    "does": views.what_it_does,
    "day": words.day,
    "due": words.due,
}
QUEUE_ICONS = {
    "customer_service": "inbox",
    "credit": "credit",
    "pricing": "tag",
    "allocation": "box",
    "warehouse": "truck",
    "receiving": "dock",
    "purchasing": "cart",
    "accounts_payable": "coins",
    "billing": "doc",
    "returns": "return",
    "master_data": "grid",
    "compliance": "scale",
    "security": "lock",
    "none": "mail",
}


def page(
    template: str, me: Caller | None, session: Session | None = None, status: int = 200, **values: Any
) -> HTMLResponse:
    """Render a page with what every page shows: who, when, and the counts of the rail."""
    stops, may_resume = [], False
    if me and session:
        stops = desk.agent_stops(session)
        if stops:
            values.setdefault("people", desk.names(session))
        asked = rules.Subject("resume_agent")
        may_resume = bool(stops) and rules.authority(policies.active(session), me.person, asked).allowed
    counts = {q.queue: q for q in desk.queue_counts(session, me.now)} if me and session else {}
    if me and session:
        values.setdefault("views", desk.views(session, me.person.email))
        values.setdefault("unseen", notices.unseen(session, me.person.email, me.now))
        if journal := values.get("journal"):
            values.setdefault("places", proof.positions(session, [e.id for e in journal]))
    shown = TEMPLATES.get_template(template).render(
        me=me,
        counts=counts,
        stops=stops,
        may_resume=may_resume,
        queues=[q.value for q in Queue],
        icons=QUEUE_ICONS,
        policy=policies.active(session) if session else None,
        language_model=settings.load().has_model,
        **values,
    )
    return HTMLResponse(shown, status_code=status)


def fragment(template: str, **values: Any) -> HTMLResponse:
    """A part of a page."""
    return HTMLResponse(TEMPLATES.get_template(template).render(**values))


@router.get("/signin")
def sign_in_page(next: str = "/") -> HTMLResponse:
    """The form."""
    return page("signin.html", None, next=next, wrong="", email="")


@router.post("/signin")
def sign_in(
    request: Request,
    session: Work,
    email: Annotated[str, Form()],
    password: Annotated[str, Form()],
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Check the password and start a session."""
    now = clock.now(session)
    try:
        request.app.state.signins.take(request.client.host if request.client else "")
        who = access.authenticate(session, email, password, now)
    except LimitReached as locked:
        return page("signin.html", None, status=429, next=next, wrong=str(locked), email=email)
    if who is None:
        wrong = "Mail address or password is wrong."
        return page("signin.html", None, status=401, next=next, wrong=wrong, email=email)
    target = next if next.startswith("/") and not next.startswith("//") else "/"
    answer = RedirectResponse(target, status_code=303)
    secret, seconds = access.start(session, who, now)
    secure = not settings.load().insecure_cookies
    answer.set_cookie(COOKIE, secret, max_age=seconds, httponly=True, samesite="strict", secure=secure)
    return answer


@router.get("/signin/code")
def code_page(email: str = "") -> HTMLResponse:
    """Ask for a code, or set a password with one."""
    return page("signin_code.html", None, email=email, sent=False, wrong="")


@router.post("/signin/code")
def code(
    request: Request,
    session: Work,
    email: Annotated[str, Form()],
    code: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    """Without a code one is mailed; with one the password is set."""
    now = clock.now(session)
    try:
        request.app.state.signins.take(request.client.host if request.client else "")
        if code.strip():
            db.look_at(session, db.EVERY_FIRM)
            with session.begin_nested():
                access.use_code(session, email, code, password, now)
            return page("signin.html", None, next="/", wrong="", email=email)
    except CountersignError as error:
        return page("signin_code.html", None, status=status_of(error), email=email, sent=True, wrong=str(error))
    db.look_at(session, db.EVERY_FIRM)  # nobody is signed in; the mail is the core's own
    access.send_code(session, email, now)
    return page("signin_code.html", None, email=email, sent=True, wrong="")


@router.post("/signout")
def sign_out(session: Work, me: Me, token: Annotated[str, Form()]) -> Response:
    """End the session."""
    check_form(me, token)
    access.sign_out(session, me.secret)
    answer = RedirectResponse("/signin", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/cases/{number}")
def case(number: int, session: Work, me: Me) -> HTMLResponse:
    """One case."""
    return _case_page(session, me, number)


def _case_page(
    session: Session, me: Caller, number: int, said: decisions.DecisionResult | None = None, wrong: str = ""
) -> HTMLResponse:
    is_open = desk.case(session, number).status in OPEN_CASE_STATUSES
    proposal = desk.latest_proposal(session, number)
    pending = proposal is not None and proposal.status == ProposalStatus.PENDING and is_open
    seen = decisions.preview(session, proposal, me.now) if proposal and pending else None
    found = desk.case_file(session, number)  # only now: a preview forgets what was loaded
    proposal = found.proposal
    decisions.saw(session, number, me.person.email, seen.digest if seen else None, me.now)
    colleagues, own = desk.people(session, me.now), models.said_of(session, f"case:{number}")
    people = {user.email: user.name for user, _ in colleagues}
    left, urgency = words.left(found.case.due_at, found.case.paused_at or me.now)
    signers = views.signers(session, proposal, seen, me.person, me.now, colleagues) if proposal and seen else []
    return page(
        "case.html", me, session, key=uuid.uuid4().hex, file=found, case=found.case, proposal=proposal, pending=pending, seen=seen, said=said, wrong=wrong,
        signers=signers,
        several=any(rules.needs_second(policies.active(session), s) for s in seen.subjects) if seen else False,
        may_sign=views.may_sign(session, seen.subjects, me.person, signers) if seen else False,
        held=bool(cases.standing_holds(found.case, session)),
        works=rules.may_work(policies.active(session), me.person, found.case.queue, found.case.entity or ""),
        commands=_as_sent(proposal.shown, seen) if proposal else [],
        amend=amending.form_of(proposal.shown) if proposal and pending else [], stale="", others=desk.looking(session, number, me.person.email, me.now), number=number,
        evidence=proposal.evidence if proposal else [], mails=_mails(found), people=people, left=left, urgency=urgency,
        changes=[(c, words.diff_rows(c.before, c.after)) for c in seen.changes] if seen else [], open=found.case.status in OPEN_CASE_STATUSES,
        read=found.finding.content["read"] if found.finding else None, current=found.case.queue,
        plan=found.finding.content.get("plan") if found.finding else None, calls=spending.calls_of(session, number), **_chat(session, found),
        steps=desk.steps(session, number), playbook=policies.active(session).playbooks.get(found.case.kind, []),
        owner=desk.owner(session, found.case, policies.active(session), colleagues), root_causes=policies.active(session).root_causes,
        usual=policies.active(session).usual_causes, pauses=policies.active(session).clocks.pauses,
        places=proof.positions(session, [e.id for e in found.journal]),
        unexpired=bool(proposal and proposal.expires_at > me.now),
        rule_text=lambda code: rules.rule_text(policies.active(session), code),
        intents=[i.value for i in Intent], kept=models.is_sample(session, number),
        risks=risks(models.said_of(session, f"sales_order:{found.case.order_number}")) if found.case.order_number else [],
        course=risks(own), likely=likely_cause(own, policies.active(session).root_causes),
    )  # fmt: skip


def _as_sent(commands: list[Any], seen: decisions.Preview | None) -> list[Any]:
    """The commands with letters as they would leave: slots filled in by the preview."""
    bodies = [c.after["body"] for c in seen.changes if c.tag == "message:outbox:queued" and c.after] if seen else []
    letters = iter(bodies)
    return [{**c, "body": next(letters, c["body"])} if c["type"] == "send_message" else c for c in commands]


def _chat(session: Session, found: CaseFile) -> dict[str, Any]:
    """The chat whose case this is, and what was said in it."""
    chat = chats.of_case(session, found.case.id) if found.case.kind == "chat" else None
    if chat is None:
        return {"chat": None}
    said = [
        {
            "id": m.id,
            "by": m.parsed.get("by", "customer"),
            "name": m.sender_name or "",
            "text": m.parsed.get("newest", ""),
        }
        for m in found.messages
    ]
    return {"chat": chat, "chat_said": said, "talk_last": said[-1]["id"] if said else 0}


def _mails(found: CaseFile) -> list[dict[str, Any]]:
    evidence = found.proposal.evidence if found.proposal else []
    return [
        {
            "message": m,
            "body": views.marked_mail(m, evidence),
            "forwarded": views.marked_mail(m, evidence, "forwarded"),
            "quoted": m.parsed.get("quoted", ""),
            "hidden": m.parsed.get("hidden", []),
            "attachments": m.parsed.get("attachments", []),
            "authentication": m.parsed.get("authentication", {}),
        }
        for m in found.messages
    ]


async def _fields(request: Request) -> dict[str, str]:
    """All fields of a form, the last of each name."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


Fields = Annotated[dict[str, str], Depends(_fields)]


@router.post("/cases/{number}/trial")
def trial(number: int, session: Work, me: Me, fields: Fields) -> HTMLResponse:
    """What an amendment would do, before it is one: the core runs it and takes it back."""
    check_form(me, fields.get("token", ""))
    found = desk.pending(session, number)
    if found is None:
        raise NotFound(f"Case {number} has no proposal that waits.")
    try:
        commands = COMMANDS.validate_python(amending.together(found.shown, fields))
    except ValidationError as error:
        return fragment("trial.html", unreadable=f"This cannot be read: {first_line(error)}")
    seen = decisions.preview(session, found, me.now, instead=commands)
    covers = rules.signature(policies.active(session), me.person, seen.subjects).covers if seen.subjects else ()
    changes = [(c, words.diff_rows(c.before, c.after)) for c in seen.changes]
    return fragment("trial.html", seen=seen, changes=changes, may=bool(covers), unreadable="")


@router.get("/cases/{number}/fresh")
def fresh(number: int, session: Work, me: Me, proposal: int = 0, digest: str = "", entry: int = 0) -> HTMLResponse:
    """Whether a case is still as it is on somebody's screen, and who else has it open."""
    latest = desk.latest_proposal(session, number)
    others, stale = desk.looking(session, number, me.person.email, me.now), ""
    if latest is not None and latest.id != proposal:
        stale = "There is a new proposal."
    elif latest is not None and digest and latest.status != ProposalStatus.PENDING:
        last = desk.last_decision(session, latest.id)
        who = desk.names(session).get(last.actor, last.actor) if last else ""
        stale = f"{who} decided: {last.verdict}, {last.outcome}." if last else f"The proposal is {latest.status}."
    elif latest is not None and digest and decisions.preview(session, latest, me.now).digest != digest:
        stale = "The facts changed: signing this would be refused as stale."
    elif not digest and desk.last_entry(session, number) > entry:
        stale = "The case went on."
    return fragment("fresh.html", stale=stale, others=others, number=number, waits=bool(digest))


@router.post("/cases/{number}/decide")
def decide(
    number: int,
    session: Work,
    me: Me,
    fields: Fields,
    token: Annotated[str, Form()],
    proposal: Annotated[int, Form()],
    verdict: Annotated[Verdict, Form()],
    digest: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    commands: Annotated[str, Form()] = "",
    key: Annotated[str | None, Form(max_length=64)] = None,
    root_cause: Annotated[str, Form()] = "",
) -> Response:
    """Take a decision, then show the case with what became of it. An amendment comes as fields of the form, or as JSON."""
    check_form(me, token)
    if desk.proposal(session, proposal).case_id != number:
        raise NotFound(f"Case {number} has no proposal {proposal}.")
    try:
        amended = None
        if verdict == Verdict.AMEND:
            shown = desk.proposal(session, proposal).shown
            amended = json.loads(commands) if commands else amending.together(shown, fields)
        said = Said(verdict, reason.strip()[:1000], digest or None, amended, root_cause or None)
        with session.begin_nested():
            result = decisions.decide(session, proposal, said, actor=me.person.email, now=me.now, key=key)
    except (ValueError, ValidationError) as error:
        return _case_page(session, me, number, wrong=f"The amended commands cannot be read: {first_line(error)}")
    except RuleViolation as violation:
        return _case_page(session, me, number, wrong=refused(session, me, verdict.value, violation))
    return _case_page(session, me, number, said=result)


def first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(x) for x in first['loc'])}: {first['msg']}"
    return str(error)


@router.post("/cases/{number}/close")
def close(
    number: int,
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    resolution: Annotated[str, Form()],
    root_cause: Annotated[str, Form()] = "",
) -> Response:
    """Close a case that a person has seen to the end."""
    check_form(me, token)
    if not resolution.strip():
        return _case_page(session, me, number, wrong="Say how the case was resolved.")
    if desk.pending(session, number) is not None:
        return _case_page(session, me, number, wrong="Decide on the proposal first.")
    command = CloseCase(case=number, resolution=resolution.strip()[:500], root_cause=root_cause or None)
    return _acted(session, me, number, command)


@router.post("/cases/{number}/dismiss")
def dismiss(
    number: int, session: Work, me: Me, token: Annotated[str, Form()], why: Annotated[str, Form()] = ""
) -> Response:
    """End a case that needs nobody; what is proposed for it is withdrawn."""
    check_form(me, token)
    if len(why.strip()) < 3:
        return _case_page(session, me, number, wrong="Say why nobody is needed.")
    return _acted(session, me, number, DismissCase(case=number, reason=why.strip()[:500]))


@router.post("/cases/{number}/release")
def prepare_release(
    number: int, session: Work, me: Me, token: Annotated[str, Form()], reason: Annotated[str, Form()] = ""
) -> Response:
    """Prepare the release of the case's hold: the page then shows what signing it would do."""
    check_form(me, token)
    if len(reason.strip()) < 3:
        return _case_page(session, me, number, wrong="Say why the hold may be released.")
    try:
        with session.begin_nested():
            requests.prepare_release(session, number, reason=reason.strip()[:1000], actor=me.person.email, now=me.now)
    except CountersignError as error:
        return _case_page(session, me, number, wrong=refused(session, me, "prepare a release", error))
    return RedirectResponse(f"/cases/{number}", status_code=303)


@router.post("/cases/{number}/clock")
def set_clock(
    number: int,
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    waits_for: Annotated[str, Form()] = "",
    days: Annotated[int, Form(ge=1, le=60)] = 1,
) -> Response:
    """Let the due time stand still while the case waits for somebody outside, or run on."""
    check_form(me, token)
    until = me.now + timedelta(days=days)
    command = PauseCase(case=number, waits_for=waits_for, until=until) if waits_for else ResumeCase(case=number)
    return _acted(session, me, number, command)


@router.post("/cases/{number}/steps/{step}")
def check_step(number: int, step: int, session: Work, me: Me, token: Annotated[str, Form()]) -> Response:
    """Check off a step of the playbook."""
    check_form(me, token)
    return _acted(session, me, number, CheckStep(case=number, step=step))


def refused(session: Session, me: Caller, what: str, error: Exception) -> str:
    """What a page says of a refusal; it is written down like those of the API."""
    if isinstance(error, CountersignError):
        requests.note_refusal(session, what, error, actor=me.person.email, now=me.now)
    return first_line(error)


def asked(session: Session, me: Caller, commands: list[Command], why: str, key: str = "") -> Response:
    """Propose commands and go to the case where they wait to be signed. What proposing raises leaves nothing behind; the same key asks once."""
    with session.begin_nested():
        made = requests.propose(
            session, commands, key=key or uuid.uuid4().hex, reason=why, actor=me.person.email, now=me.now
        )
    return RedirectResponse(f"/cases/{made.case_id}", status_code=303)


def _acted(session: Session, me: Caller, number: int, command: Command) -> Response:
    try:
        with session.begin_nested():
            key = f"console:{command.type}:{uuid.uuid4().hex}"
            done = requests.act(session, command, key=key, actor=me.person.email, now=me.now)
    except CountersignError as error:
        return _case_page(session, me, number, wrong=refused(session, me, command.type, error))
    if text := (done.change.after or {}).get("text"):
        return _case_page(session, me, number, said=decisions.DecisionResult(Outcome.RETURNED, text))
    return RedirectResponse(f"/cases/{number}", status_code=303)


@router.get("/batch")
def batch_page(session: Work, me: Me, queue: str, action: str) -> HTMLResponse:
    """Proposals that are alike, with what each would do."""
    return _batch(session, me, queue, action)


def _batch(session: Session, me: Caller, queue: str, action: str, wrong: str = "", done: Any = ()) -> HTMLResponse:
    found = batches.candidates(session, queue, action, me.person.email, me.now)
    return page(
        "batch.html", me, session, status=422 if wrong else 200, found=found, queue=queue, action=action, wrong=wrong, done=done,
        key=uuid.uuid4().hex, diff=words.diff_rows, limits=policies.active(session).batch, current=queue,
    )  # fmt: skip


@router.post("/batch")
def sign_batch(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    queue: Annotated[str, Form()],
    action: Annotated[str, Form()],
    key: Annotated[str, Form(max_length=64)],
    pick: Annotated[list[str] | None, Form()] = None,
    reason: Annotated[str, Form()] = "",
) -> HTMLResponse:
    """Sign those that were picked, each by its own digest."""
    check_form(me, token)
    picked = [
        (int(number), digest) for number, _, digest in (p.partition(":") for p in pick or []) if number.isdecimal()
    ]
    try:
        with session.begin_nested():
            done = batches.sign(
                session, picked, reason=reason.strip()[:1000], actor=me.person.email, now=me.now, key=key
            )
    except CountersignError as error:
        return _batch(session, me, queue, action, wrong=refused(session, me, "sign together", error))
    return _batch(session, me, queue, action, done=done)


@router.get("/messages/{number}/original")
def original(number: int, session: Work, me: Me) -> Response:
    """The raw bytes as text: nothing of a mail is ever rendered as HTML."""
    raw = desk.message(session, number).raw
    headers = {"Content-Disposition": f'inline; filename="message-{number}.txt"'}
    return PlainTextResponse(raw.decode("utf-8", "replace"), headers=headers)


@router.get("/fulfilment")
def fulfilment_page(session: Work, me: Me) -> HTMLResponse:
    """What may leave, what is wanted soon and stopped, what waits for stock."""
    soon = me.now.date() + timedelta(days=2)
    return page(
        "fulfilment.html", me, session, released=fulfilment.released(session), at_risk=fulfilment.at_risk(session, soon),
        waiting=fulfilment.overview(session), load=fulfilment.load(session), soon=soon, current="Fulfilment",
    )  # fmt: skip
