from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import ssl
from collections.abc import AsyncIterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet import ssl as twisted_ssl
from twisted.internet.threads import deferToThread

from portal.site import site
from tests.portal.test_pages import SETTINGS
from tests.smtp_out.peers import certificates

Answer = tuple[int, dict[str, str], bytes]


@pytest_twisted.async_yield_fixture
async def port() -> AsyncIterator[int]:
    listening = reactor.listenTCP(0, site(SETTINGS), interface="127.0.0.1")
    yield listening.getHost().port
    await listening.stopListening()


async def fetch(port: int, path: str, method: str = "GET", body: bytes | None = None) -> Answer:
    def run() -> Answer:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest(method, path, skip_accept_encoding=True)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        answer = response.status, dict(response.headers), response.read()
        connection.close()
        return answer

    return await deferToThread(run)


async def raw(port: int, data: bytes) -> bytes:
    import socket

    def run() -> bytes:
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while part := peer.recv(65536):
                    received += part
            return received

    return await deferToThread(run)


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/", "text/html; charset=utf-8", b"Thunderbird"),
        ("/health", "text/plain; charset=utf-8", b"ok\n"),
        ("/mail/config-v1.1.xml?emailaddress=ann%40acme.test", "text/xml", b"<domain>acme.test</domain>"),
        ("/.well-known/autoconfig/mail/config-v1.1.xml", "text/xml", b"<clientConfig"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_pages(port: int, path: str, kind: str, words: bytes) -> None:
    status, headers, body = await fetch(port, path)
    assert status == 200
    assert headers["Content-Type"].startswith(kind)
    assert words in body


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/nothing", "GET", 404),
        ("/health/", "GET", 404),
        ("//", "GET", 404),
        ("/%2e%2e/etc/passwd", "GET", 404),
        ("/", "POST", 405),
        ("/", "DELETE", 405),
        ("/", "X" * 3000, 405),
        ("*", "OPTIONS", 404),
        ("/" + "a" * 2047, "GET", 404),
        ("/" + "a" * 2048, "GET", 414),
        ("/?" + "a" * 2047, "GET", 414),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_refused(port: int, path: str, method: str, status: int) -> None:
    got, headers, body = await fetch(port, path, method)
    assert got == status
    assert b"Twisted" not in body
    assert headers.get("Allow") == ("GET, HEAD" if status == 405 else None)


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/mail/config-v1.1.xml"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest_twisted.ensureDeferred
async def test_every_answer_has_the_security_headers(port: int, path: str, method: str) -> None:
    _, headers, _ = await fetch(port, path, method)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "Secure Inbox"


@pytest_twisted.ensureDeferred
async def test_the_policy_lets_this_style_in_and_no_other(port: int) -> None:
    _, headers, body = await fetch(port, "/")
    style = re.search(rb"<style>(.*?)</style>", body, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert f"'sha256-{digest}'" in headers["Content-Security-Policy"]


@pytest_twisted.ensureDeferred
async def test_head_has_the_length_and_no_body(port: int) -> None:
    _, whole, body = await fetch(port, "/")
    status, headers, nothing = await fetch(port, "/", "HEAD")
    assert (status, nothing) == (200, b"")
    assert headers["Content-Length"] == whole["Content-Length"] == str(len(body))


@pytest_twisted.ensureDeferred
async def test_a_large_body_is_dropped_not_stored(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    opened: list[str] = []
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *a, **k: opened.append("file"))
    status, _, _ = await fetch(port, "/", "POST", b"x" * 500_000)
    assert (status, opened) == (405, [])


@pytest_twisted.ensureDeferred
async def test_an_address_in_the_query_is_answered_by_its_domain_only(port: int) -> None:
    _, _, body = await fetch(port, "/mail/config-v1.1.xml?emailaddress=%3Cscript%3E%40acme.test")
    assert b"script" not in body
    _, _, body = await fetch(port, "/mail/config-v1.1.xml?" + "&".join(f"a{i}=1" for i in range(100)))
    assert b"<clientConfig" in body
    assert (
        b"inbox.example-health.test</domain>"
        in (await fetch(port, "/mail/config-v1.1.xml?emailaddress=%ff"))[2]
    )


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
        b"\x16\x03\x01\0",
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_request_leaks_nothing_and_hurts_nobody(port: int, request_: bytes) -> None:
    assert b"Twisted" not in await raw(port, request_)
    assert (await fetch(port, "/health"))[0] == 200


@pytest_twisted.ensureDeferred
async def test_bytes_outside_ascii_in_the_request_line_are_refused(port: int) -> None:
    answer = await raw(
        port,
        b"GET /mail/config-v1.1.xml?emailaddress=\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    assert answer == b"HTTP/1.1 400 Bad Request\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_it_works_over_tls(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    context = twisted_ssl.DefaultOpenSSLContextFactory(made.key, made.certificate)
    listening = reactor.listenSSL(0, site(SETTINGS), context, interface="127.0.0.1")

    def run() -> int:
        trusted = ssl.create_default_context(cafile=made.ca)
        connection = HTTPSConnection("127.0.0.1", listening.getHost().port, context=trusted, timeout=10)
        connection.request("GET", "/health")
        status = connection.getresponse().status
        connection.close()
        return status

    try:
        assert await deferToThread(run) == 200
    finally:
        await listening.stopListening()
