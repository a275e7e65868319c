"""Delivery status notifications: what could not be delivered comes back to its sender (P11).

Apart because this is the one place where smtp_out writes a message. Two strangers' words
end up in it, the remote server's and the original message's: the first are one line of
printable ASCII already (`answer.one_line`), the second only ever fill the body of a leaf
part behind a random boundary. No header of ours is made from either unchecked (header
injection, CVE-2024-6923 and its family).

RFC 3464 (the fields), RFC 6522 (multipart/report), RFC 6533 (non-ASCII recipients),
RFC 3834 (automatic answers), RFC 5321 section 6.1.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from mail import attachments, headers, structure, text
from mail.address import Address
from mail.errors import MailError
from mail.outbound import Item, Recipient
from smtp_out.answer import one_line
from smtp_out.attempt import header_of

_MOST_HEADER = 64 * 1024
_MOST_TEXT = 16 * 1024
_LONGEST_LINE = 998  # RFC 5322 section 2.1.1
_ANY_BREAK = re.compile(rb"\r\n|\r|\n")
_MESSAGE_ID = re.compile(r"[!#-;=?-\[\]-~]{1,250}")  # printable, no space, quote or angle bracket
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_IN_ADDRESS = re.compile(r"[\x00-\x20<>,;:\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: our host name (A-label form) and whom to ask, as one line."""

    hostname: str
    support: str


def notification(
    reporter: Reporter, item: Item, failed: Sequence[Recipient], content: bytes, *, now: int, token: str
) -> bytes:
    """A multipart/report for the failed recipients of one item.

    `token` is random, at least 16 hex digits: it makes the boundary and the Message-ID.
    `content` may be b"" when the message itself can no longer be read.
    """
    boundary = f"report-{token}"
    original = _header_of(content)
    lines = [
        f"From: Secure Inbox <postmaster@{reporter.hostname}>",
        f"To: <{_NOT_IN_ADDRESS.sub('?', item.sender)}>",
        "Subject: Your message could not be delivered",
        f"Date: {_date(now)}",
        f"Message-ID: <{token}@{reporter.hostname}>",
        *_threading(original),
        "Auto-Submitted: auto-replied",  # RFC 3834 section 5: nobody's robot answers this one
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f' boundary="{boundary}"',
        "",
        "This is a delivery status notification in MIME format.",
        "",
    ]
    parts = [
        _part("text/plain; charset=utf-8", _explanation(reporter, item, failed, content, now)),
        _part("message/delivery-status", _fields(reporter, item, failed, now), encode=False),
        _part("text/rfc822-headers", original),
    ]
    opening = f"--{boundary}\r\n".encode()
    return (
        "\r\n".join(lines).encode()
        + b"".join(opening + part + b"\r\n" for part in parts)
        + f"--{boundary}--\r\n".encode()
    )


def _explanation(
    reporter: Reporter, item: Item, failed: Sequence[Recipient], content: bytes, now: int
) -> bytes:
    """The part for a person: who, why in the remote's own words, what, and what to do."""
    lines = ["Your message could not be delivered to:", ""]
    for recipient in failed:
        lines.append(f"    {recipient.address}")
        if recipient.remote:
            lines.append(f"    The server {one_line(recipient.remote)} said:")
        lines += [f"    {one_line(recipient.diagnostic) or recipient.status}", ""]
        if recipient.status.startswith("4"):
            hours = max(1, (now - item.queued_at) // 3600)
            lines += [f"    It was tried {recipient.attempts} times in {hours} hours.", ""]
    lines += [
        "Nobody else is affected: the other recipients, if any, have it or will get it.",
        f"If you need help, ask {one_line(reporter.support)}.",
        "",
    ]
    return _CONTROL.sub("?", "\n".join(lines + _quotation(content))).encode()


def _quotation(content: bytes) -> list[str]:
    """The names of the attachments and the text, so that it can be sent anew."""
    if not content:
        return ["The message itself could not be read any more."]
    lines: list[str] = []
    try:
        root = structure.parse(content)
        named = attachments.attachments(content, root)
        body, complete = text.text_of(content, root, _MOST_TEXT)
    except MailError:
        return ["Its headers follow."]
    if named:
        lines += ["It had these attachments:", ""]
        lines += [f"    {a.filename or 'without a name'} ({a.size:,} octets)" for a in named]
        lines.append("")
    if body.strip():
        lines += ["Your text was:", ""]
        lines += ["> " + line for line in body.splitlines()]
        if not complete:
            lines.append("> [...]")
    return lines


def _fields(reporter: Reporter, item: Item, failed: Sequence[Recipient], now: int) -> bytes:
    """RFC 3464 section 2: one group for the message, one for each recipient."""
    groups = [
        [f"Reporting-MTA: dns; {reporter.hostname}", f"Arrival-Date: {_date(item.queued_at)}"],
    ]
    for recipient in failed:
        group = [
            f"Final-Recipient: {_typed(recipient.address)}",
            "Action: failed",
            f"Status: {recipient.status}",
        ]
        if recipient.remote:
            group.append(f"Remote-MTA: dns; {one_line(recipient.remote)}")
        if recipient.diagnostic:
            # RFC 3464 section 2.3.6: "smtp" only for what an SMTP server really said.
            kind = "smtp" if recipient.diagnostic[:3].isdigit() else "x-secure-inbox"
            group.append(f"Diagnostic-Code: {kind}; {one_line(recipient.diagnostic)}")
        group.append(f"Last-Attempt-Date: {_date(now)}")
        groups.append(group)
    return b"\n".join("\n".join(group).encode("ascii") + b"\n" for group in groups)


def _typed(address: Address) -> str:
    """RFC 6533 section 3: utf-8-addr-xtext when there is anything but ASCII in it."""
    if address.local.isascii():
        return f"rfc822; {address}"
    return "utf-8; " + re.sub(r"[^!-*,-<>-\[\]-~]", lambda c: f"\\x{{{ord(c[0]):02X}}}", str(address))


def _part(kind: str, body: bytes, *, encode: bool = True) -> bytes:
    """One leaf with canonical line ends; quoted-printable when 7bit would not carry it."""
    body = _ANY_BREAK.sub(b"\n", body.replace(b"\x00", b"?"))
    lines = [f"Content-Type: {kind}"]
    # message/* may not be encoded (RFC 2046 section 5.2); those bytes are ours and ASCII.
    plain = body.isascii() and all(len(line) <= _LONGEST_LINE for line in body.split(b"\n"))
    if encode and not plain:
        body = binascii.b2a_qp(body, quotetabs=False, istext=True)
        lines.append("Content-Transfer-Encoding: quoted-printable")
    return "\r\n".join([*lines, "", ""]).encode() + body.replace(b"\n", b"\r\n")


def _threading(original: bytes) -> list[str]:
    """In-Reply-To and References, so that clients show the report beside the message."""
    for field in headers.fields(original):
        if field.name.lower() == b"message-id":
            for found in headers.message_ids(field.value)[:1]:
                # The sender chose this text: only what cannot end a line or a msg-id goes in.
                if _MESSAGE_ID.fullmatch(found):
                    return [f"In-Reply-To: <{found}>", f"References: <{found}>"]
    return []


def _header_of(content: bytes) -> bytes:
    """The header block, cut at a line if it is longer than 64 KiB."""
    block = header_of(content)
    if len(block) <= _MOST_HEADER:
        return block
    return block[: block.rfind(b"\n", 0, _MOST_HEADER) + 1]


def _date(moment: int) -> str:
    return format_datetime(datetime.fromtimestamp(moment, UTC))
