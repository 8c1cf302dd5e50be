"""The four pictures of README, taken by `make shots`: the sample inbox worked, figures counted, as a visitor of the demo sees it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from agent.ingest import triage
from agent.mail import fetch
from api.clock import Figuring
from erp_core.db import Session
from erp_core.tables.desk import Case
from tests.browser.stage import NEEDS_BROWSER, Stage
from tests.browser.stage import stage as made
from tests.conftest import SAMPLE

stage = made
WHERE = os.environ.get("COUNTERSIGN_PICTURES")
pytestmark = [NEEDS_BROWSER, pytest.mark.skipif(not WHERE, reason="taken by `make shots`")]


def test_pictures(stage: Stage, worker: Any, api: Session) -> None:
    folder = Path(str(WHERE))
    folder.mkdir(parents=True, exist_ok=True)
    lines = [triage(worker, raw) for raw in fetch.from_path(SAMPLE / "inbox")]
    for number in api.scalars(select(Case.id).where(Case.kind.like("hold_%"))).all():
        worker.work(number)
    Figuring().look()
    changed = next(
        line["case"]
        for line in lines
        if [c["type"] for c in line["proposal"]["commands"]] == ["amend_order", "send_message"]
    )
    with stage.visit("ava.stone") as ava:
        page = ava.go("/")
        for key in ("j", "j", "j"):
            page.keyboard.press(key)
        page.screenshot(path=folder / "queue.png")
        ava.go(f"/cases/{changed}").screenshot(path=folder / "case.png")
        page = ava.go("/order-entry?customer=C1017")
        page.fill('[name="line.0.sku"]', "VAL-1166")
        page.fill('[name="line.0.quantity"]', "100")
        page.press('[name="line.0.quantity"]', "Tab")
        page.wait_for_selector("#trial .note")
        page.screenshot(path=folder / "order-entry.png")
    with stage.visit("ida.marsh") as ida:
        page = ida.go("/figures?role=supply&days=90")
        page.wait_for_selector(".uplot")
        page.screenshot(path=folder / "figures.png")
