"""Pages of documents that have no page elsewhere: customer, item, shipment, return; and the search that leads to them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api import plots, record_pages
from api.access import Me, Work, caller
from api.console import fragment, page
from erp_core import db
from erp_core.errors import CountersignError
from erp_core.queries import desk, documents, memory, policies
from erp_core.rules import desk as rules
from erp_core.rules.desk import Subject
from ml import embeddings

router = APIRouter(include_in_schema=False)
MEANT = 8  # cases close in meaning that a search shows
SLIGHTLY = 0.2  # a few words are never much like a whole mail; less than this is not shown


@router.get("/search")
def search(session: Work, me: Me, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """A number of ours opens its page; all else looks in the open cases."""
    found = documents.address_of(session, q) if q.strip() else None
    return RedirectResponse(found or f"/?{urlencode({'q': q.strip()})}", status_code=303)


@router.get("/search/meaning")
def meaning(request: Request, q: Annotated[str, Query(max_length=200)] = "") -> HTMLResponse:
    """Open cases that mean the like. The vector may come from a server, so no transaction is open meanwhile."""
    with db.transaction(db.API, firms=()) as session:
        caller(request, session)
    try:
        embedder = embeddings.current()
        vector = embedder.vectors([q])[0]
    except CountersignError:
        return fragment("meant.html", cases=[])  # no vectors, no hint; the words were looked for all the same
    with db.transaction(db.API, firms=()) as session:
        caller(request, session)
        near = memory.open_like(session, vector, embedder.name, MEANT) if any(vector) else []
        return fragment("meant.html", cases=[c for c in near if c.likeness >= SLIGHTLY])


@router.get("/customers/{code}")
def customer(code: str, session: Work, me: Me) -> HTMLResponse:
    """One customer: exposure, behaviour, orders and holds, invoices, people, wishes, cases."""
    found = documents.customer_page(session, code, me.now)
    subject = Subject("set_credit_limit", found.exposure.total, entity=found.customer.entity)
    return page(
        "customer.html", me, session, found=found, c=found.customer, people=desk.names(session), current="",
        journal=desk.journal(session, subject_name=f"customer:{code}"), today=me.now.date(),
        changes=record_pages.offered(session, me, record_pages.CUSTOMER), may_limit=rules.authority(policies.active(session), me.person, subject).allowed,
    )  # fmt: skip


@router.get("/items/{sku}")
def item(sku: str, session: Work, me: Me) -> HTMLResponse:
    """One item: stock, what could be promised day by day, what is on its way, demand, who waits, what may replace it."""
    found = documents.item_page(session, sku, me.now)
    lines = [(p.level.warehouse, p.free_by_day) for p in found.places]
    return page(
        "item.html", me, session, changes=record_pages.offered(session, me, record_pages.ITEM), found=found, item=found.item, people=desk.names(session), current="",
        journal=desk.journal(session, subject_name=f"item:{sku}"), today=me.now.date(),
        promise=plots.lines("Could be promised, by day", lines, steps=True), demand=plots.bars("Ordered, by week", found.demand),
    )  # fmt: skip


@router.get("/shipments/{number}")
def shipment(number: str, session: Work, me: Me) -> HTMLResponse:
    """One shipment with its goods and invoice."""
    return page(
        "shipment.html", me, session, found=documents.shipment_page(session, number), people=desk.names(session), current="",
        journal=desk.journal(session, subject_name=f"shipment:{number}"),
    )  # fmt: skip


@router.get("/returns/{number}")
def return_order(number: str, session: Work, me: Me) -> HTMLResponse:
    """One return from request to credit."""
    return page(
        "return.html", me, session, found=documents.return_page(session, number), people=desk.names(session), current="",
        journal=desk.journal(session, subject_name=f"return:{number}"),
    )  # fmt: skip
