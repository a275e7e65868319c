"""Header fields: where they lie, what they say (RFC 5322, 2047, 2231).

Apart because every door reads headers and Python's `email` must not: it is quadratic on
hostile fields (python/cpython#136063) and mends what it should report. Strangers write
every byte here. Nothing raises; each function is linear in its input; encoded words,
parameters and message ids are bounded in number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from mail import charsets
from mail.tokens import mime_token, quoted, skip
from mail.transfer import base64

MAX_PARAMETERS = 1000
"""Of one field. RFC 2231 lets a name be cut in any number of pieces (CVE-2026-27859)."""

MAX_MESSAGE_IDS = 1000
"""Of one References field."""

# RFC 5322 section 2.2: field-name is printable US-ASCII without ":"; section 2.2.3 folding.
_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.MULTILINE)
_MESSAGE_ID = re.compile(rb"<\s*+([^<>\s][^<>]*+)>")

# RFC 2047 section 2; the language of RFC 2231 section 5 is dropped.
_WORD = re.compile(rb"=\?([!->@-~]++)\?([bBqQ])\?([^?\n]*+)\?=")
_Q_BYTE = re.compile(rb"=([0-9A-Fa-f]{2})")
_WHITE = re.compile(r"[ \t\r\n]+")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


class Field(NamedTuple):
    """One field. `start` and `end` include its name and its last line's CRLF."""

    name: bytes
    start: int
    end: int
    value: bytes  # unfolded, white space trimmed


def fields(block: bytes) -> list[Field]:
    """All well-formed fields of a header block, in order; lines that are none are left out."""
    found = []
    for match in _FIELD.finditer(block):
        end = match.end()
        end += block.startswith(b"\n", end)
        found.append(Field(match[1], match.start(), end, unfolded(match[2])))
    return found


def values(block: bytes, name: bytes) -> list[bytes]:
    """The unfolded values of every field of that name, compared without case."""
    wanted = name.lower()
    return [unfolded(m[2]) for m in _FIELD.finditer(block) if m[1].lower() == wanted]


def unfolded(raw: bytes) -> bytes:
    """One line: RFC 5322 section 2.2.3 removes the line ends and keeps what they folded at;
    white space at both ends goes."""
    if b"\n" in raw:
        raw = raw.replace(b"\r\n", b"").replace(b"\n", b"")
    return raw.strip(b" \t\r")


def decode(value: bytes) -> str:
    """RFC 2047 encoded words and raw 8-bit as text.

    White space between adjacent encoded words is dropped (section 6.2), and adjacent words
    of one charset are joined as bytes first, since mailers cut characters in two.
    """
    if b"=?" not in value:
        return charsets.decode(value, "")
    pieces: list[tuple[str, bytearray]] = []  # charset "" is text outside encoded words
    position = 0
    for match in _WORD.finditer(value):
        between = value[position : match.start()]
        if between.strip() or not pieces or not pieces[-1][0]:
            pieces.append(("", bytearray(between)))
        charset = match[1].split(b"*")[0].decode("ascii").lower() or "us-ascii"
        data = base64(match[3]) if match[2] in b"bB" else _q(match[3])
        if pieces[-1][0] == charset:
            pieces[-1][1].extend(data)
        else:
            pieces.append((charset, bytearray(data)))
        position = match.end()
    pieces.append(("", bytearray(value[position:])))
    return "".join(charsets.decode(bytes(data), charset) for charset, data in pieces)


def collapsed(text: str) -> str:
    """Each run of white space as one space. Where a mailer folded a field, and with what (RFC 5322
    section 2.2.3), is no part of what it says; ENVELOPE shows it so, and SEARCH compares it so."""
    return _WHITE.sub(" ", text)


def lines(block: bytes) -> str:
    """A header block for SEARCH: `name: decoded value`, one field a line."""
    return "".join(
        f"{field.name.decode('ascii')}: {collapsed(decode(field.value))}\n" for field in fields(block)
    )


def _q(text: bytes) -> bytes:
    return _Q_BYTE.sub(lambda m: bytes((int(m[1], 16),)), text.replace(b"_", b" "))


def parameters(value: bytes) -> tuple[str, dict[str, str]]:
    """`Content-Type` or `Content-Disposition`: main value and parameters, names lower-case.

    RFC 2231 continuations are joined and decoded, encoded words (which RFC 2047 section 5
    forbids there and mailers write all the same) decoded too. Of two parameters with
    one name the first counts, but an extended one (`name*`) wins over a plain one.
    """
    main, raw = raw_parameters(value)
    return main.decode("latin-1").lower(), decoded_parameters(raw)


def decoded_parameters(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """What `raw_parameters` found, as text; names lower-case and without the `*`."""
    plain: dict[str, str] = {}
    extended: dict[str, str] = {}
    for name, text in raw:
        key = name.decode("latin-1").lower()
        if key.endswith("*"):
            extended.setdefault(key[:-1], _extended(text))
        else:
            plain.setdefault(key, decode(text))
    return plain | extended


def _extended(text: bytes) -> str:
    """RFC 2231 section 4: charset'language'percent-encoded."""
    charset, tick, rest = text.partition(b"'")
    _, second_tick, encoded = rest.partition(b"'")
    if not (tick and second_tick):
        charset, encoded = b"", text
    data = _PERCENT.sub(lambda m: bytes((int(m[1], 16),)), encoded)
    return charsets.decode(data, charset.decode("latin-1"))


def raw_parameters(value: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """Main value (`b"text/plain"`) and parameters as BODYSTRUCTURE wants them.

    Continuations are joined (RFC 2231 section 6 asks this of IMAP servers) under `name` or,
    when a piece is percent-encoded, `name*`; values stay encoded.
    """
    position = skip(value, 0)
    main, position = mime_token(value, position)
    if value[position : position + 1] == b"/":
        subtype, position = mime_token(value, skip(value, position + 1))
        main = main + b"/" + subtype
    found: list[tuple[bytes, bytes]] = []
    position = value.find(b";", position)
    while 0 <= position < len(value) and len(found) < MAX_PARAMETERS:
        pair, position = _parameter(value, position + 1)
        if pair is not None:
            found.append(pair)
        position = value.find(b";", position)
    if not any(b"*" in name for name, _ in found):
        return main, tuple(found)
    return main, _joined(found)


def _parameter(value: bytes, position: int) -> tuple[tuple[bytes, bytes] | None, int]:
    """One `attribute "=" value` of RFC 2045 section 5.1 from behind its semicolon."""
    name, position = mime_token(value, skip(value, position))
    if not name or value[position : position + 1] != b"=":
        return None, position
    position = skip(value, position + 1)
    start = value[position : position + 1]
    if start == b'"':
        text, position = quoted(value, position)
    elif start == b"=":  # name==?utf-8?Q?...?= without the quotes it needs
        end = position
        while end < len(value) and value[end] not in b"; \t\r\n":
            end += 1
        text, position = value[position:end], end
    else:
        text, position = mime_token(value, position)
        if not text:
            return None, position
    return (name, text), position


_SECTION = re.compile(rb"([^*]++)(?:\*([0-9]{1,9}))?(\*)?")


def _joined(found: list[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """RFC 2231 section 3: `name*0`, `name*1*` in any order become one. A name whose pieces
    are not 0, 1, 2 … is left as it came, so that nothing is hidden by a forged number."""
    plain: list[tuple[bytes, bytes]] = []
    pieces: dict[bytes, list[tuple[int, bool, bytes, bytes]]] = {}
    for name, text in found:
        match = _SECTION.fullmatch(name)
        if match is None or (match[2] is None and match[3] is None):
            plain.append((name, text))
        else:
            pieces.setdefault(match[1], []).append((int(match[2] or 0), bool(match[3]), name, text))
    for name, parts in sorted(pieces.items()):
        parts.sort(key=lambda piece: piece[0])
        if [piece[0] for piece in parts] != list(range(len(parts))):
            plain += [(own, text) for _, _, own, text in parts]
        elif any(extended for _, extended, _, _ in parts):
            head = b"" if parts[0][1] else b"''"
            body = b"".join(text if extended else _escaped(text) for _, extended, _, text in parts)
            plain.append((name + b"*", head + body))
        else:
            plain.append((name, b"".join(text for _, _, _, text in parts)))
    return tuple(plain)


_MUST_ESCAPE = re.compile(rb"[\x00-\x20\x7f-\xff%*'()<>@,;:\\\"/\[\]?=]")


def _escaped(text: bytes) -> bytes:
    return _MUST_ESCAPE.sub(lambda m: b"%%%02x" % m[0][0], text)


def message_ids(value: bytes) -> list[str]:
    """The ids of Message-ID, In-Reply-To or References, without brackets, in order."""
    found: list[str] = []
    for match in _MESSAGE_ID.finditer(value):
        found.append(re.sub(rb"\s+", b"", match[1]).decode("utf-8", "replace"))
        if len(found) == MAX_MESSAGE_IDS:
            break
    return found
