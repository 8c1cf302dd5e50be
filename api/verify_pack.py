"""Checks an evidence pack with nothing but Python: python3 verify.py [--seal FILE] [FOLDER]

It hashes every journal entry of the pack, follows their stretch of the chain to a seal, compares the seal with the witness's
(--seal: a file of seals that was kept outside the database), and hashes mails, policies and what the screen showed.
"""

import argparse
import hashlib
import json
import pathlib
import sys


def sha(data: "bytes | str") -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


def canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check an evidence pack.")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--seal", type=pathlib.Path, help="seals kept elsewhere, one JSON object a line")
    arguments = parser.parse_args()
    folder, faults = arguments.folder, []
    chain = json.loads((folder / "chain.json").read_text("utf-8"))
    contents = json.loads((folder / "entries.json").read_text("utf-8"))
    known = {link["number"]: link for link in chain["links"] if link["source"] == "entry"}
    for number, content in contents.items():
        link = known.get(int(number))
        if link is None:
            faults.append(f"entry {number} is in no position of the chain")
        elif sha(content) != link["content_hash"]:
            faults.append(f"entry {number} says something else than when it was sealed")
    previous, position = chain["before"], chain["first"] - 1
    for link in chain["links"]:
        position += 1
        previous = sha(f"{previous}\n{position}\n{link['content_hash']}")
        if link["position"] != position or link["hash"] != previous:
            faults.append(f"position {position} does not follow from what is before it")
            break
    seal = chain["seal"]
    if seal is None or seal["position"] != position or seal["hash"] != previous:
        faults.append("the stretch does not end in the seal")
    witnessed = "not compared with a witness"
    if arguments.seal:
        lines = [json.loads(line) for line in arguments.seal.read_text("utf-8").splitlines() if line.strip()]
        told = [s["hash"] for s in lines if s["position"] == (seal or {}).get("position")]
        witnessed = "the witness saw the same seal"
        if not told:
            faults.append("the witness has no seal at this position")
        elif told != [seal["hash"]]:
            faults.append("the witness saw another seal at this position")
    entries = {number: json.loads(content) for number, content in contents.items()}
    said = [e for e in entries.values() if e[0] == "entry"]
    for name, expected in json.loads((folder / "files.json").read_text("utf-8")).items():
        if sha((folder / name).read_bytes()) != expected["sha256"]:
            faults.append(f"{name} is not the file that was packed")
        if expected.get("entry") and expected["sha256"] not in entries[str(expected["entry"])][11].values():
            faults.append(f"{name} is not what entry {expected['entry']} took in")
    for entry in said:
        after, facts = entry[11] or {}, entry[12] or {}
        signed = after.get("outcome") in ("executed", "signed") and after.get("shown") is not None
        if signed and sha(canonical(after["shown"])) != facts.get("digest"):
            faults.append(f"entry {entry[1]}: what was shown is not what was signed")
    for path in sorted(folder.glob("policies/*.toml")):
        authority = path.with_suffix(".cedar")
        if sha(path.read_text("utf-8") + "\0" + authority.read_text("utf-8")) != path.stem:
            faults.append(f"{path.name} is not the policy of that hash")
    for fault in faults:
        print(fault)
    print(
        f"{len(contents)} entries, {len(chain['links'])} positions, {witnessed}: "
        + ("as sealed" if not faults else "NOT as sealed")
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
