"""Dovecot (with and without mail_crypt) and Postfix in front of it, as `Server`s."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.servers import Server
from tests.peers.dovecot import dovecot
from tests.peers.postfix import postfix

_SETTINGS = """
service imap {
  process_limit = 2000
}
"""


@contextmanager
def dovecot_server(*, encrypted: bool, relay: bool = False) -> Iterator[Server]:
    """Dovecot over TLS; `relay` puts Postfix in front of its LMTP."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tls-")))
        certificate, key = _certificate(directory)
        peer = stack.enter_context(
            dovecot({"ann": "correct-horse-battery"}, encrypted=encrypted, lmtp=True,
                    tls=(certificate, key), settings=_SETTINGS)
        )  # fmt: skip
        ingest, hello, recipient = (peer.host, peer.lmtp), b"LHLO", "ann"
        name = "Dovecot mail_crypt" if encrypted else "Dovecot plain"
        if relay:
            front = stack.enter_context(postfix(("lmtp", peer.host, peer.lmtp)))
            ingest, hello, recipient = (front.host, front.smtp), b"EHLO", "ann@bench.test"
            name = "Postfix → " + name
        server = Server(
            name=name,
            imap=(peer.host, peer.imaps),
            context=ssl.create_default_context(cafile=str(certificate)),
            user="ann",
            password="correct-horse-battery",
            ingest=ingest,
            hello=hello,
            recipient=recipient,
            pid=peer.pid,
        )
        if relay:
            server.waiting = front.waiting
        yield server


def _certificate(directory: Path) -> tuple[Path, Path]:
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
