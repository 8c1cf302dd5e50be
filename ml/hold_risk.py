"""Hold risk: will an order that passed its entry checks be held before it leaves, for which reason, and will its bill go unpaid?

What the entry checks found is a column among others; the rest is what the customer's past says as of that moment.
"""

from __future__ import annotations

import numpy as np

from ml.asof import DAY, Array, Known, Names, hour, rate, recent_only, weekday
from ml.history import History, Table
from ml.recipe import WEEKDAYS, Heads, Recipe, all_of, counted

REASONS = ("credit", "price", "margin", "stock", "duplicate", "abnormal", "export", "data")
FEATURES = (
    "value", "lines", "requested_days", "weekday", "hour", "by_email", "tier", "limit_used", "limit_used_after", "overdue_share",
    "margin", "price_off", "quantity_off", "short", "abroad", "orders_90", "days_since_order", "value_to_usual", "held_rate",
    "credit_rate", "price_rate", "stock_rate", "slip_rate", "days_late_recent", "days_late_ever", "late_share", "late_spread",
    "unpaid_bills", "orders_3", "item_stock_rate",
)  # fmt: skip


class Past:
    """A history, sorted so that it can be asked as of any moment."""

    def __init__(self, history: History) -> None:
        orders, holds, bills = history["orders"], history["holds"], history["invoices"]
        self.names = Names(orders["customer"])
        who, held, billed = (self.names.of(x["customer"]) for x in (orders, holds, bills))
        self.orders, self.values = (
            Known(who, orders["at"]),
            Known(who, orders["value"] * 0 + orders["at"], orders["value"]),
        )
        self.holds = Known(held, holds["at"])
        self.by_reason = {
            name: Known(held[holds["reason"] == name], holds["at"][holds["reason"] == name]) for name in REASONS
        }
        paid = ~np.isnan(bills["paid"])
        behind = (bills["paid"] - bills["due"]) / DAY
        self.paid = Known(billed[paid], bills["paid"][paid], behind[paid])
        self.late = Known(billed[paid], bills["paid"][paid], (behind[paid] > 5).astype(float))
        self.billed = Known(billed, bills["at"])
        lines = history["order_lines"]
        self.items = Names(lines["sku"])
        self.lines = lines
        item = self.items.of(lines["sku"])
        short = holds["reason"] == "stock"
        when = dict(zip(holds["order"][short].tolist(), holds["at"][short].tolist(), strict=True))
        stopped = np.array([when.get(x, np.nan) for x in lines["order"]])
        self.item_lines, self.item_holds = Known(item, lines["at"]), Known(item, stopped)

    def worst_item(self, orders: Table) -> Array:
        """float64 (orders,): of the items in an order, how often the scarcest one was in an order held for stock."""
        row = {number: i for i, number in enumerate(orders["number"].tolist())}
        order = np.array([row.get(x, -1) for x in self.lines["order"].tolist()], dtype=np.int64)
        mine = order >= 0
        item, at = self.items.of(self.lines["sku"][mine]), orders["at"][order[mine]]
        share = rate(self.item_holds.count(item, at, 120), self.item_lines.count(item, at, 120), 0.05, 10)
        worst = np.full(len(orders["at"]), np.nan)
        np.fmax.at(worst, order[mine], share)
        return worst


def features(past: Past, orders: Table) -> Array:
    """float64 (orders, FEATURES): each as of its order's entry."""
    who, at = past.names.of(orders["customer"]), orders["at"]
    number, usual = past.orders.count(who, at, 365), past.values.mean(who, at, 365)
    usual = np.where(usual > 0, usual, np.nan)
    recent, bills = past.paid.mean(who, at, 60), past.paid.count(who, at, 365)
    slips = sum(past.by_reason[name].count(who, at, 365) for name in ("duplicate", "abnormal", "data"))
    limit = np.where(orders["limit"] > 0, orders["limit"], np.nan)
    columns = {
        "value": orders["value"],
        "lines": orders["lines"],
        "requested_days": (orders["requested"] - at) / DAY,
        "weekday": weekday(at),
        "hour": hour(at),
        "by_email": (orders["channel"] == "email").astype(float),
        "tier": np.select([orders["tier"] == "A", orders["tier"] == "B"], [2.0, 1.0], 0.0),
        "limit_used": orders["exposure"] / limit,
        "limit_used_after": (orders["exposure"] + orders["value"]) / limit,
        "overdue_share": orders["overdue"] / limit,
        "margin": orders["margin"],
        "price_off": orders["price_off"],
        "quantity_off": orders["quantity_off"],
        "short": orders["short"],
        "abroad": orders["abroad"],
        "orders_90": past.orders.count(who, at, 90),
        "days_since_order": recent_only(past.orders.since(who, at)),
        "value_to_usual": orders["value"] / usual,
        "held_rate": rate(past.holds.count(who, at, 365), number, 0.12),
        "credit_rate": rate(past.by_reason["credit"].count(who, at, 365), number, 0.05),
        "price_rate": rate(past.by_reason["price"].count(who, at, 365), number, 0.02),
        "stock_rate": rate(past.by_reason["stock"].count(who, at, 365), number, 0.02),
        "slip_rate": rate(np.asarray(slips), number, 0.02),
        "days_late_recent": recent,
        "days_late_ever": past.paid.mean(who, at, 365),
        "late_share": rate(past.late.total(who, at, 365), bills, 0.2),
        "late_spread": past.paid.deviation(who, at, 365),
        "unpaid_bills": np.maximum(past.billed.count(who, at, 365) - past.paid.count(who, at, 365), 0),
        "orders_3": past.orders.count(who, at, 3),
        "item_stock_rate": past.worst_item(orders),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


def labels(history: History) -> Heads:
    """(known, asked) a head, each (orders,): is the outcome known yet, and was it so? Orders held at entry ask nothing."""
    orders, holds, bills = history["orders"], history["holds"], history["invoices"]
    row = {number: i for i, number in enumerate(orders["number"])}
    passed = orders["held"] == 0
    known = passed & ~np.isnan(orders["closed"])
    found = {}
    for name in ("held", *REASONS):
        asked = np.zeros(len(passed))
        for order, reason, at in zip(holds["order"], holds["reason"], holds["at"], strict=True):
            at_row = row.get(order)
            if at_row is not None and name in ("held", reason) and at > orders["entered"][at_row] + 5:
                asked[at_row] = 1
        found[name] = (known, asked)
    # a bill of this very order that nobody paid for a month after it was due; known once that month is over
    over = bills["due"] + 30 * DAY < history.now
    late = np.where(np.isnan(bills["paid"]), history.now, bills["paid"]) > bills["due"] + 30 * DAY
    billed, unpaid = np.zeros(len(passed), dtype=bool), np.zeros(len(passed))
    for order, done, bad in zip(bills["order"], over, late, strict=True):
        at_row = row.get(order)
        if at_row is not None and done:
            billed[at_row], unpaid[at_row] = True, max(unpaid[at_row], float(bad))
    found["unpaid"] = (passed & billed, unpaid)
    return found


def baseline(past: Past, orders: Table) -> Array:
    """The rule of thumb to beat: how much of the limit the order takes up."""
    limit = np.where(orders["limit"] > 0, orders["limit"], np.nan)
    return np.nan_to_num((orders["exposure"] + orders["value"]) / limit)


WORDS = {
    "limit_used_after": lambda x: f"the order takes the customer to {x:.0%} of its credit limit",
    "limit_used": lambda x: f"{x:.0%} of the credit limit was in use before it",
    "overdue_share": lambda x: f"overdue bills come to {x:.0%} of the credit limit" if x > 0 else "nothing is overdue",
    "value_to_usual": lambda x: f"the order is {x:.1f}× its usual size",
    "quantity_off": lambda x: f"a quantity is {x:.1f}× what is usual",
    "price_off": lambda x: f"a price is {x:.0%} away from the expected one" if x > 0.005 else "prices are as expected",
    "margin": lambda x: f"the lowest margin of a line is {x:.0f} %",
    "short": lambda x: f"{x:.0%} of the lines were short of stock at entry" if x > 0 else "stock covered all lines",
    "held_rate": lambda x: f"about {x:.0%} of its orders of a year were held",
    "credit_rate": lambda x: f"about {x:.0%} of its orders were held for credit",
    "price_rate": lambda x: f"about {x:.0%} of its orders were held for a price",
    "stock_rate": lambda x: f"about {x:.0%} of its orders were held for stock",
    "slip_rate": lambda x: f"about {x:.0%} of its orders were doubled, unusual or incomplete",
    "days_late_recent": lambda x: f"bills of the last 60 days were paid {_days(x)}",
    "days_late_ever": lambda x: f"its bills are paid {_days(x)} on average",
    "late_share": lambda x: f"about {x:.0%} of its bills of a year were paid late",
    "late_spread": lambda x: f"when it pays varies by {x:.0f} days",
    "unpaid_bills": lambda x: f"it has {counted(x, 'bill')} open",
    "orders_3": lambda x: f"it placed {x:.0f} other orders in three days",
    "orders_90": lambda x: f"it placed {x:.0f} orders in 90 days",
    "days_since_order": lambda x: f"its last order was {counted(x, 'day')} ago",
    "lines": lambda x: f"the order has {counted(x, 'line')}",
    "value": lambda x: f"the order comes to {x:,.0f}",
    "by_email": lambda x: "it came by mail" if x else "it did not come by mail",
    "abroad": lambda x: "it goes abroad" if x else "it stays in the country",
    "requested_days": lambda x: f"it is wanted in {counted(x, 'day')}",
    "tier": lambda x: f"the customer is tier {'CBA'[int(x)]}",
    "item_stock_rate": lambda x: f"an item of it is in {x:.0%} of cases in orders held for stock",
    "weekday": lambda x: f"it came on a {WEEKDAYS[int(x)]}",
    "hour": lambda x: f"it came at {x:.0f} o'clock",
}


def _days(x: float) -> str:
    return f"{x:.0f} days late" if x >= 0.5 else f"{-x:.0f} days early" if x <= -0.5 else "on the day"


RECIPE = Recipe(
    name="hold_risk",
    title="Hold risk",
    about="orders",
    features=FEATURES,
    past=Past,
    compute=features,
    labels=labels,
    main="held",
    baseline=baseline,
    rule="how much of its credit limit the customer has used after the order",
    words=WORDS,
    subjects=all_of("orders"),
    slices=("tier", "channel", "segment"),
    truth={"held": "held", **{name: name for name in REASONS}},
)
