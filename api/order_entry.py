"""Orders by people: a page for colleagues and one for customers. The same command and the same rules as every other order; problems show while typing."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from api.access import Me, Work, check_form
from api.chat import mine
from api.console import TEMPLATES, Fields, first_line, fragment, page, refused
from erp_core.actions import portal as portals
from erp_core.actions import requests
from erp_core.commands import PlaceOrder
from erp_core.db import Session
from erp_core.errors import CountersignError
from erp_core.queries import catalog, documents, supply
from erp_core.queries import entry as choices
from erp_core.tables.catalog import Item
from erp_core.tables.chat import Chat
from erp_core.tables.parties import Customer
from erp_core.values import OrderStatus

router = APIRouter(include_in_schema=False)
ROWS, MOST_ROWS = 10, 100
UNITS = ("EA", "BX", "CS")


def command_of(session: Session, fields: Mapping[str, str], customer: str, channel: str) -> PlaceOrder:
    """The command that a form says; items by number, or by words of their names. Raises ValidationError, and RuleViolation when the words fit several."""
    numbers = sorted({int(m[1]) for name in fields if (m := re.fullmatch(r"line\.(\d{1,3})\.sku", name))})
    lines = [
        {
            name: text
            for name in ("sku", "quantity", "uom", "unit_price")
            if (text := fields.get(f"line.{n}.{name}", "").strip())
        }
        for n in numbers[:MOST_ROWS]
        if fields.get(f"line.{n}.sku", "").strip()
    ]
    for line in lines:
        line["sku"] = choices.code_of(session, Item, line["sku"])
    said = {
        name: fields.get(name, "").strip() or None for name in ("customer_po", "requested_date", "ship_to", "warehouse")
    }
    return PlaceOrder.model_validate({"customer": customer, "channel": channel, **said, "lines": lines})


def _rows(fields: Mapping[str, str]) -> list[dict[str, str]]:
    """What stands in the form's lines, with room for more."""
    count = max(
        [
            ROWS,
            *(
                int(m[1]) + 2
                for name in fields
                if (m := re.fullmatch(r"line\.(\d{1,3})\.sku", name)) and fields[name].strip()
            ),
        ]
    )
    return [
        {name: fields.get(f"line.{n}.{name}", "") for name in ("sku", "quantity", "uom", "unit_price")}
        for n in range(min(count, MOST_ROWS))
    ]


@router.get("/order-entry")
def entry(session: Work, me: Me, customer: str = "") -> HTMLResponse:
    """An empty order, for a customer if one is named."""
    return _entry(session, me, {"customer": customer})


def _entry(session: Session, me: Me, fields: Mapping[str, str], wrong: str = "") -> HTMLResponse:
    code = fields.get("customer", "").strip().upper()
    return page(
        "order_entry.html", me, session, status=422 if wrong else 200, fields=fields, rows=_rows(fields), units=UNITS, wrong=wrong,
        customers=choices.customers(session), goods=choices.goods(session, code), key=fields.get("key") or uuid.uuid4().hex,
        prices=True, current="Order entry", warehouses=choices.warehouses(session),
    )  # fmt: skip


@router.post("/order-entry/trial")
def try_out(session: Work, me: Me, fields: Fields) -> HTMLResponse:
    """What the order would come to, and what would hold it: the core runs it and takes it back."""
    check_form(me, fields.get("token", ""))
    if not fields.get("customer", "").strip() or not any(
        name.endswith(".sku") and text.strip() for name, text in fields.items()
    ):
        return fragment("order_trial.html", tried=None, wrong="")
    try:
        customer = choices.code_of(session, Customer, fields["customer"])
        tried = requests.try_out(session, command_of(session, fields, customer, "sales_rep"), now=me.now)
    except (CountersignError, ValidationError) as error:
        return fragment("order_trial.html", tried=None, wrong=_readable(error))
    called = session.get_one(Customer, customer).name
    names = _names(session, tried)
    return fragment("order_trial.html", tried=tried, wrong="", plain=False, called=f"{called}, {customer}", names=names)


@router.post("/order-entry")
def enter(session: Work, me: Me, fields: Fields) -> Response:
    """Enter the order, under the colleague's own authority. The same form sent twice enters it once."""
    check_form(me, fields.get("token", ""))
    try:
        customer = choices.code_of(session, Customer, fields.get("customer", ""))
        command = command_of(session, fields, customer, "sales_rep")
        with session.begin_nested():
            key = f"console:order:{fields.get('key', '')[:64]}"
            result = requests.act(session, command, key=key, actor=me.person.email, now=me.now)
    except ValidationError as error:
        return _entry(session, me, fields, _readable(error))
    except CountersignError as error:
        return _entry(session, me, fields, refused(session, me, "enter an order", error))
    return RedirectResponse(f"/orders/{result.change.subject.split(':')[1]}", status_code=303)


def _names(session: Session, tried: requests.Tried) -> dict[str, str]:
    """What the items of a tried order are called."""
    found = catalog.items(session, {line["sku"] for line in tried.after["lines"].values()})
    return {sku: item.name for sku, item in found.items()}


def _readable(error: Exception) -> str:
    """What is wrong with a form, in its own words: line and field."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = [
            f"line {part + 1}" if isinstance(part, int) else str(part).replace("_", " ")
            for part in first["loc"]
            if part != "lines"
        ]
        return (
            f"{', '.join(place).capitalize() or 'The order'}: {first['msg'].lower()}."
            if first["loc"] != ("lines",)
            else "An order has at least one line."
        )
    return first_line(error)


# the customer's pages: who is identified for the chat is identified here


def _portal(session: Session, chat: Chat, fields: Mapping[str, str], wrong: str = "", done: str = "") -> HTMLResponse:
    code = str(chat.customer)
    names = supply.entities(session)
    shown = TEMPLATES.get_template("portal.html").render(
        chat=chat, fields=fields, rows=_rows(fields), units=UNITS, wrong=wrong, done=done, prices=False, customers=[], warehouses=[],
        goods=choices.goods(session, code), firm=" and ".join(names.values()), key=fields.get("key") or uuid.uuid4().hex,
        orders=documents.order_rows(session, code), invoices=documents.invoices(session, code), returns=documents.returns(session, code),
        stage=_stage, token=portals.form_token(chat),
    )  # fmt: skip
    return HTMLResponse(shown, status_code=422 if wrong else 200)


def _stage(status: str, holds: Sequence[str]) -> str:
    """An order's state as its customer may be told."""
    if holds and status in ("entered", "validated", "allocated"):
        return "being checked before it can leave" if set(holds) != {"stock"} else "waiting for goods"
    told = {OrderStatus.ENTERED: "received", OrderStatus.VALIDATED: "being prepared", OrderStatus.ALLOCATED: "goods set aside", OrderStatus.RELEASED: "in the warehouse"}  # fmt: skip
    return told.get(OrderStatus(status), status)


@router.get("/portal")
def portal(request: Request, session: Work, done: Annotated[str, Query(max_length=40)] = "") -> Response:
    """The customer's own orders, invoices and returns, and an empty order."""
    try:
        chat, _ = mine(request, session)
    except CountersignError:
        return RedirectResponse("/chat?to=portal", status_code=303)
    known = bool(done) and any(row.order.number == done for row in documents.order_rows(session, str(chat.customer)))
    return _portal(session, chat, {}, done=done if known else "")


@router.post("/portal/trial")
def try_portal(request: Request, session: Work, fields: Fields) -> HTMLResponse:
    """What the customer's order would come to, in words for customers."""
    chat, now = mine(request, session)
    if not any(name.endswith(".sku") and text.strip() for name, text in fields.items()):
        return fragment("order_trial.html", tried=None, wrong="")
    try:
        portals.check_form(chat, fields.get("token", ""))
        command = command_of(session, fields, str(chat.customer), "portal")
        portals.allowed(chat, command)
        tried = requests.try_out(session, command, now=now)
    except (CountersignError, ValidationError) as error:
        return fragment("order_trial.html", tried=None, wrong=_readable(error))
    names = _names(session, tried)
    return fragment("order_trial.html", tried=tried, wrong="", plain=True, names=names)


@router.post("/portal")
def order_by_customer(request: Request, session: Work, fields: Fields) -> Response:
    """The customer orders for itself: the same command, the same holds."""
    chat, now = mine(request, session)
    try:
        portals.check_form(chat, fields.get("token", ""))
        command = command_of(session, fields, str(chat.customer), "portal")
        with session.begin_nested():
            result = portals.order(session, chat, command, key=fields.get("key", "")[:64], now=now)
    except (CountersignError, ValidationError) as error:
        return _portal(session, chat, fields, wrong=_readable(error))
    return RedirectResponse(f"/portal?done={result.change.subject.split(':')[1]}", status_code=303)
