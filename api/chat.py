"""The chat: for customers at /chat and under /api/v1/chat, with a code by mail or the portal's word; for colleagues inside the console.

Events are `step` (what is being done), `message` (something was said, checked before it is shown) and `state` (who answers). Nothing else is streamed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from api import console
from api.access import Me, Work, caller, check_form
from erp_core import clock, db, settings
from erp_core.actions import chats
from erp_core.db import Session
from erp_core.errors import CountersignError, NotAuthorised, NotFound
from erp_core.queries import chats as queries
from erp_core.queries import desk, supply
from erp_core.tables.chat import Chat
from erp_core.values import ChatState

router = APIRouter(include_in_schema=False)
interface = APIRouter(prefix="/api/v1/chat", tags=["Chat"])
COOKIE = "countersign_chat"
LOOK_SECONDS = 15.0  # without news, who listens looks for itself
Language = Literal["en", "es", "fr", "de"]


class AskIn(BaseModel):
    """Who wants to chat: an address that a code goes to, or the portal's token (JWT, HS256, with `email` and `exp`)."""

    email: str = Field("", max_length=254)
    token: str = Field("", max_length=4000)
    language: Language = "en"


class AskedOut(BaseModel):
    """The chat's secret, for `Authorization: Bearer`. It is the same whether the address is known or not."""

    secret: str
    text: str


@interface.post("")
def ask(body: AskIn, request: Request, session: Work, answer: Response) -> AskedOut:
    """Begin a chat. A code is mailed to a known contact; with a portal's token the chat is open at once."""
    request.app.state.signins.take(request.client.host if request.client else "")
    db.look_at(session, db.EVERY_FIRM)
    now = clock.now(session)
    if body.token:
        begun = chats.from_portal(session, body.token, settings.load().portal_secret, body.language, now)
        text = "The chat is open."
    else:
        begun = chats.ask(session, body.email, body.language, now)
        text = "If we know this address, a code is on its way to it."
    _keep(answer, begun.secret)
    return AskedOut(secret=begun.secret, text=text)


def _keep(answer: Response, secret: str) -> None:
    secure = not settings.load().insecure_cookies
    answer.set_cookie(COOKIE, secret, max_age=chats.HOURS * 3600, httponly=True, samesite="strict", secure=secure)


class CodeIn(BaseModel):
    """The code from the mail."""

    code: str = Field(max_length=20)


@interface.post("/code")
def identify(body: CodeIn, request: Request, session: Work) -> Response:
    """Open the chat with the code. Five wrong ones end it."""
    request.app.state.signins.take(request.client.host if request.client else "")
    chat = _identified(session, _secret(request), body.code)
    if chat is None:
        return JSONResponse({"error": "NotAuthorised", "text": WRONG_CODE}, status_code=403)
    return JSONResponse(_about(chat))


WRONG_CODE = "The code is wrong or too old."


def _identified(session: Session, secret: str, code: str) -> Chat | None:
    """The chat; None for a wrong code, whose try is counted: so nothing may be raised, which would take the count back."""
    db.look_at(session, db.EVERY_FIRM)
    return chats.identify(session, secret, code, clock.now(session))


def _secret(request: Request) -> str:
    header = request.headers.get("authorization", "")
    secret = header[7:] if header.lower().startswith("bearer ") else request.cookies.get(COOKIE, "")
    if not secret:
        raise NotAuthorised("Begin a chat first.")
    return secret


def mine(request: Request, session: Session) -> tuple[Chat, datetime]:
    """The chat of whoever asks, with the moment. Only documents of its customer's firm are seen from then on."""
    secret = _secret(request)
    request.app.state.requests.take(hashlib.sha256(secret.encode()).hexdigest())
    now = clock.now(session)
    return chats.found(session, secret, now), now


def _about(chat: Chat) -> dict[str, Any]:
    return {
        "state": chat.state,
        "name": chat.name,
        "customer": chat.customer,
        "language": chat.language,
        "waits_for_yes": chat.pending is not None,
        "with": chat.taken_by,
    }


def _told(session: Session, chat: Chat, after: int) -> list[dict[str, Any]]:
    """What was said after a message, as it may be shown."""
    return [
        {
            "id": m.id,
            "by": m.parsed.get("by", "customer"),
            "name": m.sender_name or "",
            "text": chats.told(session, chat, m),
            "at": m.received_at.isoformat(),
        }
        for m in queries.messages(session, chat, after)
    ]


@interface.get("")
def about(request: Request, session: Work) -> dict[str, Any]:
    """Who answers in this chat, and whether something waits for a yes."""
    return _about(mine(request, session)[0])


class SayIn(BaseModel):
    """What you say."""

    text: str = Field(min_length=1, max_length=chats.LONGEST)


@interface.post("/messages", status_code=201)
def say(body: SayIn, request: Request, session: Work) -> dict[str, Any]:
    """Say something. The answer comes as an event, and stands under /messages."""
    chat, now = mine(request, session)
    return {"id": chats.say(session, chat, body.text, now).id}


@interface.get("/messages")
def messages(request: Request, session: Work, after: Annotated[int, Query(ge=0)] = 0) -> list[dict[str, Any]]:
    """What was said, oldest first."""
    chat, _ = mine(request, session)
    return _told(session, chat, after)


@interface.post("/end")
def end(request: Request, session: Work) -> dict[str, Any]:
    """End the chat."""
    chat, now = mine(request, session)
    chats.close(session, chat, actor=chat.email, now=now)
    return _about(chat)


def _listener(request: Request) -> int:
    """The chat of who listens; asked before anything is streamed, in a transaction that ends with the question."""
    with db.transaction(db.API, firms=()) as session:
        return mine(request, session)[0].id


@interface.get("/events", response_class=EventSourceResponse)
async def events(
    request: Request, chat: Annotated[int, Depends(_listener)], after: Annotated[int, Query(ge=0)] = 0
) -> AsyncIterator[ServerSentEvent]:
    """Steps, messages and states as they come (Server-Sent Events). `after`, or Last-Event-ID, is the last message you have."""
    async for event in stream(request, chat, after):
        yield event


async def stream(request: Request, number: int, after: int) -> AsyncIterator[ServerSentEvent]:
    """News of one chat until who listens leaves or it ends."""
    ears, state = request.app.state.ears, None
    last = request.headers.get("last-event-id", "")
    after = max(after, int(last)) if last.isdigit() else after
    own = ears.wait_for(f"chat:{number}")
    try:
        while not await request.is_disconnected():
            about, said = await run_in_threadpool(_news, number, after)
            for one in said:
                after = one["id"]
                yield ServerSentEvent(data=one, event="message", id=str(after))
            if about != state:
                state = about
                yield ServerSentEvent(data=about, event="state")
            if about["state"] == ChatState.CLOSED:
                return
            step = await _next(own)
            while step not in ("said", ""):
                yield ServerSentEvent(data={"step": step}, event="step")
                step = await _next(own)
    finally:
        ears.leave(f"chat:{number}", own)


async def _next(own: asyncio.Queue[str]) -> str:
    try:
        return await asyncio.wait_for(own.get(), LOOK_SECONDS)
    except TimeoutError:
        return ""


def _news(number: int, after: int) -> tuple[Any, list[dict[str, Any]]]:
    with db.reading(db.API) as session:
        chat = queries.numbered(session, number)
        return _about(chat), _told(session, chat, after)


# the customer's page


@router.get("/chat")
def page(
    request: Request, session: Work, token: Annotated[str, Query(max_length=4000)] = "", to: Literal["", "portal"] = ""
) -> Response:
    """Who you are, then the talk. With a portal's token the talk at once, and the token leaves the address."""
    if not token:
        return _page(request, session, to=to)
    db.look_at(session, db.EVERY_FIRM)
    try:
        request.app.state.signins.take(request.client.host if request.client else "")
        begun = chats.from_portal(session, token, settings.load().portal_secret, "en", clock.now(session))
    except CountersignError as error:
        return _page(request, session, str(error), 403)
    answer = RedirectResponse("/portal" if to else "/chat", status_code=303)
    _keep(answer, begun.secret)
    return answer


def _page(
    request: Request, session: Session, wrong: str = "", status: int = 200, asked: str = "", to: str = ""
) -> HTMLResponse:
    chat: Chat | None = None
    try:
        chat = mine(request, session)[0]
    except CountersignError:
        chat = None
    said = _told(session, chat, 0) if chat is not None and chat.case_id else []
    waits = bool(asked) or (bool(request.cookies.get(COOKIE)) and (chat is None or chat.state == ChatState.ASKED))
    shown = console.TEMPLATES.get_template("chat.html").render(
        chat=chat if chat is not None and chat.case_id else None,
        said=said,
        waits=waits,
        wrong=wrong,
        asked=asked,
        firm=" and ".join(_firms(session)),
        base="/api/v1/chat",
        to=to,
    )
    return HTMLResponse(shown, status_code=status)


def _firms(session: Session) -> list[str]:
    db.look_at(session, db.EVERY_FIRM)
    return list(supply.entities(session).values())


@router.post("/chat/ask")
def ask_form(
    request: Request,
    session: Work,
    email: Annotated[str, Form(max_length=254)],
    language: Annotated[Language, Form()] = "en",
    to: Annotated[Literal["", "portal"], Form()] = "",
) -> Response:
    """The form of the page: mail a code."""
    try:
        request.app.state.signins.take(request.client.host if request.client else "")
    except CountersignError as error:
        return _page(request, session, str(error), 429)
    db.look_at(session, db.EVERY_FIRM)
    begun = chats.ask(session, email, language, clock.now(session))
    answer = RedirectResponse("/chat?to=portal" if to else "/chat", status_code=303)
    _keep(answer, begun.secret)
    return answer


@router.post("/chat/code")
def code_form(
    request: Request,
    session: Work,
    code: Annotated[str, Form(max_length=20)],
    to: Annotated[Literal["", "portal"], Form()] = "",
) -> Response:
    """The form of the page: open the chat with the code."""
    try:
        request.app.state.signins.take(request.client.host if request.client else "")
        opened = _identified(session, _secret(request), code)
    except CountersignError as error:
        return _page(request, session, str(error), 403)
    if opened is None:
        return _page(request, session, WRONG_CODE, 403, to=to)
    return RedirectResponse("/portal" if to else "/chat", status_code=303)


@router.post("/chat/say")
def say_form(request: Request, session: Work, text: Annotated[str, Form(max_length=chats.LONGEST)]) -> Response:
    """The form of the page, for browsers without scripts: the answer is there when the page is loaded again."""
    try:
        chat, now = mine(request, session)
        chats.say(session, chat, text, now)
    except CountersignError as error:
        return _page(request, session, str(error), 422)
    return RedirectResponse("/chat#end", status_code=303)


@router.post("/chat/again")
def again(session: Work) -> Response:
    """Begin anew, with another address."""
    answer = RedirectResponse("/chat", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


# inside the console


@router.post("/cases/{number}/chat")
def take_part(
    number: int,
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    verb: Annotated[Literal["take", "reply", "close"], Form()],
    text: Annotated[str, Form(max_length=chats.LONGEST)] = "",
) -> Response:
    """Take a chat over, answer in it, or end it."""
    check_form(me, token)
    chat = queries.of_case(session, desk.case(session, number).id)
    if chat is None:
        raise NotFound(f"Case {number} is no chat.")
    if verb == "take":
        chats.take(session, chat, actor=me.person.email, name=me.name, now=me.now)
    elif verb == "reply":
        chats.reply(session, chat, text, actor=me.person.email, name=me.name, now=me.now)
    else:
        chats.close(session, chat, actor=me.person.email, now=me.now)
    return RedirectResponse(f"/cases/{number}#end", status_code=303)


@router.get("/assistant")
def assistant(session: Work, me: Me, chat: int | None = None, customer: str = "") -> HTMLResponse:
    """Ask on a customer's behalf."""
    found = _own(session, me.person.email, chat) if chat is not None else None
    said = _told(session, found, 0) if found is not None else []
    return console.page(
        "assistant.html",
        me,
        session,
        chat=found,
        said=said,
        customer=customer,
        current="Assistant",
        base=f"/assistant/{chat}",
    )


def _own(session: Session, email: str, number: int) -> Chat:
    """A colleague's own chat. Raises NotFound for anybody else's."""
    found = queries.numbered(session, number)
    if found.staff != email:
        raise NotFound(f"There is no chat {number} of yours.")
    return found


@router.post("/assistant")
def begin(
    session: Work, me: Me, token: Annotated[str, Form()], customer: Annotated[str, Form(max_length=64)]
) -> Response:
    """Begin, for one customer."""
    check_form(me, token)
    chat = chats.for_colleague(session, customer.strip(), me.name, actor=me.person.email, now=me.now)
    return RedirectResponse(f"/assistant?chat={chat.id}", status_code=303)


@router.post("/assistant/{number}/say")
def say_for(
    number: int,
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    text: Annotated[str, Form(max_length=chats.LONGEST)],
) -> Response:
    """Ask something."""
    check_form(me, token)
    chats.say(session, _own(session, me.person.email, number), text, me.now)
    return RedirectResponse(f"/assistant?chat={number}#end", status_code=303)


def _asker(number: int, request: Request) -> int:
    with db.transaction(db.API, firms=()) as session:
        return _own(session, caller(request, session).person.email, number).id


@router.get("/assistant/{number}/events", response_class=EventSourceResponse)
async def events_for(
    request: Request, chat: Annotated[int, Depends(_asker)], after: Annotated[int, Query(ge=0)] = 0
) -> AsyncIterator[ServerSentEvent]:
    """News of a colleague's own chat."""
    async for event in stream(request, chat, after):
        yield event


def _reader(number: int, request: Request) -> int:
    with db.transaction(db.API, firms=()) as session:
        caller(request, session)
        chat = queries.of_case(session, desk.case(session, number).id)
        if chat is None:
            raise NotFound(f"Case {number} is no chat.")
        return chat.id


@router.get("/cases/{number}/chat/events", response_class=EventSourceResponse)
async def events_of_case(
    request: Request, chat: Annotated[int, Depends(_reader)], after: Annotated[int, Query(ge=0)] = 0
) -> AsyncIterator[ServerSentEvent]:
    """News of a case's chat, for whoever may see the case."""
    async for event in stream(request, chat, after):
        yield event
