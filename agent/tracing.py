"""Runs of the agent as traces in MLflow, and the prompts that ship in its registry. A record beside the core's own: nothing reads it back."""

from __future__ import annotations

import sys

from erp_core import db
from erp_core.queries import spending
from erp_core.queries.spending import Run
from ml import tracking
from prompts import files
from tools import world

AT_ONCE = 50
NANOSECONDS = 1_000_000_000


class Tracer:
    """Remembers which run it traced last; what was before its process began is left."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.registered = False

    def step(self) -> int:
        """Trace the runs that are new; how many. What MLflow does not take is told and left."""
        with db.reading(db.AGENT) as session:
            if self.last is None:
                self.last = spending.last_finding(session)
            found = spending.runs_after(session, self.last, AT_ONCE)
        if not found:
            return 0
        self.last = found[-1].finding
        try:
            if not self.registered:
                tracking.register_prompts({name: files.shipped(name) for name in files.NAMES} | world.prompts_in_use())
                self.registered = True
            for run in found:
                _trace(run)
        except Exception as error:  # MLflow raises what its store raises; no case waits for a trace
            print(f"MLflow did not take the traces: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return len(found)


def _trace(run: Run) -> None:
    tags = {"case": run.case, "run": run.run, "by": run.by, "tools": ", ".join(run.tools)}
    tags |= {f"prompt_{name}": sha256[:12] for name, sha256 in run.prompts.items()}
    steps = [
        {
            "purpose": c.purpose,
            "model": c.model,
            "prompt": c.prompt,
            "tokens_in": c.tokens_in,
            "tokens_out": c.tokens_out,
            "cost": c.cost,
            "ms": c.ms,
            "outcome": c.outcome,
        }
        for c in run.calls
    ]
    told = {"name": f"case {run.case}", "ms": run.ms, "tags": tags}
    tracking.trace(told, steps, int(run.at.timestamp() * NANOSECONDS))
