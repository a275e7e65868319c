"""What the log may know of an exception: its types and places, never its text.

Apart because an exception's text can hold content, an address or a key, and the log is on
a disk (P5).
"""

from __future__ import annotations

import traceback


def trail(error: BaseException) -> str:
    """`KeyError at fetch.py:81 < session.py:120; from OSError at ...`."""
    links: list[str] = []
    current: BaseException | None = error
    while current is not None and len(links) < 5:
        frames = traceback.extract_tb(current.__traceback__)[-6:]
        places = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in reversed(frames))
        links.append(f"{type(current).__qualname__} at {places or 'nowhere'}")
        current = current.__cause__ or current.__context__
    return "; from ".join(links)
