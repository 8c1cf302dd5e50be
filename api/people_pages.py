"""Who works here and what each may do: accounts, lent authority, the agent's switch. Changes are commands like any other."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from api.access import Caller, Me, Work, check_form
from api.console import asked, page, refused
from erp_core.actions import access, requests
from erp_core.commands import Command, DelegateAuthority, EndDelegation, ResumeAgent, SaveUser, StopAgent
from erp_core.db import Session
from erp_core.errors import CountersignError, NotAuthorised
from erp_core.queries import desk, policies, supply
from erp_core.rules import desk as rules
from erp_core.rules import segregation
from erp_core.rules.desk import Subject

router = APIRouter(include_in_schema=False)


@router.get("/people")
def people_page(session: Work, me: Me, edit: str = "") -> HTMLResponse:
    """Colleagues, what they may do, what is lent, which tokens there are."""
    return _page(session, me, edit)


def _page(session: Session, me: Caller, edit: str = "", wrong: str = "", done: str = "") -> HTMLResponse:
    active = policies.active(session, me.now)
    found = desk.people(session, me.now)
    verbs = ("save_user", "delegate_authority", "resume_agent", "stop_agent", "send_code")
    return page(
        "people.html", me, session, status=422 if wrong else 200, found=found, wrong=wrong, done=done, people=desk.names(session),
        lent=desk.delegations(session, me.now), edited=next((u for u, _ in found if u.email == edit), None), edit=edit,
        roles=sorted(segregation.roles(active)), firms=supply.entities(session), active=active,
        conflicts={u.email: segregation.conflicts(active, p) for u, p in found},
        tokens=access.tokens(session, me.now, None if _may(session, me, "send_code") else me.person.email),
        may={v: _may(session, me, v) for v in verbs}, current="People",
    )  # fmt: skip


def _may(session: Session, me: Caller, verb: str) -> bool:
    return rules.authority(policies.active(session, me.now), me.person, Subject(verb)).allowed


@router.post("/people")
def save(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    email: Annotated[str, Form()],
    name: Annotated[str, Form()] = "",
    roles: Annotated[list[str] | None, Form()] = None,
    limit: Annotated[str, Form()] = "0",
    firms: Annotated[list[str] | None, Form()] = None,
    active: Annotated[bool, Form()] = False,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Ask for an account to be added or changed; compliance signs it with the administrator."""
    check_form(me, token)
    try:
        command = SaveUser.model_validate(
            {
                "email": email,
                "name": name,
                "roles": roles or [],
                "approval_limit": limit,
                "entities": firms or [],
                "active": active,
            }
        )
        return asked(session, me, [command], reason.strip() or f"account of {name}")
    except (ValidationError, CountersignError) as error:
        return _page(session, me, email, wrong=refused(session, me, "save user", error))


@router.post("/people/code")
def send_code(session: Work, me: Me, token: Annotated[str, Form()], email: Annotated[str, Form()]) -> HTMLResponse:
    """Mail somebody a code to set a password. The administrator never sees it."""
    check_form(me, token)
    if not _may(session, me, "send_code"):
        raise NotAuthorised(f"No rule lets {me.person.email} send codes.")
    access.send_code(session, email, me.now)
    return _page(session, me, done=f"A code is on its way to {email}.")


@router.post("/people/lend")
def lend(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    to: Annotated[str, Form()],
    until: Annotated[str, Form()],
    reason: Annotated[str, Form()],
    roles: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Lend own authority to a colleague until a day."""
    check_form(me, token)
    try:
        ends = datetime.fromisoformat(until)
        command = DelegateAuthority(
            to=to, roles=roles or [], ends_at=ends if ends.tzinfo else ends.replace(tzinfo=UTC), reason=reason
        )
        _act(session, me, command)
    except (ValueError, CountersignError) as error:
        return _page(session, me, wrong=refused(session, me, "lend authority", error))
    return RedirectResponse("/people", status_code=303)


@router.post("/people/return")
def give_back(session: Work, me: Me, token: Annotated[str, Form()], delegation: Annotated[int, Form()]) -> Response:
    """End lent authority."""
    check_form(me, token)
    try:
        _act(session, me, EndDelegation(delegation=delegation))
    except CountersignError as error:
        return _page(session, me, wrong=refused(session, me, "end a delegation", error))
    return RedirectResponse("/people", status_code=303)


@router.post("/agent/{verb}")
def switch(
    verb: Literal["stop", "resume"],
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    entity: Annotated[str, Form()] = "*",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Stop the agent, or let it work again."""
    check_form(me, token)
    why = reason.strip()[:500] or "no reason given"
    command: Command = (
        StopAgent(entity=entity, reason=why) if verb == "stop" else ResumeAgent(entity=entity, reason=why)
    )
    try:
        _act(session, me, command)
    except CountersignError as error:
        return _page(session, me, wrong=refused(session, me, f"{verb} the agent", error))
    return RedirectResponse("/people", status_code=303)


def _act(session: Session, me: Caller, command: Command) -> None:
    with session.begin_nested():
        requests.act(
            session, command, key=f"console:{command.type}:{uuid.uuid4().hex}", actor=me.person.email, now=me.now
        )
