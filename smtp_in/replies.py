"""What an SMTP peer is told: one table from our errors to codes, and replies that cannot be injected into.

Apart because every code must stand in one place that a test can walk row by row. Hostile text
reaches here: refusals name addresses that a peer sent, so a reply is cleaned when it is made.

RFC 5321 section 4.2 (replies), RFC 2034 and RFC 3463 (enhanced codes), RFC 4954 section 6 (AUTH).
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from mail.errors import MailError, Reason, Refusal

_UNPRINTABLE = re.compile(r"[^ -~]+")
_LINE = 480  # RFC 5321 section 4.5.3.1.5: 512 octets with code and CRLF
_LINES = 6


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `enhanced` is "" where RFC 2034 wants none (greeting, EHLO, 3xx)."""

    code: int
    enhanced: str
    text: str
    closing: bool = False  # the connection ends after it

    def encoded(self) -> bytes:
        """The octets to send, CRLF included; long text becomes a multi-line reply.

        Anything but printable ASCII becomes "?": a CR or LF from a peer's address must not start
        a reply of its own (CVE-2024-6923 and its family), and UTF-8 needs the peer's consent.
        """
        clean = _UNPRINTABLE.sub("?", self.text)
        lines = textwrap.wrap(clean, _LINE, break_on_hyphens=False)[:_LINES] or [""]
        mark = f"{self.enhanced} " if self.enhanced else ""
        last = len(lines) - 1
        return b"".join(
            f"{self.code}{' ' if n == last else '-'}{mark}{line}\r\n".encode("ascii")
            for n, line in enumerate(lines)
        )


CODES: dict[Reason, tuple[int, str]] = {
    Reason.BAD_SYNTAX: (501, "5.5.4"),
    Reason.BAD_ADDRESS: (553, "5.1.3"),
    Reason.BAD_MESSAGE: (550, "5.6.0"),
    Reason.UNKNOWN_ENCODING: (550, "5.6.0"),
    Reason.UNKNOWN_RECIPIENT: (550, "5.1.1"),
    Reason.RECIPIENT_NOT_PERMITTED: (550, "5.7.1"),
    Reason.SENDER_NOT_PERMITTED: (550, "5.7.1"),
    Reason.TOO_MANY_RECIPIENTS: (452, "4.5.3"),
    Reason.TOO_LARGE: (552, "5.3.4"),
    Reason.TOO_MANY_ATTACHMENTS: (550, "5.7.1"),
    Reason.LOGIN_FAILED: (535, "5.7.8"),
    Reason.THROTTLED: (454, "4.7.0"),
    Reason.ENCRYPTION_REQUIRED: (538, "5.7.11"),
    Reason.LIMIT: (452, "4.3.1"),
    Reason.MAIL_LOOP: (554, "5.4.6"),
    # What only the reading side knows; here so that no reason is without a code.
    Reason.NO_SUCH_FOLDER: (550, "5.2.0"),
    Reason.FOLDER_EXISTS: (550, "5.2.0"),
    Reason.FOLDER_NOT_PERMITTED: (550, "5.2.0"),
    Reason.USE_NOT_PERMITTED: (550, "5.2.0"),
    Reason.NO_SUCH_MESSAGE: (550, "5.6.0"),
    Reason.EXPIRED: (550, "5.6.0"),
    Reason.NO_SUCH_ACCOUNT: (550, "5.1.1"),
    Reason.ACCOUNT_EXISTS: (550, "5.7.0"),
    Reason.WEAK_PASSWORD: (550, "5.7.0"),
}

TEMPORARY_FAILURE = Reply(451, "4.3.0", "Temporary failure, please try again later.")


def reply_to(error: MailError) -> Reply:
    """The answer to one of our errors. A fault of ours keeps its cause for the log."""
    if isinstance(error, Refusal):
        return Reply(*CODES[error.reason], error.words)
    return TEMPORARY_FAILURE
