"""Which messages a message says it answers or passes on (P8); whether that is true, the mailbox says.

Apart because the claim and its proof are two things: this module only collects ids, in the order
in which clients are to be believed, and `Sender.holds` looks for them in the sender's own mailbox.
A hostile member writes these headers, so their number is bounded: a hundred thousand References
must not become as many look-ups.

RFC 5322 section 3.6.4 (In-Reply-To, References); X-Forwarded-Message-Id is Thunderbird's mark of a
forward; an attached original is a message/rfc822 part (RFC 2046 section 5.2.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from mail.headers import fields, message_ids
from mail.structure import Part

MOST_IDS = 64
MOST_FROM_ONE_HEADER = 24
_LONGEST_ID = 998  # RFC 5322 section 2.1.1: no id is longer than a line
_HEADERS = (b"in-reply-to", b"references", b"x-forwarded-message-id")


def referred_ids(content: bytes, root: Part) -> tuple[str, ...]:
    """Ids without angle brackets, each once, at most MOST_IDS. Of References the last ones count:
    there the message replied to stands (RFC 5322 section 3.6.4)."""
    found: dict[str, None] = {}
    for message_id in _claims(content, root):
        if 0 < len(message_id) <= _LONGEST_ID:
            found[message_id] = None
        if len(found) == MOST_IDS:
            break
    return tuple(found)


def _claims(content: bytes, root: Part) -> Iterator[str]:
    values: dict[bytes, list[str]] = {name: [] for name in _HEADERS}
    for field in fields(content[slice(*root.header)]):
        ids = values.get(field.name.lower())
        if ids is not None:
            ids += message_ids(field.value)
    for name in _HEADERS:
        yield from reversed(values[name][-MOST_FROM_ONE_HEADER:])
    for original in _attached(root):
        for field in fields(content[slice(*original.header)]):
            if field.name.lower() == b"message-id":
                yield from message_ids(field.value)[:1]


def _attached(root: Part) -> Iterator[Part]:
    """The originals attached to this message; what is attached to those proves nothing more."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.message is not None:
            yield part.message
        waiting += reversed(part.children)
