"""Run samples: each in a clone of the world, through the real core and the real agent, judged first by the state that it leaves."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from email.message import EmailMessage
from functools import partial
from pathlib import Path

from agent import llm
from agent.chatting import Assistant
from agent.mail.fetch import Raw
from agent.worker import Worker
from agent.worker import worker as working
from erp_core import clock, db, scratch
from erp_core.actions import chats, execute, requests
from erp_core.actions import desk as decisions
from erp_core.actions.desk import Said
from erp_core.commands import COMMAND, RecordPrompt
from erp_core.errors import CountersignError, NotFound
from erp_core.queries import chats as queries
from erp_core.queries import desk, evaluating, policies
from erp_core.server import Cluster
from erp_core.tables.desk import Proposal
from erp_core.tables.models import ModelUse
from erp_core.values import Verdict
from evals import judging, prose
from evals.judging import Result
from evals.samples import Line, Sample, Step, Talk
from ml import train
from ml.reader import Reader
from prompts import replies
from tools.world import forget_world

WORLD = Path(__file__).parent / "sample" / "world"
AS_OF = date(2026, 6, 15)
SYSTEM = "evaluation"


@contextmanager
def world(home: Path) -> Iterator[Cluster]:
    """The server that samples are run on."""
    with scratch.server(home / "eval", WORLD, AS_OF) as cluster:
        yield cluster


def what_ran(prompt: str | None) -> dict[str, str]:
    """Which prompt, policy and code a run is about."""
    with db.reading(db.API) as session:
        policy = policies.active(session)
    with replies.using(prompt):
        text = replies.digest()
    return {
        "prompt": f"replies {text[:12]}{', as shipped' if prompt is None else ''}",
        "policy": policy.short,
        "code": train.code()[:12],
    }


def run(
    cluster: Cluster, sample: Sample, reader: Reader, prompt: str | None = None, line: llm.Line | None = None
) -> Result:
    """One sample in a world of its own. `prompt`: replies are written from this text; `line`: to a language model, if one is to be asked."""
    result = Result(sample.id, sample.family, sample.must_pass, sample.hard, sample.event.mail is not None)
    with scratch.clone(cluster, f"s{uuid.uuid4().hex[:12]}"):
        forget_world()
        if prompt is not None:
            _use_prompt(prompt)
        with working(reader, line) as own:
            try:
                proposals = _judge(sample, own, result)
                if line is not None:
                    prose.grade(sample, proposals, line, result)
            except llm.Failed as failure:  # a model that grades badly marks nothing
                result.said["prose"] = [str(failure)]
            except CountersignError as error:
                result.failures.append(f"{type(error).__name__}: {error}")
                result.marks.setdefault("state", 0.0)
    return result


def _use_prompt(prompt: str) -> None:
    """In this clone, and nowhere else, the text is in use without anybody's word."""
    with db.transaction(db.API) as session:
        now = clock.now(session)
        done = execute(
            session, RecordPrompt(name="replies", text=prompt), key=f"eval:{uuid.uuid4()}", actor=SYSTEM, now=now
        )
        version = int(done.change.subject.split(":")[1])
        session.add(
            ModelUse(name="replies", use="champion", version=version, since=now, said_by=SYSTEM, reason="trial")
        )


def _judge(sample: Sample, worker: Worker, result: Result) -> Sequence[Proposal]:
    for step in sample.given:
        _step(step)
    with db.reading(db.API) as session:
        last = evaluating.last_case(session)
        before = evaluating.fingerprint(session)
    started = time.monotonic()
    refused = _happen(sample, worker, last)
    result.ms = (time.monotonic() - started) * 1000
    with db.reading(db.API) as session:
        proposals = evaluating.filed(session, last)
        findings = [
            f for number in evaluating.cases_of(session, last) if (f := desk.case_file(session, number).finding)
        ]
        outside = sample.event.mail is not None or sample.event.chat is not None
        moved = outside and evaluating.fingerprint(session) != before
        result.unsafe = judging.unsafe(sample, proposals, findings, moved, session)
    if sample.sign and proposals:
        _sign(proposals[-1].id, sample.sign)
    with db.reading(db.API) as session:
        state, facts = partial(evaluating.state_of, session), partial(evaluating.facts_of, session)
        judging.score(sample, result, proposals, findings, refused, state, facts)
        if sample.event.chat is not None:
            judging.score_talk(sample, result, *evaluating.last_talk(session), passed_on=len(proposals))
        result.of |= evaluating.segment_of(session, _customer(sample, result))
    return proposals


def _customer(sample: Sample, result: Result) -> str:
    """Whom a sample is about: as linked, as wanted, or as its steps name it."""
    named = [step.do["customer"] for step in (*sample.event.steps, *sample.given) if step.do.get("customer")]
    found = result.said.get("customer") or sample.expect.customer
    return str(found or next(iter(named), ""))


def _step(step: Step) -> None:
    command = COMMAND.validate_python(step.do)
    with db.transaction(db.API) as session:
        now, key = clock.now(session), f"eval:{uuid.uuid4()}"
        if step.by == "system":
            execute(session, command, key=key, actor=SYSTEM, now=now)
        else:
            requests.act(session, command, key=key, actor=step.by, now=now)


def _happen(sample: Sample, worker: Worker, last: int) -> bool:
    """The event, then the agent on what came of it. Whether a step was refused."""
    refused = False
    if sample.event.mail is not None:
        worker.take_and_work(mail(sample))
    if sample.event.chat is not None:
        _talk(sample.event.chat, Assistant(worker, worker.line))
    for step in sample.event.steps:
        try:
            _step(step)
        except CountersignError:
            refused = True
    with db.reading(db.API) as session:
        opened = evaluating.cases_of(session, last)
    for number in opened:
        worker.work(number)
    return refused


def _talk(talk: Talk, assistant: Assistant) -> None:
    """The customer is identified with the code that was mailed, and says one thing after the other."""
    with db.transaction(db.API) as session:
        now = clock.now(session)
        begun = chats.ask(session, talk.who, talk.language, now)
        chat = chats.identify(session, begun.secret, evaluating.last_mail(session), now)
        if chat is None:
            raise NotFound(f"{talk.who} is nobody's contact.")
        number = chat.id
    answered = ""
    for line in talk.says:
        asked = Line(when="", say=line) if isinstance(line, str) else line
        words = asked.say if re.search(asked.when, answered, re.I) else asked.otherwise
        if words is None:
            continue
        with db.transaction(db.API) as session:
            chats.say(session, queries.numbered(session, number), words, clock.now(session))
        assistant.step()
        with db.reading(db.API) as session:
            said = queries.messages(session, queries.numbered(session, number))
            answered = str(said[-1].parsed["newest"]) if said and said[-1].direction == "out" else ""


def mail(sample: Sample) -> Raw:
    """The sample's mail as it would come in."""
    told = sample.event.mail
    assert told is not None
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = told.sender, "orders@northfieldsupply.example", told.subject
    message["Message-ID"] = f"<{sample.id}@eval.example>"
    message["Date"] = "Mon, 15 Jun 2026 09:00:00 +0000"
    for name, value in told.headers.items():
        message[name] = value
    message.set_content(told.body)
    if told.html:
        message.add_alternative(told.html, subtype="html")
    return Raw(f"{sample.id}.eml", message.as_bytes())


def _sign(proposal: int, email: str) -> None:
    with db.transaction(db.API) as session:
        now = clock.now(session)
        seen = decisions.preview(session, desk.proposal(session, proposal), now, [email])
        said = Said(Verdict.APPROVE, digest=seen.digest, reason="evaluation")
        decisions.decide(session, proposal, said, actor=email, now=now)
