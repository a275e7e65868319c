"""ENVELOPE, BODY and BODYSTRUCTURE as they go over the wire (RFC 3501 section 7.4.2).

Apart because it is made once, when a message is stored, and only read out afterwards.
The text comes from whoever wrote the message: a string that holds what could end or
extend a response (CR, LF, a quote, a NUL) leaves as a literal or loses it, never as is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from mail import addresses, dates, headers, structure, text
from mail.structure import Part
from mail.summary import Summary

MAX_QUOTED = 1000
"""A longer string goes as a literal: clients have bounded line buffers."""

MAX_VALUE = 64 * 1024
"""Of one string in ENVELOPE; the header itself is served whole."""

MAX_ADDRESS_FIELD = 512 * 1024
"""Of one address field: more than `addresses.MAX_ADDRESSES` usual addresses."""

MAX_REPEATED = 100
"""Fields of one name that are read: a hundred thousand To fields must not cost a second."""

MAX_TEXT = 256 * 1024
"""Characters of decoded text kept for SEARCH in the summary."""

# RFC 3501 section 9: quoted holds TEXT-CHAR, which is 7-bit without NUL, CR and LF.
_NOT_QUOTED = re.compile(rb"[\x80-\xff\r\n\0]")
_SPECIAL = re.compile(rb'(["\\])')
_WHITE = re.compile(rb"[ \t]+")

_TEXT_FIELDS = frozenset((b"date", b"subject", b"in-reply-to", b"message-id"))
_ADDRESS_FIELDS = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))


def string(value: bytes) -> bytes:
    """`string` of RFC 3501: quoted when it may be, otherwise a literal.

    A literal cannot hold NUL (CHAR8 is 1 to 255), so those are left out.
    """
    if len(value) > MAX_QUOTED or _NOT_QUOTED.search(value):
        value = value.replace(b"\0", b"")
        return b"{%d}\r\n%b" % (len(value), value)
    if b'"' in value or b"\\" in value:
        value = _SPECIAL.sub(rb"\\\1", value)
    return b'"' + value + b'"'


def nstring(value: bytes | None) -> bytes:
    """`nstring`: NIL or a string."""
    return b"NIL" if value is None else string(value)


def envelope(header_block: bytes) -> bytes:
    """ENVELOPE of a header block, parentheses included."""
    return _envelope(_found(header_block))


class _Found(NamedTuple):
    """The fields of ENVELOPE, names lower-case. Address fields may repeat; RFC 5322 section
    3.6 forbids it, mailers do it, and a recipient must not be hidden by it. Of the others
    the last counts, as in Dovecot."""

    texts: dict[bytes, bytes]
    lists: dict[bytes, list[bytes]]

    def decoded(self, name: bytes) -> str:
        """For SEARCH: the decoded values, several joined by a line end."""
        return "\n".join(map(_searched, self.lists.get(name, ())))


def _searched(value: bytes) -> str:
    return headers.collapsed(headers.decode(value))


def _found(header_block: bytes) -> _Found:
    found = _Found({}, {})
    for field in headers.fields(header_block):
        name = field.name.lower()
        if name in _TEXT_FIELDS:
            found.texts[name] = field.value[:MAX_VALUE]
        elif name in _ADDRESS_FIELDS:
            values = found.lists.setdefault(name, [])
            if len(values) < MAX_REPEATED:
                values.append(field.value[:MAX_ADDRESS_FIELD])
    return found


def _envelope(found: _Found) -> bytes:
    shown = {name: _addresses(values) for name, values in found.lists.items()}
    subject = found.texts.get(b"subject")
    from_ = shown.get(b"from", b"NIL")
    parts = (
        nstring(found.texts.get(b"date")),
        nstring(None if subject is None else _WHITE.sub(b" ", subject)),
        from_,
        # RFC 3501 7.4.2: without Sender or Reply-To (or with an empty one) they are From's.
        from_ if shown.get(b"sender", b"NIL") == b"NIL" else shown[b"sender"],
        from_ if shown.get(b"reply-to", b"NIL") == b"NIL" else shown[b"reply-to"],
        shown.get(b"to", b"NIL"),
        shown.get(b"cc", b"NIL"),
        shown.get(b"bcc", b"NIL"),
        nstring(found.texts.get(b"in-reply-to")),
        nstring(found.texts.get(b"message-id")),
    )
    return b"(" + b" ".join(parts) + b")"


def _addresses(values: Sequence[bytes]) -> bytes:
    entries: list[addresses.Entry] = []
    for value in values:
        if len(entries) < addresses.MAX_ADDRESSES:
            entries += addresses.parse(value)
    if not entries:
        return b"NIL"
    return b"(%b)" % b"".join(b"(%b %b %b %b)" % tuple(map(nstring, entry)) for entry in entries)


def body(content: bytes, part: Part, extended: bool) -> bytes:
    """BODY (`extended` False) or BODYSTRUCTURE (True) of a part, parentheses included.

    `content` is the message that the part's offsets count in: embedded messages need
    their ENVELOPE.
    """
    if part.is_multipart:
        return _multipart(content, part, extended)
    return _single(content, part, extended)


def _multipart(content: bytes, part: Part, extended: bool) -> bytes:
    inner = b"".join(body(content, child, extended) for child in part.numbered)
    shown = b"(" + inner + b" " + string(part.subtype)
    if extended:
        parameters = _parameters(part.parameters)
        shown += b" " + parameters + b" " + _extension(part)
    return shown + b")"


def _single(content: bytes, part: Part, extended: bool) -> bytes:
    kind, subtype = part.type, part.subtype
    if part.message is not None:  # media-message: RFC 3501 section 9 has these words as constants
        kind, subtype = kind.lower(), subtype.lower()
    is_text = kind.lower() == b"text"
    parameters = part.parameters
    if is_text and part.parameter(b"charset") is None:
        parameters = (*parameters, (b"charset", b"us-ascii"))  # RFC 2045 section 5.2
    start, end = part.body
    pieces = [
        string(kind),
        string(subtype),
        _parameters(parameters),
        nstring(part.content_id),
        nstring(part.description),
        string(part.encoding or b"7bit"),
        b"%d" % (end - start),
    ]
    if part.message is not None:
        header_start, header_end = part.message.header
        pieces.append(envelope(content[header_start:header_end]))
        pieces.append(body(content, part.message, extended))
    if is_text or part.message is not None:
        pieces.append(b"%d" % part.lines)
    if extended:
        pieces.append(nstring(part.md5))
        pieces.append(_extension(part))
    return b"(" + b" ".join(pieces) + b")"


def _parameters(pairs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    if not pairs:
        return b"NIL"
    return b"(" + b" ".join(string(name) + b" " + string(value) for name, value in pairs) + b")"


def _extension(part: Part) -> bytes:
    """body-fld-dsp, body-fld-lang, body-fld-loc: the same for a multipart and a leaf."""
    disposition = b"NIL"
    if part.disposition is not None:
        disposition = b"(%b %b)" % (string(part.disposition), _parameters(part.disposition_parameters))
    languages = b"NIL"
    if part.languages:
        languages = b"(" + b" ".join(map(string, part.languages)) + b")"
    return b" ".join((disposition, languages, nstring(part.location)))


def summarise(content: bytes) -> Summary:
    """All that can be said about a message without keeping it open. Never raises."""
    root = structure.parse(content)
    header = content[slice(*root.header)]
    found = _found(header)
    extract, complete = text.text_of(content, root, MAX_TEXT)
    ids = headers.message_ids(found.texts.get(b"message-id", b""))
    return Summary(
        size=len(content),
        header=header,
        envelope=_envelope(found),
        body=body(content, root, extended=False),
        body_structure=body(content, root, extended=True),
        parts=structure.pack(root),
        message_id=ids[0] if ids else "",
        sent=dates.sent(found.texts.get(b"date", b"")) or 0,
        sent_day=dates.sent_day(found.texts.get(b"date", b"")),
        subject=_searched(found.texts.get(b"subject", b"")),
        from_=found.decoded(b"from"),
        to=found.decoded(b"to"),
        cc=found.decoded(b"cc"),
        bcc=found.decoded(b"bcc"),
        part_headers=text.part_headers(content, root),
        text=extract,
        text_complete=complete,
    )
