"""Numbers in a mail: which of ours they look like, exactly as written, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from erp_core.queries.references import Hit, key

PHONE = re.compile(
    r"(?:\+\d{1,3}|\b\d{2})[ .-]\d{2,3}[ .-]\d{3,4}[ .-]\d{4}\b|(?<![\w-])(?:\+?\d{1,2}[-. ])?\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4}(?!\d)|\b555[-. ]\d{4}\b|(?<!\w)x\d{3,5}\b"
)
MONEY = re.compile(r"[$€£]\s?\d[\d.,]*|\b\d[\d,]*\.\d{2}\b(?!\.)")
DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[/.]\d{1,2}[/.]\d{2,4}\b")
URL = re.compile(r"https?://\S+|\S+@\S+|www\.\S+")
MORE_DIGITS = re.compile(r" \d{3} \d{3}\b")
BARE = re.compile(r"(?<![\w$€£.,/#-])#?(\d{4,12})(?![\w/%]|[.,]\d|-\d)")
ENDING = re.compile(
    r"(?:ending|ends|end|finish\w*|termina(?:da|do|ción)?|acab\w+|finissant|se termin\w+|endet|endend)\s*(?:in|with|on|en|por|con|par|mit|auf)?\s*[#\"“]?(\d{3,6})\b"
    r"|(?:\.\.\.|…|x{3,})(\d{3,6})\b",
    re.I,
)
PO_WORDS = r"(?:p\.?\s?o\.?|purchase\s+order|our\s+order|order|ord|oc|o\.c\.|orden(?:\s+de\s+compra)?|pedido|b\.?c\.?|bon\s+de\s+commande|commande|bestell(?:ung|nr|nummer|-nr)?)"
AFTER_PO = re.compile(
    rf"(?<![\w-]){PO_WORDS}\.?\s*(?:(?:#|no\.?|number|num\.?|nr\.?|nummer|n[º°o]\.?|núm\.?|numéro|ref\.?)\s*)*[:.]?\s*([A-Z]{{0,5}}[-/]?\d[\dA-Z]*(?:[-/]\d[\dA-Z]*){{0,3}})(?![\w])",
    re.I,
)
AFTER_INVOICE = re.compile(
    r"(?<!\w)(?:invoices?|inv|bills?|facturas?|factures?|rechnung(?:en|snr|snummer)?)\.?\s*(?:(?:#|no\.?|number|nr\.?|n[º°o]\.?|nos\.?|nums?\.?)\s*)*[:.]?\s*"
    r"([A-Z]{0,4}-?\d[\dA-Z]*(?:-\d+)?)(?!\w)",
    re.I,
)
INVOICE_NEAR = re.compile(r"invoice|\binv\b|bill|factur|rechnung", re.I)
SHAPE_KINDS = ("sales_order", "customer_po", "invoice", "shipment", "tracking", "purchase_order")
GENERIC = [
    ("tracking", re.compile(r"\b1Z[0-9A-Z]{8,16}\b", re.I)),
    ("tracking", re.compile(r"\bPRO[-# ]{0,2}\d{7,12}\b", re.I)),
    ("sales_order", re.compile(r"\bSO[-# ]?\d{4,8}\b", re.I)),
    ("invoice", re.compile(r"\bINV[-# ]?\d{4,8}\b", re.I)),
    ("shipment", re.compile(r"\bSH[-# ]?\d{4,8}\b", re.I)),
]


@dataclass(frozen=True)
class Found:
    """A number as written, its kind as far as it shows, and its place in a part of the message."""

    kind: str
    written: str
    part: str
    start: int
    end: int

    @property
    def key(self) -> str:
        return key(self.written)


@lru_cache(maxsize=256)
def pattern(shape: str) -> re.Pattern[str]:
    """A shape such as SO-99999 as a pattern that forgives separators."""
    pieces = re.findall(r"9+|[A-Za-z]+|[^A-Za-z9]+", shape)
    written = []
    for position, piece in enumerate(pieces):
        if piece[0] == "9":
            digits = len(piece)
            written.append(rf"\d(?:[ ]?\d){{{digits - 1}}}" if digits >= 10 else rf"\d{{{digits}}}")
        elif piece[0].isalpha():
            follows_digit = position + 1 < len(pieces) and pieces[position + 1][0] == "9"
            written.append(re.escape(piece) + (r"[-\s.#:]{0,2}" if follows_digit else ""))
        else:
            written.append(r"[-\s./#]{0,2}")
    return re.compile(rf"(?<![A-Za-z0-9$€£.-])#?({''.join(written)})(?![A-Za-z0-9]|[-/.]\d)", re.I)


def find(part: str, text: str, shapes: Mapping[str, Sequence[str]], *, of_supplier: bool) -> list[Found]:
    """Numbers in one part of a message, in order, none overlapping. Kinds are guesses until resolved."""
    free = _mask(text, shapes.get("sku", ()))
    found: list[Found] = []
    patterns = [(k, pattern(s)) for k in SHAPE_KINDS for s in shapes.get(k, ()) if not s.isdigit() or len(s) >= 9]
    for kind, wanted in [*sorted(patterns, key=lambda p: -len(p[1].pattern)), *GENERIC]:
        for match in wanted.finditer(free):
            if MORE_DIGITS.match(free, match.end()):
                continue  # the beginning of a longer number, written in groups
            group = 1 if wanted.groups else 0
            free = _take(
                found, Found(kind, match.group(group).strip(), part, match.start(group), match.end(group)), free
            )
    for kind, wanted in (("invoice", AFTER_INVOICE), ("purchase_order" if of_supplier else "customer_po", AFTER_PO)):
        for match in wanted.finditer(free):
            if sum(c.isdigit() for c in match.group(1)) >= 4:
                free = _take(found, Found(kind, match.group(1), part, match.start(1), match.end(1)), free)
    for match in BARE.finditer(free):
        near = free[max(0, match.start() - 40) : match.start()]
        kind = "bare_invoice" if INVOICE_NEAR.search(near) else "bare"
        free = _take(found, Found(kind, match.group(1), part, match.start(1), match.end(1)), free)
    for match in ENDING.finditer(text):
        group = 1 if match.group(1) else 2
        found.append(Found("ending", match.group(group), part, match.start(group), match.end(group)))
    return sorted(found, key=lambda f: f.start)


def _mask(text: str, skus: Iterable[str]) -> str:
    for wanted in (URL, PHONE, MONEY, DATE, *(pattern(s) for s in skus)):
        text = wanted.sub(lambda m: " " * len(m.group()), text)
    return text


def _take(found: list[Found], new: Found, free: str) -> str:
    found.append(new)
    return free[: new.start] + " " * (new.end - new.start) + free[new.end :]


def keys_of(found: Found, shapes: Mapping[str, Sequence[str]]) -> list[str]:
    """What to look a number up by: itself, and where only its digits were written ("invoice 90347") also with the prefixes of our numbers."""
    if not found.key.isdigit():
        return [found.key]
    kinds = ("invoice",) if found.kind == "invoice" else SHAPE_KINDS
    length = len(found.key)
    prefixes = {
        key(shape.rstrip("9")) for kind in kinds for shape in shapes.get(kind, ()) if _digits_at_end(shape) == length
    }
    return [
        found.key,
        *sorted(prefix + found.key for prefix in prefixes if prefix and not any(c.isdigit() for c in prefix)),
    ]


def _digits_at_end(shape: str) -> int:
    return len(shape) - len(shape.rstrip("9"))


def settle(found: Found, hits: Sequence[Hit], party: str | None) -> tuple[str | None, Hit | None]:
    """The kind of a number and what it is, preferring what belongs to the sender. (None, None): not one of ours or theirs."""
    own = [h for h in hits if h.party == party] if party else []
    pool = own or list(hits)
    if found.kind == "bare_invoice":
        pool = [h for h in pool if h.kind == "invoice"] or pool
    if found.kind.startswith("bare"):
        if not pool:
            return ("invoice", None) if found.kind == "bare_invoice" and len(found.key) >= 5 else (None, None)
        return pool[0].kind, pool[0]
    same = [h for h in pool if h.kind == found.kind]
    if same:
        return found.kind, same[0]
    if pool:
        return pool[0].kind, pool[0]
    return found.kind, None
