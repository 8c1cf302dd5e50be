"""Models and prompts come into use: put up by one, measured by the evaluation, promoted by another. A worse one is refused by the gate."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from erp_core.actions import cases, segregation
from erp_core.actions.context import CORE, Change, Context, write_journal
from erp_core.commands import (
    KeepSample,
    NominateModel,
    OpenCase,
    PromoteModel,
    RecordPrompt,
    ReportModel,
    ReviewSample,
    RollBackModel,
)
from erp_core.errors import NotFound, Problem, RuleViolation
from erp_core.queries import desk, models, policies
from erp_core.rules import gates
from erp_core.tables.desk import Case
from erp_core.tables.models import FeedbackSample, ModelReport, ModelUse, ModelVersion
from erp_core.values import MODELS, Outcome, Priority, Queue

ALARM = "model_alarm"
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('models in use', 0))")
FIRST = {
    "simulated": "the first of its name, trained on simulated history",
    "shipped": "the first of its name, trained on the text that the house ships",
}


def record_prompt(command: RecordPrompt, context: Context) -> Change:
    """A prompt's text as a version of its name."""
    sha256 = hashlib.sha256(command.text.encode()).hexdigest()
    if any(v.sha256 == sha256 for v in models.versions(context.session, command.name)):
        raise RuleViolation([Problem("version_known", f"This text of {command.name} is a version already.")])
    made = ModelVersion(
        name=command.name,
        kind="prompt",
        sha256=sha256,
        content=command.text,
        source="written",
        data_digest="",
        code="",
        figures={},
        trained_by=context.actor,
        trained_at=context.now,
    )
    context.session.add(made)
    context.session.flush()
    return Change("model:version:recorded", f"model:{made.id}", None, _standing(made))


def nominate(command: NominateModel, context: Context) -> Change:
    """It is the shadow from now on: asked whatever the champion is asked, heard by nobody."""
    context.session.execute(ONE_AT_A_TIME)
    found = models.numbered(context.session, command.version)
    if _champion(found.name, context) == found.id:
        raise RuleViolation([Problem("already_in_use", f"Version {found.id} is in use.")])
    before = models.in_use(context.session, found.name, context.now, "shadow")
    _use(found.name, "shadow", found.id, None, command.reason, context)
    after = {**_standing(found), "reason": command.reason}
    return Change("model:version:nominated", f"model:{found.id}", _standing(before) if before else None, after)


def report(command: ReportModel, context: Context) -> Change:
    """What was measured, and what the gate in force says to it."""
    found = models.numbered(context.session, command.version)
    gate = gates.gate_of(found.name, found.kind, context.policy)
    figures = {**command.figures, "against": command.against}
    problems = gates.judge(figures, gate)
    made = ModelReport(
        version=found.id,
        against=command.against,
        figures=figures,
        gate=gate.model_dump(mode="json"),
        problems=[{"code": p.code, "text": p.text} for p in problems],
        run_by=context.actor,
        run_at=context.now,
    )
    context.session.add(made)
    context.session.flush()
    after = {
        "report": made.id,
        "against": command.against,
        "passed": not problems,
        "problems": [p.text for p in problems],
    }
    return Change("model:version:measured", f"model:{found.id}", None, after)


def promote(command: PromoteModel, context: Context) -> Change:
    """The gate is asked anew, by the numbers in force now; who trained, wrote or nominated it does not promote it."""
    session = context.session
    session.execute(ONE_AT_A_TIME)
    found = models.numbered(session, command.version)
    segregation.of_model(found, context)
    measured, champion = models.latest_report(session, found.id), _champion(found.name, context)
    problems = _unready(found, measured, champion, context)
    if measured is not None:
        problems += gates.judge(measured.figures, gates.gate_of(found.name, found.kind, context.policy))
    if problems:
        raise RuleViolation(problems)
    assert measured is not None
    before = session.get(ModelVersion, champion) if champion else None
    _use(found.name, "champion", found.id, measured.id, command.reason, context)
    _use(found.name, "shadow", None, None, "promoted", context)
    after = {**_standing(found), "report": measured.id, "gate": measured.gate, "reason": command.reason}
    return Change("model:version:promoted", f"model:{found.id}", _standing(before) if before else None, after)


def _unready(
    found: ModelVersion, measured: ModelReport | None, champion: int | None, context: Context
) -> list[Problem]:
    problems = []
    if champion == found.id:
        problems.append(Problem("already_in_use", f"Version {found.id} is in use."))
    if not any(u.use == "shadow" for u in models.uses_of(context.session, found.id)):
        problems.append(Problem("not_nominated", f"Nobody has put version {found.id} up for promotion yet."))
    days = context.policy.models.reports_last_days
    late = measured is None or measured.against != champion or measured.run_at < context.now - timedelta(days=days)
    if late:
        against = f"against version {champion}" if champion else "without a rival, for none is in use"
        words = f"Measure version {found.id} first, {against} and within {days} days: `countersign eval version {found.id}`."
        problems.append(Problem("report_missing", words))
    return problems


def roll_back(command: RollBackModel, context: Context) -> Change:
    """Back to the champion before this one; its gate was passed then."""
    session = context.session
    session.execute(ONE_AT_A_TIME)
    past = [
        u.version for u in reversed(models.uses(session, command.name)) if u.use == "champion" and u.version is not None
    ]
    now = past[-1] if past else None
    # what was in use before this version came: another step back goes further back, never to what was left
    earlier = past[: past.index(now)] if now is not None else []
    former = next(
        (u for u in models.uses(session, command.name) if earlier and u.use == "champion" and u.version == earlier[-1]),
        None,
    )
    if now is None or former is None or former.version is None:
        raise RuleViolation([Problem("nothing_before", f"No other version of {command.name} was in use before.")])
    before, after = session.get_one(ModelVersion, now), session.get_one(ModelVersion, former.version)
    _use(command.name, "champion", after.id, former.report, command.reason or "rolled back", context)
    told = {**_standing(after), "reason": command.reason}
    return Change("model:version:rolled_back", f"model:{after.id}", _standing(before), told)


def keep_sample(command: KeepSample, context: Context) -> Change:
    """The mail and what was said of it, with names, addresses and numbers of people masked."""
    session = context.session
    case = session.get(Case, command.case)
    if case is None:
        raise NotFound(f"There is no case {command.case}.")
    file = desk.case_file(session, case.id)
    message = next((m for m in file.messages if m.direction == "in"), None)
    finding, said = file.finding, file.proposal
    content = {
        "kind": case.kind,
        "queue": case.queue,
        "subject": masked(message.subject or "") if message else masked(case.title),
        "text": masked(str(message.parsed.get("newest", ""))[:5000]) if message else "",
        "intent": (finding.content.get("intent") if finding else None),
        "commands": [c["type"] for c in said.commands] if said else [],
        "wanted": _decided(file)
        | {k: v.value for k, v in (("intent", command.intent), ("queue", command.queue)) if v is not None},
    }
    made = FeedbackSample(
        case_id=case.id,
        content=content,
        why=masked(command.why),
        status="proposed",
        kept_by=context.actor,
        kept_at=context.now,
    )
    if models.is_sample(session, case.id):
        raise RuleViolation([Problem("sample_kept", f"Case {case.id} is a sample already.")])
    session.add(made)
    session.flush()
    return Change("sample:feedback:kept", f"case:{case.id}", None, {"sample": made.id, "why": made.why, **content})


def _decided(file: desk.CaseFile) -> dict[str, Any]:
    """What people made of the proposal: that it should never have been proposed; or that it was read rightly, and other commands put in its place."""
    said = file.proposal
    if said is None:
        return {}
    if any(d.proposal_id == said.id and d.outcome == Outcome.REJECTED for d in file.decisions):
        types = [c["type"] for c in said.commands]
        return {"never": [t for t in types if t != "send_message"]}
    if said.amended and file.finding:
        return {"commands": [c["type"] for c in said.amended], "intent": file.finding.content["read"]["intent"]}
    return {}


PRIVATE = [
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "somebody@example.com"),
    (re.compile(r"(?i)\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"), "XX00 0000 0000 0000"),
    (re.compile(r"(?<![\w-])\+?\d[\d ()/.-]{7,}\d(?![\w-])"), "+1 555 0100"),
    (
        re.compile(
            r"(?im)^((?:best|kind|warm)? ?regards|thanks|thank you|cheers|saludos|grüße|cordialement)[,!. ]*\n+.{0,80}$"
        ),
        r"\1,\nA. Person",
    ),
]


def masked(words: str) -> str:
    """Text without addresses, telephone and account numbers, and without the name under it."""
    for pattern, instead in PRIVATE:
        words = pattern.sub(instead, words)
    return words


def review_sample(command: ReviewSample, context: Context) -> Change:
    """Somebody else than who kept it takes it into the set, or leaves it out."""
    found = context.session.get(FeedbackSample, command.sample, with_for_update=True)
    if found is None:
        raise NotFound(f"There is no sample {command.sample}.")
    if found.status != "proposed":
        raise RuleViolation([Problem("sample_reviewed", f"Sample {found.id} was reviewed already.")])
    if context.actor == found.kept_by:
        raise RuleViolation(
            [Problem("segregation_of_duties", f"{found.kept_by} kept this; somebody else must review it.")]
        )
    found.status = "accepted" if command.accept else "refused"
    found.reviewed_by, found.reviewed_at = context.actor, context.now
    context.session.flush()
    return Change(
        f"sample:feedback:{found.status}", f"case:{found.case_id}", {"status": "proposed"}, {"status": found.status}
    )


def adopt_first(session: Session, now: datetime) -> list[str]:
    """A name that nothing was ever in use of gets its first version at once, when the evaluation measured it and it passes its gate. By the clock.

    What training said of itself does not count: the agent's process wrote that.
    """
    adopted = []
    for found in reversed(models.versions(session)):
        if found.name not in MODELS or found.source not in FIRST or models.uses(session, found.name):
            continue
        measured = models.latest_report(session, found.id)
        context = Context(session, f"adopt:{found.id}", CORE, now, policies.active(session, now))
        if measured is None or gates.judge(measured.figures, gates.gate_of(found.name, found.kind, context.policy)):
            continue
        session.execute(ONE_AT_A_TIME)
        reason = FIRST[found.source]
        _use(found.name, "champion", found.id, measured.id, reason, context)
        change = Change("model:version:adopted", f"model:{found.id}", None, {**_standing(found), "reason": reason})
        write_journal(context, change, context.key, None)
        adopted.append(found.name)
    return adopted


def _champion(name: str, context: Context) -> int | None:
    found = models.in_use(context.session, name, context.now)
    return found.id if found else None


def _use(name: str, use: str, version: int | None, measured: int | None, reason: str, context: Context) -> None:
    context.session.add(
        ModelUse(
            name=name,
            use=use,
            version=version,
            report=measured,
            since=context.now,
            said_by=context.actor,
            reason=reason,
        )
    )
    context.session.flush()


def _standing(found: ModelVersion) -> dict[str, Any]:
    return {"version": found.id, "name": found.name, "sha256": found.sha256, "source": found.source}


# what somebody looked at and closed is not brought up again for so long, unless there is more of it
QUIET = timedelta(days=7)


def alarm(subject: str, title: str, problems: list[str], context: Context) -> int | None:
    """A case for whoever answers for the models, told what is so now; none when it is known, or somebody closed the same lately."""
    newest = select(Case).where(Case.kind == ALARM, Case.subject == subject).order_by(Case.id.desc()).limit(1)
    known = context.session.scalars(newest.with_for_update()).first()
    if known is not None and known.resolved_at is None:
        known.details = {**known.details, "problems": problems}
        return None
    lately = known is not None and known.resolved_at is not None and known.resolved_at > context.now - QUIET
    if known is not None and lately and len(problems) <= len(known.details.get("problems", [])):
        return None
    request = OpenCase(
        kind=ALARM,
        subject=subject,
        title=title[:200],
        queue=Queue.MASTER_DATA,
        priority=Priority.HIGH,
        details={"problems": problems},
    )
    return cases.open_or_refresh(request, context)
