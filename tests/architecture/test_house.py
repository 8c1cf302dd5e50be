"""House rules that a machine can hold."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from erp_core import db
from erp_core.cli import COMMANDS, run
from erp_core.commands import COMMAND
from erp_core.server import Cluster
from erp_core.tables import Base
from tests.conftest import ROOT
from tools.registry import TOOLS

PACKAGES = ("agent", "api", "erp_core", "evals", "ml", "prompts", "tools")
SOURCES = [p for package in PACKAGES for p in (ROOT / package).rglob("*.py") if "versions" not in p.parts]
TOP = {
    "agent", "tools", "erp_core", "ml", "prompts", "api", "evals", "tests", "README.md", "Makefile", "pyproject.toml", "requirements.lock",
    "docker-compose.yml", "Dockerfile", "DECISIONS.md", "CHANGELOG.md", "LICENSE",
}  # fmt: skip


def lines_with(pattern: str, allowed: set[str]) -> list[str]:
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        if str(path.relative_to(ROOT)) not in allowed
        for number, line in enumerate(path.read_text().split("\n"), start=1)
        if wanted.search(line)
    ]


def test_the_top_level_holds_what_the_house_names_and_nothing_else() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert {name.split("/")[0] for name in listed if not name.startswith(".")} <= TOP


def test_first_party_names_resolve_inside_the_repository() -> None:
    for package in PACKAGES:
        origin = importlib.import_module(package).__file__
        assert origin is not None
        assert Path(origin).is_relative_to(ROOT)


def test_the_only_commit_is_in_db() -> None:
    assert lines_with(r"\.commit\(", {"erp_core/db.py", "erp_core/migrations/env.py", "erp_core/actions/desk.py"}) == []


def test_only_edges_read_the_clock() -> None:
    assert lines_with(r"datetime\.now\(|date\.today\(|utcnow\(", {"erp_core/clock.py", "erp_core/migrate.py"}) == []


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("spacy", {"ml/pipeline.py"}),
        ("mlflow", {"ml/tracking.py"}),
        ("openai", {"agent/llm.py", "ml/embeddings.py"}),
        ("langgraph", {"agent/graph.py", "agent/worker.py", "agent/checkpoints.py"}),
        ("pypdf", {"agent/mail/parse.py"}),
        ("imap_tools", {"agent/mail/fetch.py"}),
        ("cedarpy", {"erp_core/rules/desk.py", "erp_core/policy.py"}),
    ],
)
def test_a_vendor_has_one_door(name: str, allowed: set[str]) -> None:
    assert lines_with(rf"^\s*(?:from|import) {name}\b", allowed) == []


def test_tools_are_queries_or_proposals_and_nothing_else() -> None:
    importlib.import_module("tools.world")
    assert TOOLS
    assert {tool.kind for tool in TOOLS.values()} <= {"query", "proposal"}


def test_the_lock_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "http://" not in lock
    assert "https://" not in lock
    assert "--hash=sha256:" in lock
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in wanted:
        name = re.split(r"[\[>=]", requirement)[0].lower()
        assert re.search(rf"^{re.escape(name)}(?:\[[\w,]+\])?==", lock, re.M), name


def test_migrations_agree_with_the_tables(cluster: Cluster) -> None:
    engine = create_engine(cluster.dsn(db.OWNER))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


@pytest.mark.parametrize("word", sorted(COMMANDS))
def test_every_command_explains_itself_with_an_example(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        run([word, "--help"])
    assert done.value.code == 0
    assert "xample: " in capsys.readouterr().out


def test_a_wrong_word_is_bad_use() -> None:
    assert run(["nonsense"]) == 2


def test_no_command_accepts_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="extra"):
        COMMAND.validate_python({"type": "cancel_order", "order": "x", "approved_by": "me"})


def test_who_may_do_what_is_asked_of_policy_and_nowhere_else() -> None:
    inline = r"[\"'][a-z_]+[\"']\s+(?:not\s+)?in\s+[\w.]*\broles\b|\broles\b[\w.]*\s*==|is_admin"
    assert lines_with(inline, set()) == []
    wanted = re.compile(inline)
    pages = [p for p in (ROOT / "api" / "templates").glob("*.html") if wanted.search(p.read_text("utf-8"))]
    assert pages == []
