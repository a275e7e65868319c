"""From the house's errors to IMAP's answers: one row for each reason (RFC 3501 7.1, RFC 5530).

Apart because it is the only place that chooses a status and a response code, and because
the words a stranger sees must come from a table or from a `Refusal`, never from another
exception: that could hold a path, a key or content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mail.errors import Damaged, MailError, Reason, Refusal

OK, NO, BAD = b"OK", b"NO", b"BAD"


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows a command's tag: status, response code without brackets or "", words."""

    status: bytes
    code: bytes
    words: bytes

    def render(self, tag: bytes) -> bytes:
        """The line as sent."""
        code = b"[" + self.code + b"] " if self.code else b""
        return tag + b" " + self.status + b" " + code + self.words + b"\r\n"


def ok(words: bytes, code: bytes = b"") -> Answer:
    """Success."""
    return Answer(OK, code, words)


def no(words: bytes, code: bytes = b"") -> Answer:
    """Refused or failed."""
    return Answer(NO, code, words)


CODES: Mapping[Reason, bytes] = {
    Reason.BAD_SYNTAX: b"",  # BAD; the one reason that is not NO
    Reason.BAD_ADDRESS: b"CANNOT",
    Reason.BAD_MESSAGE: b"CANNOT",
    Reason.UNKNOWN_ENCODING: b"UNKNOWN-CTE",  # RFC 3516 section 4.3
    Reason.UNKNOWN_RECIPIENT: b"CANNOT",
    Reason.RECIPIENT_NOT_PERMITTED: b"NOPERM",
    Reason.SENDER_NOT_PERMITTED: b"NOPERM",
    Reason.TOO_MANY_RECIPIENTS: b"LIMIT",
    Reason.TOO_LARGE: b"TOOBIG",  # RFC 4469, used by RFC 7889
    Reason.TOO_MANY_ATTACHMENTS: b"LIMIT",
    Reason.LOGIN_FAILED: b"AUTHENTICATIONFAILED",
    Reason.THROTTLED: b"LIMIT",
    Reason.ENCRYPTION_REQUIRED: b"PRIVACYREQUIRED",
    Reason.NO_SUCH_FOLDER: b"NONEXISTENT",
    Reason.FOLDER_EXISTS: b"ALREADYEXISTS",
    Reason.FOLDER_NOT_PERMITTED: b"CANNOT",
    Reason.USE_NOT_PERMITTED: b"USEATTR",  # RFC 6154 section 3
    Reason.NO_SUCH_MESSAGE: b"EXPUNGEISSUED",
    Reason.EXPIRED: b"EXPUNGEISSUED",  # EXPIRED in RFC 5530 is about passwords
    Reason.LIMIT: b"LIMIT",
    Reason.NO_SUCH_ACCOUNT: b"AUTHENTICATIONFAILED",  # the same as a wrong password: no oracle
    Reason.ACCOUNT_EXISTS: b"ALREADYEXISTS",
    Reason.WEAK_PASSWORD: b"CANNOT",
    Reason.MAIL_LOOP: b"CANNOT",
}

SERVER_BUG = Answer(NO, b"SERVERBUG", b"Something went wrong here. It has been noted.")


def answer_to(error: MailError, instead: Mapping[Reason, bytes] | None = None) -> Answer:
    """`instead` replaces rows for one command, such as TRYCREATE for NONEXISTENT."""
    if isinstance(error, Refusal):
        status = BAD if error.reason is Reason.BAD_SYNTAX else NO
        code = (instead or {}).get(error.reason, CODES[error.reason])
        return Answer(status, code, plain(error.words))
    if isinstance(error, Damaged):
        # The operator has to look; the peer learns no more than that it may try again.
        return Answer(NO, b"UNAVAILABLE", b"Temporary failure, please try again later.")
    return Answer(NO, b"UNAVAILABLE", plain(error.words))


def plain(words: str) -> bytes:
    """One line of printable ASCII: a newline in words would be a response of its own."""
    return "".join(c if " " <= c <= "~" else "?" for c in words).encode("ascii")
