"""Models see what was known and nothing later; what is stored says the same again; a file that was changed is not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erp_core.errors import CountersignError
from erp_core.rules.drift import stability
from erp_core.values import MODELS
from ml import (
    boosted,
    catalog,
    duplicates,
    hold_risk,
    late_supply,
    measures,
    price_anomaly,
    reader,
    recipe,
    return_reason,
    simulated,
    stockout,
    store,
)
from ml.asof import DAY, Known, Names
from ml.boosted import Boosted, NotEnoughData, Unsound
from ml.history import COLUMNS, History, take
from ml.recipe import Predictor, Recipe

SMALL = simulated.Size(orders=6000, customers=120, items=80, suppliers=12, days=300)
LATER = simulated.START + 200 * DAY


@pytest.fixture(scope="module")
def past() -> History:
    return simulated.simulate(5, SMALL)


def up_to(history: History, moment: float) -> History:
    """What was known at a moment: rows that were not there are gone, and what had not happened yet is open."""
    tables = {}
    for name, rows in history.tables.items():
        known = take(rows, rows["at"] < moment)
        for column in ("paid", "delivered", "received", "closed"):
            if column in known:
                known[column] = np.where(known[column] < moment, known[column], np.nan)
        tables[name] = known
    return History(tables, moment, history.source, {})


@pytest.mark.parametrize("one", catalog.RECIPES.values(), ids=lambda r: r.name)
def test_no_feature_sees_what_came_later(one: Recipe, past: History) -> None:
    """The whole history, with everything that came after planted in it, gives what the history up to then gives."""
    subjects = one.subjects(past)
    rows = np.flatnonzero((subjects[one.moment] < LATER) & (subjects[one.moment] > LATER - 20 * DAY))[:200]
    assert len(rows) > 30
    asked = take(subjects, rows)
    whole = one.compute(one.past(past), asked)
    known = one.compute(one.past(up_to(past, LATER)), asked)
    for column, name in enumerate(one.features):
        np.testing.assert_allclose(
            whole[:, column], known[:, column], rtol=1e-9, atol=1e-9, equal_nan=True, err_msg=name
        )


def test_a_planted_future_fact_would_be_seen_if_it_were_looked_at(past: History) -> None:
    """The test above can fail: the same fact moved before the order changes what is said of it."""
    orders = past["orders"]
    row = take(orders, np.flatnonzero(orders["at"] > LATER)[:1])
    hold = {
        "order": row["number"],
        "customer": row["customer"],
        "at": row["at"] - 10,
        "reason": np.array(["credit"], dtype=object),
    }
    seen = {name: np.concatenate([past["holds"][name], hold[name]]) for name in hold}
    changed = History({**past.tables, "holds": seen}, past.now, "simulated", {})
    before, after = (hold_risk.features(hold_risk.Past(h), row) for h in (past, changed))
    assert before[0, hold_risk.FEATURES.index("credit_rate")] < after[0, hold_risk.FEATURES.index("credit_rate")]


def test_known_facts_are_counted_strictly_before_a_moment() -> None:
    names = Names(np.array(["a", "b"], dtype=object))
    facts = Known(
        names.of(np.array(["a", "a", "b"], dtype=object)), np.array([10.0, 20.0, 15.0]), np.array([1.0, 3.0, 5.0])
    )
    key, at = names.of(np.array(["a", "a", "a", "b", "c"], dtype=object)), np.array([10.0, 20.0, 21.0, 100.0, 100.0])
    assert facts.count(key, at).tolist() == [0, 1, 2, 1, 0]
    assert facts.total(key, at).tolist() == [0, 1, 4, 5, 0]
    assert facts.last(key, at)[2] == 3.0
    assert np.isnan(facts.mean(key, at)[0])
    assert np.isnan(facts.last(key, at)[4])


@pytest.mark.parametrize("one", catalog.RECIPES.values(), ids=lambda r: r.name)
def test_every_feature_can_be_said(one: Recipe) -> None:
    assert set(one.words) >= set(one.features)
    for name in one.features:
        assert isinstance(one.words[name](1.0), str)


def test_a_model_that_is_stored_says_the_same_again(past: History) -> None:
    one = hold_risk.RECIPE
    made, figures = recipe.train(one, past)
    again = Predictor.of(one, catalog.figures_of(made.to_json()))
    matrix = one.compute(one.past(past), take(past["orders"], np.arange(300)))
    for name, said in made.predict(matrix).items():
        np.testing.assert_allclose(said, again.predict(matrix)[name], atol=1e-9)
    reasons = again.reasons(matrix[0])
    assert len(reasons) == 3
    assert {"text", "share"} == set(reasons[0])
    main = recipe.main_figures(one, figures)
    assert main["auc"] > main["baseline_auc"]
    assert figures["since"] > past["orders"]["at"].min()


def test_contributions_add_up_to_what_is_said(past: History) -> None:
    one = hold_risk.RECIPE
    made, _ = recipe.train(one, past)
    matrix = one.compute(one.past(past), take(past["orders"], np.arange(50)))
    head = made.heads["held"]
    whole = head.booster.predict(matrix, pred_contrib=True)
    raw = head.booster.predict(matrix, raw_score=True)
    np.testing.assert_allclose(whole.sum(axis=1), raw, atol=1e-6)
    np.testing.assert_allclose(head.contributions(matrix), whole[:, :-1])


def test_too_little_to_learn_from_is_an_answer(past: History) -> None:
    few = History(
        {name: take(rows, np.arange(min(60, len(rows["at"])))) for name, rows in past.tables.items()},
        past.now,
        "own",
        {},
    )
    with pytest.raises(NotEnoughData, match="are known"):
        recipe.train(hold_risk.RECIPE, few)
    nothing = History(
        {name: {c: np.array([]) for c in columns} for name, columns in COLUMNS.items()}, past.now, "own", {}
    )
    for name, entry in catalog.ENTRIES.items():
        if entry.needs:
            with pytest.raises(NotEnoughData):
                catalog.train(name, nothing)


def test_probabilities_are_calibrated_and_near_the_best_there_can_be() -> None:
    """On customers and months that were not learned from: the simulator knows the true probability."""
    history = simulated.simulate(9, simulated.Size(orders=40_000, customers=600))
    orders = history["orders"]
    matrix = hold_risk.features(hold_risk.Past(history), orders)
    known, asked = hold_risk.labels(history)["held"]
    newer = orders["at"] > simulated.START + 400 * DAY
    strangers = np.array([int(c[1:]) % 4 == 0 for c in orders["customer"]])
    model = Boosted.fit(matrix[known & ~newer & ~strangers], asked[known & ~newer & ~strangers], hold_risk.FEATURES)
    test = known & newer & strangers
    said = model.probabilities(matrix[test])
    best = measures.auc(asked[test], history.truth["held"][test])
    assert test.sum() > 1500
    assert best - measures.auc(asked[test], said) < 0.03
    assert measures.calibration_error(asked[test], said) < 0.05


def test_a_feature_that_was_written_afterwards_is_seen_through() -> None:
    chance = np.random.default_rng(1)
    asked = (chance.random(2000) < 0.2).astype(float)
    matrix = np.stack([chance.normal(size=2000), asked + chance.normal(size=2000) * 0.05], axis=1)
    assert [name for name, _ in measures.suspicious(matrix, asked, ["honest", "leaked"])] == ["leaked"]


def test_the_area_under_the_curve_is_right() -> None:
    assert measures.auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert np.isnan(measures.auc(np.zeros(4), np.ones(4)))
    assert stability([0.5, 0.5], [0.5, 0.5]) == 0
    assert stability([0.9, 0.1], [0.1, 0.9]) > 1


def test_a_machine_without_openmp_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(boosted.importlib, "import_module", missing)
    with pytest.raises(CountersignError, match="libgomp1"):
        boosted.lightgbm.__wrapped__()


def test_planted_price_errors_and_duplicates_are_found(past: History) -> None:
    lines = past["order_lines"]
    model = price_anomaly.fit(lines, LATER)
    asked, said, rule = catalog._price_asked(model, past, LATER)
    assert measures.auc(asked, said) > max(measures.auc(asked, rule), 0.95)
    twice = duplicates.fit(lines, LATER)
    orders = [b for b in duplicates.baskets(lines) if b.at < LATER]
    one = orders[-1]
    again = duplicates.Basket("AGAIN", one.customer, one.at + 600, dict(one.goods))
    pair = [(a, b) for a, b in duplicates.pairs([*orders, again]) if b.number == "AGAIN" and a.number == one.number]
    assert twice.probabilities(duplicates.ask(pair, duplicates.Rarity.among(orders), duplicates.usual(orders)))[0] > 0.5


def test_reasons_for_a_return_are_told_or_left_open() -> None:
    made, figures = return_reason.train()
    reasons = return_reason.Reasons(made)
    assert figures["accuracy"] > figures["baseline_accuracy"] + 0.3
    said = reasons.say("The valves came crushed, the carton was torn")
    assert said is not None
    assert said[0] == "damaged"
    assert reasons.say("hello") is None


def test_a_changed_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_HOME", str(tmp_path))
    path = store.keep('{"heads": {}}')
    digest = path.stem
    assert store.read(digest) == {"heads": {}}
    path.write_text('{"heads": {"evil": 1}}')
    with pytest.raises(store.Tampered, match="is not the file"):
        store.read(digest)
    path.unlink()
    with pytest.raises(store.Tampered, match="train anew"):
        store.read(digest)


def test_the_house_knows_its_models_by_name() -> None:
    assert {*catalog.ENTRIES, reader.NAME} == set(MODELS)


def test_a_purchase_is_asked_about_only_while_it_has_not_come(past: History) -> None:
    rows = late_supply.asked(past)
    known: Any = ~np.isnan(rows["received"])
    assert (rows["received"][known] > rows["asked_at"][known]).all()
    assert set(stockout.WITHIN) == {7, 14}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("split_feature=", "split_feature=999 "),
        ("left_child=", "left_child=0 "),
        ("num_cat=0", "num_cat=5"),
        ("num_leaves=", "num_leaves=9"),
        ("max_feature_idx=", "max_feature_idx=9"),
        ("leaf_value=", "leaf_value=1 "),
    ],
)
def test_trees_that_training_never_makes_are_not_loaded(past: History, old: str, new: str) -> None:
    """LightGBM believes its own text: a forged one would read what is not there, or never end."""
    made, _ = recipe.train(stockout.RECIPE, past)
    stored = made.heads["within_7"].to_json()
    Boosted.from_json(stored)
    assert old in stored["trees"]
    with pytest.raises(Unsound):
        Boosted.from_json({**stored, "trees": stored["trees"].replace(old, new)})


def test_a_tree_that_runs_in_a_circle_is_not_loaded(past: History) -> None:
    made, _ = recipe.train(stockout.RECIPE, past)
    stored = made.heads["within_7"].to_json()
    lines = stored["trees"].split("\n")
    at = next(
        i
        for i, line in enumerate(lines)
        if line.startswith("right_child=") and any(int(x) > 0 for x in line[12:].split())
    )
    children = lines[at][12:].split()
    inner = next(i for i, x in enumerate(children) if int(x) > 0)
    children[inner] = "0"
    lines[at] = "right_child=" + " ".join(children)
    with pytest.raises(Unsound, match=r"circle|not there"):
        Boosted.from_json({**stored, "trees": "\n".join(lines)})


def test_when_goods_come_is_told_with_an_interval_that_holds(past: History) -> None:
    one = late_supply.RECIPE
    made, figures = recipe.train(one, past)
    told = figures["amount"]
    assert told["examples"] > 100
    assert 0.7 < told["inside"] < 0.9  # of ten, eight
    again = Predictor.of(one, catalog.plain(made.to_json()))
    rows = take(one.subjects(past), np.arange(50))
    matrix = one.compute(one.past(past), rows)
    assert made.interval is not None
    assert again.interval is not None
    said = again.interval.predict(matrix)
    np.testing.assert_allclose(said, made.interval.predict(matrix))
    assert (np.diff(said, axis=1) >= 0).all()
