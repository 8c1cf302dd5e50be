"""HTML to the text a person sees, apart from the text a person does not see."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bs4 import BeautifulSoup, Tag
from bs4.element import Comment, NavigableString

BLOCKS = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "br",
        "center",
        "div",
        "dl",
        "dt",
        "dd",
        "fieldset",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tr",
        "ul",
    ]
)
CELLS = frozenset({"td", "th"})
SKIPPED = frozenset({"script", "style", "head", "title", "meta", "link", "template"})
QUOTES = re.compile(r"gmail_quote|yahoo_quoted|moz-cite-prefix|protonmail_quote|divRplyFwdMsg|appendonsend", re.I)
CONDITIONAL = re.compile(r"^\s*\[if |^\s*\[endif|^<!\[|^\s*/?\*|StartFragment|EndFragment", re.I)
HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|opacity\s*:\s*0(?:\.0+)?\s*(?:;|$)"
    r"|font-size\s*:\s*[01](?:\.\d+)?(?:px|pt|em|%)?\s*(?:;|!|$)|font\s*:\s*0/0|text-indent\s*:\s*-\d{3,}"
    r"|(?:left|top)\s*:\s*-\d{3,}|(?:max-)?(?:height|width)\s*:\s*0(?:px)?\s*(?:;|!|$)|clip\s*:\s*rect\(0",
    re.I,
)
COLOR = re.compile(r"(?<![-\w])color\s*:\s*([^;!]+)", re.I)
BACKGROUND = re.compile(r"background(?:-color)?\s*:\s*([^;!]+)", re.I)
WHITE = re.compile(
    r"^(?:#?f{3}|#?f{6}|white|rgba?\(\s*255\s*,\s*255\s*,\s*255.*\)|#?fe[f-]?fe[f-]?fe|transparent)$", re.I
)
PADDING = re.compile(r"[​‌‍⁠﻿­͏]")


@dataclass
class Seen:
    """Visible text, the part of it that is quoted, and what is hidden from the reader."""

    text: str = ""
    quoted: str = ""
    hidden: list[str] = field(default_factory=list)
    has_password_form: bool = False
    links: list[tuple[str, str]] = field(default_factory=list)


def read_html(source: str) -> Seen:
    """Split HTML into visible, quoted and hidden text."""
    soup = BeautifulSoup(source, "lxml")
    seen = Seen()
    seen.has_password_form = soup.find("input", attrs={"type": re.compile("password", re.I)}) is not None
    own: list[str] = []
    quoted: list[str] = []
    _walk(soup, own, quoted, seen, False, "white")
    seen.text, seen.quoted = _tidy("".join(own)), _tidy("".join(quoted))
    seen.hidden = [text for text in (_tidy(h) for h in seen.hidden) if text]
    return seen


def _walk(node: Tag, own: list[str], quoted: list[str], seen: Seen, in_quote: bool, background: str) -> None:
    for child in node.children:
        if isinstance(child, Comment):
            if not CONDITIONAL.search(child) and len(child.split()) > 3:
                seen.hidden.append(str(child))
        elif isinstance(child, NavigableString):
            if type(child) is NavigableString:
                (quoted if in_quote else own).append(re.sub(r"\s+", " ", str(child)))
        elif isinstance(child, Tag):
            _tag(child, own, quoted, seen, in_quote, background)


def _tag(tag: Tag, own: list[str], quoted: list[str], seen: Seen, in_quote: bool, background: str) -> None:
    if tag.name in SKIPPED:
        return
    style = str(tag.get("style") or "")
    background = _background(tag, style, background)
    if _hides(tag, style, background):
        seen.hidden.append(tag.get_text(" "))
        return
    if tag.name == "img":
        alt = str(tag.get("alt") or "")
        if len(alt.split()) > 6:
            seen.hidden.append(alt)
        return
    if tag.name == "a":
        seen.links.append((str(tag.get("href") or ""), tag.get_text(" ").strip()))
    marks = f"{' '.join(tag.get('class') or [])} {tag.get('id') or ''}"
    if tag.name in CELLS and _is_plain_cell(tag):
        (quoted if in_quote else own).append(f" {_cell_text(tag, seen, background)} \t ")
        return
    in_quote = in_quote or bool(QUOTES.search(marks)) or (tag.name == "blockquote" and tag.get("type") == "cite")
    out = quoted if in_quote else own
    if tag.name in BLOCKS:
        out.append("\n")
    _walk(tag, own, quoted, seen, in_quote, background)
    if tag.name in BLOCKS - {"br"}:
        out.append("\n")
    elif tag.name in CELLS:
        out.append(" \t ")


def _is_plain_cell(tag: Tag) -> bool:
    """A cell of data, unlike one that lays out a page."""
    return tag.find("table") is None and len(tag.get_text()) < 120


def _cell_text(tag: Tag, seen: Seen, background: str) -> str:
    inner: list[str] = []
    _walk(tag, inner, inner, seen, False, background)
    return re.sub(r"\s+", " ", "".join(inner)).strip()


def _background(tag: Tag, style: str, inherited: str) -> str:
    found = BACKGROUND.search(style)
    value = found.group(1).strip() if found else str(tag.get("bgcolor") or "")
    return value or inherited


def _hides(tag: Tag, style: str, background: str) -> bool:
    if tag.has_attr("hidden") or HIDING.search(style):
        return True
    found = COLOR.search(style)
    color = found.group(1).strip() if found else str(tag.get("color") or "") if tag.name == "font" else ""
    if not color:
        return False
    same = color.lower() == background.lower() and background != "white"
    return same or bool(WHITE.match(color) and WHITE.match(background))


def _tidy(text: str) -> str:
    text = PADDING.sub("", text).replace("\xa0", " ")
    lines = [re.sub(r"[ \t]*\t[ \t]*", "\t", re.sub(r" {2,}", " ", line)).strip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
