"""Two kinds of tools and no third: a query reads in a read-only transaction, a proposal only builds commands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Concatenate, Literal, ParamSpec, TypeVar

from erp_core import clock, db
from erp_core.db import Session

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Tool:
    """A registered tool."""

    name: str
    kind: Literal["query", "proposal"]
    description: str


TOOLS: dict[str, Tool] = {}


_shared: ContextVar[Session | None] = ContextVar("shared", default=None)


@contextmanager
def together(firms: Sequence[str] = db.EVERY_FIRM) -> Iterator[None]:
    """Queries inside share one picture, and need fewer round trips; of some firms only, if so said.

    Inside another one, that one goes on when it is of the same firms.
    """
    if (shared := _shared.get()) is not None and tuple(firms) == shared.info[db.FIRMS]:
        yield
        return
    with db.picture(db.AGENT, firms) as session:
        if shared is not None:
            clock.same_moment(session, shared)
        token = _shared.set(session)
        try:
            yield
        finally:
            _shared.reset(token)


def query(function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Register a function as a query tool: it gets a read-only session of the agent's role, and nothing else."""
    TOOLS[function.__name__] = Tool(function.__name__, "query", function.__doc__ or "")

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        shared = _shared.get()
        if shared is not None:
            return function(shared, *args, **kwargs)
        with db.reading(db.AGENT) as session:
            return function(session, *args, **kwargs)

    return run


def proposal(function: Callable[P, R]) -> Callable[P, R]:
    """Register a function as a proposal tool: values in, commands out; it is given no session at all."""
    TOOLS[function.__name__] = Tool(function.__name__, "proposal", function.__doc__ or "")
    return function
