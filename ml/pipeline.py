"""Our spaCy pipeline: intent with calibrated confidence, language, and how hostile a text sounds.

`doc._.reading` holds the result. Components store plain arrays beside the pipeline's config.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language as Language  # re-exported: elsewhere nobody names spaCy
from spacy.tokens import Doc

from erp_core.errors import CountersignError
from ml import corpus, linear, prepare, store
from ml.linear import Array, Linear

NAME = "mail-4"  # counts the storage format
COMPONENT = "countersign_mail_reader"


class Unusable(CountersignError):
    """A pipeline is not one that this version can read mails with."""


@dataclass
class Reading:
    """What the models say of one mail. Probabilities by class; `hostile` from 0 to 1."""

    intents: dict[str, float] = field(default_factory=dict)
    language: str = "en"
    hostile: float = 0.0


class MailReader:
    """The component: linear models over the normalised text of a doc."""

    MODELS = ("intents", "languages", "hostile")

    def __init__(self) -> None:
        self.idf: list[Array] = []
        self.models: dict[str, Linear] = {}

    def __call__(self, doc: Doc) -> Doc:
        if not self.models:
            raise CountersignError("The pipeline is not trained; run `countersign train mail_reader`.")
        features = linear.weigh(linear.counts([doc.text]), self.idf)
        said = {name: self._said(name, features) for name in self.MODELS}
        doc._.reading = Reading(
            intents=said["intents"],
            language=max(said["languages"], key=lambda k: said["languages"][k]),
            hostile=said["hostile"].get("hostile", 0.0),
        )
        return doc

    def _said(self, name: str, features: Any) -> dict[str, float]:
        model = self.models[name]
        return dict(zip(model.classes, model.probabilities(features)[0].tolist(), strict=True))

    def to_disk(self, path: Path, exclude: Any = ()) -> None:
        path.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path / "idf.npz", *[w.astype(np.float16) for w in self.idf])
        for name, model in self.models.items():
            model.save(path / f"{name}.npz")

    def from_disk(self, path: Path, exclude: Any = ()) -> MailReader:
        with np.load(path / "idf.npz", allow_pickle=False) as data:
            self.idf = [data[name].astype(np.float32) for name in data.files]
        self.models = {name: Linear.load(path / f"{name}.npz") for name in self.MODELS}
        return self


@Language.factory(COMPONENT)  # type: ignore[untyped-decorator]
def make_reader(nlp: Language, name: str) -> MailReader:
    """spaCy asks for the component by this name."""
    return MailReader()


if not Doc.has_extension("reading"):
    Doc.set_extension("reading", default=None)


def blank() -> Language:
    """An untrained pipeline."""
    nlp = spacy.blank("xx")
    nlp.add_pipe(COMPONENT)
    return nlp


def pointer(models: Path) -> Path:
    """Which folder holds the pipeline that was trained from today's text, and what was measured of it; other text makes another model."""
    return models / f"{NAME}-{corpus.fingerprint()[:12]}.json"


def shipped(models: Path, progress: Callable[[str, float], None] | None = None) -> str:
    """SHA-256 of the pipeline that was trained from the text in this repository, trained now when it is the first use."""
    models.mkdir(parents=True, exist_ok=True)
    with (models / "training.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = pointer(models)
        told = json.loads(place.read_text()) if place.exists() else {}
        if not told or not store.whole(folder(models), told["sha256"]):
            from ml.intents import train  # training imports what reading does not need

            told = train(models, progress)
        sha256: str = told["sha256"]
        return sha256


def keep(models: Path, nlp: Language) -> str:
    """Store a pipeline; SHA-256 of what was stored."""
    return store.keep_folder(folder(models), nlp.to_disk)


def folder(models: Path) -> Path:
    """Where pipelines are."""
    return models / "store"


@cache
def load(models: Path, sha256: str) -> Language:
    """The pipeline with this digest. Raises Tampered when its folder holds something else, Unusable when that is no reader of ours."""
    path = store.folder_of(folder(models), sha256)
    try:
        config = spacy.util.load_config(path / "config.cfg")
        parts = {name: part.get("factory") for name, part in config.get("components", {}).items()}
        if config["nlp"]["lang"] != "xx" or parts != {COMPONENT: COMPONENT}:
            raise Unusable(f"The pipeline {sha256[:12]} has other parts than a reader of mails: {', '.join(parts)}.")
        nlp = spacy.load(path)
    except Unusable:
        raise
    except Exception as error:  # a folder that hashes right can hold anything
        raise Unusable(f"The pipeline {sha256[:12]} cannot be loaded: {error}") from error
    if nlp.meta.get("format") != NAME:
        raise Unusable(
            f"The pipeline {sha256[:12]} is of the format {nlp.meta.get('format')}; this version reads {NAME}. Train it anew and promote that."
        )
    return nlp


def load_or_train(models: Path, progress: Callable[[str, float], None] | None = None) -> Language:
    """The pipeline of the text in this repository, trained now when it is the first use."""
    return load(models, shipped(models, progress))


def read(nlp: Language, subject: str, body: str, sender_name: str = "") -> Reading:
    """What the models say of a mail's own words."""
    text = prepare.normal(subject, prepare.own_words(body, sender_name))
    doc = nlp(re.sub(r"\s+", " ", text).strip() or "empty")
    reading: Reading = doc._.reading
    return reading
