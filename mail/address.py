"""One address, read strictly: the recipient that policy judged is the one we relay to.

Apart because every decision about who may write to whom rests on it. Anyone can send
bytes here (RCPT TO, MAIL FROM, login names). Strict on purpose: CVE-2023-27043 and its
family came from parsers that "helpfully" read `a@org <b@evil>`, quoted local parts,
comments, source routes or a second address; here such text is refused, never mended.

    Mailbox    = Local-part "@" Domain                     ; RFC 5321 section 4.1.2
    Local-part = Dot-string                                ; quoted strings are refused
    Domain     = sub-domain *("." sub-domain)              ; address literals are refused
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from mail.errors import Reason, Refusal

# RFC 5321 atext without "%" and "!": `a%evil@org` and `evil!a@org` are routes to old mailers.
_ATEXT = r"[A-Za-z0-9#$&'*+/=?^_`{|}~\u0080-\U0010ffff-]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_DOTS = "\u3002\uff0e\uff61"  # full stops of other scripts, which IDNA maps to "."
_MAX_OCTETS = 254  # RFC 5321 section 4.5.3.1.3: a path has 256, "<" and ">" included
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """`local` as given; `domain` lower-case in its IDNA A-label form."""

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an addr-spec; Refusal(BAD_ADDRESS) for anything else."""
        if len(text) > _MAX_OCTETS:  # before anything that costs more than its length
            raise _bad()
        local, at, domain = text.rpartition("@")
        if not at or len(local.encode(errors="replace")) > 64 or not _DOT_STRING.fullmatch(local):
            raise _bad()
        # Controls, format characters, surrogates, unassigned, and every kind of space and line
        # separator: U+2028 in a local part would end a line for some of its readers.
        if any(unicodedata.category(c)[0] in "CZ" for c in local):
            raise _bad()
        address = cls(local, canonical_domain(domain))
        if len(str(address).encode()) > _MAX_OCTETS:
            raise _bad()
        return address

    @property
    def key(self) -> str:
        """What accounts are looked up by: local part case-folded and NFC."""
        return unicodedata.normalize("NFC", self.local.casefold()) + "@" + self.domain

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def canonical_domain(text: str) -> str:
    """Lower-case A-label form (RFC 5890); Refusal(BAD_ADDRESS) when it is no domain name.

    A trailing dot is refused: `acme.test.` and `acme.test` must not be two domains.
    """
    if len(text) > _MAX_OCTETS:
        raise _bad()
    # RFC 5892: letters, marks and digits. Python's codec is IDNA 2003 and would also let through
    # symbols that look like "/" or ".", so that a name reads as another.
    if any(c > "\x7f" and unicodedata.category(c)[0] not in "LMN" and c not in _DOTS for c in text):
        raise _bad()
    try:
        ascii_form = text.encode("idna").decode("ascii").lower() if text else ""
    except UnicodeError:
        raise _bad() from None
    labels = ascii_form.split(".")
    if len(ascii_form) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _bad()
    if labels[-1].isdigit():  # 192.0.2.1 is an address literal without its brackets
        raise _bad()
    return ascii_form


def _bad() -> Refusal:
    return Refusal(Reason.BAD_ADDRESS, "That is not a valid e-mail address.")
