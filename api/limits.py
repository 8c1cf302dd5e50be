"""How often somebody may ask: a bucket for each caller, kept by this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from erp_core.errors import LimitReached

MOST_CALLERS = 20_000


class Bucket:
    """So many calls a minute, with a whole minute's calls at once when it was quiet before."""

    def __init__(self, per_minute: int, what: str) -> None:
        self.per_minute, self.what = per_minute, what
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str) -> None:
        """Count one call. Raises LimitReached when the caller has had enough."""
        now = time.monotonic()
        with self._lock:
            left, at = self._left.pop(caller, (float(self.per_minute), now))
            left = min(self.per_minute, left + (now - at) * self.per_minute / 60)
            self._left[caller] = (max(left - 1, 0), now)
            while len(self._left) > MOST_CALLERS:
                self._left.popitem(last=False)
        if left < 1:
            raise LimitReached(f"Too many {self.what}; wait a little. The limit is {self.per_minute} a minute.")
