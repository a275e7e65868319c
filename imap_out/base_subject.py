"""The base subject: what remains of a Subject without `Re:`, `[list]`, `(fwd)` and their kin.

Apart because SORT and THREAD both compare it, and because RFC 5256 section 2.1 is an algorithm
of its own. Subjects are anybody's, of any length: the text is never copied while it is
stripped, and every character is looked at a bounded number of times.

    subj-leader  = (*subj-blob subj-refwd) / WSP       ; RFC 5256 section 5
    subj-refwd   = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
    subj-blob    = "[" *BLOBCHAR "]" *WSP              ; BLOBCHAR: all but "[" and "]"
    subj-trailer = "(fwd)" / WSP
    subj-fwd     = "[fwd:" subject "]"
"""

from __future__ import annotations

import re

from mail import headers

_ASCII = re.IGNORECASE | re.ASCII
_BLOB = re.compile(r"\[[^\[\]]*+\] *+")
_BLOBS = re.compile(r"(?:\[[^\[\]]*+\] *+)*+")
_RE_FWD = re.compile(r"(?:re|fwd?) *+(?:\[[^\[\]]*+\] *+)?:", _ASCII)
_WHITE = re.compile(r" *+")
_FWD = re.compile(r"\[fwd:", _ASCII)
_TRAILER = "(fwd)"


def of(value: bytes) -> tuple[str, bool]:
    """The base subject of an encoded Subject, and whether it is a reply or a forward.

    RFC 5256 section 2.1; the second is what section 3 asks of THREAD=REFERENCES: whether
    a subj-refwd, a "(fwd)" or a "[fwd:" was removed.
    """
    text = headers.collapsed(headers.decode(value))  # (1)
    start, end, answered = 0, len(text), False
    while True:
        end, trailed = _without_trailers(text, start, end)  # (2)
        start, led = _without_leaders(text, start, end)  # (3), (4), (5)
        answered |= trailed or led
        forwarded = _FWD.match(text, start, end)
        if not forwarded or text[end - 1] != "]":
            return text[start:end], answered  # (7)
        start, end, answered = forwarded.end(), end - 1, True  # (6)


def _without_trailers(text: str, start: int, end: int) -> tuple[int, bool]:
    found = False
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif text[max(start, end - len(_TRAILER)) : end].lower() == _TRAILER:
            end -= len(_TRAILER)
            found = True
        else:
            break
    return end, found


def _without_leaders(text: str, start: int, end: int) -> tuple[int, bool]:
    """A run of blobs is read once: they belong to the `Re:` behind them, or go one by one as long as
    something is left, so that no later look would find a leader among them."""
    found = False
    while True:
        start = _end(_WHITE, text, start, end)
        behind = _end(_BLOBS, text, start, end)
        if answer := _RE_FWD.match(text, behind, end):
            start, found = answer.end(), True
            continue
        if behind < end:
            return behind, found
        while (blob := _BLOB.match(text, start, end)) and blob.end() < end:
            start = blob.end()
        return start, found


def _end(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    match = pattern.match(text, start, end)
    assert match is not None  # both match the empty text
    return match.end()
