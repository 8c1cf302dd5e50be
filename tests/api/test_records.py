"""Master data by forms: what is asked for waits as a case until others sign; what is left open stays; who keeps nothing is offered nothing."""

from __future__ import annotations

import uuid

from fastapi.testclient import TestClient
from sqlalchemy import select

from erp_core import clock
from erp_core.actions import execute
from erp_core.commands import COMMANDS, Command
from erp_core.db import Session
from erp_core.queries import desk
from erp_core.queries.evaluating import fingerprint
from erp_core.tables.desk import Proposal
from erp_core.tables.parties import Customer
from tests.api.test_http import client as made
from tests.api.test_order_entry import form_of, signed_in

client = made
JON, DEV, LEE = (f"{n}@northfieldsupply.example" for n in ("jon.bell", "dev.rao", "lee.voss"))


def test_a_form_becomes_a_proposal_and_what_is_left_open_is_not_in_it(client: TestClient, api: Session) -> None:
    signed_in(client, JON)
    before = fingerprint(api)
    api.rollback()
    form = form_of(client, "/records/save_customer?customer=C1017")
    said = {
        "0.customer": "C1017",
        "0.segment": "contractors",
        "0.ships_partial": "true",
        "0.tax_exempt": "",
        "0.tier": "",
    }
    answers = [client.post("/records/save_customer", data={**form, **said, "reason": "they asked"}) for _ in range(2)]
    assert [a.status_code for a in answers] == [303, 303]
    assert len({a.headers["location"] for a in answers}) == 1  # a double click asks once
    number = int(answers[0].headers["location"].rsplit("/", 1)[1])
    proposal = desk.pending(api, number)
    assert proposal is not None
    assert proposal.commands == [
        {"type": "save_customer", "customer": "C1017", "segment": "contractors", "ships_partial": True}
    ]
    assert fingerprint(api) == before
    assert "they asked" in client.get(f"/cases/{number}").text
    assert "Sign this command" in client.get(f"/cases/{number}").text


def test_wishes_for_deliveries_are_asked_for_by_form_and_end_by_any(client: TestClient, api: Session) -> None:
    signed_in(client, JON)
    form = form_of(client, "/records/save_customer?customer=C1017")
    wanted = {"0.delivery.weekdays": "2, 4", "0.delivery.smallest_order": "500", "0.delivery.no_hazmat": "true"}

    def asked(**said: str) -> str:
        data = {**form, "0.customer": "C1017", "reason": "they asked", **said}
        answer = client.post("/records/save_customer", data=data)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    number = int(asked(**wanted).rsplit("/", 1)[1])
    page = client.get(f"/cases/{number}").text
    assert "delivered on Tue, Thu" in page
    proposal = desk.pending(api, number)
    assert proposal is not None
    assert proposal.commands[0]["delivery"] == {"weekdays": [2, 4], "smallest_order": "500", "no_hazmat": True}
    run(api, COMMANDS.validate_python(proposal.commands)[0])
    ended = {"key": uuid.uuid4().hex, "0.delivery.weekdays": "any", "0.delivery.smallest_order": "0"}
    second = desk.pending(api, int(asked(**ended).rsplit("/", 1)[1]))
    assert second is not None
    run(api, COMMANDS.validate_python(second.commands)[0])
    assert api.get_one(Customer, "C1017", populate_existing=True).delivery == {"no_hazmat": True}
    wrong = {"key": uuid.uuid4().hex, "0.customer": "C1017", "reason": "they asked", "0.delivery.weekdays": "3, 8"}
    answer = client.post("/records/save_customer", data={**form, **wrong, "0.ships_partial": "true"})
    assert answer.status_code == 422
    assert 'name="0.delivery.weekdays" value="3, 8"' in answer.text
    assert '<option value="true" selected>' in answer.text


def run(api: Session, command: Command) -> None:
    execute(api, command, key=uuid.uuid4().hex, actor=JON, now=clock.now(api))
    api.commit()


def test_what_a_form_cannot_say_is_told_with_what_was_typed_kept(client: TestClient, api: Session) -> None:
    signed_in(client, JON)
    form = form_of(client, "/records/set_price?customer=C1017")
    said = {"0.customer": "C1017", "0.sku": "VAL-1166", "0.unit_price": "cheap", "0.valid_from": "2026-06-20"}
    answer = client.post("/records/set_price", data={**form, **said, "reason": "new agreement"})
    assert answer.status_code == 422
    assert "unit_price" in answer.text
    assert 'value="VAL-1166"' in answer.text
    assert 'value="new agreement"' in answer.text
    assert not api.scalars(select(Proposal).where(Proposal.filed_by == JON)).all()


def test_who_keeps_no_data_is_offered_no_form_and_refused_the_change(client: TestClient, api: Session) -> None:
    signed_in(client, LEE)
    for address in ("/master-data", "/customers/C1017", "/items/VAL-1166"):
        assert "/records/" not in client.get(address).text
    form = form_of(client, "/records/set_credit_limit?customer=C1017")
    was = api.get_one(Customer, "C1017").credit_limit
    said = {"0.customer": "C1017", "0.credit_limit": "1000000", "reason": "please"}
    answer = client.post("/records/set_credit_limit", data={**form, **said})
    assert answer.status_code == 422
    assert "No rule lets" in answer.text
    assert api.get_one(Customer, "C1017", populate_existing=True).credit_limit == was
    assert client.get("/records/drop_table").status_code == 404


def test_each_steward_is_offered_what_is_kept_by_its_role(client: TestClient) -> None:
    signed_in(client, DEV)
    assert "/records/" not in client.get("/items/VAL-1166").text  # prices are released by who does not keep them
    signed_in(client, JON)
    item = client.get("/items/VAL-1166").text
    assert "/records/set_price?sku=VAL-1166" in item
    assert "/records/save_customer?customer=C1017" in client.get("/customers/C1017").text


def test_a_form_without_script_sends_choices_left_at_any_empty(client: TestClient) -> None:
    signed_in(client, JON)
    answer = client.get("/?queue=&priority=&kind=hold_credit&entity=&sort=place")
    assert answer.status_code == 200
    assert "Credit hold" in answer.text
