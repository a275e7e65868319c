"""What the index will hold of a message, made at delivery and packed for sealing.

Apart because delivery (which has the plaintext and no key) writes it and ingest (which has
the key and should not open a 25 MB message) reads it. What is packed here came from
strangers' mail but has been rendered and bounded by `Summarise`; it is read back only after
its seal has passed, so a malformed pack is damage or a later version, never an attack.

Text for searching is kept case-folded, in UTF-8 octets: SEARCH compares
case-insensitively (RFC 9051 section 6.4.4), and an octet search needs no collation.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from typing import NamedTuple

from mail import headers
from mail.errors import Damaged
from mail.summary import Summary

_MAGIC = b"SIS3"
_FIXED = struct.Struct(">4sQqiB32s")
_NO_DAY = -(1 << 31)
_LENGTHS = struct.Struct(">13I")


class Material(NamedTuple):
    """One message, ready for the index. Text fields are folded UTF-8 octets."""

    size: int
    sent: int
    sent_day: int | None
    complete: bool  # False: `text` was cut, SEARCH has to open the message
    digest: bytes  # SHA-256 of the content
    message_id: bytes
    envelope: bytes
    body: bytes
    body_structure: bytes
    parts: bytes
    header: bytes
    subject: bytes
    from_: bytes
    to: bytes
    cc: bytes
    bcc: bytes
    header_text: bytes  # lines "name: decoded value\\n"; those of parts' headers are indented
    text: bytes


def material(summary: Summary, content: bytes) -> Material:
    """Fold and decode once what every search would otherwise do again."""
    return Material(
        size=len(content),
        sent=summary.sent,
        sent_day=summary.sent_day,
        complete=summary.text_complete,
        digest=hashlib.sha256(content).digest(),
        message_id=summary.message_id.encode("utf-8", "replace"),
        envelope=summary.envelope,
        body=summary.body,
        body_structure=summary.body_structure,
        parts=summary.parts,
        header=summary.header,
        subject=fold(summary.subject),
        from_=fold(summary.from_),
        to=fold(summary.to),
        cc=fold(summary.cc),
        bcc=fold(summary.bcc),
        header_text=header_text(summary.header, summary.part_headers),
        text=fold(summary.text),
    )


def fold(text: str) -> bytes:
    """The form in which text is compared: Unicode casefold, NFC, UTF-8."""
    if text.isascii():
        return text.lower().encode("ascii")
    return unicodedata.normalize("NFC", text.casefold()).encode("utf-8", "replace")


def header_text(block: bytes, part_headers: str = "") -> bytes:
    """A header block as folded lines `name: value`, one field a line; then the fields of the
    parts, indented by a space: SEARCH TEXT looks into them, SEARCH HEADER does not."""
    indented = " " + part_headers.replace("\n", "\n ") if part_headers else ""
    return fold(headers.lines(block) + indented)


def pack(given: Material) -> bytes:
    """As octets; `unpack(pack(m)) == m`."""
    fields = given[5:]
    day = _NO_DAY if given.sent_day is None else given.sent_day
    fixed = _FIXED.pack(_MAGIC, given.size, given.sent, day, given.complete, given.digest)
    return b"".join((fixed, _LENGTHS.pack(*map(len, fields)), *fields))


def unpack(packed: bytes) -> Material:
    """Damaged when it is not what `pack` made."""
    end = _FIXED.size + _LENGTHS.size
    if len(packed) < end or not packed.startswith(_MAGIC):
        raise Damaged("a summary is malformed")
    _, size, sent, day, complete, digest = _FIXED.unpack_from(packed)
    fields = []
    for length in _LENGTHS.unpack_from(packed, _FIXED.size):
        fields.append(packed[end : end + length])
        end += length
    if end != len(packed):
        raise Damaged("a summary is malformed")
    return Material(size, sent, None if day == _NO_DAY else day, bool(complete), digest, *fields)
