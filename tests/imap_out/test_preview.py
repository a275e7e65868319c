"""PREVIEW: what of a message is shown, and within which bounds."""

from __future__ import annotations

import time

import pytest

from imap_out.preview import Preview
from mail import structure


def preview(content: bytes) -> str:
    return Preview().of(content, structure.parse(content)).decode()


HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=X\r\n\r\n"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"Subject: x\r\n\r\n  Dear\r\n\tAnn,\r\n", "Dear Ann,"),
        (b"Subject: x\r\n\r\n", ""),
        (b"\r\n" + b"ab " * 200, ("ab " * 67)[:200]),
        (
            HTML + b"<head><title>T</title><style>p{}</style></head><p>Gr\xc3\xbc&szlig;e<br>Bob",
            "Grüße Bob",
        ),
        (HTML + b"<script>if (a<b) x()</script>shown<", "shown"),
        (
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nw7w=\r\n",
            "ü",
        ),
        (MIXED + b"--X\r\nContent-Disposition: attachment\r\n\r\nno\r\n--X\r\n\r\nyes\r\n--X--\r\n", "yes"),
        (MIXED + b"--X\r\nContent-Type: text/html\r\n\r\n<p>\r\n--X\r\n\r\nplain\r\n--X--\r\n", "plain"),
        (MIXED + b"--X\r\nContent-Type: image/png\r\n\r\nPNG\r\n--X--\r\n", ""),
    ],
)
def test_what_is_shown(content, shown):
    assert preview(content) == shown


@pytest.mark.parametrize("piece", [b"<", b"<style>", b"</", b"&", b"<!--"])
def test_time_is_bounded(piece):
    start = time.process_time()
    preview(HTML + piece * 1_000_000)
    assert time.process_time() - start < 2
