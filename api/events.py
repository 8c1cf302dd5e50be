"""What other systems report: warehouses, carriers, suppliers, finance. Each event once, in any order; what cannot be applied becomes a case."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from api.access import Me, Work
from erp_core import db
from erp_core.actions import execute, requests
from erp_core.commands import (
    AcknowledgePurchase,
    ConfirmDelivery,
    ConfirmPack,
    ConfirmPick,
    ConfirmShipment,
    OpenCase,
    PutAway,
    ReceiveGoods,
    ReceiveTransfer,
    RecordBill,
    ReportCount,
    ReportCredit,
    ReportDelay,
    ReturnToShelf,
    ShipTransfer,
)
from erp_core.errors import IllegalTransition, NotFound, RuleViolation
from erp_core.values import Priority, Queue

router = APIRouter(prefix="/api/v1/events", tags=["Events"])

Event = Annotated[
    ConfirmPick
    | ConfirmPack
    | ReturnToShelf
    | ConfirmShipment
    | ConfirmDelivery
    | ReportDelay
    | ReportCount
    | ReportCredit
    | ReceiveGoods
    | PutAway
    | ShipTransfer
    | ReceiveTransfer
    | AcknowledgePurchase
    | RecordBill,
    Field(discriminator="type"),
]


# who looks at an event that cannot be applied
QUEUES = {
    "receive_goods": Queue.RECEIVING,
    "put_away": Queue.RECEIVING,
    "acknowledge_purchase": Queue.PURCHASING,
    "record_bill": Queue.ACCOUNTS_PAYABLE,
    "report_credit": Queue.CREDIT,
}


class EventIn(BaseModel):
    """An event with the sender's own number for it: the same number and content give the first answer again."""

    id: Annotated[str, Field(min_length=1, max_length=120)]
    event: Event


@router.post("/{source}")
def receive(
    source: Annotated[str, Path(pattern=r"^[a-z0-9_-]{1,40}$")], body: EventIn, session: Work, me: Me
) -> dict[str, Any]:
    """Apply an event. `outcome`: applied, waiting (its subject is not there yet) or case (a person must look at it)."""
    key = f"event:{me.person.email}:{source}:{body.id}"
    try:
        with session.begin_nested():
            result = requests.act(session, body.event, key=key, actor=me.person.email, now=me.now)
    except (RuleViolation, NotFound, IllegalTransition, db.Refused) as refusal:
        if db.passing(refusal):
            raise
        session.expire_all()
        return _case(source, body, refusal, session, me)
    outcome = "waiting" if result.change.tag.endswith(":waiting") else "applied"
    return {"outcome": outcome, "subject": result.change.subject, "after": result.change.after}


def _case(source: str, body: EventIn, refusal: Exception, session: Work, me: Me) -> dict[str, Any]:
    """Nothing that is reported gets lost: the event waits for a person with the reason it could not be applied."""
    problems = refusal.problems if isinstance(refusal, RuleViolation) else []
    command = OpenCase(
        kind="integration_failure",
        subject=f"{source}:{body.id}"[:64],
        title=f"{source}: {body.event.type.replace('_', ' ')} was not applied. {refusal}"[:200],
        queue=QUEUES.get(body.event.type, Queue.WAREHOUSE),
        priority=Priority.HIGH,
        details={"problems": [str(refusal)], "event": body.event.model_dump(mode="json")},
    )
    key = f"event:{me.person.email}:{source}:{body.id}:case"
    result = execute(session, command, key=key, actor=me.person.email, now=me.now)
    told = [{"code": p.code, "text": p.text, "facts": p.facts} for p in problems]
    return {"outcome": "case", "subject": result.change.subject, "text": str(refusal), "problems": told}
