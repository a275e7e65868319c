"""The demo: a whole gateway in one directory, with people in it.

Apart because it is everything a stranger sees first, and nothing of it belongs to production. It
writes an ordinary configuration file and then serves it like any other; all listens on
127.0.0.1. Layout: DIR/gateway.toml, server.key, tls/, data/ (sealed), log/, sink/ (readable: it is
the other side), demo.json (only while it is ready to serve).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conf.example import toml
from conf.loader import load
from gateway import binding, demo_ca, examples, serving
from gateway.server_key import server_key
from gateway.supervisor import Service
from mail.address import Address
from mail.secret import Secret
from store.accounts import Accounts

HOST = "127.0.0.1"
DOMAIN = "example-health.test"
INTERNAL = (f"claims@{DOMAIN}", f"support@{DOMAIN}")
PASSWORD = "correct horse battery"  # noqa: S105 (the demo's, on the first page of the README)
MEMBERS = {
    "ann@acme.test": "ann.miller@mail.test",
    "bob@acme.test": "bob.jones@mail.test",
    "eve@other.test": "eve.stone@mail.test",
}
OFFSETS = {"relay_in": 25, "submission": 87, "submissions": 65, "imap": 43, "imaps": 93, "portal": 80}
SINK = 26


class Demo:
    """One run of the demo in a directory."""

    def __init__(
        self, directory: Path, port_base: int, workers: int, *, examples: bool, say: Callable[[str], None]
    ) -> None:
        self._dir = directory.absolute()
        self._base = port_base
        self._workers = workers
        self._examples = examples
        self._say = say
        self._config = self._dir / "gateway.toml"
        self._told = self._dir / "demo.json"

    def run(self) -> None:
        """Until SIGTERM or SIGINT; Unavailable when it cannot start."""
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with binding.sole(self._dir / "data"):  # a second start must not spoil the first one's files
            self._run()

    def _run(self) -> None:
        self._told.unlink(missing_ok=True)  # whoever waits for it must not find an earlier run's
        (self._dir / "log").mkdir(mode=0o700, exist_ok=True)
        certificates = demo_ca.ensure(self._dir / "tls", datetime.now(UTC))
        self._config.write_text(self._toml(certificates), "utf-8")
        settings = load(self._config)
        fresh = self._people(settings.storage.data_root, settings.storage.server_key)
        sink = Service(
            "sink",
            "gateway.demo_sink",
            {
                "name": "sink",
                "port": self._base + SINK,
                "maildir": str(self._dir / "sink"),
                "domain": DOMAIN,
                "accept": INTERNAL,
                "certificate": str(certificates.certificate),
                "key": str(certificates.key),
                "log": str(self._dir / "log" / "gateway.log"),
            },
            reloads=False,  # it binds its port itself, and a second one could not
        )

        async def ready() -> None:
            if fresh and self._examples:
                await examples.deliver(
                    HOST, self._port("relay_in"), certificates.ca, list(MEMBERS), INTERNAL
                )
            self._tell(certificates.ca)
            self._say(self._words(certificates.ca))

        try:
            serving.serve(self._config, settings, ready, [sink])
        finally:
            self._told.unlink(missing_ok=True)

    def _port(self, door: str) -> int:
        return self._base + OFFSETS[door]

    def _people(self, data_root: Path, key_file: Path) -> bool:
        """Make the members that are missing; True when there was nobody."""
        data_root.mkdir(mode=0o700, parents=True, exist_ok=True)
        accounts = Accounts(data_root, server_key(key_file))
        try:
            fresh = not list(accounts.all())
            for text, on_record in MEMBERS.items():
                address = Address.parse(text)
                if accounts.find(address) is None:
                    accounts.add(address, on_record, Secret(PASSWORD.encode()), int(time.time()))
            return fresh
        finally:
            accounts.close()

    def _toml(self, certificates: demo_ca.Certificates) -> str:
        tables: dict[str, dict[str, Any]] = {
            "organisation": {
                "name": "Example Health",
                "domains": (DOMAIN,),
                "support": INTERNAL[1],
                "hostname": "localhost",
            },
            "storage": {"data_root": self._dir / "data", "server_key": self._dir / "server.key"},
            "tls": {"certificate": certificates.certificate, "key": certificates.key},
            "listen": {door: (f"{HOST}:{self._port(door)}",) for door in OFFSETS},
            "relay_in": {"networks": ("127.0.0.0/8",)},
            # Here everybody comes from one address.
            "imap": {"connections_per_address": 2000},
            "smtp": {"connections_per_address": 500},
            "processes": {"workers": self._workers, "drain_seconds": 3},
            "log": {"file": self._dir / "log" / "gateway.log"},
        }
        lines = [
            "# Written anew by each `secure-inbox demo`; conf/gateway.example.toml explains every setting."
        ]
        for heading, table in tables.items():
            lines += ["", f"[{heading}]", *(f"{name} = {toml(value)}" for name, value in table.items())]
        # The sink stands for the organisation's server and for the internet.
        relay = f"localhost:{self._base + SINK}"
        route = {"domains": ("*",), "relay": relay, "tls": "verify", "ca_file": certificates.ca}
        lines += ["", "[[outbound.route]]", *(f"{name} = {toml(value)}" for name, value in route.items())]
        return "\n".join(lines) + "\n"

    def _tell(self, ca: Path) -> None:
        """demo.json, whole or not at all."""
        known: dict[str, Any] = {
            "ca": str(ca),
            "portal": f"https://localhost:{self._port('portal')}/",
            **{door: [HOST, self._port(door)] for door in OFFSETS if door != "portal"},
            "sink": str(self._dir / "sink"),
            "config": str(self._config),
            "accounts": [
                {"address": address, "password": PASSWORD, "on_record": on_record}
                for address, on_record in MEMBERS.items()
            ],
            "internal": list(INTERNAL),
        }
        draft = self._told.with_suffix(".tmp")
        draft.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
        os.replace(draft, self._told)

    def _words(self, ca: Path) -> str:
        members = "\n".join(f"    {address}" for address in MEMBERS)
        return f"""
Secure Inbox is ready. To use it, add an account in your mail client:

  E-mail address and user name (any of these; the password of each is "{PASSWORD}")
{members}
  Incoming mail   IMAP   server localhost   port {self._port("imaps")}   SSL/TLS     normal password
  Outgoing mail   SMTP   server localhost   port {self._port("submissions")}   SSL/TLS     normal password
  (STARTTLS is at ports {self._port("imap")} and {self._port("submission")}.)
  Step by step: https://localhost:{self._port("portal")}/

  Your client will ask whether to trust the server: accept, or first import the demo's authority
    {ca}

  Write to {" or ".join(INTERNAL)}; what leaves the gateway lies in
    {self._dir / "sink" / "new"}
  To write to a member as the organisation's server does, use SMTP with STARTTLS, for instance
    swaks --server {HOST}:{self._port("relay_in")} --tls --from {INTERNAL[0]} --to ann@acme.test

  Everything is in {self._dir}. Press Ctrl-C to stop.
"""
