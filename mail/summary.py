"""What is said about a message without opening it: made once, when the bytes are at hand.

Apart because the store keeps it and the reading door renders it. `Summarise` is handed to
the store by gateway, so that the store knows nothing of IMAP and IMAP nothing of the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """The listing and search material of one message. Text fields are decoded Unicode."""

    size: int
    header: bytes  # the header block as BODY[HEADER] sends it
    envelope: bytes  # ENVELOPE as IMAP sends it, "(...)"
    body: bytes  # BODY, "(...)"
    body_structure: bytes  # BODYSTRUCTURE, "(...)"
    parts: bytes  # the packed part tree, mail.structure.pack
    message_id: str  # without angle brackets, "" when there is none
    sent: int  # the Date header's moment in UTC, 0 when absent or unreadable
    sent_day: int | None  # its day as written, days since 1970-01-01: SENTON disregards the zone
    subject: str
    from_: str  # whole decoded header values, white space collapsed, for SEARCH
    to: str
    cc: str
    bcc: str
    part_headers: str  # decoded fields of the parts' headers, one a line, for SEARCH TEXT
    text: str  # decoded text of every text/* part, for SEARCH BODY and TEXT
    text_complete: bool  # False when a bound cut `text`: search must open the message


Summarise = Callable[[bytes], Summary]
