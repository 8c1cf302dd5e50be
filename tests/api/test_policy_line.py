"""The policy and tokens from the command line: the same commands under the same authority."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api import policy as line
from api import token
from erp_core import policy
from erp_core.cli import run

CARA, IDA, KAY = (f"{n}@northfieldsupply.example" for n in ("cara.lim", "ida.marsh", "kay.dunn"))


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, object]]:
    assert line.main([*argv, "--json"]) == 0
    return [json.loads(row) for row in capsys.readouterr().out.splitlines()]


def test_a_version_goes_its_way_from_the_command_line(
    database: str, open_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line.main(["texts", "--out", str(open_folder)]) == 0
    numbers = open_folder / "policy.toml"
    assert (numbers.read_text("utf-8"), (open_folder / "authority.cedar").read_text("utf-8")) == policy.texts()
    numbers.write_text(policy.texts()[0].replace("duplicate_days = 14", "duplicate_days = 10"), "utf-8")
    capsys.readouterr()
    made = told(capsys, "propose", "--numbers", str(numbers), "--as", CARA, "--reason", "ten days are enough")
    assert made[0]["subject"] == "policy:2"
    assert run(["policy", "activate", "2", "--as", IDA, "--reason", "agreed"]) == 1
    assert "Replay version 2" in capsys.readouterr().err
    told(capsys, "backtest", "2", "--as", IDA)
    assert run(["policy", "activate", "2", "--as", CARA, "--reason", "mine"]) == 1
    told(capsys, "activate", "2", "--as", IDA, "--reason", "agreed")
    assert [(v["version"], v["state"]) for v in told(capsys, "versions")] == [(2, "active"), (1, "retired")]
    told(capsys, "rollback", "1", "--as", KAY, "--reason", "back")
    assert [(v["version"], v["state"]) for v in told(capsys, "versions")] == [(2, "retired"), (1, "active")]


def test_a_damaged_file_says_where_and_changes_nothing(
    database: str, open_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = open_folder / "policy.toml"
    broken.write_text("[credit\n", "utf-8")
    assert run(["policy", "propose", "--numbers", str(broken), "--as", CARA, "--reason", "broken"]) == 1
    assert "line 1" in capsys.readouterr().err
    assert (
        run(["policy", "propose", "--numbers", str(open_folder / "none.toml"), "--as", CARA, "--reason", "broken"]) == 1
    )
    assert "cannot be read" in capsys.readouterr().err
    assert [v["version"] for v in told(capsys, "versions")] == [1]


def test_a_token_is_made_listed_and_ended_from_the_command_line(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert token.main([CARA, "--name", "reports", "--scope", "read", "--days", "3"]) == 0
    secret = capsys.readouterr().out.strip()
    assert len(secret) > 30
    assert token.main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["email"], listed["name"], listed["scopes"]) == (CARA, "reports", ["read"])
    assert secret not in json.dumps(listed)
    assert token.main(["revoke", str(listed["token"])]) == 0
    capsys.readouterr()
    assert token.main(["list", "--json"]) == 0
    assert capsys.readouterr().out == ""
