"""People and what they may do: users, delegation, and the switch that stops the agent."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from erp_core.commands.base import Amount, Code, Strict

Email = Annotated[str, Field(pattern=r"^[^@\s,;]+@[^@\s,;]+$", max_length=254)]
Role = Annotated[str, Field(pattern=r"^[a-z_]{2,40}$")]
Why = Annotated[str, Field(min_length=3, max_length=500)]


class SaveUser(Strict):
    """Add a colleague, or change roles, limit, firms (`*`: all of them) or whether the account may be used."""

    type: Literal["save_user"] = "save_user"
    email: Email
    name: Annotated[str, Field(min_length=1, max_length=200)]
    roles: Annotated[list[Role], Field(max_length=20)]
    approval_limit: Amount
    entities: Annotated[list[Code], Field(min_length=1, max_length=100)] = ["*"]
    active: bool = True


class DelegateAuthority(Strict):
    """Lend some of one's own roles to a colleague, up to a limit and until a moment."""

    type: Literal["delegate_authority"] = "delegate_authority"
    to: Email
    roles: Annotated[list[Role], Field(min_length=1, max_length=20)]
    approval_limit: Amount | None = None
    starts_at: datetime | None = None
    ends_at: datetime
    reason: Why


class EndDelegation(Strict):
    """Take lent authority back."""

    type: Literal["end_delegation"] = "end_delegation"
    delegation: int


class StopAgent(Strict):
    """Stop the agent's filing, for one firm or (`*`) altogether. Queues, due times and people's work go on."""

    type: Literal["stop_agent"] = "stop_agent"
    entity: Code = "*"
    reason: Why


class ResumeAgent(Strict):
    """Let the agent file again."""

    type: Literal["resume_agent"] = "resume_agent"
    entity: Code = "*"
    reason: Why
