"""A person with a browser: signs in, signs a proposal, sees the order changed; stale and unauthorised are refused."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from agent.ingest import triage
from api.app import make_app
from erp_core import clock, db
from erp_core.actions import access, execute
from erp_core.commands import AmendOrder
from erp_core.db import Session
from erp_core.queries import desk, sales
from tests.agent.test_worker import sample

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver, as CI installs them")
PASSWORD = "a long password"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,1000",
]


@pytest.fixture
def site(database: str) -> Iterator[str]:
    with db.transaction(db.API) as session:
        for name in ("ava.stone", "lee.voss"):
            access.set_password(session, f"{name}@northfieldsupply.example", PASSWORD)
    server = uvicorn.Server(uvicorn.Config(make_app(), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    options = Options()
    for flag in [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = str(BROWSER)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def sign_in(browser: Any, site: str, name: str) -> None:
    browser.delete_all_cookies()
    browser.get(f"{site}/signin")
    browser.find_element(By.ID, "e").send_keys(f"{name}@northfieldsupply.example")
    browser.find_element(By.ID, "p").send_keys(PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    WebDriverWait(browser, 10).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".rail"))


def click_sign(browser: Any) -> str:
    browser.find_element(By.CSS_SELECTOR, "button[value=approve]").click()
    return str(
        WebDriverWait(browser, 10).until(lambda b: b.find_element(By.ID, "outcome")).get_attribute("data-outcome")
    )


def test_signing_in_the_browser_changes_the_order_and_the_journal_shows_it(
    site: str, browser: Any, worker: Any, api: Session
) -> None:
    line = triage(worker, sample("0075.eml"))
    sign_in(browser, site, "ava.stone")
    browser.find_element(By.CSS_SELECTOR, f'a[href="/cases/{line["case"]}"]').click()
    assert "4 → 40" in browser.find_element(By.CSS_SELECTOR, ".case-head").text
    assert click_sign(browser) == "executed"
    assert 40 in [x.quantity_ordered for x in sales.order(api, line["order"]).lines]
    journal = browser.find_element(By.CSS_SELECTOR, ".journal").text
    assert "Order amended" in journal
    assert "Ava Stone" in journal
    assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]


def test_a_changed_order_is_refused_as_stale_in_the_browser(site: str, browser: Any, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    sign_in(browser, site, "ava.stone")
    browser.get(f"{site}/cases/{line['case']}")
    with db.transaction(db.API) as session:
        moment = clock.now(session)
        execute(
            session,
            AmendOrder(order=line["order"], requested_date=moment.date()),
            key="meanwhile",
            actor="x",
            now=moment,
        )
    assert click_sign(browser) == "stale"
    assert 40 not in [x.quantity_ordered for x in sales.order(api, line["order"]).lines]


def test_without_authority_the_button_is_dead_and_a_forged_click_is_recorded(
    site: str, browser: Any, worker: Any, api: Session
) -> None:
    line = triage(worker, sample("0052.eml"))
    sign_in(browser, site, "lee.voss")
    browser.get(f"{site}/cases/{line['case']}")
    commands = {c["type"] for c in line["proposal"]["commands"]}
    assert "cancel_order" in commands
    browser.execute_script("const b = document.querySelector('button[value=approve]'); b.disabled = false;")
    assert click_sign(browser) == "refused"
    assert sales.order(api, line["order"]).status != "cancelled"
    assert [d.actor for d in desk.case_file(api, line["case"]).decisions] == ["lee.voss@northfieldsupply.example"]


def test_instructing_and_rejecting_need_a_reason(site: str, browser: Any, worker: Any) -> None:
    line = triage(worker, sample("0075.eml"))
    sign_in(browser, site, "ava.stone")
    browser.get(f"{site}/cases/{line['case']}")
    browser.find_element(By.CSS_SELECTOR, "button[value=reject]").click()
    alert = WebDriverWait(browser, 10).until(lambda b: b.find_element(By.CSS_SELECTOR, "[role=alert]"))
    assert "say why" in alert.text
    browser.find_element(By.ID, "reason").send_keys("make it 30 instead")
    browser.find_element(By.CSS_SELECTOR, "button[value=instruct]").click()
    WebDriverWait(browser, 10).until(lambda b: b.find_elements(By.ID, "outcome"))
    assert worker.work(line["case"])
    browser.get(f"{site}/cases/{line['case']}")
    assert "line 1 to 30" in browser.find_element(By.CSS_SELECTOR, ".panel--proposal").text
