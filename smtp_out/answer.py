"""What a next hop said about one recipient, as codes and one safe line.

Apart because the connection makes it, the courier judges by it and the DSN prints it. A
remote server chooses these bytes: they are cut to one line of printable ASCII before
anybody else sees them, so that no reply can put a header or a line into a DSN or a log.

    reply     = 3DIGIT SP [status SP] text          ; RFC 5321 section 4.2
    status    = class "." 1*3DIGIT "." 1*3DIGIT     ; RFC 3463, class equal to the first digit
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATUS = re.compile(r"([245])\.\d{1,3}\.\d{1,3}(?!\S)")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]+")
_LONGEST = 500

# RFC 3463 status for a reply code whose text carries none; the class decides otherwise.
_STATUS_OF_CODE = {
    421: "4.3.2",
    450: "4.2.0",
    451: "4.3.0",
    452: "4.3.1",
    454: "4.7.0",
    500: "5.5.2",
    501: "5.5.4",
    502: "5.5.1",
    503: "5.5.1",
    504: "5.5.4",
    530: "5.7.0",
    551: "5.1.6",
    552: "5.3.4",
    553: "5.1.3",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is an RFC 3463 code, `words` one line of printable ASCII.

    `remote` is the host that answered, "" when it is our own finding.
    """

    status: str
    words: str
    remote: str = ""

    @property
    def accepted(self) -> bool:
        """The next hop has taken responsibility."""
        return self.status.startswith("2")

    @property
    def permanent(self) -> bool:
        """Trying again the same way gets the same answer (RFC 5321 section 4.2.1)."""
        return self.status.startswith("5")


def reply(code: int, text: str, remote: str) -> Answer:
    """Read a server's reply. A code that is no verdict (3yz, nonsense) counts as temporary."""
    words = one_line(text)
    kind = code // 100 if code // 100 in (2, 5) else 4
    found = _STATUS.match(words)
    # A status of another class than the code (maddy and others have sent 451 5.x.x) is not believed.
    believed = found[0] if found and found[1] == str(kind) else ""
    status = believed or _STATUS_OF_CODE.get(code, f"{kind}.0.0")
    shown = f"{code} {words}".rstrip() if 200 <= code < 600 else words
    return Answer(status, shown, remote)


def one_line(text: str) -> str:
    """Printable ASCII in one line of at most 500 characters; everything else is a space."""
    return _UNPRINTABLE.sub(" ", text).strip()[:_LONGEST]
