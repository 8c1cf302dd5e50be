"""`countersign bench SUITE`: prints how fast this machine does something; judges nothing, for a machine's speed is no test."""

from __future__ import annotations

import argparse
import importlib

SUITES = {
    "inbox": "evals.bench_inbox",
    "chat": "evals.bench_chat",
    "model": "evals.bench_model",
    "models": "evals.bench_models",
    "orders": "evals.bench_orders",
    "desk": "evals.bench_desk",
    "console": "evals.bench_console",
    "backorders": "evals.bench_backorders",
    "receipts": "evals.bench_receipts",
}


def main(argv: list[str]) -> int:
    """Hand the rest of the line to the suite."""
    parser = argparse.ArgumentParser(
        prog="countersign bench",
        description="Measure speed on this machine.",
        epilog="Example: countersign bench orders --orders 2000. Each suite has --help.",
    )
    parser.add_argument("suite", choices=SUITES)
    arguments, rest = parser.parse_known_args(argv)
    status: int = importlib.import_module(SUITES[arguments.suite]).main(rest)
    return status
