"""An auditor's afternoon: a decision is found, packed and checked with nothing but Python; a changed pack is not."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from api import audit, witness
from api import clock as clock_process
from api.verify_pack import canonical
from erp_core import db
from erp_core.actions import desk as decisions
from erp_core.actions import sealing
from erp_core.actions.desk import Said
from erp_core.queries import desk, policies, proof
from erp_core.tables.desk import Decision, JournalEntry
from erp_core.values import Outcome, Verdict, digest
from tests.api.test_http import AVA, PASSWORD, TestClient, client  # noqa: F401 - the fixture
from tests.conftest import TODAY
from tests.core.test_decisions import file, free_order, reply, to_one


@pytest.fixture
def decided(database: str, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A case whose proposal was signed and ran; its number. Sealed and witnessed."""
    with db.transaction(db.API) as session:
        order = free_order(session)
        number = file(order, [to_one(order), reply()])
        shown = decisions.preview(session, desk.proposal(session, number), TODAY).digest
        said = Said(Verdict.APPROVE, "the customer confirmed", shown)
        assert decisions.decide(session, number, said, actor=AVA, now=TODAY).outcome == Outcome.EXECUTED
        case = desk.proposal(session, number).case_id
    monkeypatch.setenv("COUNTERSIGN_WITNESS", str(open_folder / "seals.jsonl"))
    clock_process.seal_all(sealing.sequencer(), open_folder / "seals.jsonl")
    return case


def check(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "-I", str(folder / "verify.py"), *more]
    return subprocess.run(script, capture_output=True, text=True, check=False)


def test_a_pack_is_checked_with_nothing_but_python_and_the_witness(
    decided: int, open_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = open_folder / "pack"
    assert audit.main(["pack", str(decided), "--out", str(folder)]) == 0
    done = check(folder, "--seal", str(open_folder / "seals.jsonl"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seals as the witness saw them: as sealed" in done.stdout
    page = (folder / "index.html").read_text("utf-8")
    assert "the customer confirmed" in page
    assert "Judged again under it: the same" in page
    assert (folder / "mails").exists()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("entries.json", lambda t: t.replace("the customer confirmed", "the boss confirmed")),
        ("chain.json", lambda t: t.replace('"position": ', '"position": 1', 1)),
        ("mails/*.eml", lambda t: t + "PS: ship it all"),
        ("index.html", lambda t: t.replace("Ava Stone", "Ben Ortiz")),
        ("policies", lambda t: t.replace("tolerance", "Tolerance")),
    ],
)  # fmt: skip
def test_a_changed_pack_is_found_out(decided: int, open_folder: Path, name: str, change: Callable[[str], str]) -> None:
    folder = open_folder / "pack"
    audit.main(["pack", str(decided), "--out", str(folder)])
    path = next((folder / name).glob("*.toml")) if name == "policies" else next(folder.glob(name))
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    done = check(folder, "--seal", str(open_folder / "seals.jsonl"))
    assert done.returncode == 1
    assert "NOT as sealed" in done.stdout


def test_the_console_gives_the_pack_to_who_may_see_the_case(decided: int, client: TestClient) -> None:  # noqa: F811
    assert client.get(f"/cases/{decided}/evidence.zip").status_code in (200, 303)
    client.post("/signin", data={"email": AVA, "password": PASSWORD})
    answer = client.get(f"/cases/{decided}/evidence.zip")
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert {f"case-{decided}/verify.py", f"case-{decided}/index.html", f"case-{decided}/chain.json"} <= set(names)
    assert "sealed" in client.get(f"/cases/{decided}").text
    assert client.get("/journal?what=proposal:executed").text.count("case:proposal:executed") >= 1


def test_a_number_of_the_seal_and_a_hash_of_the_policy_are_found(decided: int, client: TestClient) -> None:  # noqa: F811
    client.post("/signin", data={"email": AVA, "password": PASSWORD})
    with db.reading(db.API) as session:
        entry = desk.journal(session, case_number=decided)[0]
        place, fingerprint = proof.positions(session, [entry.id])[entry.id], entry.facts["policy"]
        number = policies.numbers_of(session, fingerprint)[0]
    page = client.get(f"/journal?place={place}").text
    assert "1 entry" in page
    assert entry.tag in page
    assert "No entry is like this" in client.get("/journal?place=99999999").text
    for path in (f"/policy/of/{fingerprint}", f"/search?q={fingerprint[:8]}"):
        assert client.get(path, follow_redirects=False).headers["location"] == f"/policy/{number}"
    assert client.get(f"/policy/of/{'0' * 64}").status_code == 404


def test_verify_says_all_is_well_and_finds_what_is_not(decided: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["verify", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["faults"] == {"chain": [], "rows": [], "doors": [], "said": []}
    assert told["seals"] >= 1
    with db.transaction(db.OWNER) as session:
        session.execute(JournalEntry.__table__.update().values(actor="somebody"))  # type: ignore[attr-defined]
    assert audit.main(["verify"]) == 1
    assert "says something else than when it was sealed" in capsys.readouterr().out


def test_a_witness_file_with_a_torn_line_says_which(open_folder: Path) -> None:
    path = open_folder / "torn.jsonl"
    witness.append(path, {"position": 1, "hash": "a", "sealed_at": "x"})
    with path.open("a") as torn:
        torn.write('{"position": 2, "ha')
    with pytest.raises(Exception, match="line 2: this is no seal"):
        witness.read(path)


def test_what_was_shown_is_kept_and_has_the_digest_that_was_signed(decided: int) -> None:
    with db.reading(db.API) as session:
        made = session.scalars(select(Decision)).one()
        entry = session.scalars(select(JournalEntry).where(JournalEntry.tag == "case:proposal:executed")).one()
        assert entry.after is not None
        assert digest(entry.after["shown"]) == made.digest_shown
        assert canonical(entry.after["shown"]).startswith("[[")


def test_a_pack_with_something_missing_is_found_out(decided: int, open_folder: Path) -> None:
    for name in ("mails", "policies", "entries.json"):
        folder = open_folder / f"pack-{name}"
        audit.main(["pack", str(decided), "--out", str(folder)])
        if name == "entries.json":
            kept = json.loads((folder / name).read_text("utf-8"))
            kept.pop(max(kept, key=int))
            (folder / name).write_text(json.dumps(kept), "utf-8")
        else:
            next((folder / name).iterdir()).unlink()
        assert check(folder, "--seal", str(open_folder / "seals.jsonl")).returncode == 1


def test_the_journal_has_the_digest_of_each_pack(decided: int, open_folder: Path) -> None:
    folder = open_folder / "pack"
    audit.main(["pack", str(decided), "--out", str(folder)])
    told = check(folder).stdout.strip().splitlines()[-1].split(": ")[1]
    with db.reading(db.API) as session:
        entry = session.scalars(select(JournalEntry).where(JournalEntry.tag == "case:evidence:packed")).one()
        assert entry.after == {"digest": told}
