"""Three kinds of error, chosen by what their reader can do next.

`Refusal`      the peer asked for something that it may not have or that is malformed: it
               must change the request. Carries words for a person and a `Reason`; each
               door turns the reason into its own codes (RFC 3463, RFC 5530, HTTP).
`Unavailable`  a fault of ours: the peer should try again (4xx, NO [UNAVAILABLE]).
`Damaged`      something stored fails its integrity check: the operator must look. A peer
               is told no more than for `Unavailable`.

The public words never hold the text of another exception: that text may hold content,
a path or a key. The cause travels in `__cause__` for the log's eyes, which prints types.
"""

from __future__ import annotations

from enum import Enum, auto


class Reason(Enum):
    """Why something was refused; the doors' code tables have one row for each."""

    BAD_SYNTAX = auto()
    BAD_ADDRESS = auto()
    BAD_MESSAGE = auto()
    UNKNOWN_ENCODING = auto()
    UNKNOWN_RECIPIENT = auto()
    RECIPIENT_NOT_PERMITTED = auto()
    SENDER_NOT_PERMITTED = auto()
    TOO_MANY_RECIPIENTS = auto()
    TOO_LARGE = auto()
    TOO_MANY_ATTACHMENTS = auto()
    LOGIN_FAILED = auto()
    THROTTLED = auto()
    ENCRYPTION_REQUIRED = auto()
    NO_SUCH_FOLDER = auto()
    FOLDER_EXISTS = auto()
    FOLDER_NOT_PERMITTED = auto()
    USE_NOT_PERMITTED = auto()
    NO_SUCH_MESSAGE = auto()
    EXPIRED = auto()
    LIMIT = auto()
    NO_SUCH_ACCOUNT = auto()
    ACCOUNT_EXISTS = auto()
    WEAK_PASSWORD = auto()
    MAIL_LOOP = auto()


class MailError(Exception):
    """Base of the three; `words` may be shown to a stranger."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Refusal(MailError):
    """Permanent: asking again the same way gets the same answer."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Unavailable(MailError):
    """Temporary and ours: the peer keeps what it has and tries again."""

    def __init__(self, words: str = "Temporary failure, please try again later.") -> None:
        super().__init__(words)


class Damaged(MailError):
    """A stored file, record or index does not pass its integrity check."""
