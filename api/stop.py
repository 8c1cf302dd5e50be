"""`countersign stop`: end this installation's processes and its embedded server."""

from __future__ import annotations

import argparse
import os
import signal
import time

from erp_core import settings
from erp_core.server import Cluster


def main(argv: list[str]) -> int:
    """End `serve`, then the server."""
    parser = argparse.ArgumentParser(
        prog="countersign stop",
        description="End this installation's processes and its embedded server.",
        epilog="Example: countersign stop",
    )
    parser.parse_args(argv)
    config = settings.load()
    pid_file = config.home / "run" / "serve.pid"
    if pid_file.exists():
        _end(int(pid_file.read_text()))
        pid_file.unlink(missing_ok=True)
    if config.embedded and (config.home / "secrets").exists():
        Cluster(config).stop()
    print("Stopped.")
    return 0


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        for _ in range(200):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
