"""Passwords, sessions and tokens. Secrets are stored as hashes only; five wrong tries lock an account for a while."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import delete
from sqlalchemy.orm import Session

from erp_core.errors import LimitReached, NotAuthorised, RuleViolation
from erp_core.errors import Problem as ProblemFound
from erp_core.queries import desk
from erp_core.tables.parties import Credential, SignIn

HASHER = PasswordHasher()
SESSION_HOURS, TOKEN_DAYS = 12, 90
WRONG_TRIES, LOCK_MINUTES = 5, 15
SHORTEST = 10


def set_password(session: Session, email: str, password: str) -> None:
    """Set the password of an existing user, and end that user's sessions."""
    person = desk.person(session, email)
    if len(password) < SHORTEST:
        raise RuleViolation([ProblemFound("password_short", f"A password has at least {SHORTEST} characters.")])
    kept = session.get(Credential, person.email)
    if kept is None:
        session.add(Credential(email=person.email, password_hash=HASHER.hash(password)))
    else:
        kept.password_hash, kept.failed, kept.locked_until = HASHER.hash(password), 0, None
    session.execute(delete(SignIn).where(SignIn.email == person.email))


def sign_in(session: Session, email: str, password: str, now: datetime) -> str | None:
    """A new session's secret; None for a wrong user or password. Raises LimitReached while locked."""
    kept = session.get(Credential, email.strip().lower(), with_for_update=True)
    if kept is None:
        HASHER.hash(password)  # an unknown user takes as long as a known one
        return None
    if kept.locked_until is not None and kept.locked_until > now:
        raise LimitReached(f"Too many wrong tries; locked until {kept.locked_until:%H:%M}.")
    try:
        HASHER.verify(kept.password_hash, password)
    except VerifyMismatchError:
        kept.failed += 1
        if kept.failed >= WRONG_TRIES:
            kept.failed, kept.locked_until = 0, now + timedelta(minutes=LOCK_MINUTES)
        return None
    kept.failed, kept.locked_until = 0, None
    return _issue(session, kept.email, "session", now, timedelta(hours=SESSION_HOURS))


def issue_token(session: Session, email: str, now: datetime) -> str:
    """A bearer token for the API, shown once."""
    return _issue(session, desk.person(session, email).email, "token", now, timedelta(days=TOKEN_DAYS))


def sign_out(session: Session, secret: str) -> None:
    """End a session."""
    session.execute(delete(SignIn).where(SignIn.token_hash == _hash(secret)))


def who(session: Session, secret: str, now: datetime) -> str:
    """The user of a secret. Raises NotAuthorised when it is unknown or has expired."""
    kept = session.get(SignIn, _hash(secret))
    if kept is None or kept.expires_at <= now:
        raise NotAuthorised("Sign in first.")
    return kept.email


def _issue(session: Session, email: str, kind: str, now: datetime, life: timedelta) -> str:
    secret = secrets.token_urlsafe(32)
    session.add(SignIn(token_hash=_hash(secret), email=email, kind=kind, created_at=now, expires_at=now + life))
    session.flush()
    return secret


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
