"""The evidence of a case as files: a page to read, the entries as they were hashed, their stretch of the chain, and a script that checks."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

from api import console, words
from erp_core.actions.desk import note_pack
from erp_core.db import Session
from erp_core.errors import NotFound
from erp_core.queries import backtest, desk, policies, proof
from erp_core.rules import desk as rules
from erp_core.tables.desk import Decision, JournalEntry

HERE = Path(__file__).parent


def pack(session: Session, number: int, *, actor: str, now: datetime) -> dict[str, bytes]:
    """Files by name. Their common digest goes into the journal, so that a pack cannot be told apart from a doctored one only by looking.

    Raises NotFound when the case has no sealed entry yet.
    """
    found = desk.case_file(session, number)
    journal = desk.journal_about(session, found.case)
    places = proof.positions(session, [e.id for e in journal])
    segments = proof.segments(session, list(places.values()))
    covered = segments[-1].seal.position if segments else 0
    journal = [e for e in journal if places.get(e.id, covered + 1) <= covered]
    if not journal:
        raise NotFound(f"Nothing of case {number} is sealed yet; the clock seals within a second while it runs.")
    contents = proof.contents(session, "entry", [e.id for e in journal])
    files: dict[str, bytes] = {
        "chain.json": _json(
            {"case": number, "entries": [e.id for e in journal], "segments": [_segment(s) for s in segments]}
        ),
        "entries.json": _json({str(entry): content for entry, content in contents.items()}),
        "verify.py": (HERE / "verify_pack.py").read_bytes(),
        "console.css": (HERE / "static" / "tokens.css").read_bytes() + (HERE / "static" / "console.css").read_bytes(),
        "index.html": _page(session, found, journal, places, segments[-1].seal, now).encode(),
    }
    taken: dict[str, int | None] = {}
    received = {str(e.subject): e.id for e in journal if e.tag == "message:case:received"}
    for message in found.messages:
        files[f"mails/{message.id}.eml"] = message.raw
        taken[f"mails/{message.id}.eml"] = received.get(f"message:{message.id}")
    recorded = {(e.after or {}).get("finding"): e.id for e in journal if e.tag == "case:facts:recorded"}
    for made, content in desk.findings(session, number):
        if made in recorded:
            files[f"findings/{made}.json"] = content.encode()
            taken[f"findings/{made}.json"] = recorded[made]
    for fingerprint in sorted({str(e.facts["policy"]) for e in journal if e.facts.get("policy")}):
        numbers, authority = policies.texts(session, fingerprint)
        files[f"policies/{fingerprint}.toml"], files[f"policies/{fingerprint}.cedar"] = (
            numbers.encode(),
            authority.encode(),
        )
    manifest = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "entry": taken.get(name)}
        for name, content in files.items()
    }
    files["files.json"] = _json(manifest)
    note_pack(session, number, hashlib.sha256(files["files.json"]).hexdigest(), actor=actor, now=now)
    return files


def _segment(segment: proof.Segment) -> dict[str, Any]:
    return {
        "before": proof.seal_line(segment.before) if segment.before else None,
        "links": [{k: getattr(x, k) for k in ("position", "source", "number", "content_hash")} for x in segment.links],
        "seal": proof.seal_line(segment.seal),
    }


def zipped(files: dict[str, bytes], folder: str) -> bytes:
    """The same as one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(f"{folder}/{name}", content)
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str).encode()


def _page(
    session: Session,
    found: desk.CaseFile,
    journal: list[JournalEntry],
    places: dict[int, int],
    seal: Any,
    now: datetime,
) -> str:
    shown = {
        (e.after or {}).get("decision"): (e.after or {}).get("shown")
        for e in journal
        if e.tag.startswith("case:proposal:")
    }
    told = [{**_decision(session, d), "shown": shown.get(d.id)} for d in found.decisions]
    return console.TEMPLATES.get_template("evidence.html").render(
        file=found, case=found.case, journal=journal, places=places, seal=seal, now=now, people=desk.names(session), decisions=told, proposals=desk.proposals(session, found.case.id),
        read=found.finding.content.get("read") if found.finding else None, model=(found.finding.content["read"].get("model") if found.finding else None),
        diff=words.diff_rows,
    )  # fmt: skip


def _decision(session: Session, decision: Decision) -> dict[str, Any]:
    """A decision with the texts of the rules it went by, and whether judging it again gives the same."""
    try:
        policy = policies.version(session, decision.policy_hash)
        again = backtest.again(session, decision)
        said = decision.detail.get("authority") or {}
        codes = [(code, rules.rule_text(policy, code)) for code in said.get("rules", [])]
    except NotFound:
        again, codes = None, []
    return {
        "decision": decision,
        "rules": codes,
        "again": None if again is None else "the same" if again[0] == again[1] else f"now {again[1].outcome}",
    }
