"""What `serve` started ends with it, also when it is told to by a signal, as `stop` and systemd do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import signal, subprocess, sys
from api import serve
start = subprocess.Popen
def popen(*_, **__):
    made = start([sys.executable, "-c", "import time; time.sleep(60)"])
    print(made.pid, flush=True)
    return made
serve.subprocess.Popen, serve.make_app = popen, lambda: None
serve.uvicorn.run = lambda *_, **__: signal.raise_signal(signal.SIGTERM)
serve.run()
"""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_helpers_end_with_the_process_that_is_told_to_stop(tmp_path: Path) -> None:
    env = {**os.environ, "COUNTERSIGN_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, env=env, check=False
    )
    pids = [int(line) for line in done.stdout.split() if line.isdigit()]
    assert len(pids) == 2
    until = time.monotonic() + 10
    while any(map(_alive, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(_alive, pids))
    assert not (tmp_path / "run" / "serve.pid").exists()
