"""Whoever waits for news hears it at once: one connection a process listens, and tells those that wait.

News of a chat come as they are said. News of the desk come when the journal is sealed, some tenths of a second after they happened: no writer pays for it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import defaultdict

from erp_core import db
from erp_core.queries import proof
from erp_core.values import CHAT_STEPS

RETRY_SECONDS = 2.0
SAID, SEALED = "chat_said", "journal"  # channels
DESK = "desk"  # who waits for news of any case


class Ears:
    """Queues by what is waited for: `chat:7`, `case:12`, `desk`. The thread that listens is started with the first that waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Queue[str]]]] = defaultdict(set)
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._position = 0

    def wait_for(self, topic: str) -> asyncio.Queue[str]:
        """A queue that gets a word of each piece of news: `said` or the step of a chat, `changed` of a case or the desk."""
        own: asyncio.Queue[str] = asyncio.Queue()
        with self._guard:
            self._waiting[topic].add((asyncio.get_running_loop(), own))
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="ears", daemon=True)
                self._thread.start()
        return own

    def leave(self, topic: str, own: asyncio.Queue[str]) -> None:
        """Nobody waits there any more."""
        with self._guard:
            self._waiting[topic] = {pair for pair in self._waiting[topic] if pair[1] is not own}
            if not self._waiting[topic]:
                del self._waiting[topic]

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with db.hearing(db.API, SAID, SEALED) as heard:
                    self._sealed(quietly=not self._position)
                    while not self._stop.is_set():
                        told = heard(1.0)
                        for channel, word in told:
                            if channel == SAID:
                                self._said(word)
                        if any(channel == SEALED for channel, _ in told):
                            self._sealed()
            except Exception as error:  # the database restarts; who waits looks for itself meanwhile
                print(f"News are not heard: {type(error).__name__}", file=sys.stderr, flush=True)
                self._stop.wait(RETRY_SECONDS)

    def _said(self, told: str) -> None:
        """Only what is of the closed set is passed on: any role may notify."""
        chat, _, step = told.partition(":")
        if chat.isdigit() and step in ("said", *CHAT_STEPS):
            self._tell(f"chat:{chat}", step)

    def _sealed(self, *, quietly: bool = False) -> None:
        """Which cases the entries since the last look are about."""
        with db.reading(db.API) as session:
            self._position, cases = proof.cases_since(session, self._position if not quietly else None)
        if cases:
            self._tell(DESK, "changed")
        for case in cases:
            self._tell(f"case:{case}", "changed")

    def _tell(self, topic: str, word: str) -> None:
        with self._guard:
            waiting = list(self._waiting.get(topic, ()))
        for loop, own in waiting:
            loop.call_soon_threadsafe(own.put_nowait, word)
