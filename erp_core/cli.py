"""The command line: a word names a module, which runs in its own role. Modules are named, not imported, so no layer is crossed."""

from __future__ import annotations

import importlib
import sys

from erp_core.errors import CountersignError

COMMANDS = {
    "serve": ("api.serve", "Run console, API, agent and clock on this machine"),
    "stop": ("api.stop", "End this installation's processes and embedded server"),
    "migrate": ("erp_core.migrate", "Set up or update the database"),
    "demo": ("api.demo", "Import the sample distributor, work its inbox, serve the console"),
    "import": ("erp_core.importer", "Import a folder of CSV files"),
    "ingest": ("agent.ingest", "Take in mail from files, folders or IMAP, and triage it"),
    "work": ("agent.worker", "Run the agent process alone"),
    "clock": ("api.clock", "Run the clock process alone"),
    "cases": ("api.cases", "List open cases"),
    "case": ("api.case", "Show one case with proposal, preview and journal"),
    "decide": ("api.decide", "Approve, amend, reject, instruct or escalate a proposal"),
    "policy": ("api.policy", "Show the policy and who may sign what"),
    "audit": ("api.audit", "Check the journal, or write a case's evidence pack"),
    "user": ("api.user", "Set a password, or list users"),
    "token": ("api.token", "Make an API token"),
    "train": ("ml.train", "Train the local models"),
    "eval": ("evals.run", "Measure triage against a labelled inbox"),
    "simulate": ("evals.simulate", "Run a seeded distributor through the core, days of virtual time"),
    "bench": ("evals.bench", "Measure speed; prints, never judges"),
}


def main() -> None:
    """Entry of the `countersign` program: exit status 0, 1 for a refusal or failed check, 2 for bad use."""
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Run one command line and return its exit status."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        print(f"There is no command '{argv[0]}'.\n\n{usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(COMMANDS[argv[0]][0])
    try:
        status: int = module.main(argv[1:])
    except CountersignError as error:
        print(f"countersign {argv[0]}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def usage() -> str:
    """All commands with one line each."""
    lines = [f"  {word:<10}{text}" for word, (_, text) in COMMANDS.items()]
    return (
        "usage: countersign COMMAND [options]\n\n" + "\n".join(lines) + "\n\nEach command has --help with an example."
    )


if __name__ == "__main__":
    main()
