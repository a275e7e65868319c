"""A member's message as it goes on: what is added, mended and taken away (RFC 6409 section 8).

Apart because it is a pure function from bytes to bytes. The body is never touched. Recipients get
no Bcc (RFC 5322 section 3.6.3); the sender's own copy keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mail.headers import fields
from smtp_in.trace import date_time, received_from_member

_BLIND = (b"bcc", b"resent-bcc")


@dataclass(frozen=True, slots=True)
class Composed:
    """Both are the same object when there is no Bcc, which saves 50 MB of copy."""

    content: bytes  # for the recipients
    sent_copy: bytes  # for the sender's Sent folder


def compose(header: bytes, body: memoryview, hostname: str, token: str, now: int) -> Composed:
    """`header` with its closing empty line; `token` is unique and names the message when its
    client has not (RFC 6409 sections 8.3 and 8.4: Date and Message-ID)."""
    found = fields(header)
    names = {field.name.lower() for field in found}
    added = received_from_member(hostname, token, now)
    if b"date" not in names:
        added += f"Date: {date_time(now)}\r\n".encode("ascii")
    if b"message-id" not in names:
        added += f"Message-ID: <{token}@{hostname}>\r\n".encode("ascii")
    sent_copy = b"".join((added, header, body))
    blind = [field for field in found if field.name.lower() in _BLIND]
    if not blind:
        return Composed(sent_copy, sent_copy)
    kept = []
    position = 0
    for field in blind:
        kept.append(header[position : field.start])
        position = field.end
    return Composed(b"".join((added, *kept, header[position:], body)), sent_copy)
