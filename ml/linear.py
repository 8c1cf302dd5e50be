"""Linear text classifiers over hashed n-grams, stored as plain arrays: nothing in a model file can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.svm import LinearSVC

from ml.cues import cue_words

Array = Any  # numpy arrays; their shapes stand in the docstrings

WORD_BITS, CHAR_BITS, CUE_BITS = 18, 18, 10
CUE_WEIGHT = 1.2
_WORDS = HashingVectorizer(ngram_range=(1, 3), n_features=2**WORD_BITS, alternate_sign=False, norm=None)
_CHARS = HashingVectorizer(
    analyzer="char_wb", ngram_range=(2, 5), n_features=2**CHAR_BITS, alternate_sign=False, norm=None
)
_CUE = HashingVectorizer(
    token_pattern=r"\S+",  # noqa: S106 - no password
    n_features=2**CUE_BITS,
    alternate_sign=False,
    norm=None,
)


def counts(texts: Sequence[str]) -> list[csr_matrix]:
    """Sublinear counts of words, characters and cues: three matrices (texts × 2^bits)."""
    blocks = [_WORDS.transform(texts), _CHARS.transform(texts), _CUE.transform([cue_words(t) for t in texts])]
    for block in blocks:
        block.data = 1 + np.log(block.data)
    return blocks


def idf(blocks: list[csr_matrix]) -> list[Array]:
    """Inverse document frequency a block, float32 (2^bits,); features seen once weigh nothing."""
    weights = []
    for block in blocks:
        seen = np.bincount(block.indices, minlength=block.shape[1])
        weight = np.log((1 + block.shape[0]) / (1 + seen)) + 1
        weight[seen < 2] = 0
        weights.append(weight.astype(np.float32))
    return weights


def weigh(blocks: list[csr_matrix], weights: list[Array]) -> csr_matrix:
    """Feature matrix (texts × all features), each block of unit length, cues a little heavier."""
    scaled = [_scaled(b, w) for b, w in zip(blocks, weights, strict=True)]
    return hstack([scaled[0], scaled[1], scaled[2] * CUE_WEIGHT], format="csr", dtype=np.float32)


def _scaled(block: csr_matrix, weight: Array) -> csr_matrix:
    """Rows of unit length, by hand: the general functions spend a mail's worth of time on checking their input."""
    values = block.data * weight[block.indices]
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    lengths = np.sqrt(np.bincount(rows, values**2, minlength=block.shape[0]))
    lengths[lengths == 0] = 1
    return csr_matrix((values / lengths[rows], block.indices, block.indptr), shape=block.shape)


@dataclass
class Linear:
    """One weight vector a class; scores become probabilities by a softmax with a fitted temperature."""

    classes: list[str]
    weights: Array  # float32 (features, classes), so that a product with a sparse row copies nothing
    intercept: Array  # float32 (classes,)
    temperature: float = 1.0

    @classmethod
    def fit(cls, features: csr_matrix, labels: Sequence[str], strength: float = 0.7) -> Linear:
        """One-vs-rest support vectors with balanced classes."""
        model = LinearSVC(C=strength, class_weight="balanced", random_state=0).fit(features, list(labels))
        classes = [str(c) for c in model.classes_]
        weights, intercept = model.coef_, model.intercept_
        if len(classes) == 2:
            weights, intercept = np.vstack([-weights, weights]), np.concatenate([-intercept, intercept])
        return cls(classes, np.ascontiguousarray(weights.T, dtype=np.float32), intercept.astype(np.float32))

    def scores(self, features: csr_matrix) -> Array:
        """Decision values, float (texts, classes)."""
        return features @ self.weights + self.intercept

    def probabilities(self, features: csr_matrix) -> Array:
        """Calibrated probabilities, float (texts, classes)."""
        return softmax(self.scores(features) * self.temperature)

    def save(self, path: Path) -> None:
        np.savez_compressed(
            path,
            classes=np.array(self.classes),
            weights=self.weights.astype(np.float16),
            intercept=self.intercept,
            temperature=np.array([self.temperature]),
        )

    @classmethod
    def load(cls, path: Path) -> Linear:
        with np.load(path, allow_pickle=False) as data:
            return cls(
                [str(c) for c in data["classes"]],
                np.ascontiguousarray(data["weights"], dtype=np.float32),
                data["intercept"],
                float(data["temperature"][0]),
            )


def softmax(scores: Array) -> Array:
    """Row-wise."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def best_temperature(scores: Array, labels: Sequence[int]) -> float:
    """The temperature with the least log loss on held-out scores."""
    rows = np.arange(len(labels))

    def loss(temperature: float) -> float:
        return float(-np.log(softmax(scores * temperature)[rows, list(labels)] + 1e-9).mean())

    return min(np.arange(0.5, 8.01, 0.25), key=loss)
