"""Order validation: every problem, in one fixed sequence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp_core import policy
from erp_core.rules import catalog, credit, sales, stock, supply
from erp_core.rules.allocation import Waiting, grant
from erp_core.rules.catalog import Agreement, ItemFacts
from erp_core.rules.credit import CreditFacts
from erp_core.rules.sales import LineFacts, OrderFacts
from erp_core.values import CASE_STEPS, CaseStatus, HoldReason, IllegalTransition, transition

POLICY = policy.shipped()
VALVE = ItemFacts("VAL-1", "Ball valve", "EA", Decimal(12), Decimal("10.00"), Decimal("6.00"), "EAR99", "active")
GLOVES = replace(VALVE, sku="PPE-1", uom="BX", units_per_case=Decimal(10))
LINE = LineFacts(line=1, sku="VAL-1", item=VALVE, quantity=Decimal(5), unit_price=Decimal("10.00"))
CREDIT = CreditFacts(
    customer="C1",
    status="active",
    standing="good",
    currency="USD",
    limit=Decimal(1000),
    limit_expires=None,
    terms_days=30,
    terms_asked=None,
    terms_changed_on=None,
    discount_changed_on=None,
    excluded=False,
    open_orders=Decimal(0),
    unpaid=Decimal(0),
    overdue=Decimal(0),
    oldest_due=None,
    order_total=Decimal(50),
    order_open=Decimal(50),
    on=date(2026, 6, 15),
)
ORDER = OrderFacts(
    number="SO-1",
    ship_to_country="US",
    home_country="US",
    credit=CREDIT,
    lines=[LINE],
)


def reasons(order: OrderFacts) -> list[HoldReason]:
    return [v.reason for v in sales.validate(order, POLICY)]


def test_a_clean_order_has_no_problem() -> None:
    assert sales.validate(ORDER, POLICY) == []


def test_all_problems_are_found_in_the_documented_sequence() -> None:
    controlled = replace(VALVE, export_class="3A001", unit_cost=Decimal("9.99"))
    line = replace(
        LINE,
        item=controlled,
        unit_price=Decimal("9.00"),
        usual_quantity=Decimal("0.1"),
        earlier_orders=5,
        quantity_short=Decimal(2),
    )
    bad = replace(
        ORDER,
        credit=replace(CREDIT, status="blocked", limit=Decimal(1)),
        ship_to_country="MX",
        requested_date=date(2026, 6, 20),
        delivery={"weekdays": [1, 2, 3]},
        same_po=["SO-0"],
        warehouse_load=9,
        warehouse_capacity=9,
        lines=[line],
    )
    expected = [
        "price",
        "margin",
        "export",
        "shipping",
        "duplicate",
        "abnormal",
        "credit",
        "credit",
        "credit",
        "stock",
        "shipping",
    ]
    assert [r.value for r in reasons(bad)] == expected


def test_an_unknown_item_is_a_data_problem_and_nothing_else() -> None:
    assert reasons(replace(ORDER, lines=[replace(LINE, item=None)])) == [HoldReason.DATA]


def test_exposure_at_the_limit_is_allowed_and_a_cent_above_is_not() -> None:
    assert credit_codes(limit=Decimal("50.00")) == []
    assert credit_codes(limit=Decimal("49.99"))[0] == "credit_limit_exceeded"


def credit_codes(**changed: Any) -> list[str]:
    return [p.code for p in credit.check(replace(CREDIT, **changed), POLICY.credit)]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"status": "blocked"}, "customer_blocked"),
        ({"terms_asked": 60}, "terms_not_agreed"),
        ({"open_orders": Decimal(951)}, "credit_limit_exceeded"),
        ({"limit_expires": date(2026, 6, 14)}, "credit_limit_expired"),
        ({"overdue": Decimal("10000.01"), "oldest_due": date(2026, 6, 1), "limit": Decimal(99999)}, "overdue_amount"),
        ({"overdue": Decimal(1), "oldest_due": date(2026, 4, 1)}, "overdue_days"),
        ({"order_total": Decimal(1001), "limit": Decimal(1000)}, "order_too_large"),
        ({"terms_changed_on": date(2026, 6, 10)}, "terms_changed"),
        ({"discount_changed_on": date(2026, 6, 10)}, "discount_changed"),
    ],
)
def test_each_of_the_nine_credit_rules_stops_an_order(changed: dict[str, Any], code: str) -> None:
    assert code in credit_codes(**changed)


def test_who_is_excluded_from_credit_control_passes_all_but_a_block() -> None:
    bad = {"limit": Decimal(1), "overdue": Decimal(99999), "oldest_due": date(2026, 1, 1), "excluded": True}
    assert credit_codes(**bad) == []
    assert credit_codes(**bad, status="blocked") == ["customer_blocked"]


def test_the_agreement_with_the_highest_break_reached_counts() -> None:
    agreed = [
        Agreement(Decimal(1), Decimal("9.00"), date(2026, 1, 1), None),
        Agreement(Decimal(50), Decimal("8.00"), date(2026, 1, 1), date(2026, 12, 31)),
    ]
    assert catalog.price_for(VALVE, agreed, Decimal(49), date(2026, 6, 1)) == Decimal("9.00")
    assert catalog.price_for(VALVE, agreed, Decimal(50), date(2026, 6, 1)) == Decimal("8.00")


def test_an_agreement_ends_after_its_last_day() -> None:
    agreed = [Agreement(Decimal(1), Decimal("9.00"), date(2026, 1, 1), date(2026, 5, 31))]
    assert catalog.price_for(VALVE, agreed, Decimal(1), date(2026, 5, 31)) == Decimal("9.00")
    assert catalog.price_for(VALVE, agreed, Decimal(1), date(2026, 6, 1)) == Decimal("10.00")


@pytest.mark.parametrize(
    ("item", "uom", "base"),
    [
        (VALVE, "EA", 24),
        (VALVE, "CS", 288),
        (GLOVES, "BX", 24),
        (GLOVES, "CS", 240),
        (GLOVES, "EA", None),
        (VALVE, "RL", None),
    ],
)
def test_a_case_holds_its_units_and_foreign_units_are_refused(item: ItemFacts, uom: str, base: int | None) -> None:
    assert catalog.to_base(Decimal(24), uom, item) == (Decimal(base) if base is not None else None)


QUANTITY = st.decimals(0, 10_000, places=3)


LINES = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("xy"), QUANTITY, st.booleans()), max_size=8)


@given(LINES, QUANTITY, QUANTITY)
def test_never_more_is_given_than_is_free_nor_than_is_needed(
    wanted: list[tuple[str, str, Decimal, bool]], x: Decimal, y: Decimal
) -> None:
    waiting = [
        Waiting(order, line, "W", sku, need, "A", partial, False, None, datetime(2026, 6, 15, tzinfo=UTC), Decimal(0))
        for line, (order, sku, need, partial) in enumerate(wanted)
    ]
    granted = grant(waiting, {("W", "x"): x, ("W", "y"): y}, POLICY.allocation, date(2026, 6, 15))
    for sku, free in (("x", x), ("y", y)):
        assert sum((g.quantity for g in granted if g.sku == sku), Decimal(0)) <= free
    assert all(g.quantity <= waiting[g.line].need for g in granted)


def test_a_promise_waits_for_enough_inbound() -> None:
    inbound = [
        stock.Inbound("PO-1", date(2026, 6, 20), Decimal(4)),
        stock.Inbound("PO-2", date(2026, 6, 25), Decimal(10)),
    ]
    assert stock.available_to_promise(Decimal(8), Decimal(2), inbound, date(2026, 6, 15)) == (
        date(2026, 6, 25),
        Decimal(8),
    )
    assert stock.available_to_promise(Decimal(99), Decimal(2), inbound, date(2026, 6, 15)) == (None, Decimal(16))


def test_overdue_goods_are_counted_on_some_days_from_today() -> None:
    late, due = (
        stock.Inbound("PO-1", date(2026, 6, 1), Decimal(4)),
        stock.Inbound("PO-2", date(2026, 6, 18), Decimal(4)),
    )
    today = date(2026, 6, 15)
    assert stock.coming([late, due], today, 5) == [(date(2026, 6, 18), Decimal(4)), (date(2026, 6, 20), Decimal(4))]
    assert stock.available_to_promise(Decimal(8), Decimal(0), [late, due], today, late_days=5)[0] == date(2026, 6, 20)
    waiting = [
        Waiting("A", 1, "W", "x", Decimal(8), "A", False, False, None, datetime(2026, 6, 1, tzinfo=UTC), Decimal(0))
    ]
    assert supply.cover(waiting, Decimal(0), [late, due], POLICY.allocation, today, 5) == {("A", 1): date(2026, 6, 20)}


@given(st.sampled_from(list(CaseStatus)), st.sampled_from(list(CaseStatus)))
def test_a_case_takes_no_step_that_the_table_lacks(old: CaseStatus, new: CaseStatus) -> None:
    if (old.value, new.value) in CASE_STEPS:
        assert transition(CASE_STEPS, old, new) == new
    else:
        with pytest.raises(IllegalTransition):
            transition(CASE_STEPS, old, new)
