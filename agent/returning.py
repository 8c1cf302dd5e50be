"""Why goods come back, as the model in use reads it from the mail's own words; silent when there is none or it is not sure."""

from __future__ import annotations

from functools import lru_cache

from ml import store
from ml.return_reason import Reasons
from tools import world


@lru_cache(maxsize=4)
def _reasons(sha256: str) -> Reasons:
    return Reasons(store.read(sha256))


def reason_of(words: str) -> tuple[str, int] | None:
    """(reason, model version), or None."""
    used = world.model_in_use("return_reason")
    if used is None:
        return None
    number, sha256 = used
    try:
        said = _reasons(sha256).say(words)
    except store.Tampered:
        return None  # the scorer tells the operator; the mail is worked on
    return (said[0], number) if said else None
