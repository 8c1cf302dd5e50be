"""The training text: `ml/text/*.txt`, written by us, one hand or trade a file.

Records are separated by a line `%%`. The first line says `intent +secondary language marks…`, the second the subject, the rest
is the body as typed. Marks: `from=supplier`, `from=stranger`, `reply`, `hostile=<kind>`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from erp_core.errors import CountersignError
from erp_core.values import Intent

TEXT = Path(__file__).parent / "text"
LANGUAGES = ("en", "es", "fr", "de")


@dataclass(frozen=True)
class Example:
    """One labelled mail. `hand` is the file it stands in."""

    hand: str
    intent: str
    secondary: tuple[str, ...]
    language: str
    marks: frozenset[str]
    subject: str
    body: str

    @property
    def hostile(self) -> bool:
        return any(m.startswith("hostile=") and m != "hostile=none" for m in self.marks)


def read(folder: Path = TEXT) -> list[Example]:
    """All examples. Raises CountersignError naming file and line of a malformed record."""
    return [example for path in sorted(folder.glob("*.txt")) for example in _read_file(path)]


def fingerprint(folder: Path = TEXT) -> str:
    """SHA-256 of all training text: what a trained model answers for."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.txt")):
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def _read_file(path: Path) -> Iterator[Example]:
    line = 1
    for record in path.read_text("utf-8").split("\n%%"):
        text = record.strip("\n")
        if text.strip():
            yield _example(path, line + len(record) - len(record.lstrip("\n")), text)
        line += record.count("\n") + 1


def _example(path: Path, line: int, text: str) -> Example:
    head, _, rest = text.partition("\n")
    subject, _, body = rest.partition("\n")
    words = head.split()
    intents = {intent.value for intent in Intent}
    secondary = tuple(w[1:] for w in words[1:] if w.startswith("+"))
    languages = [w for w in words[1:] if w in LANGUAGES]
    wrong = [w for w in (words[0], *secondary) if w not in intents]
    if wrong or len(languages) != 1 or not subject.lower().startswith("subject:"):
        raise CountersignError(f"{path.name} line {line}: '{head}' is no head of a training mail.")
    marks = frozenset(w for w in words[1:] if "=" in w or w == "reply")
    return Example(path.stem, words[0], secondary, languages[0], marks, subject[8:].strip(), body.strip())
