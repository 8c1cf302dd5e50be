"""Forms that ask for a change of master data. What comes of one is a proposal like any other: looked at, and signed by whoever may."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ValidationError

from api import amending
from api.access import Caller, Me, Work, check_form
from api.console import Fields, asked, page, refused
from erp_core.commands import masters, purchasing
from erp_core.db import Session
from erp_core.errors import CountersignError, NotFound
from erp_core.queries import policies, quality
from erp_core.rules import desk as rules
from erp_core.rules.desk import Subject

router = APIRouter(include_in_schema=False)
CUSTOMER: tuple[type[BaseModel], ...] = (
    masters.SaveCustomer,
    masters.UpdateContact,
    masters.UpdateShipTo,
    masters.SetTerms,
    masters.SetCreditLimit,
    masters.SetBankAccount,
    masters.SetPrice,
)
ITEM: tuple[type[BaseModel], ...] = (masters.SaveItem, masters.SetUnit, masters.SetPrice, purchasing.SetSource)
OTHER: tuple[type[BaseModel], ...] = (purchasing.SaveSupplier, purchasing.SetTolerance, masters.SetCapacity)
NAMES = {
    "save_customer": "Customer", "update_contact": "Contact", "update_ship_to": "Delivery address", "set_terms": "Payment terms",
    "set_credit_limit": "Credit limit", "set_bank_account": "Bank account", "set_price": "Agreed price", "save_item": "Item", "set_unit": "Unit",
    "set_source": "Source of supply", "save_supplier": "Supplier", "set_tolerance": "Tolerance", "set_capacity": "Warehouse capacity",
}  # fmt: skip
FORMS = {amending.kind_of(form): form for form in (*CUSTOMER, *ITEM, *OTHER)}


def offered(session: Session, me: Caller, forms: tuple[type[BaseModel], ...]) -> list[tuple[str, str]]:
    """The changes that a person may ask for: type and name. An administrator of nothing sees none."""
    policy = policies.active(session, me.now)
    named = [amending.kind_of(form) for form in forms]
    return [(n, NAMES[n]) for n in named if rules.authority(policy, me.person, Subject(n)).allowed]


@router.get("/master-data")
def master_data(session: Work, me: Me) -> HTMLResponse:
    """Each domain with who keeps it, its score and what is wrong; and what may be asked for."""
    domains = quality.domains(session, policies.active(session).stewards)
    changes = list(dict.fromkeys(offered(session, me, (*CUSTOMER, *ITEM, *OTHER))))
    return page("master_data.html", me, session, domains=domains, changes=changes, current="Data quality")


@router.get("/records/{kind}")
def record(kind: str, request: Request, session: Work, me: Me) -> HTMLResponse:
    """The form of one kind of change; what the address names is filled in."""
    return _page(session, me, kind, amending.blank(_form(kind), dict(request.query_params)))


@router.post("/records/{kind}")
def ask(kind: str, session: Work, me: Me, fields: Fields) -> Response:
    """Propose the change; its case shows what it would do and who signs."""
    check_form(me, fields.get("token", ""))
    form, why = _form(kind), fields.get("reason", "").strip()[:1000]
    said = {name.removeprefix("0."): text for name, text in fields.items() if name.startswith("0.") and text.strip()}
    try:
        return asked(session, me, [amending.made(form, fields)], why, fields.get("key", ""))
    except (ValidationError, CountersignError) as error:
        return _page(session, me, kind, amending.blank(form, said), refused(session, me, f"ask for {kind}", error), why)


def _form(kind: str) -> type[BaseModel]:
    if kind not in FORMS:
        raise NotFound(f"There is no form {kind}.")
    return FORMS[kind]


def _page(
    session: Session, me: Caller, kind: str, group: amending.Group, wrong: str = "", why: str = ""
) -> HTMLResponse:
    about: Mapping[str, str] = {
        "about": _form(kind).__doc__ or "",
        "kind": kind,
        "name": NAMES[kind],
        "wrong": wrong,
        "why": why,
    }
    status = 422 if wrong else 200
    return page(
        "record.html", me, session, status=status, group=group, key=uuid.uuid4().hex, current="Data quality", **about
    )
