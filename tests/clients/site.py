"""A running gateway as its clients see it: what demo.json says, in words with types.

Nothing here knows how the gateway works; every fact comes from the contract.
"""

from __future__ import annotations

import email
import email.policy
import imaplib
import json
import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    host: str
    port: int


@dataclass(frozen=True)
class Account:
    address: str
    password: str


@dataclass(frozen=True)
class Site:
    """demo.json."""

    directory: Path
    ca: Path
    relay_in: Place
    submission: Place
    submissions: Place
    imap: Place
    imaps: Place
    sink: Path
    config: Path
    accounts: tuple[Account, ...]
    internal: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Site:
        facts = json.loads(path.read_text())
        places = {
            name: Place(*facts[name]) for name in ("relay_in", "submission", "submissions", "imap", "imaps")
        }
        accounts = tuple(Account(a["address"], a["password"]) for a in facts["accounts"])
        return cls(
            directory=path.parent, ca=Path(facts["ca"]), sink=Path(facts["sink"]),
            config=Path(facts["config"]), accounts=accounts, internal=tuple(facts["internal"]), **places,
        )  # fmt: skip

    def account(self, local_part: str) -> Account:
        return next(a for a in self.accounts if a.address.partition("@")[0] == local_part)

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    def reader(self, account: Account) -> imaplib.IMAP4_SSL:
        """Logged in over implicit TLS."""
        client = imaplib.IMAP4_SSL(self.imaps.host, self.imaps.port, ssl_context=self.tls(), timeout=30)
        try:
            client.login(account.address, account.password)
        except BaseException:
            client.shutdown()
            raise
        return client

    def submitter(self, account: Account) -> smtplib.SMTP:
        """Logged in over STARTTLS."""
        client = smtplib.SMTP(self.submission.host, self.submission.port, timeout=30)
        try:
            client.starttls(context=self.tls())
            client.login(account.address, account.password)
        except BaseException:
            client.close()
            raise
        return client

    def relay(
        self, recipients: list[str], content: bytes, sender: str = "claims@example-health.test"
    ) -> None:
        """As the organisation's mail server does."""
        with smtplib.SMTP(self.relay_in.host, self.relay_in.port, timeout=60) as door:
            door.starttls(context=self.tls())
            assert door.sendmail(sender, recipients, content) == {}

    def sunk(self) -> list[EmailMessage]:
        """What has left the gateway, oldest first."""
        files = [p for name in ("new", "cur") for p in (self.sink / name).glob("*") if p.is_file()]
        files.sort(key=lambda p: p.stat().st_mtime_ns)
        return [email.message_from_bytes(p.read_bytes(), policy=email.policy.default) for p in files]

    def sunk_with(self, subject: str) -> EmailMessage:
        """The one message in the sink with this subject, when it is there."""
        return until(
            f"a message {subject!r} in the sink",
            lambda: next((m for m in self.sunk() if m["Subject"] == subject), None),
        )


def until(what: str, ask: Callable[[], T | None], seconds: float = 20, every: float = 0.05) -> T:
    """The first true answer; an AssertionError that says what was awaited when there is none."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"waited {seconds} s in vain for {what}")
