"""The operational log: JSON lines to standard error or one file; structlog's gatekeeper.

Apart because this is where content could leak out most easily. Two rules hold here and nowhere
else need to: an exception is logged as its type and the frames that are ours, never by its text
or its values (a parser's message quotes what it could not parse); a library's own log line is
reduced to the logger's name, its level and such an exception (aiosmtpd logs addresses, asyncio
the repr of whatever failed). Accounts are named by id.
"""

from __future__ import annotations

import logging
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict

_ROOT = Path(__file__).resolve().parent.parent
_ROOMS = ("mail", "policy", "keys", "conf", "store", "smtp_in", "imap_out", "smtp_out", "portal", "gateway")
_CAUSES = 5


def configure(level: str, file: Path | None, process: str) -> TextIO:
    """Send this process's log to the file (appended to) or standard error, from that level up.

    Returns what it writes to, for whoever lives longer than the log.
    """
    stream: TextIO = sys.stderr if file is None else open(file, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 (for the process's life)
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            partial(_add_process, process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Libraries()]
    root.setLevel(max(least, logging.WARNING))
    # warnings' text may hold values too
    logging.captureWarnings(True)
    sys.excepthook = _uncaught  # Python's own prints the exception's text
    return stream


def _add_process(process: str, _logger: object, _level: str, event: EventDict) -> EventDict:
    event["process"] = process
    return event


def _uncaught(_kind: type[BaseException], error: BaseException, _frames: object) -> None:
    failure("process failed", error)


def note(event: str, **facts: Any) -> None:
    """One line of level info."""
    structlog.get_logger().info(event, **facts)


def warn(event: str, **facts: Any) -> None:
    """One line about something a sysadmin should look at."""
    structlog.get_logger().warning(event, **facts)


def failure(event: str, error: BaseException, **facts: Any) -> None:
    """One line about an exception: types and our own frames, no text, no values."""
    structlog.get_logger().error(event, error=describe(error), **facts)


def describe(error: BaseException) -> list[dict[str, Any]]:
    """The exception and its causes, outermost first."""
    chain: list[dict[str, Any]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < _CAUSES:
        entry: dict[str, Any] = {"type": type(current).__qualname__, "at": _frames(current)}
        if isinstance(current, OSError) and current.errno is not None:
            entry["errno"] = current.errno  # a number; the text may name a path
        chain.append(entry)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain


def _frames(error: BaseException) -> list[str]:
    found = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _ROOMS:
            found.append(f"{path.relative_to(_ROOT)}:{line} {frame.f_code.co_name}")
    return found


class _Libraries(logging.Handler):
    """What remains of a library's log line; the rooms' own loggers keep the rule themselves."""

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = {"logger": record.name, "severity": record.levelname.lower()}
        if record.name.startswith("secure_inbox."):
            facts["words"] = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            facts["error"] = describe(error)
        structlog.get_logger().warning("library", **facts)
