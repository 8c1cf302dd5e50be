"""Passwords, sign-in codes, sessions and tokens. Secrets are stored as hashes only; five wrong tries lock an account for a while.

Signing in is two steps: `authenticate` says who somebody is, `start` begins a session. Another way to know who somebody is (OIDC, say)
takes the place of the first; what a person may do is decided elsewhere and by neither.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from erp_core.actions.context import Change, Context, write_journal
from erp_core.actions.messages import put_out
from erp_core.errors import LimitReached, NotAuthorised, NotFound, RuleViolation
from erp_core.errors import Problem as ProblemFound
from erp_core.queries import desk, policies
from erp_core.tables.parties import Credential, SignIn, User

HASHER = PasswordHasher()
WRONG_TRIES, LOCK_MINUTES = 5, 15
SHORTEST = 10
CODE_HOURS = 24
EVERYTHING = "*"
SCOPES = {
    "read": "look at everything that the person may see",
    "write": "run commands under the person's authority",
    "sign": "decide on proposals in the person's name",
}
CODE_TEXT = """Your code to set a password for Countersign is {code}. It is good for {hours} hours and once.
If you did not ask for it, nothing has changed; tell your administrator.
"""


@dataclass(frozen=True)
class SignedIn:
    """Who a secret stands for, how it came (`session`, `token`), and what it may be used for."""

    email: str
    kind: str
    scopes: tuple[str, ...]

    def allows(self, scope: str) -> bool:
        """Whether it may be used for this."""
        return EVERYTHING in self.scopes or scope in self.scopes


def set_password(session: Session, email: str, password: str) -> None:
    """Set the password of an existing user, and end that user's sessions and tokens."""
    person = desk.person(session, email)
    if len(password) < SHORTEST:
        raise RuleViolation([ProblemFound("password_short", f"A password has at least {SHORTEST} characters.")])
    kept = session.get(Credential, person.email)
    if kept is None:
        session.add(Credential(email=person.email, password_hash=HASHER.hash(password)))
    else:
        kept.password_hash, kept.failed, kept.locked_until = HASHER.hash(password), 0, None
    session.execute(delete(SignIn).where(SignIn.email == person.email))


def authenticate(session: Session, email: str, password: str, now: datetime) -> str | None:
    """The user's address; None for a wrong user or password. Raises LimitReached while locked."""
    kept = session.get(Credential, email.strip().lower(), with_for_update=True)
    if kept is None:
        HASHER.hash(password)  # an unknown user takes as long as a known one
        return None
    if kept.locked_until is not None and kept.locked_until > now:
        raise LimitReached(f"Too many wrong tries; locked until {kept.locked_until:%H:%M}.")
    try:
        HASHER.verify(kept.password_hash, password)
    except VerifyMismatchError:
        _failed(kept, now)
        return None
    kept.failed, kept.locked_until = 0, None
    return kept.email if session.get_one(User, kept.email).active else None


def _failed(kept: Credential, now: datetime) -> None:
    kept.failed += 1
    if kept.failed >= WRONG_TRIES:
        kept.failed, kept.locked_until = 0, now + timedelta(minutes=LOCK_MINUTES)


def start(session: Session, email: str, now: datetime) -> tuple[str, int]:
    """A new session's secret, and how many seconds it lasts."""
    hours = policies.active(session, now).access.session_hours
    return _keep(session, _secret(), email, "session", now, timedelta(hours=hours)), hours * 3600


def send_code(session: Session, email: str, now: datetime) -> None:
    """Mail a user a code to set a password with. An unknown address gets nothing, and nobody is told which are known."""
    user = session.get(User, email.strip().lower())
    if user is None or not user.active:
        return
    session.execute(delete(SignIn).where(SignIn.email == user.email, SignIn.kind == "code"))
    code = secrets.token_hex(8)
    _keep(session, f"code:{user.email}:{code}", user.email, "code", now, timedelta(hours=CODE_HOURS))
    body = CODE_TEXT.format(code=code, hours=CODE_HOURS)
    put_out(session, secrets.token_hex(12), user.email, "Your sign-in code", body, now)
    _journal(session, f"code:{user.email}:{now.isoformat()}", "user:code:sent", user.email, user.email, now, {})


def use_code(session: Session, email: str, code: str, password: str, now: datetime) -> None:
    """Set a password with a code, once. Raises NotAuthorised for a wrong or old code."""
    email = email.strip().lower()
    kept = session.get(SignIn, _hash(f"code:{email}:{code.strip().lower()}"), with_for_update=True)
    if kept is None or kept.kind != "code" or kept.expires_at <= now:
        raise NotAuthorised("The code is wrong or too old; ask for a new one.")
    set_password(session, email, password)
    _journal(session, f"password:{email}:{now.isoformat()}", "user:password:set", email, email, now, {})


def issue_token(
    session: Session,
    email: str,
    now: datetime,
    *,
    name: str = "",
    scopes: Sequence[str] = (EVERYTHING,),
    days: int | None = None,
) -> str:
    """A bearer token for the API, shown once. Raises RuleViolation for an unknown scope or a life longer than policy has."""
    person, most = desk.person(session, email), policies.active(session, now).access.token_days
    strange = sorted(set(scopes) - SCOPES.keys() - {EVERYTHING})
    problems = []
    if strange:
        problems.append(
            ProblemFound("scope_unknown", f"There is no scope {', '.join(strange)}; there are {', '.join(SCOPES)}.")
        )
    if days is not None and not 1 <= days <= most:
        problems.append(ProblemFound("token_long", f"A token lasts one to {most} days."))
    if problems:
        raise RuleViolation(problems)
    secret = _keep(session, _secret(), person.email, "token", now, timedelta(days=days or most), name, scopes)
    after = {"name": name, "scopes": list(scopes), "days": days or most}
    _journal(session, f"token:{_hash(secret)[:16]}", "user:token:issued", person.email, person.email, now, after)
    return secret


def tokens(session: Session, now: datetime, email: str | None = None) -> list[SignIn]:
    """Tokens that may be used now, without their secrets."""
    query = select(SignIn).where(SignIn.kind == "token", SignIn.expires_at > now)
    if email is not None:
        query = query.where(SignIn.email == email)
    return list(session.scalars(query.order_by(SignIn.email, SignIn.created_at)))


def revoke_token(session: Session, handle: str, actor: str, now: datetime) -> None:
    """End a token by the first digits of its hash. Raises NotFound unless exactly one has them."""
    found = [t for t in tokens(session, now) if len(handle) >= 8 and t.token_hash.startswith(handle.lower())]
    if len(found) != 1:
        raise NotFound(f"There is no single token {handle}; `countersign token list` shows them.")
    session.delete(found[0])
    key = f"token:{found[0].token_hash[:16]}:revoked"
    _journal(session, key, "user:token:revoked", actor, found[0].email, now, {"name": found[0].name})


def sign_out(session: Session, secret: str) -> None:
    """End a session."""
    session.execute(delete(SignIn).where(SignIn.token_hash == _hash(secret)))


def who(session: Session, secret: str, now: datetime) -> SignedIn:
    """Whom a secret stands for. Raises NotAuthorised when it is unknown, has expired, or the account has ended."""
    query = select(SignIn, User.active).join(User, User.email == SignIn.email).where(SignIn.token_hash == _hash(secret))
    row = session.execute(query).one_or_none()
    if row is None or row[0].expires_at <= now or not row[1] or row[0].kind == "code":
        raise NotAuthorised("Sign in first.")
    return SignedIn(row[0].email, row[0].kind, tuple(row[0].scopes))


def _keep(
    session: Session,
    secret: str,
    email: str,
    kind: str,
    now: datetime,
    life: timedelta,
    name: str = "",
    scopes: Sequence[str] = (EVERYTHING,),
) -> str:
    """Keep what a secret stands for, and give it back."""
    session.add(
        SignIn(
            token_hash=_hash(secret),
            email=email,
            kind=kind,
            created_at=now,
            expires_at=now + life,
            name=name,
            scopes=list(scopes),
        )
    )
    session.flush()
    return secret


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _journal(
    session: Session, key: str, tag: str, actor: str, email: str, now: datetime, after: dict[str, object]
) -> None:
    context = Context(session, key, actor, now, policies.active(session, now))
    write_journal(context, Change(tag, f"user:{email}", None, after), key, None)
