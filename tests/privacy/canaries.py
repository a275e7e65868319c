"""Words that must not be found on a disk, and every way in which one could lie there readable.

    canaries = Canaries()
    canaries["subject"]              a word of its own, new in each run
    canaries.found_in(octets)        which of them are in there, and how written

Apart from the tests that use it because it must itself be tested: a search that cannot find
anything proves nothing.
"""

from __future__ import annotations

import base64
import codecs
import secrets
from collections.abc import Iterator

_PREFIX = "canaryword"


class Canaries:
    """One random word per name. Letters and digits only, so that it is legal anywhere."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._words:
            # 20 hexadecimal digits: 80 bits do not turn up by chance.
            self._words[name] = f"{_PREFIX}{secrets.token_hex(10)}"
        return self._words[name]

    def found_in(self, octets: bytes) -> list[tuple[str, str]]:
        """Pairs of a canary's name and the form it was found in."""
        # Encodings are broken into lines: the same without their ends, and without soft ones.
        joined = octets.replace(b"=\r\n", b"").replace(b"=\n", b"").replace(b"\r", b"").replace(b"\n", b"")
        exact, lower = (octets, joined), (octets.lower(), joined.lower())
        # All begin alike, so most forms are ruled out by one search instead of one per canary.
        possible = {
            form for form, needle, any_case in forms(_PREFIX) if _in(lower if any_case else exact, needle)
        }
        if not possible:
            return []
        return [
            (name, form)
            for name, word in self._words.items()
            for form, needle, any_case in forms(word)
            if form in possible and _in(lower if any_case else exact, needle)
        ]


def _in(haystacks: tuple[bytes, bytes], needle: bytes) -> bool:
    return any(needle in haystack for haystack in haystacks)


def forms(word: str) -> Iterator[tuple[str, bytes, bool]]:
    """(name of the form, octets to look for, whether in any case: then they are in lower case)."""
    raw = word.encode("ascii")
    yield "as it is", raw, True
    yield "backwards", raw[::-1], True
    yield "UTF-16LE", word.encode("utf-16-le"), True
    yield "UTF-16BE", word.encode("utf-16-be"), True
    yield "UTF-32LE", word.encode("utf-32-le"), True
    yield "hexadecimal", raw.hex().encode(), True
    yield "quoted-printable", b"".join(b"=%02x" % octet for octet in raw), True
    yield "URL-encoded", b"".join(b"%%%02x" % octet for octet in raw), True
    yield "JSON escapes", b"".join(b"\\u%04x" % octet for octet in raw), True
    yield "C escapes", b"".join(b"\\x%02x" % octet for octet in raw), True
    yield "ROT13", codecs.encode(word, "rot13").encode(), True
    for variant, text in (
        ("", word),
        (" of upper case", word.upper()),
        (" of capitals", word.capitalize()),
    ):
        octets = text.encode()
        for alignment in range(3):  # of ASCII letters and digits, base64url is the same
            yield f"base64{variant}, alignment {alignment}", _base64(octets, alignment), False
        yield f"base64 of UTF-16LE{variant}", _base64(text.encode("utf-16-le"), 0), False


def _core(octets: bytes, alignment: int) -> bytes:
    """The octets that fill whole groups of three when `alignment` octets stand before them."""
    start = -alignment % 3
    return octets[start : start + (len(octets) - start) // 3 * 3]


def _base64(octets: bytes, alignment: int) -> bytes:
    """The part of the encoding that does not depend on the neighbours."""
    return base64.b64encode(_core(octets, alignment))
