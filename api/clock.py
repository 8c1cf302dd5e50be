"""The clock process: proposals and reservations expire, the calendar turns, signed mail is delivered. Start as many as you like; one leads."""

from __future__ import annotations

import argparse
import os
import signal
import smtplib
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from api import witness
from erp_core import clock, db, settings
from erp_core.actions import (
    calendar,
    chats,
    clocks,
    desk,
    digests,
    drills,
    figures,
    models,
    sealing,
    upkeep,
    watching,
)  # fmt: skip
from erp_core.errors import BadSetting
from erp_core.queries import kpis, proof
from erp_core.queries import models as queries
from erp_core.settings import Settings
from erp_core.tables.desk import OutboxMail

TICK_SECONDS, SEAL_SECONDS = 1.0, 0.3
NETWORK_SECONDS = 20
FIRST_FIGURES_SECONDS, FIGURES_SECONDS, BACK_SECONDS = 3.0, 60.0, 6 * 3600.0


def main(argv: list[str]) -> int:
    """`countersign clock`: until stopped."""
    parser = argparse.ArgumentParser(
        prog="countersign clock",
        description="Run the clock process: proposals expire, signed mail is delivered (COUNTERSIGN_SMTP_URL).",
        epilog="Example: countersign clock --once",
    )
    parser.add_argument("--once", action="store_true", help="one round, then stop")
    arguments = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with db.in_use():
        if arguments.once:
            tick(settings.load())
            Figuring().look()
            seal_all(sealing.sequencer(), settings.load().witness)
            return 0
        leading = threading.Event()
        sealer = threading.Thread(target=seal_on, args=(stop, leading), name="sealer")
        figurer = threading.Thread(target=figure_on, args=(stop, leading), name="figures")
        for thread in (sealer, figurer):
            thread.start()
        try:
            _run(stop, leading)
        finally:
            stop.set()
            for thread in (sealer, figurer):
                thread.join()
    return 0


def _run(stop: threading.Event, leading: threading.Event) -> None:
    me, counts, watches = f"{os.uname().nodename}:{os.getpid()}", Counting(), Watching()
    while not stop.is_set():
        try:
            (leading.set if leads(me) else leading.clear)()
            if leading.is_set():
                tick(settings.load())
                counts.look()
                watches.look()
        except db.Lost as error:
            print(f"The database cannot be reached: {error}", file=sys.stderr, flush=True)
        stop.wait(TICK_SECONDS)
    watches.stop()


def _catch_up(path: Path) -> int:
    """Witness seals that were committed just before a process ended or a disk was full."""
    known = max((int(s["position"]) for s in witness.read(path)), default=0) if path.exists() else 0
    with db.reading(db.API) as session:
        missing = proof.seals_after(session, known)
    for seal in missing:
        witness.append(path, seal)
    return len(missing)


class Watching:
    """First models come into use and cases are opened on predictions within seconds; what came of them, every minute; how models do, every hour.

    Whatever is wrong with a model or a prediction is told and never keeps due times, seals or mail from their turn.
    """

    def __init__(self) -> None:
        self.due = dict.fromkeys(STEPS, 0.0)
        self.measuring: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Do what it is time for."""
        for name, (step, seconds) in STEPS.items():
            if time.monotonic() < self.due[name]:
                continue
            self.due[name] = time.monotonic() + seconds
            try:
                with db.transaction(db.API) as session:
                    step(session, clock.now(session))
            except db.Lost:
                raise
            except Exception as error:
                print(f"Predictions, {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        self._measure()

    def _measure(self) -> None:
        """First models that nobody measured yet are measured by the evaluation, in a process of its own."""
        if self.measuring is not None:
            if self.measuring.poll() is None:
                return
            if self.measuring.returncode:  # the log says why; it is tried again later
                self.due["measuring"] = time.monotonic() + 300
            self.measuring = None
        if time.monotonic() < self.due.setdefault("measuring", 0.0):
            return
        with db.reading(db.API) as session:
            waiting = queries.unmeasured_first(session)
        if waiting:
            command = [sys.executable, "-m", "erp_core.cli", "eval", "first", "--json"]
            self.measuring = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        """End what runs beside."""
        if self.measuring is not None:
            self.measuring.terminate()


STEPS: dict[str, tuple[Callable[[db.Session, datetime], object], float]] = {
    "first versions": (models.adopt_first, 5.0),
    "cases to open": (watching.reviews, 10.0),
    "cases to bring forward": (watching.forward, 2.0),
    "what came": (watching.outcomes, 60.0),
    "how models do": (watching.watch, 3600.0),
    "drills": (lambda session, now: drills.make(session, now, desk.works), 5.0),
    "digests": (digests.send_due, 30.0),
    "idle chats": (chats.close_idle, 60.0),
    "what does better": (watching.rivalry, 3600.0),
}


class Counting:
    """Counts the queues as often as that is cheap: at most a tenth of the time goes to it."""

    def __init__(self) -> None:
        self.next = 0.0

    def look(self) -> None:
        """Count, when it is time again."""
        started = time.monotonic()
        if started < self.next:
            return
        with db.transaction(db.API) as session:
            clocks.count_queues(session, clock.now(session))
        self.next = time.monotonic() + 9 * (time.monotonic() - started)


class Figuring:
    """Counts the key figures by day: today's each minute, those of a year a few times a day. Each figure in a transaction of its own."""

    def __init__(self) -> None:
        self.back_at = 0.0

    def look(self) -> None:
        """Count."""
        with db.reading(db.API) as session:
            whole = time.monotonic() >= self.back_at or not figures.known(session)
        if whole:
            self.back_at = time.monotonic() + BACK_SECONDS
        for kpi in kpis.KPIS:
            with db.transaction(db.API) as session:
                figures.count(session, kpi, clock.now(session), figures.BACK if whole else figures.LATELY)


def figure_on(stop: threading.Event, leading: threading.Event) -> None:
    """Beside the round, for counting a year takes its time."""
    own, wait = Figuring(), FIRST_FIGURES_SECONDS
    while not stop.wait(wait):
        wait = FIGURES_SECONDS
        if leading.is_set():
            try:
                own.look()
            except (db.Lost, db.Refused) as error:
                print(f"Key figures are not counted: {error}", file=sys.stderr, flush=True)


def seal_on(stop: threading.Event, leading: threading.Event) -> None:
    """Beside the round, so that a long step delays no seal: what was committed is in the chain within a second."""
    sequencer, witness = sealing.sequencer(), settings.load().witness
    while not stop.wait(SEAL_SECONDS):
        if not leading.is_set():
            sequencer = sealing.sequencer()  # somebody else linked meanwhile
            continue
        try:
            seal_all(sequencer, witness)
        except (db.Lost, db.Refused, OSError) as error:
            sequencer = sealing.sequencer()
            print(f"The journal could not be sealed: {error}", file=sys.stderr, flush=True)


def seal_all(sequencer: sealing.Sequencer, path: Path) -> int:
    """Link and seal until nothing is new; each seal is witnessed once it is committed. The number of seals."""
    made = _catch_up(path) if sequencer.looked_at_all == float("-inf") else 0
    while True:
        with db.transaction(db.API) as session:
            seal = sequencer.step(session, clock.now(session), time.monotonic())
        if seal is None:
            return made
        witness.append(path, proof.seal_line(seal))
        made += 1


def leads(me: str) -> bool:
    """Whether this process is the one that works now; whoever does not lead waits for its turn."""
    with db.transaction(db.API) as session:
        return upkeep.lead(session, me)


def tick(config: Settings) -> None:
    """One round, each step in a transaction of its own."""
    with db.transaction(db.API) as session:
        upkeep.expire_proposals(session, clock.now(session))
    with db.transaction(db.API) as session:
        upkeep.expire_reservations(session, clock.now(session))
    more = True
    while more:
        with db.transaction(db.API) as session:
            more = calendar.turn(session, clock.now(session))
    with db.transaction(db.API) as session:
        clocks.renew_spans(session, clock.now(session))
    late = 1
    while late:
        with db.transaction(db.API) as session:
            late = clocks.look(session, clock.now(session))
    more = True
    while more:
        with db.transaction(db.API) as session:
            more = calendar.follow_policy(session, clock.now(session))
    with db.transaction(db.API) as session:
        calendar.recover(session, clock.now(session))
    with db.transaction(db.API) as session:
        calendar.put_up_payments(session, clock.now(session))
    with db.transaction(db.API) as session:
        calendar.replenish(session, clock.now(session))
    if config.smtp_url is None:
        return
    more = True
    while more:
        with db.transaction(db.API) as session:
            more = upkeep.deliver_next(session, clock.now(session), lambda mail: send(mail, config))


def send(mail: OutboxMail, config: Settings) -> None:
    """Hand one mail to the SMTP server. Raises OSError (smtplib's errors are) when it is not taken."""
    parts = urlsplit(config.smtp_url or "")
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise BadSetting("COUNTERSIGN_SMTP_URL must read smtp://user@host:port or smtps://….")
    with _connect(parts) as server:
        if parts.username:
            server.login(unquote(parts.username), config.smtp_password or "")
        server.send_message(as_mail(mail, config.mail_from))


def _connect(parts: SplitResult) -> smtplib.SMTP:
    """Certificates are checked; a server that offers encryption is taken at its word."""
    host, trust = parts.hostname or "", ssl.create_default_context()
    if parts.scheme == "smtps":
        return smtplib.SMTP_SSL(host, parts.port or 465, timeout=NETWORK_SECONDS, context=trust)
    server = smtplib.SMTP(host, parts.port or 25, timeout=NETWORK_SECONDS)
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=trust)
    return server


def as_mail(mail: OutboxMail, sender: str) -> EmailMessage:
    """The outbox row as a message."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, mail.to, " ".join(mail.subject.split())
    message["Message-ID"] = mail.message_id
    if mail.in_reply_to:
        message["In-Reply-To"] = message["References"] = " ".join(mail.in_reply_to.split())
    message.set_content(mail.body)
    for attachment in mail.attachments:
        message.add_attachment(attachment["text"], filename=attachment["name"])
    return message
