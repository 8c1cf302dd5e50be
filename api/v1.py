"""The HTTP interface: the same cases, previews and decisions as the console, described by /openapi.json."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query
from pydantic import BaseModel, Field

from api.access import Me, Work
from api.views import case_json, proposal_json, row_json
from erp_core.actions import Verdict as OrderVerdict
from erp_core.actions import desk as decisions
from erp_core.actions import requests
from erp_core.actions.desk import Said
from erp_core.commands import AmendOrder, CancelOrder, Command, PlaceOrder, RequestChange
from erp_core.errors import Problem, RuleViolation
from erp_core.queries import desk, policies, sales
from erp_core.queries.desk import Filter
from erp_core.rules import changes
from erp_core.values import Verdict

router = APIRouter(prefix="/api/v1", tags=["Countersign"])
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=8, max_length=200)]


class DecisionIn(BaseModel):
    """What you say to a proposal. `digest` is the one of the preview you saw; an approval needs it."""

    verdict: Verdict
    reason: str = Field("", max_length=1000)
    digest: str | None = None
    commands: list[dict[str, Any]] | None = Field(None, description="The amended commands, for the verdict `amend`")
    root_cause: str | None = Field(
        None, description="Why the case arose, from the policy's list; else what is usual for its kind"
    )
    until: datetime | None = Field(None, description="For the verdict `snooze`")


class DecisionOut(BaseModel):
    """What became of the decision."""

    outcome: str
    text: str
    detail: dict[str, Any]
    decision: int | None


@router.get("/queues")
def queues(session: Work, me: Me) -> list[dict[str, Any]]:
    """Open, late and signable cases of each queue."""
    return [q.__dict__ for q in desk.queue_counts(session, me.now)]


@router.get("/cases")
def cases(
    session: Work,
    me: Me,
    queue: str | None = None,
    q: Annotated[str, Query(description="Words of title, customer, order or sender")] = "",
    closed: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[dict[str, Any]]:
    """Cases by priority and due time."""
    wanted = Filter(queue=queue, words=q, closed=closed)
    return [row_json(row, me.now) for row in desk.case_rows(session, wanted, me.now, limit, offset)]


@router.get("/cases/{number}")
def case(number: int, session: Work, me: Me) -> dict[str, Any]:
    """Everything on one case: mail, findings, proposal with preview, decisions, journal."""
    return case_json(session, desk.case_file(session, number), me.now)


@router.get("/proposals/{number}")
def proposal(number: int, session: Work, me: Me) -> dict[str, Any]:
    """A proposal with what signing would do now."""
    return proposal_json(session, desk.proposal(session, number), me.now)


@router.post("/proposals/{number}/decisions")
def decide(number: int, said: DecisionIn, session: Work, me: Me, idempotency_key: Key) -> DecisionOut:
    """Approve, amend, reject, instruct, escalate or snooze. Refused and stale are outcomes with status 200, and recorded."""
    result = decisions.decide(
        session, number, Said(**said.model_dump()), actor=me.person.email, now=me.now, key=idempotency_key
    )
    return DecisionOut(outcome=result.outcome, text=result.text, detail=result.detail, decision=result.decision)


@router.post("/orders", status_code=201)
def place_order(command: PlaceOrder, session: Work, me: Me, idempotency_key: Key) -> dict[str, Any]:
    """Enter an order; its problems become holds and cases. The same key and body give the first answer again."""
    return _run(session, me, command, idempotency_key)


class OrdersIn(BaseModel):
    """Many orders at once: the same rules and verdicts as one by one."""

    orders: Annotated[list[PlaceOrder], Field(min_length=1, max_length=1000)]


@router.post("/orders/bulk")
def place_orders(body: OrdersIn, session: Work, me: Me, idempotency_key: Key) -> list[dict[str, Any]]:
    """Enter orders in turn. One that cannot be entered leaves the others alone and says why; order n has the key `<key>:n`."""
    verdicts = requests.act_orders(
        session, body.orders, key=f"api:{me.person.email}:{idempotency_key}", actor=me.person.email, now=me.now
    )
    return [_verdict(v) for v in verdicts]


def _verdict(verdict: OrderVerdict) -> dict[str, Any]:
    change = verdict.placed.change
    problems = [{"code": p.code, "text": p.text, "facts": p.facts} for p in verdict.problems]
    return {
        "subject": change.subject if change else None,
        "after": change.after if change else None,
        "problems": problems,
    }


class RequestIn(BaseModel):
    """What you ask for, when policy wants more than one person to sign it."""

    commands: Annotated[list[Command], Field(min_length=1, max_length=3)]
    reason: Annotated[str, Field(min_length=3, max_length=2000)]


@router.post("/proposals", status_code=201)
def propose(body: RequestIn, session: Work, me: Me, idempotency_key: Key) -> dict[str, Any]:
    """Ask for a change that needs a second person; it waits for signatures on a case of its own."""
    key = f"{me.person.email}:{idempotency_key}"
    made = requests.propose(session, body.commands, key=key, reason=body.reason, actor=me.person.email, now=me.now)
    return proposal_json(session, made, me.now)


@router.post("/orders/{number}/changes")
def change_order(
    number: str,
    change: Annotated[AmendOrder | CancelOrder, Body(discriminator="type")],
    session: Work,
    me: Me,
    idempotency_key: Key,
) -> dict[str, Any]:
    """Change an order, or ask whoever has the goods when it is too late for that. `outcome` says which, changed or asked; `cost` what it costs us."""
    if change.order != number:
        raise RuleViolation([Problem("other_order", f"The change is for {change.order}, the address for {number}.")])
    found = sales.order(session, number)
    late = changes.too_late(number, found.status, picked=found.picked_at is not None)
    asked = late is not None and late.queue is not None
    command = RequestChange(change=change) if asked else change
    done = _run(session, me, command, idempotency_key)
    return {"outcome": "asked" if asked else "changed", "cost": (done["after"] or {}).get("cost", "0"), **done}


@router.post("/commands", status_code=201)
def run_command(
    command: Annotated[Command, Body(discriminator="type")],
    session: Work,
    me: Me,
    idempotency_key: Key,
) -> dict[str, Any]:
    """Run one command under your own authority."""
    return _run(session, me, command, idempotency_key)


def _run(session: Work, me: Me, command: Command, key: str) -> dict[str, Any]:
    result = requests.act(session, command, key=f"api:{me.person.email}:{key}", actor=me.person.email, now=me.now)
    return {"subject": result.change.subject, "tag": result.change.tag, "after": result.change.after}


@router.get("/orders/{number}")
def order(number: str, session: Work, me: Me) -> dict[str, Any]:
    """An order with lines and holds."""
    found = sales.order(session, number)
    head = {
        "number": found.number,
        "customer": found.customer,
        "customer_po": found.customer_po,
        "version": found.version,
    }
    return {**head, **sales.snapshot(session, number)}


@router.get("/journal")
def journal(
    session: Work,
    me: Me,
    case: int | None = None,
    subject: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[dict[str, Any]]:
    """Who did what, when, under which policy; newest first."""
    return [
        {
            "id": e.id,
            "at": e.at,
            "actor": e.actor,
            "tag": e.tag,
            "key": e.key,
            "subject": e.subject,
            "case": e.case_id,
            "command": e.command,
            "before": e.before,
            "after": e.after,
            "facts": e.facts,
        }
        for e in desk.journal(session, case, subject, limit)
    ]


@router.get("/policy")
def active_policy(session: Work, me: Me) -> dict[str, Any]:
    """The policy in force, with its hash."""
    return policies.active(session).model_dump(mode="json")
