"""Raw messages from a folder of .eml files, an mbox file, a Maildir or an IMAP mailbox."""

from __future__ import annotations

import imaplib
import mailbox
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imap_tools import AND, NOT, BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError

from erp_core.errors import BadSetting, NotFound

TAKEN = "$Countersign"  # a keyword on the server: survives restarts and a change of UIDVALIDITY
IDLE_SECONDS = 60
POLL_SECONDS = 15
NETWORK_SECONDS = 60
LONGEST_WAIT = 60


@dataclass(frozen=True)
class Raw:
    """A message as it came, with the name of its place."""

    name: str
    data: bytes


def from_path(source: Path) -> Iterator[Raw]:
    """All messages of a folder of .eml files, a Maildir or an mbox file, in order. Raises NotFound."""
    if source.is_file() and source.suffix.lower() == ".eml":
        yield Raw(source.name, source.read_bytes())
    elif (source / "cur").is_dir() and (source / "new").is_dir():
        box = mailbox.Maildir(str(source), create=False)
        for key in sorted(box.keys()):
            yield Raw(key, box.get_bytes(key))
    elif source.is_dir():
        for path in sorted(source.glob("*.eml")):
            yield Raw(path.name, path.read_bytes())
    elif source.is_file():
        yield from _from_mbox(source)
    else:
        raise NotFound(f"There is no folder or file {source}.")


def count(source: Path) -> int | None:
    """How many messages to expect, when that is known beforehand."""
    return len(list(source.glob("*.eml"))) or None if source.is_dir() else None


def _from_mbox(source: Path) -> Iterator[Raw]:
    with source.open("rb") as file:
        start = file.read(5)
    if start != b"From ":
        raise BadSetting(f"{source} is no mbox file: it does not begin with 'From '.")
    box = mailbox.mbox(str(source), create=False)
    try:
        for key in box.keys():  # noqa: SIM118 - mbox is no mapping of this kind
            yield Raw(f"{source.name}:{key}", box.get_bytes(key))
    finally:
        box.close()


def from_imap(
    url: str,
    password: str | None,
    *,
    once: bool,
    taken: Callable[[Raw], object],
    stopped: Callable[[], bool] = lambda: False,
    first_pause: float = 1.0,
) -> None:
    """Hand every new message of an IMAP folder to `taken`; then wait for more, until `stopped`, unless `once`.

    A message is marked on the server only after `taken` returned, so a crash in between fetches it again, and recording takes
    each Message-ID once. A lost connection is made anew with growing pauses. Raises BadSetting when the mailbox cannot be read
    and it was to be read once.
    """
    pause = first_pause
    while not stopped():
        try:
            with _connected(url, password) as box:
                pause = first_pause
                seen = _take_new(box, taken, set())
                while not once and not stopped():
                    _wait(box)
                    seen = _take_new(box, taken, seen)
                return
        except (OSError, imaplib.IMAP4.error, ImapToolsError) as error:
            if once:
                raise BadSetting(f"The mailbox {_shown(url)} cannot be read: {error}") from error
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_WAIT)


@contextmanager
def _connected(url: str, password: str | None) -> Iterator[BaseMailBox]:
    box, login = _box(url, password)
    try:
        login()
        yield box
    finally:
        with suppress(OSError, imaplib.IMAP4.error, ImapToolsError):
            box.logout()
        with suppress(OSError):
            box.client.shutdown()  # a broken line is not closed by a logout


def _box(url: str, password: str | None) -> tuple[BaseMailBox, Callable[[], object]]:
    parts = urlsplit(url)
    if parts.scheme not in ("imap", "imaps") or not parts.hostname or not parts.username:
        raise BadSetting(f"'{_shown(url)}' is no mailbox; write imap://user@host/FOLDER.")
    if password is None:
        raise BadSetting("Set COUNTERSIGN_IMAP_PASSWORD for the mailbox.")
    secure = parts.scheme == "imaps" or parts.port in (None, 993)
    kind = MailBox if secure else MailBoxUnencrypted
    folder = unquote(parts.path.lstrip("/")) or "INBOX"
    box = kind(parts.hostname, parts.port or 993, timeout=NETWORK_SECONDS)
    user = unquote(parts.username)
    return box, lambda: box.login(user, password, initial_folder=folder)


def _wait(box: BaseMailBox) -> None:
    """Until the server says that something came, or for a while; a server without IDLE is asked again and again."""
    if "IDLE" in box.client.capabilities:
        box.idle.wait(timeout=IDLE_SECONDS)
    else:
        time.sleep(POLL_SECONDS)


def _take_new(box: BaseMailBox, taken: Callable[[Raw], object], seen: set[str]) -> set[str]:
    """Messages without our mark, and not seen on this connection: some servers keep no marks of ours."""
    waiting = box.uids(NOT(AND(keyword=TAKEN)))
    for uid in waiting:
        if uid in seen:
            continue
        data = _bytes_of(box, uid)
        if data is not None:
            taken(Raw(f"imap:{uid}", data))
        box.client.uid("STORE", uid, "+FLAGS.SILENT", f"({TAKEN})")
    return set(waiting)


def _bytes_of(box: BaseMailBox, uid: str) -> bytes | None:
    """The message exactly as it came, left unread; None when somebody removed it meanwhile."""
    _, answer = box.client.uid("FETCH", uid, "(BODY.PEEK[])")
    return next((part[1] for part in answer if isinstance(part, tuple)), None)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", "@") if parts.password else url
