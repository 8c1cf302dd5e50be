"""Suites on public data, by path: what our models know of somebody else's business, and whether the harness sees through planted leakage."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from evals.report import wilson
from ml import catalog, duplicates, late_supply, linear, measures, prepare, price_anomaly
from ml.asof import DAY, Array
from ml.boosted import Boosted
from ml.history import History, Table, take

LEAF: dict[str, Any] = {"num_leaves": 31, "feature_fraction": 0.3, "learning_rate": 0.03, "min_data_in_leaf": 40}


def _frame(path: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def _file(path: Path, pattern: str) -> Path:
    """The file, or the first that fits in a folder. Raises ValueError."""
    if path.is_file():
        return path
    found = sorted(path.glob(pattern))
    if not found:
        raise ValueError(f"there is no {pattern} in it")
    return found[0]


def _words(frame: Any, column: str) -> Array:
    return frame[column].fillna("?").astype(str).to_numpy(object)


def _seconds(frame: Any, column: str) -> Array:
    return (frame[column].astype("datetime64[ns]").astype("int64") / 1e9).where(frame[column].notna()).to_numpy(float)


SCMS_KEYS = (
    "supplier",
    "sku",
    "category",
    "warehouse",
    "lane",
    "site",
    "mode",
    "via",
    "order",
    "project",
    "place_mode",
)


def scms(path: Path) -> dict[str, Any]:
    """SCMS deliveries (parquet): late supplier deliveries of 2013, asked a month, a week and a day ahead; learned from the years before."""
    frame = _frame(_file(path, "*.parquet")).sort_values("scheduled_dt", kind="stable").reset_index(drop=True)
    rows = _scms_rows(frame)
    history = History({"purchases": rows}, float(np.nanmax(rows["received"])) + DAY, "outside", {})
    start, end = (np.datetime64(day).astype("datetime64[s]").astype(float) for day in ("2013-01-01", "2014-01-01"))
    figures: dict[str, Any] = {"lines": len(rows["at"]), "years": "learned from before 2013, asked about 2013"}
    for ahead in (1.0, 7.0, 30.0):
        figures[f"{ahead:.0f}_days_ahead"] = _scms_ahead(history, ahead, start, end)
    return catalog.figures_of(figures)


def _scms_rows(frame: Any) -> Table:
    vendor, country = _words(frame, "Vendor"), _words(frame, "Country")
    mode, via = _words(frame, "Shipment Mode"), _words(frame, "Fulfill Via")
    sent, scheduled = _seconds(frame, "po_sent_dt"), _seconds(frame, "scheduled_dt")
    return {
        "number": _words(frame, "PO / SO #"),
        "supplier": vendor,
        "sku": _words(frame, "Item Description"),
        "category": _words(frame, "Sub Classification"),
        "warehouse": country,
        "risk": np.full(len(frame), "low", dtype=object),
        "lane": np.array([f"{v}|{c}" for v, c in zip(via, country, strict=True)], dtype=object),
        "site": _words(frame, "Manufacturing Site"),
        "mode": mode,
        "via": via,
        "order": _words(frame, "PO / SO #"),
        "project": _words(frame, "Project Code"),
        "place_mode": np.array([f"{c}|{m}" for c, m in zip(country, mode, strict=True)], dtype=object),
        "at": np.where(np.isnan(sent), scheduled - 90 * DAY, np.minimum(sent, scheduled)),
        "expected": scheduled + DAY,
        "received": _seconds(frame, "delivered_dt") + DAY - 1,
        "quantity": frame["Line Item Quantity"].to_numpy(float),
        "arrived": frame["Line Item Quantity"].to_numpy(float),
        "value": frame["Line Item Value"].to_numpy(float),
        "differs": np.full(len(frame), np.nan),
    }


def _scms_ahead(history: History, ahead: float, start: float, end: float) -> dict[str, Any]:
    rows = history["purchases"]
    moment = rows["expected"] - ahead * DAY
    waiting = rows["received"] >= moment  # what came earlier is no question any more
    asked = {**take(rows, waiting), "asked_at": moment[waiting]}
    past = late_supply.Past(history, SCMS_KEYS)
    names = late_supply.names_of(SCMS_KEYS)
    matrix = late_supply.features(past, asked)
    late = (asked["received"] > asked["expected"] + 1).astype(float)
    seen, new = asked["expected"] < start, (asked["expected"] >= start) & (asked["expected"] < end)
    model = Boosted.fit(matrix[seen], late[seen], names, **LEAF)
    said = model.probabilities(matrix[new])
    rates = [i for i, name in enumerate(names) if name.endswith("_late_365")]
    plain = Boosted.fit(matrix[seen][:, rates], late[seen], [names[i] for i in rates])
    beside = plain.probabilities(matrix[new][:, rates])
    figures = measures.classifier(late[new], said, late_supply.baseline(past, asked)[new], {"via": asked["via"][new]})
    figures["plain_rates_auc"] = measures.auc(late[new], beside)
    figures["too_good"] = measures.suspicious(matrix[seen], late[seen], list(names))
    return {k: v for k, v in figures.items() if k != "reliability"}


DATACO_LEAKS = (
    "Days for shipping (real)", "Delivery Status", "Late_delivery_risk", "Benefit per order", "Order Profit Per Order", "Order Item Profit Ratio",
    "Order Status",
)  # fmt: skip


def dataco(path: Path) -> dict[str, Any]:
    """DataCo order lines (parquet): holds, with the columns that were written afterwards left out, and seen through when they are not."""
    frame = _frame(_file(path, "*.parquet")).sort_values("order_ts", kind="stable").reset_index(drop=True)
    held = frame["hold"].to_numpy(float)
    honest = [
        c
        for c in frame.columns
        if c not in (*DATACO_LEAKS, "hold", "order_ts", "order date (DateOrders)", "shipping date (DateOrders)")
    ]
    matrix, names = _coded(frame, honest)
    cut = int(len(frame) * 0.75)
    model = Boosted.fit(matrix[:cut], held[:cut], names, num_leaves=7)
    said = model.probabilities(matrix[cut:])
    kind = _words(frame, "Type")
    rate = {name: held[:cut][kind[:cut] == name].mean() for name in set(kind[:cut])}
    rule = np.array([rate.get(name, held[:cut].mean()) for name in kind[cut:]])
    figures = measures.classifier(held[cut:], said, rule)
    planted, planted_names = _coded(frame, [*honest, *DATACO_LEAKS])
    leaks = measures.suspicious(planted[:cut], held[:cut], planted_names, 0.75)
    learnable = figures["gain_interval"][0] > 0
    return catalog.figures_of(
        {
            "lines": len(frame),
            "held": float(held.mean()),
            "auc": figures["auc"],
            "auc_interval": figures["auc_interval"],
            "payment_type_alone_auc": figures["baseline_auc"],
            "gain": figures["gain"],
            "gain_interval": figures["gain_interval"],
            "calibration_error": figures["calibration_error"],
            "verdict": "learnable"
            if learnable
            else "not learnable beyond the payment type: no gain over that one feature",
            "leakage_when_planted": [f"{name} alone {value:.2f}" for name, value in leaks] or "none seen",
        }
    )


def _coded(frame: Any, columns: list[str]) -> tuple[Array, list[str]]:
    """Columns as numbers: words by how often they occur."""
    parts = []
    for name in columns:
        column = frame[name]
        if column.dtype.kind in "iuf":
            parts.append(column.to_numpy(float))
        else:
            words = column.fillna("?").astype(str)
            parts.append(
                words.map(words.value_counts()).to_numpy(float) + words.astype("category").cat.codes.to_numpy() / 1e4
            )
    return np.stack(parts, axis=1), [name.replace(" ", "_").replace("(", "").replace(")", "") for name in columns]


def retail(path: Path) -> dict[str, Any]:
    """UCI Online Retail (a folder with the history, planted_*.parquet and planted_truth_*.csv): duplicates and price errors found."""
    import pandas as pd

    planted, truth = _frame(_file(path, "planted_*.parquet")), pd.read_csv(_file(path, "planted_truth_*.csv"))
    start = planted["InvoiceDate"].min().normalize()
    before = _frame(_file(path, "online_retail*.parquet"))
    whole = pd.concat([before[before["InvoiceDate"] < start], planted], ignore_index=True)
    sold = ~whole["InvoiceNo"].astype(str).str.startswith(("C", "A")) & (whole["Quantity"] > 0)
    whole = whole[sold].sort_values("InvoiceDate", kind="stable").reset_index(drop=True)
    since = start.timestamp()
    lines: Table = {
        "order": whole["InvoiceNo"].astype(str).to_numpy(object),
        "customer": whole["CustomerID"].map(lambda x: "" if pd.isna(x) else str(int(x))).to_numpy(object),
        "sku": whole["StockCode"].astype(str).to_numpy(object),
        "po": np.full(len(whole), "", dtype=object),
        "at": _seconds(whole, "InvoiceDate"),
        "quantity": whole["Quantity"].to_numpy(float),
        "price": whole["UnitPrice"].to_numpy(float),
        "list_price": np.full(len(whole), np.nan),
    }
    return catalog.figures_of(
        {"duplicates": _retail_duplicates(lines, truth, since), "prices": _retail_prices(whole, lines, truth, since)}
    )


def _retail_duplicates(lines: Table, truth: Any, since: float) -> dict[str, Any]:
    model = duplicates.fit(lines, since)
    orders = duplicates.baskets(lines)
    before = [basket for basket in orders if basket.at < since]
    found = list(duplicates.pairs(orders, since))
    matrix = duplicates.ask(found, duplicates.Rarity.among(before), duplicates.usual(before))
    said = model.probabilities(matrix)
    copies = truth[truth["kind"] == "duplicate_order"]
    pairs = {frozenset((str(a), str(int(b)))) for a, b in zip(copies["InvoiceNo"], copies["duplicate_of"], strict=True)}
    asked = np.array([float(frozenset((one.number, two.number)) in pairs) for one, two in found])
    rule = duplicates.baseline(matrix)
    mine = _recalls(asked, said, len(pairs))
    recall = max((r for r, p in mine if p >= 0.95), default=0.0)
    return {
        "planted": len(pairs),
        "candidates": len(found),
        "recall_at_precision_95": recall,
        "recall_interval": wilson(round(recall * len(pairs)), len(pairs)),
        "precision_at_recall_98": max((p for r, p in mine if r >= 0.98), default=0.0),
        "equal_lines_alone_recall": max((r for r, p in _recalls(asked, rule, len(pairs)) if p >= 0.95), default=0.0),
        "auc": measures.auc(asked, said),
        "equal_lines_alone_auc": measures.auc(asked, rule),
        "note": "the base holds natural repeats too, so precision is a lower bound",
    }


def _recalls(asked: Array, said: Array, planted: int) -> list[tuple[float, float]]:
    """(recall, precision) at each score that a planted one has."""
    return [
        (float(asked[said >= level].sum() / planted), float(asked[said >= level].mean()))
        for level in np.unique(said[asked > 0])
    ]


def _retail_prices(whole: Any, lines: Table, truth: Any, since: float) -> dict[str, Any]:
    good = lines["price"] > 0
    lines, whole = take(lines, good), whole[good]
    model, past = price_anomaly.fit(lines, since), price_anomaly.Past(lines)
    newer = np.flatnonzero(lines["at"] >= since)
    rows = take(lines, newer)
    matrix = past.ask(rows, rows["price"])
    said, rule = model.probabilities(matrix), price_anomaly.baseline(past, rows, rows["price"])
    wrong = whole["line_id"].map(truth[truth["kind"] == "price"].set_index("line_id")["subtype"]).iloc[newer]
    known = matrix[:, price_anomaly.FEATURES.index("own_lines")] > 0
    figures: dict[str, Any] = {"lines": len(newer)}
    for kind in sorted(wrong.dropna().unique()):
        for name, which in (("own_history", known), ("all", np.ones(len(newer), dtype=bool))):
            mine = which & ((wrong == kind) | wrong.isna()).to_numpy()
            asked = (wrong == kind).to_numpy()[mine].astype(float)
            figures[f"{kind} {name}"] = {
                "planted": int(asked.sum()),
                "auc": measures.auc(asked, said[mine]),
                "interval": measures.interval(measures.auc, asked, said[mine], repeats=100),
                "baseline_auc": measures.auc(asked, rule[mine]),
            }
    return figures


def _by_phrasing(frame: Any) -> tuple[list[str], Array, Array]:
    """(texts, intents, group): rows of one phrasing, its words without fillers, share a group."""
    texts = frame["utterance"].astype(str).tolist()
    stems = [" ".join(sorted(set(prepare.normal("", t).split())))[:60] for t in texts]
    return (
        texts,
        frame["intent"].to_numpy(object),
        np.array([crc32(" ".join(s.split()[:4]).encode()) % 997 for s in stems]),
    )


def intents(path: Path) -> dict[str, Any]:
    """Intent utterances (CSV with utterance, intent): our text features learn them, each phrasing held out in turn."""
    import pandas as pd
    from sklearn.metrics import f1_score
    from sklearn.model_selection import GroupKFold

    frame = pd.read_csv(_file(path, "*.csv*"))
    texts, wanted, groups = _by_phrasing(frame)
    blocks = linear.counts([prepare.normal("", t) for t in texts])
    features = linear.weigh(blocks, linear.idf(blocks))
    said = np.empty(len(texts), dtype=object)
    for seen, unseen in GroupKFold(3).split(texts, wanted, groups):
        model = linear.Linear.fit(features[seen], wanted[seen])
        said[unseen] = [model.classes[i] for i in model.scores(features[unseen]).argmax(axis=1)]
    most = max(np.unique(wanted, return_counts=True)[1]) / len(wanted)
    return {
        "utterances": len(texts),
        "intents": len(set(wanted.tolist())),
        "macro_f1_by_phrasing": float(f1_score(wanted, said.tolist(), average="macro")),
        "accuracy": float(np.mean(said == wanted)),
        "most_frequent_alone": float(most),
        "note": "written from templates: a random split would say 1.0",
    }
