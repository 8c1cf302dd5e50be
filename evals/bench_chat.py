"""`countersign bench chat`: how long an answer takes without a language model, from what is said to the answer that is recorded. Prints."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from agent.chatting import Assistant
from agent.worker import worker
from erp_core import clock, db, migrate
from erp_core.actions import chats
from erp_core.cli import run
from erp_core.queries import evaluating

SAMPLE = Path(__file__).parent / "sample"
SAID = (
    "Where is my order SO-40352?",
    "Which invoices do we have open?",
    "What is our price for VAL-7461 and is it in stock?",
    "Please change VAL-7461 on SO-40352 to 40 pieces",
    "no",
    "¿Dónde está mi pedido SO-40461?",
    "Thank you",
)
CONTACT = "sofia.lindqvist@redstoneelectric.example"


def main(argv: list[str]) -> int:
    """Talk for some rounds."""
    parser = argparse.ArgumentParser(
        prog="countersign bench chat",
        description="Measure the assistant's answers on this machine, without a language model.",
        epilog="Example: countersign bench chat --rounds 20 --json",
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with db.in_use():
        migrate.migrate()
        run(["import", str(SAMPLE / "world"), "--as-of", "2026-06-15", "--json"])
        times = _measure(arguments.rounds)
    figures = {
        "answers": len(times),
        "ms_p50": times[len(times) // 2],
        "ms_p95": times[int(len(times) * 0.95)],
        "ms_most": times[-1],
    }
    print(json.dumps(figures) if arguments.json else "\n".join(f"{k:<12}{v}" for k, v in figures.items()))
    return 0


def _measure(rounds: int) -> list[float]:
    with worker() as own:
        assistant = Assistant(own)
        with db.transaction(db.API) as session:
            now = clock.now(session)
            begun = chats.ask(session, CONTACT, "en", now)
            chat = chats.identify(session, begun.secret, evaluating.last_mail(session), now)
        if chat is None:
            raise RuntimeError("the sample world has lost its contact")
        times = []
        for turn in range(-1, rounds):
            for words in SAID:
                started = time.perf_counter()
                with db.transaction(db.API) as session:
                    chats.say(session, chat, words, clock.now(session))
                assistant.step()
                if turn >= 0:  # the first round loads what every process loads once
                    times.append(round((time.perf_counter() - started) * 1000, 1))
    return sorted(times)
