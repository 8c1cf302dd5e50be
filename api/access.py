"""Who is asking: a session cookie in the console, a bearer token in the API."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from erp_core import clock, db
from erp_core.actions import access
from erp_core.db import Session
from erp_core.errors import NotAuthorised
from erp_core.queries import desk
from erp_core.rules.desk import Person

COOKIE = "countersign"


def unit_of_work() -> Iterator[Session]:
    """One request is one transaction, committed when the handler returns. It sees no firm's rows before somebody has signed in."""
    with db.transaction(db.API, firms=()) as session:
        yield session


Work = Annotated[Session, Depends(unit_of_work, scope="function")]


@dataclass(frozen=True)
class Caller:
    """A signed-in person, and the moment of the request."""

    person: Person
    name: str
    now: datetime
    secret: str

    @property
    def form_token(self) -> str:
        """What a form must carry; bound to the session, so that no other site can post it."""
        return hashlib.sha256(f"form:{self.secret}".encode()).hexdigest()


SAFE = ("GET", "HEAD")


def caller(request: Request, session: Work) -> Caller:
    """The person behind the cookie or bearer token. Raises NotAuthorised, and LimitReached for who asks too often."""
    header = request.headers.get("authorization", "")
    bears = header.lower().startswith("bearer ")
    secret = header[7:] if bears else request.cookies.get(COOKIE, "")
    if not secret:
        raise NotAuthorised("Sign in first.")
    request.app.state.requests.take(hashlib.sha256(secret.encode()).hexdigest())
    now = clock.now(session)
    found = access.who(session, secret, now)
    if found.kind != ("token" if bears else "session") or (bears and not request.url.path.startswith("/api/")):
        raise NotAuthorised("Sign in first.")
    if not bears and request.url.path.startswith("/api/") and request.method not in SAFE:
        raise NotAuthorised("Changes by the API want a token; a browser's session serves the console.")
    scope = _scope(request)
    if not found.allows(scope):
        raise NotAuthorised(f"This token may not {access.SCOPES[scope]}; make one with the scope {scope}.")
    person, name = desk.called(session, found.email, now)
    db.look_at(session, person.firms)
    return Caller(person, name, now, secret)


def _scope(request: Request) -> str:
    """What a request needs: looking is `read`, deciding on proposals is `sign`, all else that changes something is `write`."""
    if request.method in SAFE:
        return "read"
    return "sign" if request.url.path.endswith("/decisions") else "write"


Me = Annotated[Caller, Depends(caller)]


def check_form(me: Caller, token: str) -> None:
    """Refuse a form that this session did not render."""
    if not hmac.compare_digest(me.form_token.encode(), token.encode()):
        raise NotAuthorised("This form is not from your session; reload the page.")
