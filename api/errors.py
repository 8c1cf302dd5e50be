"""The one table from the core's errors to HTTP."""

from __future__ import annotations

from typing import Any

from erp_core import errors
from erp_core.errors import CountersignError, RuleViolation

STATUS: dict[type[CountersignError], int] = {
    errors.NotFound: 404,
    errors.IllegalTransition: 409,
    errors.RuleViolation: 422,
    errors.NotAuthorised: 403,
    errors.KeyReused: 422,
    errors.Conflict: 409,
    errors.LimitReached: 429,
}


def status_of(error: CountersignError) -> int:
    """The HTTP status of an error; 400 for those without their own."""
    return STATUS.get(type(error), 400)


def body_of(error: CountersignError) -> dict[str, Any]:
    """What an API client is told."""
    body: dict[str, Any] = {"error": type(error).__name__, "text": str(error)}
    if isinstance(error, RuleViolation):
        body["problems"] = [{"code": p.code, "text": p.text, "facts": p.facts} for p in error.problems]
    return body
