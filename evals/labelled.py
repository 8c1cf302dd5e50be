"""How a reader alone reads the labelled sample inbox: the intent of each mail by its words, before the world is asked who wrote it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from agent.mail.parse import parse
from erp_core import policy
from erp_core.values import Intent
from evals.running import WORLD
from ml import measures, pipeline, prepare
from ml.asof import Array

INTENTS = sorted(i.value for i in Intent)


def read(nlp: Any) -> tuple[Array, Array]:
    """(int64 (mails,) the wanted intent, float64 (mails, INTENTS) what the reader says). Suppliers are known by address and left out."""
    folder, told = WORLD.parent, policy.shipped().mail
    asked, said = [], []
    for line in (folder / "labels.jsonl").read_text("utf-8").splitlines():
        label = json.loads(line)
        if label["supplier"] is not None:
            continue
        mail = parse((folder / "inbox" / label["file"]).read_bytes(), told)
        own = prepare.own_words(mail.newest, mail.sender_name)
        reading = pipeline.read(nlp, mail.subject, own or mail.forwarded, mail.sender_name)
        asked.append(INTENTS.index(label["intent"]))
        said.append([reading.intents.get(name, 0.0) for name in INTENTS])
    return np.array(asked), np.array(said)


def score(asked: Array, said: Array) -> float:
    """Macro-F1 of the likeliest intent."""
    return float(f1_score(asked, said.argmax(axis=1), average="macro", zero_division=0))


def figures(asked: Array, said: Array) -> dict[str, Any]:
    """The gate's figures: accuracy beside that of the most frequent intent, macro-F1, and how far what was said is from what came."""
    right = (said.argmax(axis=1) == asked).astype(float)
    usual = (asked == np.bincount(asked).argmax()).astype(float)
    return {
        "examples": len(asked),
        "score": score(asked, said),
        "accuracy": float(right.mean()),
        "gain_low": measures.interval(lambda a, b: float(np.mean(a) - np.mean(b)), right, usual)[0],
        "calibration_error": measures.calibration_error(right, said.max(axis=1), 5),
        "too_good": [],
    }
