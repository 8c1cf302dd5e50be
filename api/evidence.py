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
from erp_core.db import Session
from erp_core.errors import NotFound
from erp_core.queries import backtest, desk, policies, proof
from erp_core.rules import desk as rules
from erp_core.tables.desk import Decision, JournalEntry

HERE = Path(__file__).parent


def pack(session: Session, number: int, now: datetime) -> dict[str, bytes]:
    """Files by name. Raises NotFound when the case has no sealed entry yet."""
    found = desk.case_file(session, number)
    journal = desk.journal_about(session, found.case)
    places = proof.positions(session, [e.id for e in journal])
    journal = [e for e in journal if e.id in places]
    if not journal:
        raise NotFound(f"Nothing of case {number} is sealed yet; the clock seals within a second while it runs.")
    first, last = min(places.values()), max(places.values())
    seal = proof.seal_at_or_after(session, last)
    before, links = proof.stretch(session, first, seal.position if seal else last)
    contents = proof.contents(session, "entry", [e.id for e in journal])
    files: dict[str, bytes] = {
        "chain.json": _json(
            {
                "first": first,
                "before": before,
                "links": [
                    {k: getattr(x, k) for k in ("position", "source", "number", "content_hash", "hash")} for x in links
                ],
                "seal": proof.seal_line(seal) if seal else None,
            }
        ),
        "entries.json": _json({str(number): content for number, content in contents.items()}),
        "verify.py": (HERE / "verify_pack.py").read_bytes(),
    }
    received = {str(e.subject): e.id for e in journal if e.tag == "message:case:received"}
    listed: dict[str, dict[str, Any]] = {}
    for message in found.messages:
        name = f"mails/{message.id}.eml"
        files[name] = message.raw
        listed[name] = {
            "sha256": hashlib.sha256(message.raw).hexdigest(),
            "entry": received.get(f"message:{message.id}"),
        }
    hashes = sorted({str(e.facts["policy"]) for e in journal if e.facts.get("policy")})
    for fingerprint in hashes:
        numbers, authority = policies.texts(session, fingerprint)
        files[f"policies/{fingerprint}.toml"], files[f"policies/{fingerprint}.cedar"] = (
            numbers.encode(),
            authority.encode(),
        )
    recorded = [e.id for e in journal if e.tag == "case:facts:recorded" and (e.after or {}).get("digest")]
    for (made, content), entry in zip(reversed(desk.findings(session, number)), reversed(recorded), strict=False):
        name = f"findings/{made}.json"
        files[name] = content.encode()
        listed[name] = {"sha256": hashlib.sha256(files[name]).hexdigest(), "entry": entry}
    files["index.html"] = _page(session, found, journal, places, seal, now).encode()
    files["files.json"] = _json(listed)
    files["console.css"] = (HERE / "static" / "tokens.css").read_bytes() + (
        HERE / "static" / "console.css"
    ).read_bytes()
    return files


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
    told = [_decision(session, d) for d in found.decisions]
    return console.TEMPLATES.get_template("evidence.html").render(
        file=found, case=found.case, journal=journal, places=places, seal=seal, now=now, people=desk.names(session), decisions=told,
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
