"""The reader of mails: from the text in this repository to a spaCy pipeline, in less than a minute.

Quality is measured with each hand (file) held out in turn, since a stranger's mail is what the model will meet.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold

from ml import corpus, linear, pipeline, prepare
from ml.corpus import Example
from ml.linear import Array, Linear

FOLDS = 3
Report = Callable[[str, float], None]


def train(models: Path, progress: Report | None = None) -> dict[str, Any]:
    """Train all four models, measure them with hands held out, store the pipeline. Returns its `sha256` and `figures`."""
    said = progress or (lambda text, done: None)
    started = time.monotonic()
    examples = corpus.read()
    said("Reading training text", 0.1)
    texts = [text_of(example) for example in examples]
    blocks = linear.counts(texts)
    idf = linear.idf(blocks)
    features = linear.weigh(blocks, idf)
    kept = np.array([i for i, e in enumerate(examples) if e.intent != "supplier_notice"])
    said("Measuring with hands held out", 0.25)
    scores = _held_out(features[kept], [examples[i] for i in kept])
    figures, temperature = _figures([examples[i] for i in kept], scores)
    said("Training intents", 0.6)
    nlp = pipeline.blank()
    reader = nlp.get_pipe(pipeline.COMPONENT)
    reader.idf = idf
    reader.models = _models(features, examples, kept, temperature, said)
    figures = {"examples": len(examples), "hands": len({e.hand for e in examples}), **figures}
    figures["seconds"] = round(time.monotonic() - started, 1)
    nlp.meta |= {"training_text": corpus.fingerprint(), "format": pipeline.NAME}
    told = {"sha256": pipeline.keep(models, nlp), "figures": figures}
    pipeline.pointer(models).write_text(json.dumps(told))
    said("Trained", 1.0)
    return told


def text_of(example: Example) -> str:
    """The same normal form that reading uses."""
    text = prepare.normal(example.subject, prepare.own_words(example.body))
    return re.sub(r"\s+", " ", text).strip()


def _models(features: Any, examples: list[Example], kept: Array, temperature: float, said: Report) -> dict[str, Linear]:
    """Intents of customers (a supplier is known by address, not by wording), language, hostility."""
    intents = Linear.fit(features[kept], [examples[i].intent for i in kept])
    intents.temperature = temperature
    said("Training language and tone", 0.9)
    languages = Linear.fit(features, [e.language for e in examples])
    languages.temperature = 4.0
    hostile = Linear.fit(features, ["hostile" if e.hostile else "honest" for e in examples], 1.0)
    hostile.temperature = 2.0
    return {"intents": intents, "languages": languages, "hostile": hostile}


def _held_out(features: Any, examples: list[Example]) -> Array:
    """Decision values for every example by a model that has not seen its hand: float (examples, classes)."""
    labels = np.array([e.intent for e in examples])
    classes = sorted(set(labels))
    scores = np.zeros((len(labels), len(classes)))
    groups = [e.hand for e in examples]
    folds = GroupKFold(min(FOLDS, len(set(groups))))
    for seen, unseen in folds.split(features, labels, groups):
        model = Linear.fit(features[seen], labels[seen])
        columns = [classes.index(c) for c in model.classes]
        scores[np.ix_(unseen, columns)] = model.scores(features[unseen])
    return scores


def _figures(examples: list[Example], scores: Array) -> tuple[dict[str, Any], float]:
    classes = sorted({e.intent for e in examples})
    wanted = [classes.index(e.intent) for e in examples]
    said = scores.argmax(axis=1)
    temperature = float(linear.best_temperature(scores, wanted))
    sure = linear.softmax(scores * temperature).max(axis=1)
    right = said == np.array(wanted)
    return {
        "held_out_macro_f1": round(float(f1_score(wanted, said, average="macro")), 3),
        "held_out_accuracy": round(float(right.mean()), 3),
        "mean_confidence": round(float(sure.mean()), 3),
        "accuracy_when_sure": round(float(right[sure > 0.8].mean()), 3) if (sure > 0.8).any() else 0.0,
    }, temperature
