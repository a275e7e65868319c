"""Deterministic messages: the same bytes go into every server under test."""

from __future__ import annotations

import base64
import random

_WORDS = (
    b"claim policy member clinic invoice referral premium letter coverage physician deductible "
    b"statement hospital therapy renewal authorisation appeal network dental vision pharmacy"
).split()


def small(number: int, octets: int = 4096) -> bytes:
    """A multipart/alternative message of about `octets` octets, CRLF line ends."""
    rng = random.Random(number)
    words = [rng.choice(_WORDS) for _ in range(6)]
    head = (
        b"Date: Mon, %02d Nov 2026 %02d:%02d:%02d +0000\r\n"
        b"From: Claims Desk %d <claims@example-health.test>\r\n"
        b"To: Ann <ann@acme.test>\r\nCc: Bob <bob@acme.test>\r\n"
        b"Subject: %s %d\r\nMessage-ID: <bench.%d@example-health.test>\r\n"
        b"References: <bench.%d@example-health.test>\r\n"
        b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="b%d"\r\n\r\n'
    ) % (
        number % 28 + 1,
        number % 24,
        number % 60,
        number * 7 % 60,
        number % 97,
        b" ".join(words),
        number,
        number,
        max(0, number - 1),
        number,
    )
    lines: list[bytes] = []
    room = max(0, octets - len(head) - 400)
    while room > 0:
        line = b" ".join(rng.choice(_WORDS) for _ in range(9)) + b"\r\n"
        lines.append(line)
        room -= len(line)
    half = len(lines) // 2
    return b"".join(
        (
            head,
            b"--b%d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" % number,
            *lines[:half],
            b"\r\n--b%d\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n" % number,
            *lines[half:],
            b"</body></html>\r\n--b%d--\r\n" % number,
        )
    )


def large(number: int, megabytes: int = 25) -> bytes:
    """A message with one base64 attachment, about `megabytes` MiB on the wire."""
    payload = random.Random(number).randbytes(megabytes * 1024 * 1024 * 57 // 78)
    lines = base64.encodebytes(payload).replace(b"\n", b"\r\n")
    return (
        (
            b"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nFrom: claims@example-health.test\r\n"
            b"To: ann@acme.test\r\nSubject: large %d\r\nMessage-ID: <large.%d@example-health.test>\r\n"
            b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="big"\r\n\r\n'
            b"--big\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n"
            b'--big\r\nContent-Type: application/octet-stream; name="scan.bin"\r\n'
            b'Content-Disposition: attachment; filename="scan.bin"\r\n'
            b"Content-Transfer-Encoding: base64\r\n\r\n" % (number, number)
        )
        + lines
        + b"--big--\r\n"
    )
