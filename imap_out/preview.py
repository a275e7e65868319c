"""PREVIEW: the first words of a message (RFC 8970).

Apart because it is the one answer that is a reading of the content. The messages are hostile:
no more than the beginning of one text is decoded, and each step is one linear pass.
It is made when it is asked for, so that nothing more of a message is kept.

    fetch-att =/ "PREVIEW" [SP "(" "LAZY" ")"]
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mail import structure, text

_LONGEST = 200  # characters; RFC 8970 section 3.1: more must not be sent
_READ = 32_768  # characters of the text that are looked at; newsletters begin with their style sheets
_TAG = re.compile(r"(<[^<>]*>?)")
_TAG_NAME = re.compile(r"</?\s*([a-z0-9]+)", re.IGNORECASE)
_UNSEEN = frozenset({"head", "style", "script", "title"})


@dataclass(frozen=True, slots=True)
class Preview:
    """Opened like a section of the message."""

    needs_parts: bool = True

    def of(self, content: bytes, root: structure.Part | None) -> bytes:
        """UTF-8; empty when there is no text to show (section 3.1)."""
        for part in _texts(root) if root is not None else ():
            words, _ = text.text_of(content, part, _READ)
            if part.subtype.lower() == b"html":
                words = _shown(words)
            words = " ".join(words.replace("\0", " ").split())
            if words:
                return words[:_LONGEST].encode("utf-8", "replace")
        return b""


def _texts(root: structure.Part) -> Iterator[structure.Part]:
    """Plain or HTML text that is no attachment, in order."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        waiting += reversed(part.children)
        shown = part.type.lower() == b"text" and part.subtype.lower() in (b"plain", b"html")
        if shown and not part.children and (part.disposition or b"").lower() != b"attachment":
            yield part


def _shown(source: str) -> str:
    """HTML without its tags, and without what a reader never sees."""
    pieces: list[str] = []
    hidden = ""
    for piece in _TAG.split(source):
        if not piece.startswith("<"):
            if not hidden:
                pieces.append(piece)
            continue
        found = _TAG_NAME.match(piece)
        name = found[1].lower() if found else ""
        if hidden:
            hidden = "" if piece.startswith("</") and name == hidden else hidden
        elif name in _UNSEEN and not piece.startswith("</"):
            hidden = name
        pieces.append(" ")
    return html.unescape("".join(pieces))
