"""A real browser on a real server over a clone of the sample world, with the journal sealed beside it, so that pages hear of what happens."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from api import clock as clock_process
from api.app import make_app
from erp_core import db
from erp_core.actions import access

BROWSER = shutil.which("chromium")
NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="needs chromium, as CI installs it")
PASSWORD = "a long password"
FIRM = "northfieldsupply.example"
PEOPLE = ("ava.stone", "cara.lim", "ida.marsh", "lee.voss", "mo.adair", "dev.rao")
AXE = Path(__file__).parent / "vendored" / "axe-4.14.1.min.js"
SECONDS = 20_000  # milliseconds that a page may take on a busy machine


class Visit:
    """One person's browser. `errors` are what its console complained about."""

    def __init__(self, context: BrowserContext, site: str) -> None:
        self.site, self.context = site, context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(SECONDS)
        self.errors: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))

    def sign_in(self, name: str) -> Page:
        """As one of PEOPLE."""
        self.page.goto(f"{self.site}/signin")
        self.page.fill("#e", f"{name}@{FIRM}")
        self.page.fill("#p", PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".rail")
        return self.page

    def go(self, path: str) -> Page:
        """Open a page."""
        self.page.goto(f"{self.site}{path}")
        return self.page

    def ended(self, outcome: str) -> None:
        """What became of a decision."""
        expect(self.page.locator("#outcome")).to_have_attribute("data-outcome", outcome, timeout=SECONDS)
        self.page.wait_for_load_state()  # keys work once the scripts are there


class Stage:
    """A server and a browser; `visit` gives one more person a window."""

    def __init__(self, site: str, browser: Any) -> None:
        self.site, self.browser = site, browser

    @contextmanager
    def visit(self, name: str = "", *, script: bool = True, dark: bool = False) -> Iterator[Visit]:
        """A window of its own, signed in as somebody if one is named."""
        context = self.browser.new_context(
            java_script_enabled=script,
            viewport={"width": 1440, "height": 900},
            color_scheme="dark" if dark else "light",
        )
        try:
            visit = Visit(context, self.site)
            if name:
                visit.sign_in(name)
            yield visit
        finally:
            context.close()


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    """The server, the sealer and the browser."""
    with db.transaction(db.API) as session:
        for name in PEOPLE:
            access.set_password(session, f"{name}@{FIRM}", PASSWORD)
    app = make_app()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=2))
    stop, leading = threading.Event(), threading.Event()
    leading.set()
    threads = [
        threading.Thread(target=server.run, daemon=True),
        threading.Thread(target=clock_process.seal_on, args=(stop, leading), daemon=True),
    ]
    for thread in threads:
        thread.start()
    while not server.started:
        time.sleep(0.05)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
            yield Stage(address, browser)
            browser.close()
    finally:
        stop.set()
        server.should_exit = True
        for thread in threads:
            thread.join(timeout=10)
