"""Raw messages from a folder of .eml files, an mbox file, a Maildir or an IMAP mailbox."""

from __future__ import annotations

import mailbox
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imap_tools import AND, NOT, BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError

from erp_core.errors import BadSetting, NotFound

TAKEN = "$Countersign"  # a keyword on the server: survives restarts and a change of UIDVALIDITY
IDLE_SECONDS = 60
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


def from_imap(url: str, password: str | None, *, once: bool, taken: Callable[[Raw], object]) -> None:
    """Hand every new message of an IMAP folder to `taken`; then wait for more unless `once`.

    A message is marked on the server only after `taken` returned, so a crash in between fetches it again, and recording takes
    each Message-ID once. A lost connection is made anew with growing pauses.
    """
    pause = 1.0
    while True:
        try:
            with _connect(url, password) as box:
                pause = 1.0
                _take_new(box, taken)
                while not once:
                    box.idle.wait(timeout=IDLE_SECONDS)
                    _take_new(box, taken)
                return
        except (OSError, ImapToolsError) as error:
            if once:
                raise BadSetting(f"The mailbox {_shown(url)} cannot be read: {error}") from error
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_WAIT)


def _connect(url: str, password: str | None) -> BaseMailBox:
    parts = urlsplit(url)
    if parts.scheme not in ("imap", "imaps") or not parts.hostname or not parts.username:
        raise BadSetting(f"'{_shown(url)}' is no mailbox; write imap://user@host/FOLDER.")
    if password is None:
        raise BadSetting("Set COUNTERSIGN_IMAP_PASSWORD for the mailbox.")
    secure = parts.scheme == "imaps" or parts.port in (None, 993)
    kind = MailBox if secure else MailBoxUnencrypted
    folder = unquote(parts.path.lstrip("/")) or "INBOX"
    return kind(parts.hostname, parts.port or 993).login(unquote(parts.username), password, initial_folder=folder)


def _take_new(box: BaseMailBox, taken: Callable[[Raw], object]) -> None:
    for uid in box.uids(NOT(AND(keyword=TAKEN))):
        for message in box.fetch(AND(uid=uid), mark_seen=False):
            taken(Raw(f"imap:{uid}", message.obj.as_bytes()))
        box.flag(uid, TAKEN, True)


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", "@") if parts.password else url
