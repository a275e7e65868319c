"""The messages among the files of the fetched packages, in an order that never changes."""

from __future__ import annotations

import codecs
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.corpus.fetch import CACHE, fetch

LARGEST = 2 << 20

_NOT_MESSAGES = {
    ".py",
    ".go",
    ".js",
    ".json",
    ".rst",
    ".md",
    ".html",
    ".xml",
    ".cfg",
    ".toml",
    ".po",
    ".golden",
}
_FIRST_LINE = re.compile(rb"(?:From [^\n]*\n)?[!-9;-~]+:[ \t\r\n]")
_MAIL_FIELD = re.compile(
    rb"^(?:from|to|subject|received|return-path|date|mime-version|content-type|message-id):",
    re.MULTILINE | re.IGNORECASE,
)

KINDS: dict[str, re.Pattern[bytes]] = {
    "nested MIME": re.compile(
        rb"^content-type:\s*multipart/.*^content-type:\s*multipart/", re.I | re.M | re.S
    ),
    "8-bit header": re.compile(rb"\A(?:[^\n]+\n)*?[^\n]*[\x80-\xff]"),
    "encoded words": re.compile(rb"=\?[^?\s]+\?[bq]\?", re.I),
    "RFC 2231 name": re.compile(rb"^[ \t]*(?:[a-z-]+:.*)?;?\s*(?:file)?name\*(?:0\*?)?=", re.I | re.M),
    "PGP/MIME": re.compile(rb"application/pgp-(?:encrypted|signature)", re.I),
    "S/MIME": re.compile(rb"application/(?:x-)?pkcs7", re.I),
    "message/rfc822": re.compile(rb"^content-type:\s*message/rfc822", re.I | re.M),
    "DSN": re.compile(rb"message/delivery-status", re.I),
    "calendar": re.compile(rb"text/calendar", re.I),
    "empty body": re.compile(rb"\A(?:[^\r\n]+\r?\n)+(?:\r?\n)*\Z"),
}


@dataclass(frozen=True)
class Sample:
    """`key` is package directory and path within it; `content` has CRLF line ends, as SMTP
    would have made them."""

    key: str
    content: bytes

    @property
    def short(self) -> str:
        """Package, last directory and file name: enough to tell them apart."""
        return "/".join((self.key.split("/")[0], *self.key.split("/")[-2:]))

    @property
    def kinds(self) -> set[str]:
        found = {kind for kind, pattern in KINDS.items() if pattern.search(self.content)}
        return found | ({"broken charset"} if _broken_charset(self.content) else set())


def _broken_charset(content: bytes) -> bool:
    """Names a charset that Python does not know, or whose rules its own text breaks."""
    for name in re.findall(rb"""charset\s*=\s*["']?([^\s"';]+)|=\?([^?\s]+)\?[bq]\?""", content, re.I):
        try:
            codec = codecs.lookup((name[0] or name[1]).decode("ascii", "replace"))
        except (LookupError, ValueError):
            return True
        if codec.name == "ascii" and not content.isascii():
            return True
    return False


@cache
def samples() -> tuple[Sample, ...]:
    """All of them, without repetitions, by key."""
    found: dict[bytes, Sample] = {}
    for root in sorted(fetch()):
        for path in sorted(root.rglob("*")):
            content = _message(path)
            if content is not None:
                key = path.relative_to(CACHE).as_posix()
                found.setdefault(hashlib.sha256(content).digest(), Sample(key, content))
    return tuple(sorted(found.values(), key=lambda sample: sample.key))


def _message(path: Path) -> bytes | None:
    if not path.is_file() or path.suffix in _NOT_MESSAGES or path.stat().st_size > LARGEST:
        return None
    content = path.read_bytes()
    if not _FIRST_LINE.match(content) or b"\0" in content:
        return None
    if content.startswith(b"From "):  # the mbox line is no part of the message
        content = content.split(b"\n", 1)[1]
    if not _MAIL_FIELD.search(content[:20000]):
        return None
    return re.sub(rb"\r\n|\r|\n", b"\r\n", content)
