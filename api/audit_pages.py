"""The auditor's pages: the journal with its seals, and the evidence of a case."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from api import evidence, words
from api.access import Me, Work
from api.console import page
from erp_core import settings
from erp_core.queries import desk, proof
from erp_core.queries.desk import Entries

router = APIRouter(include_in_schema=False)
PAGE = 200
CORE_ACTORS = ("agent", "clock", "core", "import", "migrate")


@router.get("/journal")
def journal(
    session: Work, me: Me, who: str = "", what: str = "", about: str = "", before: int | None = None, place: str = ""
) -> HTMLResponse:
    """Entries, newest first: by whom, of which kind, about which record; or the one with a number in the chain."""
    names, subject = desk.names(session), about.strip()[:200]
    asked = who.strip().lower()[:200]
    actors = [email for email, name in names.items() if asked in name.lower() or asked in email] + [
        a for a in CORE_ACTORS if asked in a
    ]
    number = subject.removeprefix("#").removeprefix("case:")
    case = int(number) if number.isdecimal() and len(number) < 10 else None
    wanted = Entries(
        actors if asked else None,
        words.tags_like(what.strip()[:100]) if what.strip() else None,
        "" if case else subject,
        case,
        before,
        _place(place),
    )
    entries = desk.entries(session, wanted, PAGE)
    kept = {"who": who, "what": what, "about": about}
    more = urlencode({**{k: v for k, v in kept.items() if v}, "before": entries[-1].id}) if len(entries) == PAGE else ""
    return page(
        "journal.html", me, session, journal=entries, people=names,
        seal=proof.last_seal(session), witness=settings.load().witness, who=who, what=what, about=about, place=place, before=before, more=more, current="Journal",
    )  # fmt: skip


def _place(said: str) -> int | None:
    """A number of the seal, as somebody types it; what is no number is no place that an entry has."""
    number = said.strip().lstrip("#").replace(",", "")
    if not number:
        return None
    return int(number) if number.isdecimal() and len(number) < 15 else -1


@router.get("/cases/{number}/evidence.zip")
def evidence_pack(number: int, session: Work, me: Me) -> Response:
    """Everything on a case as files that anybody can check."""
    content = evidence.zipped(evidence.pack(session, number, actor=me.person.email, now=me.now), f"case-{number}")
    name = f'attachment; filename="case-{number}-evidence.zip"'
    return Response(content, media_type="application/zip", headers={"Content-Disposition": name})
