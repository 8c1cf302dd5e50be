"""People with a browser: the ten journeys of four roles, by keyboard where hands are fastest, and what must hold when two look at once."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect
from sqlalchemy import func, select

from agent.ingest import triage
from agent.mail.fetch import Raw
from erp_core import clock, db
from erp_core.actions import execute
from erp_core.commands import AmendOrder
from erp_core.db import Session
from erp_core.queries import desk, sales
from erp_core.tables.desk import Case, JournalEntry
from erp_core.tables.sales import Hold, SalesOrder
from tests.agent.test_worker import sample
from tests.browser.stage import NEEDS_BROWSER, Stage
from tests.browser.stage import stage as made

stage = made
pytestmark = NEEDS_BROWSER


# the representative


def test_a_change_is_signed_by_keyboard_alone(stage: Stage, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    with stage.visit("ava.stone") as ava:
        page = ava.go("/?kind=mail")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/cases/{line['case']}")
        expect(page.locator(".case-head")).to_contain_text("4 → 40")
        page.keyboard.press("a")
        ava.ended("executed")
        expect(page.locator(".journal")).to_contain_text("Order amended")
        expect(page.locator(".journal")).to_contain_text("Ava Stone")
        assert ava.errors == []
    assert 40 in [x.quantity_ordered for x in sales.order(api, line["order"]).lines]


def test_a_proposal_is_amended_in_a_form_that_the_core_looks_at(stage: Stage, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    with stage.visit("ava.stone") as ava:
        page = ava.go(f"/cases/{line['case']}")
        page.keyboard.press("e")
        quantity = page.locator('#amend input[name="0.changes.0.quantity"]')
        quantity.fill("12")
        quantity.press("Tab")
        expect(page.locator("#trial")).to_contain_text("12 EA")
        quantity.fill("many")
        quantity.press("Tab")
        expect(page.locator("#trial [role=alert]")).to_contain_text("cannot be read")
        assert 12 not in [x.quantity_ordered for x in sales.order(api, line["order"]).lines]
        quantity.fill("12")
        page.fill('#amend input[name="reason"]', "They want fewer")
        page.get_by_role("button", name="Keep the amendment").click()
        ava.ended("returned")
        page.click("button[value=approve]")
        ava.ended("executed")
    api.expire_all()
    assert 12 in [x.quantity_ordered for x in sales.order(api, line["order"]).lines]


def test_an_order_is_entered_and_what_would_hold_it_shows_before(stage: Stage, api: Session) -> None:
    before = api.scalar(select(func.count()).select_from(SalesOrder))
    with stage.visit("ava.stone") as ava:
        page = ava.go("/order-entry?customer=C1017")
        page.fill('[name="line.0.sku"]', "val-1166")
        page.fill('[name="line.0.quantity"]', "100")
        page.press('[name="line.0.quantity"]', "Tab")
        expect(page.locator("#trial")).to_contain_text("Credit hold")
        assert api.scalar(select(func.count()).select_from(SalesOrder)) == before
        page.get_by_role("button", name="Enter the order").click()
        page.wait_for_url("**/orders/SO-*")
        number = page.url.rsplit("/", 1)[1]
        assert ava.errors == []
    assert api.scalars(select(Hold.reason).where(Hold.order_number == number)).all() == ["credit"]
    assert api.scalars(select(Case.kind).where(Case.order_number == number)).all() == ["hold_credit"]
    assert sales.order(api, number).channel == "sales_rep"


def test_instructing_and_rejecting_need_a_reason(stage: Stage, worker: Any) -> None:
    line = triage(worker, sample("0075.eml"))
    with stage.visit("ava.stone") as ava:
        page = ava.go(f"/cases/{line['case']}")
        page.click("button[value=reject]")
        expect(page.locator("[role=alert]")).to_contain_text("say why")
        page.fill("#reason", "make it 30 instead")
        page.click("button[value=instruct]")
        ava.ended("returned")
        assert worker.work(line["case"])
        ava.go(f"/cases/{line['case']}")
        expect(page.locator(".panel--proposal")).to_contain_text("line 1 to 30")


# the credit manager


def held(api: Session) -> Case:
    return api.scalars(select(Case).where(Case.kind == "hold_credit").order_by(Case.at_stake, Case.id)).first()  # type: ignore[return-value]


def test_a_hold_is_prepared_seen_and_signed_away(stage: Stage, worker: Any, api: Session) -> None:
    case = held(api)
    assert worker.work(case.id)
    with stage.visit("cara.lim") as cara:
        page = cara.go("/?queue=credit&sort=money")
        page.click(f"#case-{case.id} a")
        expect(page.locator(".case-head .why")).to_contain_text("limit")
        page.fill('[aria-label="Why it may go on"]', "paid by wire this morning")
        page.get_by_role("button", name="See what that does").click()
        expect(page.locator(".diff")).to_contain_text("Hold released")
        page.keyboard.press("a")
        cara.ended("executed")
        assert cara.errors == []
    active = select(Hold).where(
        Hold.order_number == case.order_number, Hold.reason == "credit", Hold.released_at.is_(None)
    )
    assert api.scalars(active).all() == []


def test_several_are_signed_together_each_by_its_own_digest(stage: Stage, worker: Any, api: Session) -> None:
    cases = api.scalars(select(Case.id).where(Case.kind == "hold_credit").order_by(Case.id).limit(3)).all()
    for number in cases:
        worker.work(number)
    with stage.visit("cara.lim") as cara:
        cara.go("/?queue=credit")
        for number in cases:  # policy wants some of them opened first
            cara.go(f"/cases/{number}")
        page = cara.go("/?queue=credit")
        page.get_by_role("link", name="Sign together").first.click()
        expect(page.locator("h1")).to_be_visible()
        assert "/batch?queue=credit" in page.url
        assert cara.errors == []


# the supervisor


def test_cases_are_given_to_a_colleague_and_the_colleague_is_told(stage: Stage, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    with stage.visit("ida.marsh") as ida:
        page = ida.go("/?kind=mail")
        page.keyboard.press("j")
        page.keyboard.press("x")
        expect(page.locator("#bulk")).to_contain_text("1 selected")
        page.select_option("#give-to", f"ava.stone@{'northfieldsupply.example'}")
        page.keyboard.press("Escape")
        page.keyboard.press("i")
        expect(page.locator("h1")).to_have_text("1 of 1 given")
        assert ida.errors == []
    assert api.get_one(Case, line["case"]).assignee == "ava.stone@northfieldsupply.example"
    with stage.visit("ava.stone") as ava:
        expect(ava.page.locator(".n--new")).to_have_text("1")
        page = ava.go("/for-me")
        expect(page.locator("table")).to_contain_text("Given to you")
        ava.go("/")
        expect(page.locator(".n--new")).to_have_count(0)


def test_a_view_is_kept_and_found_again(stage: Stage) -> None:
    with stage.visit("ida.marsh") as ida:
        page = ida.go("/?priority=high")
        page.get_by_role("button", name="Keep this view").click()
        page.fill("#view-name", "High ones")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="High ones").click()
        page.wait_for_url("**/?priority=high")
        page.get_by_role("button", name="Forget the view High ones").click()
        expect(page.get_by_role("link", name="High ones")).to_have_count(0)
        assert ida.errors == []


# the auditor


def test_an_auditor_finds_who_did_what_and_can_sign_nothing(stage: Stage, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0052.eml"))
    with stage.visit("lee.voss") as lee:
        page = lee.page
        page.keyboard.press("/")
        page.keyboard.type(line["order"].lower().replace("-", " "))
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/orders/{line['order']}")
        page.get_by_role("link", name=f"#{line['case']}").first.click()
        expect(page.get_by_text("You can look, not sign.")).to_be_visible()
        assert page.locator("main form").count() == 0
        forged = {
            "token": page.locator("[name=token]").first.get_attribute("value") or "",
            "proposal": str(line["proposal"]["id"]),
            "verdict": "approve",
        }
        answer = page.request.post(f"{stage.site}/cases/{line['case']}/decide", form=dict(forged))
        assert 'data-outcome="refused"' in answer.text()
        lee.go("/")
        assert page.locator("[name=pick], #bulk").count() == 0
        lee.go("/journal")
        expect(page.locator(".journal")).to_contain_text("Refused; nothing changed")
        assert lee.errors == []
    assert sales.order(api, line["order"]).status != "cancelled"
    assert [d.actor for d in desk.case_file(api, line["case"]).decisions] == ["lee.voss@northfieldsupply.example"]


def test_a_figure_leads_to_the_rows_it_is_made_of(stage: Stage) -> None:
    from api.clock import Figuring

    Figuring().look()
    with stage.visit("ida.marsh") as ida:
        page = ida.go("/figures?days=365")
        page.get_by_role("link", name="Touchless rate").first.click()
        expect(page.locator(".uplot")).to_be_visible()
        page.locator("tbody a[href^='/orders/']").first.click()
        page.locator(".sums a[href^='/customers/']").click()
        expect(page.locator("h1")).to_be_visible()
        assert "/customers/" in page.url
        assert ida.errors == []


# two at once


def test_a_new_case_appears_by_itself_and_the_focus_stays(stage: Stage, worker: Any) -> None:
    triage(worker, sample("0075.eml"))
    with stage.visit("ava.stone") as ava:
        page = ava.go("/?kind=mail")
        page.keyboard.press("j")
        page.keyboard.press("x")
        focused = page.locator(".case-row.focus").get_attribute("id")
        page.wait_for_function("document.querySelector('[data-news] .dot').classList.contains('dot--ok')")
        line = triage(worker, sample("0052.eml"))
        expect(page.locator(f"#case-{line['case']}")).to_be_visible()
        assert page.locator(".case-row.focus").get_attribute("id") == focused
        assert page.locator("input[name=pick]:checked").count() == 1
        assert ava.errors == []


def test_several_cases_that_need_nobody_are_dismissed_with_one_reason(stage: Stage, worker: Any, api: Session) -> None:
    numbers = [triage(worker, sample(name))["case"] for name in ("0075.eml", "0052.eml")]
    with stage.visit("ava.stone") as ava:
        page = ava.go("/")
        for number in numbers:
            page.check(f"#case-{number} input[name=pick]")
        page.fill("#why", "A rehearsal")
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator("h1")).to_contain_text("2 of 2 dismissed")
        assert ava.errors == []
    api.expire_all()
    assert [api.get_one(Case, number).status for number in numbers] == ["dismissed", "dismissed"]


def test_who_comes_second_sees_it_at_once_and_cannot_decide_again(stage: Stage, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    with stage.visit("ava.stone") as ava, stage.visit("ida.marsh") as ida:
        ava.go(f"/cases/{line['case']}")
        second = ida.go(f"/cases/{line['case']}")
        expect(second.locator("#fresh")).to_contain_text("Ava Stone")
        forged = {
            name: second.locator(f"#decide [name={name}]").get_attribute("value")
            for name in ("token", "proposal", "digest")
        }
        ava.page.keyboard.press("a")
        ava.ended("executed")
        expect(second.locator("#fresh")).to_contain_text("Ava Stone decided: approve")
        expect(second.locator("button[value=approve]")).to_be_disabled()
        answer = second.request.post(f"{stage.site}/cases/{line['case']}/decide", form={**forged, "verdict": "approve"})  # type: ignore[dict-item]
        assert 'data-outcome="executed"' not in answer.text()
    amended = select(func.count()).select_from(JournalEntry).where(JournalEntry.tag == "order:sales:amended")
    assert api.scalar(amended.where(JournalEntry.subject == f"sales_order:{line['order']}")) == 1


def test_facts_that_change_meanwhile_are_said_before_the_click(stage: Stage, worker: Any, api: Session) -> None:
    line = triage(worker, sample("0075.eml"))
    with stage.visit("ava.stone") as ava:
        page = ava.go(f"/cases/{line['case']}")
        with db.transaction(db.API) as session:
            now = clock.now(session)
            command = AmendOrder(order=line["order"], requested_date=now.date())
            execute(session, command, key="meanwhile", actor="x", now=now, case=line["case"])
        expect(page.locator("#fresh")).to_contain_text("refused as stale")
        page.evaluate("document.querySelector('button[value=approve]').disabled = false")
        page.click("button[value=approve]")
        ava.ended("stale")
    assert 40 not in [x.quantity_ordered for x in sales.order(api, line["order"]).lines]


# what comes from outside

PAYLOADS = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"><svg onload=window.hit=1>',
    "'-window.hit=1-'",
    "{{ 7*7 }}${7*7}",
    "javascript:window.hit=1//",
    "</textarea><script>window.hit=1</script>",
    "<a href=javascript:window.hit=1>x</a>",
    "&lt;script&gt;window.hit=1&lt;/script&gt;",
    "<iframe srcdoc='<script>parent.hit=1</script>'>",
    "<form action=//evil.example><input name=token>",
    "\u202e<b>gnp.exe</b>",
]


def test_nothing_of_a_mail_runs_or_is_rendered(stage: Stage, worker: Any) -> None:
    cases = []
    for number, payload in enumerate(PAYLOADS):
        name = payload.replace('"', "'").replace("\n", " ")
        text = (
            f'From: "{name}" <sofia.lindqvist@redstoneelectric.example>\r\nSubject: Change {payload}\r\nMessage-ID: <p{number}@x>\r\n'
            f"Date: Mon, 15 Jun 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nPlease change VAL-7461 on SO-40352 to 40. {payload}\r\n"
            f"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{payload}</p>\r\n"
            f'--b\r\nContent-Type: text/plain; name="{name}.txt"\r\nContent-Disposition: attachment; filename="{name}.txt"\r\n\r\n{payload}\r\n--b--\r\n'
        )
        cases.append(triage(worker, Raw(f"p{number}", text.encode("utf-8", "surrogatepass")))["case"])
    with stage.visit("ava.stone") as ava:
        asked: list[str] = []
        ava.page.on("request", lambda r: asked.append(r.url))
        for path in ("/", "/?q=Change", *(f"/cases/{case}" for case in cases), "/journal"):
            ava.go(path)
            assert ava.page.evaluate("window.hit") is None, path
            assert (
                ava.page.locator("main iframe, main img, main script:not([src]), main [onerror], main [onload]").count()
                == 0
            ), path
            assert "49" not in ava.page.locator(".mail").all_inner_texts()
        assert ava.errors == []
        assert {u for u in asked if not u.startswith(stage.site)} == set()
