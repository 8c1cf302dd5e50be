"""Every page: nothing serious for axe, no error in the console, and readable in both themes; the core journeys work without script."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from agent.ingest import triage
from api.clock import Figuring
from erp_core.db import Session
from erp_core.queries import sales
from erp_core.tables.desk import Case
from tests.agent.test_worker import sample
from tests.browser.stage import AXE, NEEDS_BROWSER, Stage
from tests.browser.stage import stage as made

stage = made
pytestmark = NEEDS_BROWSER
SHOTS = os.environ.get("COUNTERSIGN_SHOTS")  # a folder: `make campaign` keeps a picture of every page in both themes
PAGES = [
    "/", "/?queue=credit", "/?closed=1", "/?q=nothing-like-it", "/for-me", "/order-entry?customer=C1017", "/fulfilment", "/purchasing", "/assistant",
    "/figures", "/figures?role=operations", "/figures?role=ai", "/figures/touchless-rate", "/master-data", "/journal", "/people", "/models", "/setup", "/policy",
    "/orders/SO-40352", "/customers/C1017", "/items/VAL-7461", "/nowhere",
]  # fmt: skip
OUTSIDE = ["/signin", "/signin/code", "/chat"]


def more_pages(api: Session, worker: Any) -> list[str]:
    """A case of mail and a case of the core, as the agent leaves them."""
    mail = triage(worker, sample("0075.eml"))["case"]
    hold = api.scalars(select(Case.id).where(Case.kind == "hold_credit").order_by(Case.id)).first()
    assert hold
    worker.work(hold)
    return [f"/cases/{mail}", f"/cases/{hold}", "/batch?queue=credit&action=review_credit_hold"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_is_usable_by_everybody(stage: Stage, worker: Any, api: Session, dark: bool) -> None:
    Figuring().look()
    faults: dict[str, Any] = {}
    with stage.visit(dark=dark) as visit:
        for path in OUTSIDE:
            faults[path] = serious(visit, path, dark)
        visit.sign_in("mo.adair")
        for path in [*PAGES, *more_pages(api, worker)]:
            faults[path] = serious(visit, path, dark)
        complaints = [e for e in visit.errors if "404" not in e]  # /nowhere is not found, and says so
    assert {path: found for path, found in faults.items() if found} == {}
    assert complaints == []


def serious(visit: Any, path: str, dark: bool) -> list[str]:
    """What axe finds serious or critical on a page."""
    page = visit.go(path)
    if SHOTS:
        name = path.strip("/").replace("/", "_").replace("?", "_").replace("=", "_").replace("&", "_") or "queue"
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"{name}-{'dark' if dark else 'light'}.png", full_page=True)
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:160]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def test_the_core_journeys_work_without_script(stage: Stage, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    with stage.visit("ava.stone", script=False) as ava:
        page = ava.go("/?priority=normal&kind=mail")
        page.click(f"#case-{line['case']} a")
        expect(page.locator(".diff")).to_contain_text("40 EA")
        page.click("button[value=approve]")
        ava.ended("executed")
        ava.go("/")
        page.check("input[name=pick] >> nth=0")
        page.click("button[name=verb][value=take]")
        expect(page.locator("h1")).to_have_text("1 of 1 taken")
    assert 40 in [x.quantity_ordered for x in sales.order(api, line["order"]).lines]
