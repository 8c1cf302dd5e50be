"""Scoring: after a change is committed and in the journal, models are asked about what it touches. No order waits for a model.

The journal is the list of what happened: the scorer remembers its place in it, is woken when it grew, and asks champions and shadows about
the orders, purchase orders and shelves concerned. What they say is recorded through the agent's own door, and moves nothing by itself.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import numpy as np

from agent import foreseeing, memory
from agent.foreseeing import Row
from agent.tracing import Tracer
from erp_core import casework, clock, db
from erp_core.db import Session
from erp_core.errors import CountersignError
from erp_core.queries import desk, learning, models
from erp_core.queries.learning import Wanted
from erp_core.tables.models import ModelVersion
from erp_core.values import MODELS
from ml import case_late, catalog, duplicates, late_supply, past, root_cause, stockout, store, tracking
from ml.boosted import Boosted, Quantiles
from ml.duplicates import Rarity
from ml.history import History, Table, take
from ml.late_supply import RECIPE as SUPPLY
from ml.recipe import Predictor, Recipe

ORDER_TABLES = ("orders", "order_lines", "holds", "invoices", "shipments")
FORESEEN = {"price_anomaly": "wrong", "duplicate_order": "duplicate"}  # and the question that each answers
OF_ORDERS = ("hold_risk", "late_shipment", *FORESEEN)
AT_ONCE, NEWS = 200, 0.01
OFTEN = 3600.0
CASES_AT_ONCE = 2000
LONG_AGO = (datetime(2000, 1, 1, tzinfo=UTC), 0)
OVERLAP = timedelta(minutes=10)
KEPT = timedelta(days=3)  # so long the vectors of new orders are there
Order = tuple[str, str, str]  # number, customer, warehouse
T = TypeVar("T")
AskOrders = Callable[[Boosted, History, Sequence[str]], list[Row]]
AskCases = Callable[[ModelVersion, str, Predictor, History, Table], int]


REMEMBER_SECONDS = 30.0


class Scorer:
    """Remembers its place in the journal and what was said last, so that nothing is said twice."""

    def __init__(self) -> None:
        self.position = -1
        self.said: dict[tuple[int, str, str], float] = {}
        self.broken: dict[str, str] = {}
        self.known: dict[int, Any] = {}
        self.next_shelves = 0.0
        self.next_cases = 0.0
        self.rarity: tuple[float, Rarity] | None = None
        self.cases_since: dict[str, tuple[datetime, int]] = {}  # up to which case each model was asked
        self.backlog = True  # whether open orders may be there that a version was never asked about
        self.used: dict[tuple[str, str], int] = {}

    def step(self) -> int:
        """Ask about what changed since the last step; rows recorded."""
        with db.reading(db.AGENT) as session:
            now = clock.now(session)
            if any(stop.entity == "*" for stop in desk.agent_stops(session)):
                return 0
            used = {key: v for key, v in models.all_in_use(session, now).items() if v.kind == "model"}
            changed: list[tuple[str, str]] = []
            if self.position < 0:
                position = learning.last_position(session)
            else:
                position, changed = learning.changed_since(session, self.position)
            orders, customers, purchases = touched(changed)
            wanted = {(n, c, w) for n, c, w in learning.open_orders(session, sorted(orders), sorted(customers))}
            standing = {key: version.id for key, version in used.items()}
            if standing != self.used:
                self.next_shelves = 0.0  # due until it is done, whatever fails on the way
                self.cases_since = {}
            hourly = time.monotonic() > self.next_shelves
            # what changes is told by the journal, so the rest is looked for now and then, and until there is no more
            unasked = self._unasked(session, used, now) if hourly or self.backlog else []
        if standing != self.used:
            self.used = standing
            _mirror(standing)
        done = 0
        listed = sorted(wanted.union(*unasked))
        for start in range(0, len(listed), AT_ONCE):
            done += self._orders(listed[start : start + AT_ONCE], used)
        if purchases or hourly:
            done += self._purchases(used, None if hourly else purchases)
        if hourly:
            done += self._shelves(used)
            self.next_shelves = time.monotonic() + OFTEN
        if time.monotonic() > self.next_cases:
            begun = time.monotonic()
            done += self._cases(used)
            # each look reads a year of cases, so it takes a tenth of the time at most
            self.next_cases = time.monotonic() + 10 * (time.monotonic() - begun)
        self.backlog = any(len(found) == AT_ONCE for found in unasked)
        self.position = position
        return done

    def _unasked(self, session: Session, used: dict[tuple[str, str], ModelVersion], now: datetime) -> list[set[Order]]:
        """Open orders that a version was never asked about, the newest, a version."""
        return [
            set(learning.unasked_orders(session, version.id, now, dated=name == "late_shipment", most=AT_ONCE))
            for (name, _), version in used.items()
            if name in OF_ORDERS and version.sha256 not in self.broken
        ]

    def _orders(self, wanted: Sequence[Order], used: dict[tuple[str, str], ModelVersion]) -> int:
        """All models of orders, about these (number, customer, warehouse)."""
        if not wanted:
            return 0
        numbers = [number for number, _, _ in wanted]
        with db.reading(db.AGENT) as session:
            held, now = learning.goods_of(session, numbers), clock.now(session)
        doubles = any(name == "duplicate_order" for name, _ in used)
        near = _near(held, now) if doubles else {}
        with db.reading(db.AGENT) as session:
            asked = Wanted(
                customers=sorted({customer for _, customer, _ in wanted}),
                warehouses=sorted({warehouse for _, _, warehouse in wanted}),
                skus=sorted({sku for _, _, goods in held.values() for sku in goods}),
                others=sorted({other for found in near.values() for other in found}),
                earliest=learning.earliest_of(session, numbers),
            )
            history = past.read(session, now, ORDER_TABLES, asked)
            rows_of: dict[str, AskOrders] = {"price_anomaly": foreseeing.prices}
            if doubles:
                rows_of["duplicate_order"] = partial(foreseeing.doubles, rarity=self._rarity(session, now), near=near)
        mine = np.flatnonzero(np.isin(history["orders"]["number"].astype(str), numbers))
        subjects = take(history["orders"], mine)
        done = 0
        for (name, use), version in used.items():
            if name in ("hold_risk", "late_shipment"):
                # whether a day that is over will be missed is no question
                ahead = subjects["requested"] > history.now if name == "late_shipment" else subjects["at"] > 0
                rows = take(subjects, np.flatnonzero(ahead))
                done += self._ask(catalog.RECIPES[name], version, use, history, rows, _sales(rows))
            elif name in FORESEEN:
                model = self._loaded(version, partial(_head, FORESEEN[name]))
                done += self._record(version, use, rows_of[name](model, history, numbers)) if model is not None else 0
        return done

    def _rarity(self, session: Session, now: datetime) -> Rarity:
        """How telling the items of an order are, of four months; counted once an hour."""
        if self.rarity is None or time.monotonic() > self.rarity[0] + OFTEN:
            self.rarity = (time.monotonic(), Rarity(*learning.holders(session, now - timedelta(days=120))))
        return self.rarity[1]

    def _purchases(self, used: dict[tuple[str, str], ModelVersion], purchases: set[str] | None) -> int:
        """Lines of purchase orders that are on their way: those that changed, or all."""
        mine = [(use, version) for (name, use), version in used.items() if name == SUPPLY.name]
        if not mine:
            return 0
        with db.reading(db.AGENT) as session:
            history = past.read(session, clock.now(session), ("purchases",))
        rows = late_supply.with_lane(history["purchases"])
        waiting = np.isnan(rows["received"]) & ~np.isnan(rows["expected"]) & (rows["expected"] > history.now)
        if purchases is not None:
            waiting &= np.isin(rows["number"].astype(str), list(purchases))
        subjects = take(rows, np.flatnonzero(waiting))
        subjects["asked_at"] = np.full(len(subjects["at"]), history.now)
        names = [f"purchase_order:{n}:{s}" for n, s in zip(subjects["number"], subjects["sku"], strict=True)]
        return sum(self._ask(SUPPLY, version, use, history, subjects, names) for use, version in mine)

    def _cases(self, used: dict[tuple[str, str], ModelVersion]) -> int:
        """Open cases that came to their queue since the last look: will they be late, and why did they arise?"""
        return self._each_case(case_late.RECIPE, used, self._lateness) + self._each_case(
            root_cause.RECIPE, used, self._causes
        )

    def _lateness(self, version: ModelVersion, use: str, model: Predictor, history: History, rows: Table) -> int:
        rows = take(rows, np.flatnonzero(~np.isnan(rows["due"])))
        return self._ask(case_late.RECIPE, version, use, history, rows, [f"case:{number}" for number in rows["id"]])

    def _causes(self, version: ModelVersion, use: str, model: Predictor, history: History, rows: Table) -> int:
        return self._record(version, use, foreseeing.causes(model, history, rows))

    def _each_case(self, recipe: Recipe, used: dict[tuple[str, str], ModelVersion], ask: AskCases) -> int:
        mine = [
            (use, v, model)
            for (name, use), v in used.items()
            if name == recipe.name and (model := self._loaded(v, partial(Predictor.of, recipe))) is not None
        ]
        if not mine:
            return 0
        since = self.cases_since.get(recipe.name, LONG_AGO)
        with db.reading(db.AGENT) as session:
            now = clock.now(session)
            found = learning.unasked_cases(session, [v.id for _, v, _ in mine], since, CASES_AT_ONCE)
            history = past.read(session, now, ("cases",), Wanted()) if found else None
        done = 0
        if history is not None:
            rows = take(history["cases"], np.isin(history["cases"]["id"].astype(str), [str(n) for _, n in found]))
            names = {f"case:{number}" for number in rows["id"]}
            self.said = {key: value for key, value in self.said.items() if key[1] not in names}  # it came anew
            done = sum(ask(version, use, model, history, rows) for use, version, model in mine)
        # the place is left once all is written; a case may be committed after others that came later
        self.cases_since[recipe.name] = found[-1] if len(found) == CASES_AT_ONCE else (now - OVERLAP, 0)
        return done

    def _shelves(self, used: dict[tuple[str, str], ModelVersion]) -> int:
        """Stockouts, demand and queue load: what changes by the hour rather than by the order."""
        done = 0
        mine = {
            n: [(use, v) for (name, use), v in used.items() if name == n] for n in ("stockout", "demand", "queue_load")
        }
        if mine["stockout"] or mine["demand"]:
            with db.reading(db.AGENT) as session:
                now = clock.now(session)
                history = past.read(session, now, ("order_lines", "levels"))
            shelves = foreseeing.latest(history["levels"])
            names = [f"stock:{w}:{s}" for w, s in zip(shelves["warehouse"], shelves["sku"], strict=True)]
            for use, version in mine["stockout"]:
                shelves["at"] = np.full(len(names), history.now)
                done += self._ask(stockout.RECIPE, version, use, history, shelves, names)
            for use, version in mine["demand"]:
                if (model := self._loaded(version, Quantiles)) is not None:
                    done += self._record(version, use, foreseeing.demand(model, history))
        for use, version in mine["queue_load"]:
            with db.reading(db.AGENT) as session:
                cases = past.read(session, clock.now(session), ("cases",))
            done += self._record(version, use, foreseeing.load(cases))
        return done

    def _ask(
        self, recipe: Recipe, version: ModelVersion, use: str, history: History, subjects: Table, names: Sequence[str]
    ) -> int:
        """Every question of a recipe about every subject; reasons and features go with the main one."""
        predictor = self._loaded(version, partial(Predictor.of, recipe))
        if predictor is None or not len(names):
            return 0
        matrix = recipe.compute(recipe.past(history), subjects)
        rows: list[Row] = []
        for question, values in predictor.predict(matrix).items():
            for row, name in enumerate(names):
                said: Row = {"subject": name, "question": question, "value": float(values[row])}
                if not self._is_news(version.id, said):
                    continue
                if question == recipe.main or values[row] >= 0.2:
                    said["reasons"] = predictor.reasons(matrix[row], question)
                if question == recipe.main:
                    said["features"] = [round(float(x), 6) if np.isfinite(x) else None for x in matrix[row]]
                rows.append(said)
        if recipe.amount is not None and predictor.interval is not None:
            for name, (low, middle, high) in zip(names, predictor.interval.predict(matrix), strict=True):
                amounts = {"value": max(float(middle), 0.0), "low": float(low), "high": float(high)}
                rows.append({"subject": name, "question": recipe.amount.question, **amounts})
        return self._record(version, use, rows)

    def _is_news(self, version: int, row: Row) -> bool:
        before = self.said.get((version, row["subject"], row["question"]))
        return before is None or abs(before - float(row["value"])) >= NEWS

    def _record(self, version: ModelVersion, use: str, rows: Iterable[Row]) -> int:
        """Write down what is news; it counts as said once it is committed."""
        listed = [row for row in rows if self._is_news(version.id, row)]
        for start in range(0, len(listed), 1000):
            part = listed[start : start + 1000]
            with db.transaction(db.AGENT) as session:
                casework.record_predictions(session, version.id, use, part)
            self.said.update({(version.id, row["subject"], row["question"]): float(row["value"]) for row in part})
        return len(listed)

    def _loaded(self, version: ModelVersion, make: Callable[[dict[str, Any]], T]) -> T | None:
        """The model of a version, made once from its file; None while the file is not what was recorded, and the log says why, once."""
        try:
            content = store.read(version.sha256)
            if version.id not in self.known:
                self.known[version.id] = make(content)
        except (KeyError, CountersignError) as error:  # changed, of other features than today's, or no trees at all
            self._broke(version, error)
            return None
        self.broken.pop(version.sha256, None)
        found: T = self.known[version.id]
        return found

    def _broke(self, version: ModelVersion, error: Exception) -> None:
        """Say once in the log why a version is not asked."""
        if self.broken.get(version.sha256) != str(error):
            print(f"{version.name}, version {version.id}: {error}", file=sys.stderr, flush=True)
        self.broken[version.sha256] = str(error)


def _near(held: Mapping[str, tuple[str, datetime, dict[str, float]]], now: datetime) -> dict[str, list[str]]:
    """Orders of other accounts for much the same goods as each new order, after the vectors of all of these are kept; `held`: customer, moment, goods."""
    vectors = {number: duplicates.vector(goods) for number, (_, at, goods) in held.items() if at >= now - KEPT}
    if not vectors:
        return {}
    with db.transaction(db.AGENT) as session:
        casework.keep_goods(session, vectors)
    with db.reading(db.AGENT) as session:
        return {
            number: learning.alike(
                session, held[number][0], held[number][1], sorted(held[number][2]), v, within=duplicates.NEAR
            )
            for number, v in vectors.items()
        }


def _head(question: str, content: dict[str, Any]) -> Boosted:
    return Boosted.from_json(content["heads"][question])


def _mirror(standing: dict[tuple[str, str], int]) -> None:
    """MLflow's aliases follow the core."""
    try:
        tracking.mirror(standing)
    except Exception as error:  # the record is beside the house
        print(f"MLflow's aliases could not be set: {error}", file=sys.stderr, flush=True)


def touched(changed: Iterable[tuple[str, str]]) -> tuple[set[str], set[str], set[str]]:
    """(orders, customers, purchase orders) that journal entries are about."""
    orders, customers, purchases = set(), set(), set()
    for tag, subject in changed:
        kind, _, name = subject.partition(":")
        if kind == "sales_order" and not tag.startswith("model:"):
            orders.add(name)
        elif kind == "customer":
            customers.add(name.split(":")[0])
        elif kind == "purchase_order":
            purchases.add(name)
    return orders, customers, purchases


def _sales(subjects: Table) -> list[str]:
    return [f"sales_order:{number}" for number in subjects["number"]]


def train_first(session: Session) -> subprocess.Popen[bytes] | None:
    """A new installation serves at once; its first models are trained beside it, from a simulated past."""
    if {v.name for v in models.versions(session)} >= set(MODELS):
        return None
    return subprocess.Popen(
        [sys.executable, "-m", "erp_core.cli", "train", "all", "--simulated", "--json"], stdout=subprocess.DEVNULL
    )


def run(stop: threading.Event) -> None:
    """Beside the worker, until stopped: woken by the journal, at the latest after a second."""
    scorer, tracer = Scorer(), Tracer()
    training = None
    next_look = 0.0
    while not stop.is_set():
        try:
            with db.reading(db.AGENT) as session:
                training = training or train_first(session)
            with db.listening(db.AGENT, learning.NOTIFY) as wait:
                while not stop.is_set():
                    scorer.step()
                    if time.monotonic() > next_look:
                        tracer.step()
                        next_look = time.monotonic() + (
                            0.0 if memory.remember() == memory.AT_ONCE else REMEMBER_SECONDS
                        )
                    if training is not None:
                        training.poll()  # it leaves when it is done
                    wait(1.0)
        except Exception as error:  # whatever is wrong with a score, mail is worked on
            print(f"Scoring failed and starts again: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            stop.wait(5.0)
    if training is not None:
        training.terminate()
