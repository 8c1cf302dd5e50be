"""Checks an evidence pack with nothing but Python: python3 verify.py [--seal FILE] [FOLDER]

Every journal entry of the pack is hashed; each stretch of the chain that holds some is followed from one seal to the next, and both are
compared with the witness's (--seal: a file of seals that was kept outside the database). Mails and findings must be those that entries took
in, policies those that entries name, and what the screen showed that which was signed. What is proven is printed. index.html shows the same
to read; the digest printed last is the pack's own: the journal has it under case:evidence:packed.
"""

import argparse
import hashlib
import json
import pathlib
import sys

START = "0" * 64
AFTER, FACTS = 11, 12  # places of an entry's content


def sha(data: "bytes | str") -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


def canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read(path: pathlib.Path) -> "dict":  # type: ignore[type-arg]
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


def follow(segment: "dict", witness: "dict | None", faults: "list[str]") -> "dict":  # type: ignore[type-arg]
    """From one seal to the next; the content hashes of the entries between them."""
    before, seal = segment["before"], segment["seal"]
    previous, position = (before["hash"], before["position"]) if before else (START, 0)
    for link in segment["links"]:
        position += 1
        previous = sha(f"{previous}\n{position}\n{link['content_hash']}")
        if link["position"] != position:
            faults.append(f"position {position} is missing")
    if (position, previous) != (seal["position"], seal["hash"]):
        faults.append(f"the stretch does not end in the seal at position {seal['position']}")
    for one in (before, seal):
        if witness is not None and one and witness.get(one["position"]) != one["hash"]:
            faults.append(f"the witness has another seal, or none, at position {one['position']}")
    return {link["number"]: link["content_hash"] for link in segment["links"] if link["source"] == "entry"}


def check_files(folder: pathlib.Path, entries: "dict", faults: "list[str]") -> None:  # type: ignore[type-arg]
    """Each file is the one packed; nothing is missing, nothing is beside; mails and findings are what entries took in."""
    listed = read(folder / "files.json")
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"files.json"}
    faults += [f"{name} is not of the pack" for name in sorted(there - listed.keys())]
    for name, told in listed.items():
        path = folder / name
        if not path.is_file() or sha(path.read_bytes()) != told["sha256"]:
            faults.append(f"{name} is not the file that was packed")
        elif name.startswith(("mails/", "findings/")):
            taken = entries.get(str(told["entry"])) if told["entry"] else None
            if taken is None or (taken[AFTER] or {}).get("digest") != sha(path.read_bytes()):
                faults.append(f"{name} is not what an entry took in")


def main() -> int:
    parser = argparse.ArgumentParser(description="Check an evidence pack.")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--seal", type=pathlib.Path, help="seals kept elsewhere, one JSON object a line")
    arguments = parser.parse_args()
    folder = arguments.folder
    faults: list[str] = []
    witness = None
    if arguments.seal:
        lines = [json.loads(line) for line in arguments.seal.read_text("utf-8").splitlines() if line.strip()]
        witness = {line["position"]: line["hash"] for line in lines}
    chain, contents = read(folder / "chain.json"), read(folder / "entries.json")
    known: dict = {}  # type: ignore[type-arg]
    for segment in chain["segments"]:
        known.update(follow(segment, witness, faults))
    wanted = {str(number) for number in chain["entries"]}
    if not wanted or wanted != contents.keys():
        faults.append("entries are missing, or there are others than the pack names")
    for number, content in contents.items():
        if known.get(int(number)) != sha(content):
            faults.append(f"entry {number} says something else than when it was sealed")
    entries = {number: json.loads(content) for number, content in contents.items()}
    check_files(folder, entries, faults)
    for number, entry in entries.items():
        after, facts = entry[AFTER] or {}, entry[FACTS] or {}
        signed = after.get("outcome") in ("executed", "signed") and after.get("shown") is not None
        if signed and sha(canonical(after["shown"])) != facts.get("digest"):
            faults.append(f"entry {number}: what was shown is not what was signed")
        if facts.get("policy") and not (folder / "policies" / f"{facts['policy']}.toml").is_file():
            faults.append(f"entry {number}: its policy {facts['policy'][:12]} is not in the pack")
        print(f"{entry[2]}  {entry[3]:<40} {entry[4]:<28} {after.get('text') or entry[7] or ''}")
    for path in sorted(folder.glob("policies/*.toml")):
        if sha(path.read_text("utf-8") + "\0" + path.with_suffix(".cedar").read_text("utf-8")) != path.stem:
            faults.append(f"{path.name} is not the policy of that hash")
    for fault in faults:
        print(fault)
    witnessed = "seals as the witness saw them" if witness is not None else "not compared with a witness"
    print(f"{len(contents)} entries, {witnessed}: " + ("as sealed" if not faults else "NOT as sealed"))
    print(f"digest of this pack: {sha((folder / 'files.json').read_bytes())}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
