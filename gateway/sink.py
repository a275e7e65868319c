"""The demo's mail sink: stands for the organisation's mail server and for the internet.

    python -m gateway.sink --port P --maildir DIR --domain example-health.test --accept ADDRESS ...

Apart because it is no part of the gateway: it is the other side, as a process of its own,
and what it keeps is meant to be readable, so that people and tests can see what left.
Any local program can send bytes here; it listens on loopback unless told otherwise. It is
the second gatekeeper of aiosmtpd. RFC 5321, 1870 (SIZE), 3207 (STARTTLS), 6531 (SMTPUTF8).

Each message is one file in `new/`: `Return-Path: <...>`, one `X-Envelope-To: <...>` for each
recipient, then the bytes exactly as they came.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from mail.address import Address
from mail.errors import Refusal

_LONGEST_LINE = 1024 * 1024  # real mail has lines above 998 octets, and the sink is for looking
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Settings:
    """`accept` and the keys of `fail` are `Address.key`s; `fail` gives the code for RCPT."""

    maildir: Path
    domain: str
    accept: frozenset[str] = frozenset()
    fail: Mapping[str, int] = field(default_factory=dict)
    size_limit: int = 100 * 1024 * 1024
    tls: ssl.SSLContext | None = None


class _Peer(SMTP):
    """aiosmtpd's protocol with lines as long as real mail has them."""

    line_length_limit = _LONGEST_LINE


class _Mailbox:
    """aiosmtpd's hooks: who is accepted, and the file for each message."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds its hooks by these names
        self, _peer: SMTP, _session: Session, envelope: Envelope, text: str, _options: list[str]
    ) -> str:
        try:
            address = Address.parse(text)
        except Refusal:
            return "553 5.1.3 That is not an address"
        code = self._settings.fail.get(address.key)
        if code:
            return f"{code} {code // 100}.2.0 This sink was asked to answer so"
        if address.domain == self._settings.domain and address.key not in self._settings.accept:
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(text)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, _peer: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = bytes(envelope.original_content or b"")
        pairs = content.count(b"\r\n")
        if content.count(b"\r") != pairs or content.count(b"\n") != pairs:
            # SMTP smuggling: a message with two readings is nobody's message.
            return "554 5.6.0 Bare CR or LF in the message"
        sender = (envelope.mail_from or "").removeprefix("<").removesuffix(">")
        lines = [f"Return-Path: <{sender}>"]
        lines += [f"X-Envelope-To: <{recipient}>" for recipient in envelope.rcpt_tos]
        top = "".join(line + "\r\n" for line in lines).encode(errors="surrogateescape")
        try:
            name = await asyncio.to_thread(_keep, self._settings.maildir, top + content)
        except OSError:
            return "451 4.3.0 The message could not be written"
        return f"250 2.0.0 OK {name}"

    async def handle_exception(self, _error: Exception) -> str:
        """In place of aiosmtpd's own, which tells the peer the exception's text."""
        return "451 4.3.0 Temporary failure"


def _keep(maildir: Path, content: bytes) -> str:
    """tmp to new, durable on return; the name."""
    name = f"{time.time_ns()}.{os.getpid()}_{next(_serial)}.sink"
    waiting, kept = maildir / "tmp" / name, maildir / "new" / name
    with waiting.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    waiting.rename(kept)
    directory = os.open(kept.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return name


async def start(settings: Settings, host: str = "127.0.0.1", port: int = 0) -> asyncio.Server:
    """Listen; port 0 takes a free one (see the server's `sockets`)."""
    for part in ("tmp", "new", "cur"):
        (settings.maildir / part).mkdir(parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    mailbox = _Mailbox(settings)

    def peer() -> SMTP:
        return _Peer(
            mailbox,
            data_size_limit=settings.size_limit,
            enable_SMTPUTF8=True,
            hostname="sink.invalid",
            ident="ESMTP",
            tls_context=settings.tls,
            loop=loop,
        )

    return await loop.create_server(peer, host, port)


def _parse(arguments: Sequence[str] | None) -> tuple[Settings, str, int]:
    parser = argparse.ArgumentParser(prog="gateway.sink", description="A mail sink for the demo.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--maildir", type=Path, required=True)
    parser.add_argument("--domain", required=True, help="the organisation's domain")
    parser.add_argument("--accept", nargs="*", default=[], action="extend", metavar="ADDRESS")
    parser.add_argument("--fail", nargs="*", default=[], action="extend", metavar="ADDRESS=CODE")
    parser.add_argument("--size-limit", type=int, default=100 * 1024 * 1024, metavar="OCTETS")
    parser.add_argument("--tls-certificate", type=Path, help="PEM; offers STARTTLS, with --tls-key")
    parser.add_argument("--tls-key", type=Path)
    given = parser.parse_args(arguments)
    try:
        accept = frozenset(Address.parse(text).key for text in given.accept)
        fail = {}
        for text in given.fail:
            address, _, code = text.rpartition("=")
            fail[Address.parse(address).key] = int(code)
    except (Refusal, ValueError):
        parser.error("--accept takes addresses, --fail takes ADDRESS=CODE")
    if not all(400 <= code < 600 for code in fail.values()):
        parser.error("--fail takes a code from 400 to 599")
    tls = None
    if given.tls_certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(given.tls_certificate, given.tls_key)
    settings = Settings(given.maildir, given.domain, accept, fail, given.size_limit, tls)
    return settings, given.host, given.port


async def _serve(settings: Settings, host: str, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = await start(settings, host, port)
    print(f"sink: listening on {host}:{server.sockets[0].getsockname()[1]}", flush=True)
    await ended.wait()
    server.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Until SIGTERM or SIGINT; messages that were answered 250 are all on disk."""
    asyncio.run(_serve(*_parse(arguments)))


if __name__ == "__main__":
    main()
