"""Whoever waits for news of a chat hears it at once: one connection a process listens, and tells those that wait."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import defaultdict

from erp_core import db
from erp_core.values import CHAT_STEPS

RETRY_SECONDS = 2.0


class Ears:
    """Queues by chat. The thread that listens is started with the first that waits."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[tuple[asyncio.AbstractEventLoop, asyncio.Queue[str]]]] = defaultdict(set)
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def wait_for(self, chat: int) -> asyncio.Queue[str]:
        """A queue that gets `said`, or the step that is being done."""
        own: asyncio.Queue[str] = asyncio.Queue()
        with self._guard:
            self._waiting[chat].add((asyncio.get_running_loop(), own))
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="ears", daemon=True)
                self._thread.start()
        return own

    def leave(self, chat: int, own: asyncio.Queue[str]) -> None:
        """Nobody waits there any more."""
        with self._guard:
            self._waiting[chat] = {pair for pair in self._waiting[chat] if pair[1] is not own}
            if not self._waiting[chat]:
                del self._waiting[chat]

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with db.hearing(db.API, "chat_said") as heard:
                    while not self._stop.is_set():
                        for told in heard(1.0):
                            self._tell(told)
            except Exception as error:  # the database restarts; who waits looks for itself meanwhile
                print(f"Chats are not heard of: {type(error).__name__}", file=sys.stderr, flush=True)
                self._stop.wait(RETRY_SECONDS)

    def _tell(self, told: str) -> None:
        """Only what is of the closed set is passed on: any role may notify."""
        chat, _, step = told.partition(":")
        if not chat.isdigit() or step not in ("said", *CHAT_STEPS):
            return
        with self._guard:
            waiting = list(self._waiting.get(int(chat), ()))
        for loop, own in waiting:
            loop.call_soon_threadsafe(own.put_nowait, step)
