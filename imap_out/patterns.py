"""LIST patterns: `*` matches anything, `%` anything but the separator (RFC 3501 section 6.3.8).

Apart because a pattern comes from the peer and is matched against every folder: a regular
expression or a backtracking matcher takes exponential time for `%*%*%*...` (CVE-2021-40110).
Here all positions of the pattern that may be current are one integer's bits, so the cost is
the name's length times the pattern's, at machine speed, whatever the pattern is.
"""

from __future__ import annotations

import re
import unicodedata

SEPARATOR = "/"
_LONGEST = 2000  # characters; no folder name is longer, so a longer pattern asks for nothing useful
_WILDCARDS = re.compile(r"[*%]+")


class Pattern:
    """Compiled once, matched against many names."""

    def __init__(self, text: str) -> None:
        # Neighbouring wildcards mean no more than the stronger of them.
        text = _WILDCARDS.sub(lambda run: "*" if "*" in run[0] else "%", text)
        self._impossible = len(text) > _LONGEST
        self._end = 1 << len(text)
        self._any = self._level = 0
        self._literal: dict[str, int] = {}
        for place, character in enumerate(text[:_LONGEST]):
            bit = 1 << place
            if character == "*":
                self._any |= bit
            elif character == "%":
                self._level |= bit
            else:
                self._literal[character] = self._literal.get(character, 0) | bit
        self._wild = self._any | self._level

    def matches(self, name: str) -> bool:
        """Whether the whole name matches."""
        if self._impossible:
            return False
        places = 1 | (1 & self._wild) << 1
        for character in name:
            stay = places & (self._any if character == SEPARATOR else self._wild)
            moved = (places & self._literal.get(character, 0)) << 1
            places = stay | moved
            places |= (places & self._wild) << 1
            if not places:
                return False
        return bool(places & self._end)


class FolderPattern:
    """The same, knowing that INBOX is written in any case (RFC 3501 section 5.1), and that
    names are kept in NFC, whichever of the two forms a client's keyboard makes."""

    def __init__(self, text: str) -> None:
        text = unicodedata.normalize("NFC", text)
        head, separator, rest = text.partition(SEPARATOR)
        self.shows_levels = "%" in text
        self._exact = Pattern(text)
        self._inbox = Pattern(head.upper() + separator + rest)

    def matches(self, name: str) -> bool:
        """Whether LIST shows a folder of that name."""
        in_inbox = name.partition(SEPARATOR)[0] == "INBOX"
        return (self._inbox if in_inbox else self._exact).matches(name)
