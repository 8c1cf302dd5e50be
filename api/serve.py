"""`countersign serve`: console, API, agent and clock on one machine, each a process with its own role."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from api.app import make_app
from erp_core import db, migrate, settings

HELPERS = ("work", "clock")


def main(argv: list[str]) -> int:
    """Until stopped."""
    parser = argparse.ArgumentParser(
        prog="countersign serve",
        description="Run everything on this machine; --only api runs the web process alone.",
        epilog="Example: COUNTERSIGN_PORT=8080 countersign serve",
    )
    parser.add_argument("--only", choices=["api"], help="run the web process alone, as docker-compose does")
    arguments = parser.parse_args(argv)
    config = settings.load()
    with db.in_use():
        if config.embedded:
            migrate.migrate()
        run(alone=arguments.only == "api")
    return 0


def run(*, alone: bool = False) -> None:
    """Serve until a signal; helpers end with us."""
    config = settings.load()
    pid_file = config.home / "run" / "serve.pid"
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    pid_file.write_text(str(os.getpid()))
    # uvicorn raises the signal that stopped it once more when it is done: left to itself that would end us before our helpers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with _helpers(() if alone else HELPERS):
            print(f"Console: http://{config.host}:{config.port}", flush=True)
            uvicorn.run(make_app(), host=config.host, port=config.port, log_level="warning")
    finally:
        pid_file.unlink(missing_ok=True)


@contextmanager
def _helpers(words: tuple[str, ...]) -> Iterator[None]:
    started = [subprocess.Popen([sys.executable, "-m", "erp_core.cli", word]) for word in words]
    try:
        yield
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
