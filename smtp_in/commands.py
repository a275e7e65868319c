"""SMTP command lines read into values, strictly: what we judge is what was said.

Apart because it has no socket and no state. Anyone who can connect sends bytes here. Where a
lenient parser would guess (missing brackets, source routes, two addresses), this one refuses.

    mail  = "MAIL FROM:" Reverse-path [SP Mail-parameters]     ; RFC 5321 section 4.1.1.2
    rcpt  = "RCPT TO:" Forward-path [SP Rcpt-parameters]       ; section 4.1.1.3
    param = esmtp-keyword ["=" esmtp-value]                    ; section 4.1.2
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from smtp_in.replies import Reply

_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"'
_PATH = re.compile(rf"<((?:{_QUOTED})?[^<>\"\s\x00-\x1f\x7f]*)>(?: +(.*))?")
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\u0080-\U0010ffff]+))?")
_HOST = re.compile(r"[A-Za-z0-9.:_\[\]\u0080-\U0010ffff-]{1,255}")

_UNREADABLE = Reply(501, "5.5.4", "That is not how this command is written.")
_UNKNOWN_PARAMETER = Reply(555, "5.5.4", "A parameter of this command is not supported here.")


@dataclass(frozen=True, slots=True)
class Command:
    """A verb in upper case and what follows it, without the blank between."""

    verb: str
    argument: str


@dataclass(frozen=True, slots=True)
class Path:
    """What stood between < and >, "" for the null path, and its parameters by upper-case name."""

    address: str
    parameters: Mapping[str, str | None]


def command(line: bytes) -> Command | None:
    """Split a line; None when it cannot be a command: no UTF-8, control characters, no verb."""
    try:
        text = line.decode("utf-8").rstrip(" ")
    except UnicodeDecodeError:
        return None
    verb, _, argument = text.partition(" ")
    if not verb.isascii() or not verb.isalpha() or any(c < " " or c == "\x7f" for c in text):
        return None
    return Command(verb.upper(), argument)


def path(argument: str, keyword: str, known: frozenset[str]) -> Path | Reply:
    """Read `FROM:<...> PARAM=value`; `keyword` is "FROM:" or "TO:". A reply says what is wrong."""
    if argument[: len(keyword)].upper() != keyword:
        return _UNREADABLE
    match = _PATH.fullmatch(argument[len(keyword) :].lstrip(" "))
    if match is None:
        return _UNREADABLE
    parameters: dict[str, str | None] = {}
    for word in (match[2] or "").split():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None or parameter[1].upper() in parameters:
            return _UNREADABLE
        parameters[parameter[1].upper()] = parameter[2]
    if not known.issuperset(parameters):
        return _UNKNOWN_PARAMETER  # RFC 5321 section 4.1.1.11
    return Path(match[1], parameters)


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What MAIL FROM's parameters say."""

    size: int  # declared octets (RFC 1870), 0 when not declared
    utf8: bool  # RFC 6531


def mail_parameters(parameters: Mapping[str, str | None]) -> MailParameters | Reply:
    """Read the values; AUTH= (RFC 4954 section 5) is accepted and means nothing to us."""
    size = parameters.get("SIZE", "0")
    body = (parameters.get("BODY", "8BITMIME") or "").upper()
    readable = (
        size is not None
        and re.fullmatch(r"[0-9]{1,20}", size)  # RFC 1870 section 4
        and body in ("7BIT", "8BITMIME")  # RFC 6152
        and parameters.get("SMTPUTF8") is None  # takes no value
        and parameters.get("AUTH", "<>") is not None
    )
    if not readable or size is None:
        return _UNREADABLE
    return MailParameters(int(size), "SMTPUTF8" in parameters)


def host(argument: str) -> str | None:
    """The name after HELO or EHLO when it may go into a Received line. Clients say many wrong
    things here (RFC 5321 section 4.1.4 forbids refusing for that), so only the characters count."""
    return argument if _HOST.fullmatch(argument) else None
