"""What a text means, as a vector (256,), unit length: by our own words (TF-IDF, then the strongest directions), or by an OpenAI-compatible server.

Vectors of different embedders are never compared: each names its embedder. A change of embedder is made good in the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import openai
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline

from erp_core import settings
from erp_core.errors import CountersignError
from ml import corpus

DIMENSIONS = 256
PATIENCE = 10.0  # seconds: a case waits for its likes no longer
LONGEST = 4000  # letters


class Embedder(Protocol):
    """Whoever makes vectors. `name` says which, with its version and dimension."""

    @property
    def name(self) -> str:
        """Model, dimension and version."""
        ...

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text. Raises CountersignError when it cannot be had."""
        ...


@dataclass(frozen=True)
class Local:
    """Latent semantic analysis over the text that this repository ships; the same on every machine that has the same text."""

    name: str
    model: Any

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text; zeros for one that holds no word we know."""
        if not texts:
            return []
        found = self.model.transform([t[:LONGEST] for t in texts])
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        rounded: list[list[float]] = np.round(found / np.where(lengths > 0, lengths, 1.0), 6).tolist()
        return rounded


@dataclass(frozen=True)
class Remote:
    """A server's embeddings (COUNTERSIGN_EMBEDDINGS names the model)."""

    name: str
    model: str
    client: openai.OpenAI

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text. Raises CountersignError when the server gives none."""
        if not texts:
            return []
        try:
            cut = [t[:LONGEST] or " " for t in texts]
            found = self.client.embeddings.create(model=self.model, input=cut, dimensions=DIMENSIONS)
            vectors = [row.embedding for row in found.data]
        except (openai.OpenAIError, ValueError, AttributeError) as error:
            raise CountersignError(f"No embeddings from {self.model}: {type(error).__name__}.") from error
        if len(vectors) != len(texts) or any(len(v) != DIMENSIONS for v in vectors):
            raise CountersignError(f"{self.model} gives no vectors of {DIMENSIONS} numbers.")
        return vectors


@lru_cache(maxsize=1)
def local() -> Local:
    """Fitted once a process, in some seconds, on the training text of the mail reader."""
    texts = [f"{e.subject}\n{e.body}" for e in corpus.read()]
    words = TfidfVectorizer(
        sublinear_tf=True, min_df=2, ngram_range=(1, 2), strip_accents="unicode", max_features=30000
    )
    directions = TruncatedSVD(DIMENSIONS, random_state=0)
    model = Pipeline([("words", words), ("directions", directions)]).fit(texts)
    return Local(f"lsa-{DIMENSIONS}-{corpus.fingerprint()[:12]}", model)


def current() -> Embedder:
    """The server's embedder where one is named, else our own."""
    config = settings.load()
    if config.embeddings:
        client = openai.OpenAI(
            api_key=config.model_key or "none", base_url=config.model_url, max_retries=0, timeout=PATIENCE
        )
        return Remote(f"{config.embeddings}-{DIMENSIONS}", config.embeddings, client)
    return local()
