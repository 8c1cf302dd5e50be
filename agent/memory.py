"""Keeps what may be looked up by meaning up to date: cases that ended and open ones that were read, rules of the policy, playbooks. In the background, a little at a time."""

from __future__ import annotations

from typing import Any

from erp_core import casework, db
from erp_core.policy import Policy
from erp_core.queries import memory, policies
from erp_core.values import PASSAGE_KINDS
from ml import embeddings

AT_ONCE = 200


def remember() -> int:
    """Embed what is new or was embedded by another embedder; how many. Raises CountersignError when vectors cannot be had."""
    embedder = embeddings.current()
    with db.reading(db.AGENT) as session:
        rows: list[dict[str, Any]] = [
            {"kind": one.kind, "subject": f"case:{one.case}", "case_id": one.case, "text": one.text}
            for one in memory.unkept(session, embedder.name, AT_ONCE)
        ]
        kept = memory.kept_texts(session, embedder.name, [k for k in PASSAGE_KINDS if k not in ("case", "open")])
        rows += [r for r in of_policy(policies.active(session)) if kept.get((r["kind"], r["subject"])) != r["text"]]
    if not rows:
        return 0
    for row, vector in zip(rows, embedder.vectors([r["text"] for r in rows]), strict=True):
        row["vector"] = vector
    with db.transaction(db.AGENT) as session:
        return casework.keep_passages(session, embedder.name, rows)


def of_policy(policy: Policy) -> list[dict[str, Any]]:
    """The policy in words: what each kind of hold does, and what people do step by step."""
    holds = [
        ("policy", f"hold:{reason}", f"{reason} hold. {h.rule} It blocks {', '.join(h.blocks)} and goes to {h.queue}.")
        for reason, h in policy.holds.items()
    ]
    books = [
        ("playbook", kind, f"{kind.replace('_', ' ')}: {'; '.join(steps)}") for kind, steps in policy.playbooks.items()
    ]
    return [{"kind": kind, "subject": subject, "text": text} for kind, subject, text in (*holds, *books)]
