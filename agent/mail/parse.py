"""Raw bytes to a parsed message: headers, newest part, history, attachments, and what is odd about it.

Hostile by assumption: sizes, parts and nesting are limited, nothing is executed or fetched, and what cannot be read is said.
"""

from __future__ import annotations

import csv
import email
import email.policy
import hashlib
import io
import re
import warnings
import zipfile
from dataclasses import asdict, dataclass, field
from datetime import UTC
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from functools import lru_cache
from typing import Any

from pypdf import PdfReader

from agent.mail import html, quotes
from erp_core.policy import MailPolicy

READ_TYPES = ("text/plain", "text/csv", "text/markdown", "application/csv", "application/vnd.ms-excel")
MOST_TEXT = 200_000
PDF_PAGES = 20
ZERO_WIDTH = re.compile(r"[​‌‍⁠﻿­͏]|[\U000e0000-\U000e007f]")


@dataclass
class Attachment:
    """A part beside the body; `text` is what could be read of it."""

    name: str
    type: str
    size: int
    text: str = ""
    problem: str = ""
    password_form: bool = False
    encrypted: bool = False


@dataclass
class Parsed:
    """A message as the reader sees it: plain JSON throughout. Dates are ISO 8601, UTC."""

    message_id: str
    digest: str
    sender: str = ""
    sender_name: str = ""
    reply_to: str = ""
    recipients: list[str] = field(default_factory=list)
    subject: str = ""
    sent_at: str | None = None
    sent_local: str | None = None
    in_reply_to: str = ""
    authentication: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    newest: str = ""
    forwarded: str = ""
    quoted: str = ""
    hidden: list[str] = field(default_factory=list)
    plain_only: str = ""
    attachments: list[Attachment] = field(default_factory=list)
    password_form: bool = False
    links: list[list[str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Parsed:
        return cls(**{**data, "attachments": [Attachment(**a) for a in data.get("attachments", [])]})


KEPT_HEADERS = (
    "auto-submitted",
    "precedence",
    "list-unsubscribe",
    "list-id",
    "x-autoreply",
    "x-autorespond",
    "x-auto-response-suppress",
    "content-type",
    "return-path",
    "x-mailer",
    "x-failed-recipients",
)


def _reading() -> email.policy.EmailPolicy[EmailMessage]:
    """The standard rules for mail; a header that is asked for again (the content type is, a dozen times) is not parsed again."""
    return email.policy.default.clone(header_factory=lru_cache(maxsize=256)(HeaderRegistry()))


def parse(raw: bytes, limits: MailPolicy) -> Parsed:
    """Never raises for what the mail holds; what cannot be read stands in `problems`."""
    fingerprint = hashlib.sha256(raw).hexdigest()
    fallback = f"<{fingerprint[:40]}@digest>"
    if len(raw) > limits.largest_bytes:
        return Parsed(
            fallback, fingerprint, problems=[f"The message has {len(raw)} bytes, more than {limits.largest_bytes}."]
        )
    try:
        message = email.message_from_bytes(raw, policy=_reading())
        parsed = _headers(message, fallback, fingerprint)
        _Body(parsed, limits).read(message)
    except Exception as error:  # a mail that breaks the parser must still reach a person
        return Parsed(
            fallback, fingerprint, problems=[f"The message cannot be parsed ({type(error).__name__}: {error})."]
        )
    if not (parsed.sender or parsed.subject or parsed.newest or parsed.attachments):
        parsed.problems.append("The message holds no sender, subject or text.")
    return parsed


def _headers(message: EmailMessage, fallback: str, fingerprint: str) -> Parsed:
    parsed = Parsed(_one_line(message.get("Message-ID")) or fallback, fingerprint)
    parsed.message_id = parsed.message_id[:900]
    parsed.sender_name, parsed.sender = _address(message, "From")
    parsed.reply_to = _address(message, "Reply-To")[1]
    parsed.recipients = [a for _, a in getaddresses([_header(message, h) for h in ("To", "Cc")]) if a][:50]
    parsed.subject = _clean(_header(message, "Subject"))[:500]
    parsed.in_reply_to = _one_line(message.get("In-Reply-To"))[:900]
    parsed.authentication = _authentication(_header(message, "Authentication-Results"))
    present = {name.lower() for name in message.keys()}  # noqa: SIM118 - a message is no mapping of this kind
    parsed.headers = {h: _one_line(_header(message, h))[:300] for h in KEPT_HEADERS if h in present}
    try:
        local = parsedate_to_datetime(_header(message, "Date"))
        local = local if local.tzinfo else local.replace(tzinfo=UTC)
        parsed.sent_local, parsed.sent_at = local.isoformat(), local.astimezone(UTC).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        parsed.problems.append("The Date header cannot be read; relative dates count from arrival.")
    return parsed


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name) or "")
    except Exception:  # the standard library raises many kinds at broken headers; the raw text still serves
        return str(dict(message.raw_items()).get(name, ""))


def _address(message: EmailMessage, name: str) -> tuple[str, str]:
    pairs = [(n, a) for n, a in getaddresses([_header(message, name)]) if "@" in a]
    display, address = pairs[0] if pairs else ("", "")
    return _clean(display)[:200], address.strip().lower()[:254]


def _authentication(text: str) -> dict[str, str]:
    return {k: v.lower() for k, v in re.findall(r"\b(spf|dkim|dmarc)=(\w+)", text, re.I)}


class _Body:
    """Walks the parts of one message, within limits."""

    def __init__(self, parsed: Parsed, limits: MailPolicy) -> None:
        self.parsed, self.limits, self.parts = parsed, limits, 0
        self.plain: list[str] = []
        self.html: list[str] = []
        self.passed_on: list[str] = []

    def read(self, message: EmailMessage) -> None:
        self._walk(message, 0)
        parsed = self.parsed
        plain = "\n".join(self.plain).strip()
        seen = html.read_html("\n".join(self.html)[: MOST_TEXT * 5]) if self.html else html.Seen()
        parsed.hidden = seen.hidden
        parsed.password_form = seen.has_password_form
        parsed.links = [[h[:300], t[:200]] for h, t in seen.links[:100]]
        self._choose(plain, seen)
        if self.passed_on:
            parsed.forwarded = "\n".join([parsed.forwarded, *self.passed_on]).strip()
        for name in ("newest", "forwarded", "quoted", "plain_only"):
            setattr(parsed, name, _clean(getattr(parsed, name))[:MOST_TEXT])
        parsed.hidden = [_clean(h)[:5000] for h in parsed.hidden]

    def _choose(self, plain: str, seen: html.Seen) -> None:
        """Plain text is the better typed, HTML is what the sender saw: words only in the plain part are suspicious."""
        parsed = self.parsed
        from_html = quotes.split(seen.text, parsed.subject)
        if not plain:
            parts, quoted = from_html, f"{from_html.quoted}\n{seen.quoted}".strip()
            if not parts.newest and seen.quoted and not parts.forwarded:
                parts, quoted = quotes.split(seen.quoted, "fw:"), ""
        else:
            parts = quotes.split(plain, parsed.subject)
            quoted = parts.quoted
            if self.html:
                visible = f"{seen.text}\n{seen.quoted}"
                parsed.plain_only = _only_in(f"{parts.newest}\n{parts.forwarded}", visible)
                if parsed.plain_only:
                    parts = quotes.Split(from_html.newest, from_html.forwarded, from_html.quoted)
        parsed.newest, parsed.forwarded, parsed.quoted = parts.newest, parts.forwarded, quoted

    def _walk(self, part: EmailMessage, depth: int) -> None:
        self.parts += 1
        if self.parts > self.limits.most_parts or depth > self.limits.deepest_nesting:
            if not any("too many parts" in p for p in self.parsed.problems):
                self.parsed.problems.append(
                    "The message has too many parts or is nested too deep; the rest was not read."
                )
            return
        kind = part.get_content_type()
        if kind == "message/rfc822":
            self._passed_on(part)
        elif part.is_multipart():
            for child in part.iter_parts():
                self._walk(child, depth + 1)  # type: ignore[arg-type]
        else:
            self._leaf(part, kind)

    def _passed_on(self, part: EmailMessage) -> None:
        for inner in part.iter_parts():
            name = str(inner.get("Subject") or "")
            body = inner.get_body(("plain", "html"))
            text = _text_of(body) if body is not None else ""
            if body is not None and body.get_content_type() == "text/html":
                text = html.read_html(text).text
            if self.parsed.headers.get("content-type", "").lower().startswith("multipart/report"):
                continue  # a bounce returns our own words
            self.passed_on.append(f"{name}\n{text}"[:MOST_TEXT])

    def _leaf(self, part: EmailMessage, kind: str) -> None:
        is_file = part.get_content_disposition() == "attachment" or part.get_filename() is not None
        if kind == "text/plain" and not is_file:
            self.plain.append(_text_of(part))
        elif kind == "text/html" and not is_file:
            self.html.append(_text_of(part))
        elif kind not in ("message/delivery-status", "text/rfc822-headers"):
            self.parsed.attachments.append(_attachment(part, kind))


def _attachment(part: EmailMessage, kind: str) -> Attachment:
    content = part.get_payload(decode=True)
    data = content if isinstance(content, bytes) else b""
    name = _clean(_filename(part))[:200]
    made = Attachment(name, kind, len(data))
    lower = name.lower()
    try:
        if kind == "application/pdf" or lower.endswith(".pdf"):
            _read_pdf(made, data)
        elif kind == "text/html" or lower.endswith((".html", ".htm")):
            seen = html.read_html(_decode(data, part.get_content_charset())[: MOST_TEXT * 5])
            made.text, made.password_form = "\n".join([seen.text, *seen.hidden]), seen.has_password_form
        elif kind in READ_TYPES[:2] or lower.endswith((".csv", ".txt")):
            text = _decode(data, part.get_content_charset())
            made.text = _csv_text(text) if lower.endswith(".csv") or kind == "text/csv" else text
        elif kind in ("application/zip", "application/x-zip-compressed") or lower.endswith(".zip"):
            made.encrypted = _zip_encrypted(data)
    except Exception as error:  # any attachment may be broken on purpose; the mail itself still counts
        made.problem = f"{name or kind} cannot be read ({type(error).__name__})."
    made.text = _clean(made.text)[:MOST_TEXT]
    return made


def _filename(part: EmailMessage) -> str:
    try:
        return str(part.get_filename() or "")
    except Exception:  # broken RFC 2231 names raise; a nameless attachment is still read
        return ""


def _read_pdf(made: Attachment, data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            made.encrypted = True
            return
        pages = [page.extract_text() or "" for page in reader.pages[:PDF_PAGES]]
    made.text = "\n".join(pages)


def _csv_text(text: str) -> str:
    rows = list(csv.reader(io.StringIO(text), delimiter=";" if text.count(";") > text.count(",") else ","))
    return "\n".join("\t".join(cell.strip() for cell in row) for row in rows[:2000])


def _zip_encrypted(data: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return any(info.flag_bits & 1 for info in archive.infolist())


def _text_of(part: Any) -> str:
    data = part.get_payload(decode=True)
    return _decode(data if isinstance(data, bytes) else b"", part.get_content_charset())


def _decode(data: bytes, charset: str | None) -> str:
    for name in (charset, "utf-8", "windows-1252"):
        if name:
            try:
                return data.decode(name)
            except (LookupError, UnicodeDecodeError):
                continue
    return data.decode("latin-1")


def _only_in(plain: str, visible: str) -> str:
    """Sentences of the plain part, of five words or more, whose words the HTML part does not hold."""
    known = set(re.findall(r"\w+", visible.lower()))
    odd = []
    for sentence in re.split(r"(?<=[.!?:])\s+|\n\s*\n", plain):
        words = [w for w in re.findall(r"\w+", sentence.lower()) if not w.isdigit()]
        missing = sum(w not in known for w in words)
        if len(words) >= 5 and missing >= max(3, 0.4 * len(words)):
            odd.append(sentence.strip())
    return "\n".join(odd)


def _one_line(text: Any) -> str:
    return re.sub(r"\s+", " ", str(text or "")).strip()


def _clean(text: str) -> str:
    """Without NUL and broken surrogates, which the database cannot keep."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
