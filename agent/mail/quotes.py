"""The newest part of a mail, apart from quoted history and from what was forwarded."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WROTE = r"(?:wrote|escribi[oó]|a écrit|schrieb|ha scritto|skrev)"
# "On Mon, Jun 8, 2026 at 10:12 AM X <x@y> wrote:", also over two or three lines, and "Am ... schrieb X <x@y>:"
INTRO = re.compile(
    rf"^[>\s]*(?:On|El|Le|Am|Il|Den)\b[^\n]{{3,160}}(?:\n[^\n]{{1,120}}){{0,2}}?\b{_WROTE}\b[^\n]{{0,100}}:\s*$",
    re.M | re.I,
)
SEPARATOR = re.compile(
    r"^[>\s]*-{2,}\s*(?:Original Message|Original-?Nachricht|Ursprüngliche Nachricht|Mensaje original|Message d'origine"
    r"|Message original|Messaggio originale)\s*-{2,}\s*$",
    re.M | re.I,
)
HEADER_BLOCK = re.compile(
    r"^[>\s]*\*?(?:From|De|Von|Da)\*?\s?:[^\n]+\n(?:[>\s]*\*?[A-Za-zÀ-ÿ-]{1,12}\*?\s?:[^\n]*\n(?:[ \t]+[^\n]+\n)*){2,7}",
    re.M | re.I,
)
FORWARD = re.compile(
    r"^[>\s]*(?:-{2,}\s*(?:Forwarded message|Mensaje reenviado|Message transféré|Weitergeleitete Nachricht)\s*-{2,}"
    r"|Begin forwarded message:|Anfang der weitergeleiteten (?:Nachricht|E-Mail):|Début du message (?:transféré|réexpédié) ?:"
    r"|Inicio del mensaje reenviado:)\s*$",
    re.M | re.I,
)
FORWARD_SUBJECT = re.compile(r"^\s*(?:(?:re|aw|sv|r|tr)\s*:\s*)*(?:fwd?|wg|rv|tr|i|doorst)\s*:", re.I)
UNDERLINE = re.compile(r"^\s*_{10,}\s*$", re.M)


@dataclass(frozen=True)
class Split:
    """`newest` is the sender's own text, `forwarded` what the sender passes on, `quoted` older history."""

    newest: str
    forwarded: str
    quoted: str


def split(text: str, subject: str) -> Split:
    """Cut a plain text into its parts. Lines marked `>` are history; text between and below them is the sender's own."""
    own, marked = _without_marks(text)
    cut = _first_cut(own)
    if cut is None:
        return Split(own.strip(), "", marked.strip())
    head, tail = own[: cut.start()].strip(), own[cut.start() :].strip()
    head = UNDERLINE.sub("", head).strip()
    is_forward = bool(FORWARD.match(tail) or FORWARD_SUBJECT.match(subject))
    if is_forward and not INTRO.match(tail):
        passed_on, older = _forwarded(tail)
        return Split(head, passed_on, f"{older}\n{marked}".strip())
    if INTRO.match(tail) and marked:
        below = INTRO.sub("", tail, count=1).strip()
        return Split(f"{head}\n{below}".strip(), "", marked.strip())
    return Split(head, "", f"{tail}\n{marked}".strip())


def _without_marks(text: str) -> tuple[str, str]:
    own: list[str] = []
    marked: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        (marked if line.lstrip().startswith(">") else own).append(line)
    return "\n".join(own), "\n".join(line.lstrip("> ") for line in marked)


def _first_cut(text: str) -> re.Match[str] | None:
    found = [m for m in (p.search(text) for p in (INTRO, SEPARATOR, HEADER_BLOCK, FORWARD)) if m]
    return min(found, key=lambda m: m.start(), default=None)


def _forwarded(tail: str) -> tuple[str, str]:
    """The first message passed on, and the history below it."""
    body = FORWARD.sub("", tail, count=1).strip()
    body = SEPARATOR.sub("", body, count=1).strip() if SEPARATOR.match(body) else body
    header = HEADER_BLOCK.match(body)
    start = header.end() if header else 0
    deeper = _first_cut(body[start:])
    if deeper is None:
        return body, ""
    return body[: start + deeper.start()].strip(), body[start + deeper.start() :].strip()
