"""The demo's certificates satisfy the strict readers."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gateway import demo_ca
from gateway.tls import server_context

NOW = datetime.now(UTC)


def handshake(made: demo_ca.Certificates, name: str, version: ssl.TLSVersion | None = None) -> str | None:
    """The TLS version that a strict client agrees on."""
    near, far = socket.socketpair()
    server = server_context(made.certificate, made.key)

    def serve() -> None:
        try:
            with server.wrap_socket(near, server_side=True) as wrapped:
                wrapped.recv(1)
        except (ssl.SSLError, OSError):
            return

    thread = threading.Thread(target=serve)
    thread.start()
    client = ssl.create_default_context(cafile=str(made.ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    if version is not None:
        client.maximum_version = version
    try:
        with client.wrap_socket(far, server_hostname=name) as wrapped:
            agreed = wrapped.version()
            wrapped.send(b".")
            return agreed
    finally:
        far.close()
        thread.join()
        near.close()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_strict_client_believes_it_for_its_names(tmp_path: Path, name: str) -> None:
    assert handshake(demo_ca.ensure(tmp_path, NOW), name) == "TLSv1.3"


def test_no_other_name_and_nothing_older_than_tls_1_2(tmp_path: Path) -> None:
    made = demo_ca.ensure(tmp_path, NOW)
    assert handshake(made, "localhost", ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, "other.test")
    with pytest.warns(DeprecationWarning), pytest.raises(ssl.SSLError):
        handshake(made, "localhost", ssl.TLSVersion.TLSv1_1)


def test_the_keys_are_private_and_a_second_start_changes_nothing(tmp_path: Path) -> None:
    made = demo_ca.ensure(tmp_path, NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"ca.pem", "ca.key", "server.pem", "server.key"}
    for name in ("ca.key", "server.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert demo_ca.ensure(tmp_path, NOW + timedelta(days=300)) == made
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_certificate_near_its_end_is_renewed_by_the_same_authority(tmp_path: Path) -> None:
    made = demo_ca.ensure(tmp_path, NOW - timedelta(days=380))
    authority, old = made.ca.read_bytes(), made.certificate.read_bytes()
    assert demo_ca.ensure(tmp_path, NOW).certificate.read_bytes() != old
    assert made.ca.read_bytes() == authority
    assert handshake(made, "localhost")


def test_it_lives_no_longer_than_apple_allows(tmp_path: Path) -> None:
    made = x509.load_pem_x509_certificate(demo_ca.ensure(tmp_path, NOW).certificate.read_bytes())
    assert made.not_valid_after_utc - made.not_valid_before_utc < timedelta(days=398)
