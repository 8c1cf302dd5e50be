"""The queue: filters in the address, views that people keep, many cases at once, and news as they happen."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, field_validator

from api import ears, views, words
from api.access import Caller, Me, Work, caller, check_form
from api.console import PAGE, fragment, page, refused
from erp_core import db
from erp_core.actions import desk as decisions
from erp_core.actions import digests as mailing
from erp_core.actions import requests
from erp_core.actions.desk import Said
from erp_core.commands import DismissCase
from erp_core.db import Session
from erp_core.errors import CountersignError, Problem, RuleViolation
from erp_core.queries import desk, digests, installation, kpis, notices, policies, supply
from erp_core.queries.desk import NOBODY, Filter
from erp_core.rules.desk import may_work
from erp_core.rules.digest import Sentence, sentences
from erp_core.values import Priority, Queue, Verdict

router = APIRouter(include_in_schema=False)
LOOK_SECONDS = 20.0  # without news, a line is sent all the same, so that a broken connection is noticed
SETTLE_SECONDS = 0.25  # news that come together are told once
MOST_AT_ONCE = 100


class Wanted(BaseModel):
    """What the address says is to be shown; what is empty is not asked for."""

    queue: Queue | None = None
    q: str = ""
    mine: bool = False
    nobody: bool = False
    who: str = ""
    snoozed: bool = False
    closed: bool = False
    late: bool = False
    sign: bool = False
    action: str = ""
    priority: Priority | None = None
    kind: str = ""
    entity: str = ""
    sort: Literal["place", "due", "money", "oldest"] = "place"
    offset: Annotated[int, Query(ge=0)] = 0

    @field_validator("queue", "priority", mode="before")
    @classmethod
    def _any(cls, said: Any) -> Any:
        """A choice left at any is sent empty by a form without script."""
        return said or None

    def filter(self, me: str) -> Filter:
        """As the core asks it."""
        who = me if self.mine else NOBODY if self.nobody else self.who or None
        return Filter(
            self.queue.value if self.queue else None, who, self.snoozed, self.closed, self.q.strip()[:100], self.action or None,
            self.priority, self.kind or None, self.late, self.sign, self.entity or None, self.sort,
        )  # fmt: skip

    def address(self, **changed: Any) -> str:
        """The address of the same view with something changed; always from its beginning, unless the offset is named."""
        said = {**self.model_dump(mode="json", exclude={"offset"}), **changed}
        short = {k: ("1" if v is True else v) for k, v in said.items() if v and (k, v) != ("sort", "place")}
        return f"/?{urlencode(short)}" if short else "/"

    def narrowed(self) -> list[tuple[str, str]]:
        """What narrows the view besides queue and state: label, and the address without it."""
        told = {
            "q": f"Search {self.q}", "late": "Late", "sign": "To sign", "nobody": "Nobody has it", "action": words.title(self.action),
            "priority": words.title(self.priority or ""), "kind": words.title(self.kind), "entity": self.entity, "who": self.who.split("@")[0],
        }  # fmt: skip
        return [(label, self.address(**{name: None})) for name, label in told.items() if getattr(self, name)]


def heading(wanted: Wanted) -> str:
    """What the view is called."""
    if wanted.mine or wanted.snoozed or wanted.closed:
        return "Mine" if wanted.mine else "Snoozed" if wanted.snoozed else "Closed"
    return words.title(wanted.queue) if wanted.queue else "Due next"


@router.get("/")
def queue(session: Work, me: Me, wanted: Annotated[Wanted, Query()]) -> HTMLResponse:
    """Cases by priority and place, with whatever the address narrows them to."""
    asked = wanted.filter(me.person.email)
    rows = desk.case_rows(session, asked, me.now, PAGE + 1, wanted.offset)
    bands: dict[str, list[Any]] = {}
    for row in rows[:PAGE]:
        bands.setdefault("" if wanted.closed else row.case.priority, []).append(
            (row, *words.left(row.case.due_at, me.now))
        )
    kinds = sorted({*kpis.kinds_of_cases(session), *(row.case.kind for row in rows)})
    summed = wanted.queue if wanted.queue and wanted.queue != Queue.NONE and not wanted.offset else None
    return page(
        "queue.html", me, session, summed=summed.value if summed and not wanted.narrowed() else None, bands=bands, heading=heading(wanted), view=wanted,
        alike=_alike(rows[:PAGE]) if wanted.queue else [],
        current=wanted.queue or heading(wanted), more=wanted.address(offset=wanted.offset + PAGE) if len(rows) > PAGE else "",
        people=desk.names(session), sums=desk.sums(session, asked, me.now), most=desk.MOST_COUNTED, here=wanted.address(),
        entities=supply.entities(session), kinds=[(k, words.title(k)) for k in kinds], fresh=not rows and installation.is_new(session),
        works=may_work(policies.active(session), me.person, wanted.queue or ""),
    )  # fmt: skip


def _alike(rows: Sequence[desk.CaseRow]) -> list[tuple[str, str, int]]:
    """Proposals on a page that could be signed together: of each action, what most of them would do, and how many."""
    counted = Counter((r.proposal.action, views.what_it_does(r.proposal)) for r in rows if r.proposal)
    most: dict[str, tuple[str, int]] = {}
    for (action, does), count in counted.most_common():
        most.setdefault(action, (does, count))
    return [(action, does, count) for action, (does, count) in most.items() if count > 1]


@dataclass(frozen=True)
class Counted:
    """What matters in a queue, when it was counted, and how long that may be told."""

    told: list[Sentence]
    at: datetime
    until: float


_COUNTED: dict[tuple[str, tuple[str, ...]], Counted] = {}
SHARE = 10  # counting a large queue takes a tenth of the time at most


def _matters(session: Session, me: Caller, queue: Queue) -> Counted:
    """Counted now, or a little while ago for the same firms."""
    key = (queue.value, tuple(me.person.firms))
    known = _COUNTED.get(key)
    if known is None or time.monotonic() > known.until:
        started = time.monotonic()
        told = sentences(digests.figures(session, queue, me.now))
        known = Counted(told, me.now, time.monotonic() + SHARE * (time.monotonic() - started))
        _COUNTED[key] = known
    return known


@router.get("/queues/{queue}/matters")
def matters(queue: Queue, request: Request, session: Work, me: Me) -> HTMLResponse:
    """What matters in a queue, in some sentences, each with its cases; as a part of the queue's page, or by itself."""
    counted = _matters(session, me, queue)
    shown: dict[str, Any] = {
        "queue": queue.value,
        "told": counted.told,
        "at": counted.at,
        "written": digests.summaries(session, queue),
        "subscribed": digests.subscribed(session, me.person.email, queue),
    }
    if request.headers.get("hx-request"):
        return fragment("matters_part.html", me=me, **shown)
    return page("matters_page.html", me, session, current=queue.value, **shown)


@router.get("/rail")
def rail(session: Work, me: Me, current: str = "") -> HTMLResponse:
    """The counts of the rail, refreshed by the browser."""
    return page("rail.html", me, session, current=current)


@router.post("/views")
def keep_view(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    name: Annotated[str, Form(max_length=40)],
    address: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Keep the filters of a view under a name; an empty address forgets the name."""
    check_form(me, token)
    kept = Wanted.model_validate(dict(parse_qsl(address.partition("?")[2]))) if address else None
    if not name.strip():
        raise RuleViolation([Problem("name_missing", "Give the view a name.")])
    decisions.keep_view(session, me.person.email, name.strip(), kept.address() if kept else None)
    return RedirectResponse(kept.address() if kept else "/", status_code=303)


@router.get("/for-me")
def for_me(session: Work, me: Me) -> HTMLResponse:
    """What happened to one's own cases; looking at it marks it as read."""
    found = notices.news(session, me.person.email, me.now)
    shown = page("for_me.html", me, session, found=found, people=desk.names(session), current="For me")
    if found:
        decisions.read_news(session, me.person.email, found[0].entry)
    return shown


@router.post("/queues/{queue}/digest")
def mail_digest(
    queue: str, session: Work, me: Me, token: Annotated[str, Form()], hour: Annotated[int, Form(ge=-1, le=23)] = 6
) -> Response:
    """Have a queue's digest mailed each day, or no more (hour -1)."""
    check_form(me, token)
    if hour < 0:
        mailing.unsubscribe(session, me.person.email, queue)
    else:
        mailing.subscribe(session, me.person.email, queue, hour)
    return RedirectResponse(f"/?queue={quote(queue)}", status_code=303)


@dataclass(frozen=True)
class Done:
    """What came of one of several cases."""

    case: int
    text: str
    well: bool


@router.post("/cases/many")
def many(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    verb: Annotated[Literal["take", "give", "snooze", "dismiss"], Form()],
    back: Annotated[str, Form(max_length=500)] = "/",
    pick: Annotated[list[int] | None, Form()] = None,
    to: Annotated[str, Form(max_length=200)] = "",
    why: Annotated[str, Form(max_length=500)] = "",
) -> HTMLResponse:
    """Take several cases, give them to a colleague, let them sleep until tomorrow, or dismiss them: each by itself, and each told."""
    check_form(me, token)
    done = []
    for number in list(dict.fromkeys(pick or []))[:MOST_AT_ONCE]:
        try:
            with session.begin_nested():
                done.append(Done(number, _one_of_many(session, me, number, verb, to, why.strip()), True))
        except CountersignError as error:
            done.append(Done(number, refused(session, me, f"{verb} case {number}", error), False))
    target = back if back.startswith("/") and not back.startswith("//") else "/"
    return page("many.html", me, session, done=done, verb=verb, back=target, current="")


def _one_of_many(session: Session, me: Caller, number: int, verb: str, to: str, why: str) -> str:
    if verb == "dismiss":
        if len(why) < 3:
            raise RuleViolation([Problem("reason_missing", "Say why nothing is to be done.")])
        key = f"console:dismiss:{number}:{me.now.isoformat()}"
        done = requests.act(session, DismissCase(case=number, reason=why), key=key, actor=me.person.email, now=me.now)
        return str((done.change.after or {}).get("text") or "dismissed")
    if verb == "take":
        decisions.assign(session, number, actor=me.person.email, now=me.now, to=me.person.email)
        return "yours"
    if verb == "give":
        if not to:
            raise RuleViolation([Problem("nobody_named", "Say who is to have it.")])
        decisions.assign(session, number, actor=me.person.email, now=me.now, to=to)
        return f"{desk.name(session, to)} has it"
    proposal = desk.pending(session, number)
    if proposal is None:
        raise RuleViolation([Problem("no_proposal", f"Case {number} has no proposal to snooze; open it.")])
    result = decisions.decide(
        session, proposal.id, Said(Verdict.SNOOZE), actor=me.person.email, now=me.now, key=uuid.uuid4().hex
    )
    return result.text


@router.post("/cases/{number}/assign")
def assign(
    number: Annotated[int, Path()],
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    to: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Take the case, give it back, or give it to a colleague."""
    check_form(me, token)
    decisions.assign(session, number, actor=me.person.email, now=me.now, to=to or None)
    return RedirectResponse(f"/cases/{number}", status_code=303)


def _signed_in(request: Request) -> str:
    with db.transaction(db.API, firms=()) as session:
        return caller(request, session).person.email


def _of_case(number: int, request: Request) -> str:
    with db.transaction(db.API, firms=()) as session:
        caller(request, session)
        return f"case:{desk.case(session, number).id}"


@router.get("/news", response_class=EventSourceResponse)
async def news(request: Request, _: Annotated[str, Depends(_signed_in)]) -> AsyncIterator[ServerSentEvent]:
    """A line whenever some case changed. What changed, each page asks for itself, with its own rights."""
    async for event in _changes(request, ears.DESK):
        yield event


@router.get("/cases/{number}/news", response_class=EventSourceResponse)
async def news_of_case(request: Request, topic: Annotated[str, Depends(_of_case)]) -> AsyncIterator[ServerSentEvent]:
    """A line whenever this case changed."""
    async for event in _changes(request, topic):
        yield event


async def _changes(request: Request, topic: str) -> AsyncIterator[ServerSentEvent]:
    own = request.app.state.ears.wait_for(topic)
    try:
        yield ServerSentEvent(data="", event="live")
        while not await request.is_disconnected():
            changed = True
            try:
                await asyncio.wait_for(own.get(), LOOK_SECONDS)
                await asyncio.sleep(SETTLE_SECONDS)
                while not own.empty():
                    own.get_nowait()
            except TimeoutError:
                changed = False
            yield ServerSentEvent(data="", event="changed" if changed else "live")
    finally:
        request.app.state.ears.leave(topic, own)
