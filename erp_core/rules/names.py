"""Names that may mean the same: near neighbours by spelling, then a closer look. Values in, values out."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

from rapidfuzz import fuzz, process, utils

DIMENSIONS = 64
ALIKE = 92  # of 100: names closer than this are looked at by a person


def spelling(name: str) -> list[float]:
    """A name as a vector of unit length, so that the database finds its neighbours: its letter triples, hashed into 64 places."""
    text = f"  {utils.default_process(name)} "
    counts = [0.0] * DIMENSIONS
    for start in range(len(text) - 2):
        counts[zlib.crc32(text[start : start + 3].encode()) % DIMENSIONS] += 1
    length = math.sqrt(sum(x * x for x in counts))
    return [x / length for x in counts]


def alike(name: str, others: Mapping[str, str]) -> str | None:
    """The key of the name most like this one, whatever the order of its words; None when none is close."""
    found = process.extractOne(
        name, others, scorer=fuzz.token_sort_ratio, processor=utils.default_process, score_cutoff=ALIKE
    )
    return found[2] if found else None
