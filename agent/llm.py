"""The one door to a language model: any server that speaks OpenAI's chat completions. What goes wrong has a name, and the local models go on.

`Endpoint` asks a real server, `Scripted` is its twin for tests and attacks; one contract test holds for both. `Line` stands before either: budgets,
redaction, one more try, a pause after failures, and a row for every question. No database transaction is open while a model thinks.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

import openai
from pydantic import BaseModel, ValidationError

from erp_core import casework, db, settings
from erp_core.casework import Call
from erp_core.errors import CountersignError
from erp_core.policy import LanguageModelPolicy
from erp_core.settings import Settings
from tools import world

TRIES = 2
REST_SECONDS = 0.5  # before the second try
LONGEST_PAUSE = 1800.0
LONGEST_ANSWER = 4000  # tokens
MILLION = Decimal(1_000_000)


class Failed(CountersignError):
    """The language model cannot be used just now."""

    def __init__(self, outcome: str, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


@dataclass(frozen=True)
class Ability:
    """A query tool as a model is told of it: its arguments are a pydantic form."""

    name: str
    about: str
    form: type[BaseModel]


@dataclass(frozen=True)
class Wish:
    """A model asks for a tool."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked: messages in OpenAI's form, the form of the answer, and the tools it may wish for before it answers."""

    purpose: str
    prompt: str
    messages: tuple[dict[str, Any], ...]
    form: type[BaseModel]
    tools: tuple[Ability, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A filled-in form, or wishes for tools; never both."""

    model: str
    form: BaseModel | None
    wishes: tuple[Wish, ...]
    tokens_in: int
    tokens_out: int


Ask = Callable[[Question], Answer]


class Asked(Protocol):
    """Whoever can be asked for a model's answer. Raises Failed."""

    def ask(self, question: Question, case: int | None, run: str, until: float | None = None) -> Answer:
        """Ask about a case in a run, until then at the latest."""
        ...


class Model(Protocol):
    """Whoever answers. Raises Failed."""

    def answer(self, question: Question, seconds: float) -> Answer:
        """Answer within so many seconds."""
        ...


class Endpoint:
    """OpenAI, or a server that speaks as it does (OPENAI_BASE_URL)."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._client = openai.OpenAI(
            api_key=config.model_key or "none", base_url=config.model_url, max_retries=0, timeout=config.model_seconds
        )

    def answer(self, question: Question, seconds: float) -> Answer:
        """Ask once. A refusal, a cut-off answer and one in another form than asked for are failures like any other."""
        model = self._config.model_for(question.purpose)
        tools = [openai.pydantic_function_tool(t.form, name=t.name, description=t.about) for t in question.tools]
        try:
            done = self._client.chat.completions.parse(
                model=model,
                messages=list(question.messages),  # type: ignore[arg-type]  # plain dicts in OpenAI's own form
                response_format=question.form,
                tools=tools or openai.omit,
                max_completion_tokens=LONGEST_ANSWER,
                timeout=seconds,
            )
            message = done.choices[0].message
        except openai.APITimeoutError as error:
            raise Failed("slow", f"{model} did not answer within {seconds:.0f} s.") from error
        except openai.APIStatusError as error:
            raise Failed("refused" if error.status_code == 429 else "failed", f"{model}: {error.message}") from error
        except openai.APIConnectionError as error:
            raise Failed("failed", f"{model} cannot be reached.") from error
        except (openai.OpenAIError, ValidationError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise Failed("unusable", f"{model} answered in another form: {_first_line(error)}") from error
        used = done.usage
        tokens = (used.prompt_tokens, used.completion_tokens) if used else (0, 0)
        wishes = tuple(
            _wish(call.id, call.function.name, call.function.parsed_arguments) for call in message.tool_calls or ()
        )
        if not wishes and message.parsed is None:
            raise Failed(
                "unusable", f"{model} gave no answer{': ' + message.refusal[:200] if message.refusal else ''}."
            )
        return Answer(model, None if wishes else message.parsed, wishes, *tokens)


def _wish(name: str, tool: str, arguments: Any) -> Wish:
    said = arguments.model_dump(mode="json") if isinstance(arguments, BaseModel) else {}
    return Wish(name, tool, said)


Says = Callable[[Question], Mapping[str, Any]]


class Scripted:
    """The twin: answers come from a function, in the same forms and with the same failures.

    The function returns the form's fields, or {"wishes": [{"name", "arguments"}]}; or it raises Failed.
    """

    def __init__(self, says: Says) -> None:
        self._says = says
        self.asked: list[Question] = []

    def answer(self, question: Question, seconds: float) -> Answer:
        """Answer as told, checked like a server's answer."""
        self.asked.append(question)
        said = self._says(question)
        forms = {tool.name: tool.form for tool in question.tools}
        try:
            if "wishes" in said:
                wished = [(w["name"], forms[w["name"]].model_validate(w["arguments"])) for w in said["wishes"]]
                wishes = tuple(_wish(f"call-{n}", name, form) for n, (name, form) in enumerate(wished))
                return Answer("scripted", None, wishes, 1, 1)
            return Answer("scripted", question.form.model_validate(said), (), 1, 1)
        except (ValidationError, LookupError) as error:
            raise Failed("unusable", f"scripted answered in another form: {_first_line(error)}") from error


@dataclass
class Line:
    """What stands before a model: it is asked within its budgets, and left alone for a while when it fails again and again."""

    model: Model
    seconds: float
    failures: int = 0
    pauses: int = 0
    closed_until: float = 0.0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, question: Question, case: int | None, run: str, until: float | None = None) -> Answer:
        """Ask, and write down that it was asked. `until` (time.monotonic) ends the patience of the whole run. Raises Failed."""
        policy = world.policy_in_force().language_model
        question = redacted(question, policy.redact)
        started = time.monotonic()
        try:
            self._may_ask(case)
            answer = self._tried(question, min(until or started + 3600.0, started + self.seconds))
        except Failed as failure:
            if failure.outcome not in ("over_budget", "paused"):
                self._failed(policy)
            self._record(question, case, run, None, failure, policy, started)
            raise
        with self.guard:
            self.failures = self.pauses = 0
        self._record(question, case, run, answer, None, policy, started)
        return answer

    def _may_ask(self, case: int | None) -> None:
        if time.monotonic() < self.closed_until:
            raise Failed("paused", "The language model failed lately and is left alone for a while.")
        used_up = world.budget_used_up(case)
        if used_up:
            raise Failed("over_budget", f"The language model is not asked: {used_up}.")

    def _tried(self, question: Question, until: float) -> Answer:
        for left in reversed(range(TRIES)):
            try:
                return self.model.answer(question, max(until - time.monotonic(), 0.1))
            except Failed as failure:
                if not left or failure.outcome == "slow" or time.monotonic() + REST_SECONDS >= until:
                    raise
                time.sleep(REST_SECONDS)
        raise AssertionError("the last try returns or raises")

    def _failed(self, policy: LanguageModelPolicy) -> None:
        with self.guard:
            if time.monotonic() < self.closed_until:
                return  # asked before the pause began, beside others that failed of the same cause
            self.failures += 1
            if self.failures >= policy.most_failures:
                pause = min(float(policy.pause_seconds) * 2**self.pauses, LONGEST_PAUSE)
                self.closed_until = time.monotonic() + pause
                self.pauses += 1

    def _record(
        self,
        question: Question,
        case: int | None,
        run: str,
        answer: Answer | None,
        failure: Failed | None,
        policy: LanguageModelPolicy,
        started: float,
    ) -> None:
        model = answer.model if answer else settings.load().model_for(question.purpose)
        used = (answer.tokens_in, answer.tokens_out) if answer else (0, 0)
        cost = cost_of(model, used, policy)
        took = round((time.monotonic() - started) * 1000)
        outcome, detail = (failure.outcome, str(failure)) if failure else ("answered", "")
        call = Call(case, run, question.purpose, model, question.prompt, *used, cost, took, outcome, detail)
        with db.transaction(db.AGENT) as session:
            casework.record_call(session, call)


@dataclass(frozen=True)
class LettingGo:
    """A line for those who work one at a time: who waits for an answer lets another one work."""

    line: Line
    hands: threading.Lock

    def ask(self, question: Question, case: int | None, run: str, until: float | None = None) -> Answer:
        """Ask while another one has the hands."""
        self.hands.release()
        try:
            return self.line.ask(question, case, run, until)
        finally:
            self.hands.acquire()


def cost_of(model: str, used: tuple[int, int], policy: LanguageModelPolicy) -> Decimal:
    """Money for tokens (in, out) by the policy's prices; nothing for a model that policy names no price of."""
    price = policy.prices.get(model)
    return (price[0] * used[0] + price[1] * used[1]) / MILLION if price else Decimal(0)


PRIVATE = {
    "iban": re.compile(r"\b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){2,7}(?:\s?[A-Z0-9]{1,4})?\b"),
    "card": re.compile(r"\b\d(?:[ -]?\d){12,18}\b"),
    "tax_id": re.compile(r"\b\d{2}-\d{7}\b|\b\d{3}-\d{2}-\d{4}\b"),
    "phone": re.compile(r"(?<![\w-])\+?\(?\d{2,4}\)?[ .-]\d{3,4}[ .-]\d{3,4}\b"),
    "email": re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"),
}


def redacted(question: Question, kinds: Sequence[str]) -> Question:
    """The question without what policy keeps at home; each place says what stood there. Our own instructions hold nothing of the kind."""
    told = tuple(
        m if m["role"] == "system" else {**m, "content": _masked(m.get("content"), kinds)} for m in question.messages
    )
    return Question(question.purpose, question.prompt, told, question.form, question.tools)


def _masked(content: Any, kinds: Sequence[str]) -> Any:
    if not isinstance(content, str):
        return content
    for kind in kinds:
        content = PRIVATE[kind].sub(partial(_mask, kind), content)
    return content


def _mask(kind: str, hit: re.Match[str]) -> str:
    check = CHECKS.get(kind)
    return f"[{kind}]" if check is None or check(hit.group()) else hit.group()


def _is_iban(text: str) -> bool:
    """ISO 13616: moved around and read as a number, it leaves 1 by 97."""
    flat = re.sub(r"\s", "", text)
    return int("".join(str(int(c, 36)) for c in flat[4:] + flat[:4])) % 97 == 1


def _is_card(text: str) -> bool:
    """Luhn's check digit; our tracking numbers seldom meet it by chance and are then masked too."""
    digits = [int(c) for c in reversed(text) if c.isdigit()]
    return sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)) % 10 == 0


CHECKS: dict[str, Callable[[str], bool]] = {"iban": _is_iban, "card": _is_card}


def configured() -> Line | None:
    """The line to the model that this installation is told of; None when it is told of none."""
    config = settings.load()
    return Line(Endpoint(config), config.model_seconds) if config.has_model else None


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
