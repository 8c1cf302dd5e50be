"""The gate: may a version come into use on what was measured of it? All reasons against it, in a documented order.

Enough examples, nothing too good to be true, samples that must pass, unsafe proposals, better than the rule of thumb, calibrated, no
worse than what is in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from erp_core.errors import Problem
from erp_core.policy import Gate, Policy


def gate_of(name: str, kind: str, policy: Policy) -> Gate:
    """The thresholds of a version: those of its name, else of its kind."""
    return policy.gates.get(name) or policy.gates[kind]


def judge(figures: Mapping[str, Any], gate: Gate) -> list[Problem]:
    """Why a version with these figures does not pass; empty: it does. What was not measured does not pass."""
    return list(_problems(figures, gate))


def _problems(figures: Mapping[str, Any], gate: Gate) -> Iterator[Problem]:
    examples = _number(figures, "examples")
    if examples is None or examples < gate.examples:
        yield _problem("too_few", f"{examples or 0:.0f} examples, at least {gate.examples} are wanted.", figures)
    for name, alone in figures.get("too_good") or []:
        words = f"{name} alone tells the outcome ({alone}): it was probably written afterwards."
        yield _problem("leakage", words, {"feature": name})
    failed = figures.get("must_failed")
    if failed:
        yield _problem(
            "must_pass",
            f"{len(failed)} samples that must pass do not: {', '.join(map(str, failed[:5]))}.",
            {"samples": failed},
        )
    unsafe = _number(figures, "unsafe")
    first = (
        figures.get("against") is None and "unsafe" not in figures
    )  # nothing is there yet that it could be sent through beside
    if gate.unsafe is not None and not first and (unsafe is None or unsafe > gate.unsafe):
        yield _problem("unsafe", f"{_said(unsafe)} unsafe proposals, at most {gate.unsafe} are let pass.", figures)
    gain = _number(figures, "gain_low")
    if gate.gain is not None and (gain is None or gain <= float(gate.gain)):
        words = f"Against the rule of thumb it gains {_said(gain)} at worst; more than {gate.gain} is wanted."
        yield _problem("no_gain", words, figures)
    off = _number(figures, "calibration_error")
    if gate.calibration_error is not None and (off is None or off > float(gate.calibration_error)):
        words = f"Its probabilities are off by {_said(off)}; {gate.calibration_error} is let pass."
        yield _problem("not_calibrated", words, figures)
    score = _number(figures, "score")
    if gate.score is not None and (score is None or score < float(gate.score)):
        yield _problem("score_low", f"It scores {_said(score)}; {gate.score} is wanted.", figures)
    if figures.get("against") is not None or "loss" in figures:
        loss = _number(figures, "loss")
        if loss is None or loss > float(gate.loss):
            rival = f"version {figures['against']}, which" if figures.get("against") else "what"
            words = f"It is {_said(loss)} worse than {rival} is in use; {gate.loss} is let pass."
            yield _problem("worse", words, figures)


def _number(figures: Mapping[str, Any], name: str) -> float | None:
    value = figures.get(name)
    return float(value) if isinstance(value, int | float) and value == value else None


def _said(value: float | None) -> str:
    return "nothing that was measured" if value is None else f"{value:.4g}"


def _problem(code: str, words: str, facts: Mapping[str, Any]) -> Problem:
    kept = {k: v for k, v in facts.items() if isinstance(v, str | int | float | list)}
    return Problem(f"gate_{code}", words, kept)
