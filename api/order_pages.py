"""One order, and how a colleague asks for a change of it: what comes of that is a proposal like any other, looked at and signed by whoever may."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError

from api.access import Caller, Me, Work, check_form
from api.console import Fields, asked, page, refused
from api.order_entry import UNITS
from api.risk import risks
from erp_core.commands import AmendOrder, CancelOrder, Command, SendMessage
from erp_core.db import Session
from erp_core.errors import CountersignError
from erp_core.queries import catalog, desk, models, policies, sales
from erp_core.queries.order_page import order_page
from erp_core.rules import desk as rules
from erp_core.rules.desk import Subject
from erp_core.tables.sales import SalesOrder
from erp_core.values import CHANGEABLE_ORDER_STATUSES, plain
from prompts import replies

router = APIRouter(include_in_schema=False)
CHANGES = ("amend_order", "cancel_order")


@router.get("/orders/{number}")
def order(number: str, session: Work, me: Me) -> HTMLResponse:
    """One order: how far it is, holds and who may release them, lines with their stock, shipments, invoices, returns, journal."""
    return _page(session, me, number)


@router.post("/orders/{number}/change")
def change(number: str, session: Work, me: Me, fields: Fields) -> Response:
    """Ask for other quantities, goods or a day, or for the end of the order; its case shows what that would do and who signs."""
    check_form(me, fields.get("token", ""))
    found, why = sales.order(session, number), fields.get("reason", "").strip()[:1000]
    try:
        command = _command(found, fields, why)
        letter = _letter(session, found, command) if fields.get("tell") else None
        return asked(session, me, [command, *([letter] if letter else [])], why, fields.get("key", ""))
    except (ValidationError, CountersignError) as error:
        return _page(session, me, number, refused(session, me, f"ask for a change of {number}", error), fields)


def _command(order: SalesOrder, fields: Mapping[str, str], why: str) -> Command:
    """What the form says that is not so already. Raises ValidationError when that is nothing."""
    if fields.get("what") == "cancel":
        return CancelOrder(order=order.number, reason=why)
    changes: list[dict[str, Any]] = [
        {"line": line.line, "quantity": said}
        for line in order.lines
        if (said := fields.get(f"line.{line.line}", "").strip()) and not _says(said, line.quantity_ordered)
    ]
    if sku := fields.get("new.sku", "").strip().upper():
        changes.append({"sku": sku, "quantity": fields.get("new.quantity", ""), "uom": fields.get("new.uom") or None})
    day = fields.get("requested_date", "").strip()
    other = day if day and day != (order.requested_date.isoformat() if order.requested_date else "") else None
    return AmendOrder.model_validate({"order": order.number, "changes": changes, "requested_date": other})


def _says(text: str, quantity: Decimal) -> bool:
    try:
        return Decimal(text) == quantity
    except InvalidOperation:
        return False  # the command says what is wrong with it


def _letter(session: Session, order: SalesOrder, command: Command) -> SendMessage | None:
    """What tells the customer, to the first contact; the day is filled in by the core. None when there is no contact."""
    contact = desk.first_contact(session, order.customer)
    if contact is None:
        return None
    lines = _told(session, order, command) if isinstance(command, AmendOrder) else []
    text = replies.reply(
        "change_order" if isinstance(command, AmendOrder) else "cancel_order",
        "en",
        to=replies.first_name(contact.name),
        signature=policies.active(session).proposals.signature("en"),
        reference=f" {order.customer_po or order.number}",
        facts="\n".join(f"- {line}" for line in lines),
    )
    return SendMessage(to=contact.email, subject=f"Your order {order.customer_po or order.number}", body=text)


def _told(session: Session, order: SalesOrder, command: AmendOrder) -> list[str]:
    lines = {x.line: x for x in order.lines}
    skus = {c.sku for c in command.changes if c.sku} | {x.sku for x in order.lines}
    names = {sku: item.name for sku, item in catalog.items(session, skus).items()}
    told = []
    for c in command.changes:
        line = lines.get(c.line or 0)
        sku = c.sku or (line.sku if line else "")
        said = {"quantity": plain(c.quantity or Decimal(0)), "uom": c.uom or (line.uom if line else ""), "sku": sku}
        kind = "removed" if c.quantity == 0 else "line"
        told.append(replies.phrase(kind, "en", **said, name=names.get(sku, "")))
    return [*told, replies.phrase("delivery", "en", day=f"{{promised_date:{order.number}:en}}")]


def _page(
    session: Session, me: Caller, number: str, wrong: str = "", typed: Mapping[str, str] | None = None
) -> HTMLResponse:
    policy = policies.active(session, me.now)
    shown = order_page(session, number, policy, me.now)
    open_still = shown.order.status in CHANGEABLE_ORDER_STATUSES
    may = [n for n in CHANGES if open_still and rules.authority(policy, me.person, Subject(n)).allowed]
    return page(
        "order.html", me, session, 422 if wrong else 200, page=shown, current="", may=may, wrong=wrong, typed=typed or {}, units=UNITS, key=uuid.uuid4().hex,
        journal=desk.journal(session, subject_name=f"sales_order:{number}"), people=desk.names(session),
        cases=desk.other_open_cases(session, None, number, 0), risks=risks(models.said_of(session, f"sales_order:{number}")),
    )  # fmt: skip
