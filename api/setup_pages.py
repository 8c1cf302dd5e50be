"""The first day: bring your files in, see what is wrong with them, and try the mailbox and the mail server before anybody relies on them.

Nothing typed here is kept: addresses and passwords are settings of the processes, which the page shows how to write.
"""

from __future__ import annotations

import imaplib
import shutil
import smtplib
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import HTMLResponse

from api.access import Caller, Me, Work, check_form
from api.console import page
from erp_core import settings
from erp_core.db import Session
from erp_core.errors import CountersignError, NotAuthorised
from erp_core.import_files import FILES, Report
from erp_core.importer import import_folder
from erp_core.queries import installation, policies
from erp_core.rules import desk as rules
from erp_core.rules.desk import Subject

router = APIRouter(include_in_schema=False)
NETWORK_SECONDS = 10
MOST_COMPLAINTS = 200
KNOWN = {spec.name for spec in FILES}


@dataclass(frozen=True)
class Said:
    """What came of a try: whether it went well, in words, and what to write into the settings."""

    well: bool
    text: str
    settings: Sequence[str] = ()


def may_set_up(session: Session, me: Caller) -> bool:
    """Who lets people in may set the installation up."""
    return rules.authority(policies.active(session), me.person, Subject("send_code", entity="*")).allowed


def _operator(session: Session, me: Caller) -> None:
    if not may_set_up(session, me):
        raise NotAuthorised("The installation is set up by who keeps the accounts.")


class _NotKept(Exception):
    """The files were looked over, no more."""


def _page(
    session: Session,
    me: Caller,
    *,
    report: Report | None = None,
    wrote: bool = False,
    said: Said | None = None,
    about: str = "",
    wrong: str = "",
) -> HTMLResponse:
    config = settings.load()
    return page(
        "setup.html", me, session, state=installation.state(session), files=[(s.name, list(s.columns)) for s in FILES], report=report, wrote=wrote,
        complaints=report.complaints[:MOST_COMPLAINTS] if report else [], said=said, about=about, wrong=wrong, has_mailbox=bool(config.imap_url),
        has_mail=bool(config.smtp_url), has_model=config.has_model, operator=may_set_up(session, me), current="Setup",
    )  # fmt: skip


@router.get("/setup")
def setup(session: Work, me: Me) -> HTMLResponse:
    """What this installation has and lacks."""
    return _page(session, me)


@contextmanager
def _folder(files: Sequence[UploadFile]) -> Iterator[Path]:
    """The files in a folder of their own, under the names that we know and no other. Raises CountersignError."""
    with tempfile.TemporaryDirectory(prefix="countersign-import-") as place:
        for file in files:
            name = Path(file.filename or "").name
            if Path(name).stem not in KNOWN or Path(name).suffix.lower() != ".csv":
                raise CountersignError(
                    f"{name or 'A file without a name'} is none of the files that are read: {', '.join(sorted(KNOWN))}, each .csv."
                )
            with (Path(place) / f"{Path(name).stem}.csv").open("wb") as target:
                shutil.copyfileobj(file.file, target)
        yield Path(place)


@router.post("/setup/import")
def bring_in(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    files: Annotated[list[UploadFile], File()],
    verb: Annotated[str, Form()] = "look",
) -> HTMLResponse:
    """Look the files over, or bring them in: all or nothing. In the console only as long as the installation is empty: later
    changes are commands that somebody answers for."""
    check_form(me, token)
    _operator(session, me)
    empty = installation.state(session).customers == 0
    if verb == "import" and not empty:
        raise NotAuthorised(
            "There are customers already: from here files are only looked over; `countersign import DIR` brings more in."
        )
    wrote = False
    try:
        with session.begin_nested(), _folder([f for f in files if f.filename]) as folder:
            report = import_folder(session, folder, me.now)
            wrote = verb == "import" and not report.complaints
            if not wrote:
                raise _NotKept
    except _NotKept:
        session.expire_all()
    except CountersignError as error:
        return _page(session, me, wrong=str(error))
    return _page(session, me, report=report, wrote=wrote)


@router.post("/setup/mailbox")
def try_mailbox(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    address: Annotated[str, Form(max_length=500)],
    password: Annotated[str, Form(max_length=200)],
) -> HTMLResponse:
    """Sign in to a mailbox and count what is in it; no message is opened or marked."""
    check_form(me, token)
    _operator(session, me)
    return _page(session, me, said=look_into(address.strip(), password), about="mailbox")


def look_into(address: str, password: str) -> Said:
    """Try an IMAP mailbox: imap://user@host/FOLDER, imaps://…"""
    parts = urlsplit(address)
    if parts.scheme not in ("imap", "imaps") or not parts.hostname or not parts.username:
        return Said(
            False, f"“{address}” is no mailbox; write imaps://user@host/FOLDER, with %40 for an @ in the user's name."
        )
    secure, folder = parts.scheme == "imaps" or parts.port in (None, 993), unquote(parts.path.lstrip("/")) or "INBOX"
    try:
        trust = ssl.create_default_context()
        box = (
            imaplib.IMAP4_SSL(parts.hostname, parts.port or 993, timeout=NETWORK_SECONDS, ssl_context=trust)
            if secure
            else imaplib.IMAP4(parts.hostname, parts.port or 143, timeout=NETWORK_SECONDS)
        )
        try:
            box.login(unquote(parts.username), password)
            status, found = box.select(f'"{folder}"', readonly=True)
            if status != "OK":
                return Said(False, f"Signed in, but there is no folder {folder}.")
            count = int((found[0] or b"0").decode())
        finally:
            box.logout()
    except (OSError, imaplib.IMAP4.error, ValueError) as error:
        return Said(False, f"{parts.hostname} says: {_words(error)}")
    return Said(
        True,
        f"Signed in. {folder} holds {count} messages.",
        [f"COUNTERSIGN_IMAP_URL={address}", "COUNTERSIGN_IMAP_PASSWORD=…"],
    )


@router.post("/setup/mail")
def try_mail(
    session: Work,
    me: Me,
    token: Annotated[str, Form()],
    address: Annotated[str, Form(max_length=500)],
    password: Annotated[str, Form(max_length=200)] = "",
) -> HTMLResponse:
    """Sign in to a mail server; nothing is sent."""
    check_form(me, token)
    _operator(session, me)
    return _page(session, me, said=greet(address.strip(), password), about="mail")


def greet(address: str, password: str) -> Said:
    """Try a mail server: smtp://user@host:port, smtps://…"""
    parts = urlsplit(address)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        return Said(False, f"“{address}” is no mail server; write smtp://user@host:587 or smtps://user@host.")
    trust = ssl.create_default_context()
    try:
        secure = parts.scheme == "smtps"
        server = (
            smtplib.SMTP_SSL(parts.hostname, parts.port or 465, timeout=NETWORK_SECONDS, context=trust)
            if secure
            else smtplib.SMTP(parts.hostname, parts.port or 25, timeout=NETWORK_SECONDS)
        )
        with server:
            server.ehlo()
            if not secure and server.has_extn("starttls"):
                server.starttls(context=trust)
            if parts.username:
                server.login(unquote(parts.username), password)
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        return Said(False, f"{parts.hostname} says: {_words(error)}")
    written = [f"COUNTERSIGN_SMTP_URL={address}", *(["COUNTERSIGN_SMTP_PASSWORD=…"] if parts.username else [])]
    return Said(True, "The mail server took us. Nothing was sent.", written)


def _words(error: Exception) -> str:
    told = error.args[0] if error.args else str(error)
    text = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(error)
    return text[:300]
