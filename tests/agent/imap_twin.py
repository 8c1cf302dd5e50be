"""A small IMAP server for tests: one folder, IDLE, keywords, and the faults of real ones: it hangs up, it renumbers."""

from __future__ import annotations

import re
import socketserver
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Stored:
    uid: int
    raw: bytes
    flags: set[str] = field(default_factory=set)


class ImapTwin(socketserver.ThreadingTCPServer):
    """Listens on a free port of this machine."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *, idle: bool = True, keeps_keywords: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.idle, self.keeps_keywords = idle, keeps_keywords
        self.messages: list[Stored] = []
        self.validity, self.next_uid = 1, 1
        self.hang_up_after: int | None = None  # fetches
        self.connections = 0
        self.changed = threading.Condition()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __exit__(self, *reason: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"imap://orders@127.0.0.1:{self.server_address[1]}/INBOX"

    def put(self, raw: bytes) -> None:
        with self.changed:
            self.messages.append(Stored(self.next_uid, raw))
            self.next_uid += 1
            self.changed.notify_all()

    def renumber(self) -> None:
        """What a restored server does: another UIDVALIDITY, other numbers, the same messages and keywords."""
        with self.changed:
            self.validity += 1
            for message in self.messages:
                message.uid += 1000
            self.next_uid += 1000


class _Conversation(socketserver.StreamRequestHandler):
    server: ImapTwin

    def handle(self) -> None:
        self.server.connections += 1
        self._say(f"* OK [CAPABILITY {self._capabilities()}] ready")
        while line := self.rfile.readline():
            tag, _, rest = line.decode().strip().partition(" ")
            word, _, arguments = rest.partition(" ")
            if not getattr(self, f"do_{word.lower()}", self._unknown)(tag, arguments):
                return

    def _capabilities(self) -> str:
        return "IMAP4rev1 IDLE" if self.server.idle else "IMAP4rev1"

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def _unknown(self, tag: str, _arguments: str) -> bool:
        self._say(f"{tag} BAD unknown")
        return True

    def do_capability(self, tag: str, _arguments: str) -> bool:
        self._say(f"* CAPABILITY {self._capabilities()}\r\n{tag} OK done")
        return True

    def do_login(self, tag: str, arguments: str) -> bool:
        self._say(f"{tag} OK done" if "right" in arguments else f"{tag} NO [AUTHENTICATIONFAILED] wrong password")
        return True

    def do_select(self, tag: str, _arguments: str) -> bool:
        self._say(f"* {len(self.server.messages)} EXISTS\r\n* OK [UIDVALIDITY {self.server.validity}]\r\n{tag} OK done")
        return True

    def do_noop(self, tag: str, _arguments: str) -> bool:
        self._say(f"{tag} OK done")
        return True

    def do_close(self, tag: str, _arguments: str) -> bool:
        return self.do_noop(tag, _arguments)

    def do_logout(self, tag: str, _arguments: str) -> bool:
        self._say(f"* BYE\r\n{tag} OK done")
        return False

    def do_uid(self, tag: str, arguments: str) -> bool:
        word, _, rest = arguments.partition(" ")
        if word.upper() == "SEARCH":
            assert "NOT" in rest
            assert "KEYWORD $Countersign" in rest
            found = [str(m.uid) for m in self.server.messages if "$Countersign" not in m.flags]
            self._say(f"* SEARCH {' '.join(found)}\r\n{tag} OK done")
            return True
        uid = int(rest.split()[0])
        message = next((m for m in self.server.messages if m.uid == uid), None)
        if word.upper() == "FETCH":
            return self._fetch(tag, message)
        if message is not None and self.server.keeps_keywords:
            message.flags |= set(re.findall(r"[\\$]\w+", rest))
        self._say(f"{tag} OK done")
        return True

    def _fetch(self, tag: str, message: Stored | None) -> bool:
        if self.server.hang_up_after is not None:
            self.server.hang_up_after -= 1
            if self.server.hang_up_after < 0:
                self.server.hang_up_after = None
                return False
        if message is not None:
            self._say(f"* 1 FETCH (UID {message.uid} BODY[] {{{len(message.raw)}}}")
            self.wfile.write(message.raw + b")\r\n")
        self._say(f"{tag} OK done")
        return True

    def do_idle(self, tag: str, _arguments: str) -> bool:
        count = len(self.server.messages)
        self._say("+ idling")
        self.connection.settimeout(0.02)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if len(self.server.messages) != count:
                count = len(self.server.messages)
                self._say(f"* {count} EXISTS")
            try:
                if self.connection.recv(100).upper().startswith(b"DONE"):
                    break
            except TimeoutError:
                continue
        self.connection.settimeout(None)
        self._say(f"{tag} OK done")
        return True
