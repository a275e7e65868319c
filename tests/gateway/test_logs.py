"""The log tells types and places, never texts and values."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway import logs
from mail.address import Address
from mail.errors import Refusal, Unavailable

CANARY = "canary-7f3a"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    before, hook = (root.handlers[:], root.level), sys.excepthook
    path = tmp_path / "log"
    stream = logs.configure("info", path, "test")
    yield path
    stream.close()
    structlog.reset_defaults()
    logging.captureWarnings(False)
    sys.excepthook = hook
    root.handlers[:], root.level = before


def lines(log: Path) -> list[dict[str, Any]]:
    assert CANARY not in log.read_text()
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_line_is_json_with_process_and_time(log: Path) -> None:
    logs.note("ready", processes=3)
    [line] = lines(log)
    assert (line["event"], line["process"], line["processes"], line["level"]) == (
        "ready",
        "test",
        3,
        "info",
    )
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_its_types_and_our_frames(log: Path) -> None:
    try:
        try:
            Address.parse(f"{CANARY}@@")
        except Refusal as refusal:
            raise Unavailable(CANARY) from OSError(28, CANARY, f"/{CANARY}") if refusal else None
    except Unavailable as error:
        logs.failure("something failed", error)
    [line] = lines(log)
    outer, inner = line["error"]
    assert outer["type"] == "Unavailable"
    assert (inner["type"], inner["errno"]) == ("OSError", 28)


def test_the_frames_are_ours_and_only_ours(log: Path) -> None:
    try:
        Address.parse(CANARY)
    except Refusal as refusal:
        logs.failure("refused", refusal)
    [line] = lines(log)
    assert [place.split(":")[0] for place in line["error"][0]["at"]] == ["mail/address.py"]


def test_a_long_chain_of_causes_ends(log: Path) -> None:
    first = error = ValueError(CANARY)
    for _ in range(50):
        following = ValueError(CANARY)
        following.__cause__ = error
        error = following
    first.__cause__ = error  # a circle, even
    logs.failure("deep", error)
    assert len(lines(log)[0]["error"]) == 5


def test_a_librarys_line_keeps_its_name_and_loses_its_words(log: Path) -> None:
    try:
        raise KeyError(CANARY)
    except KeyError:
        logging.getLogger("asyncio").exception("%s went wrong", CANARY)
    [line] = lines(log)
    assert (line["event"], line["logger"], line["severity"]) == ("library", "asyncio", "error")
    assert line["error"][0]["type"] == "KeyError"


def test_our_own_rooms_keep_their_words(log: Path) -> None:
    logging.getLogger("secure_inbox.smtp_in").error("failed at %s", "desk.py:3")
    assert lines(log)[0]["words"] == "failed at desk.py:3"


def test_a_warning_loses_its_words_too(log: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(CANARY, ResourceWarning, stacklevel=1)
        warnings.warn(CANARY, UserWarning, stacklevel=1)
    assert {line["logger"] for line in lines(log)} == {"py.warnings"}


def test_what_nobody_catches_is_told_alike(log: Path, capfd: pytest.CaptureFixture[str]) -> None:
    error = ValueError(CANARY)
    sys.excepthook(ValueError, error, None)
    [line] = lines(log)
    assert (line["event"], line["error"][0]["type"]) == ("process failed", "ValueError")
    assert capfd.readouterr() == ("", "")


def test_what_is_below_the_level_is_not_written(tmp_path: Path, log: Path) -> None:
    with logs.configure("error", tmp_path / "other", "test"):
        logs.note("quiet")
        logs.warn("quiet")
        logs.failure("loud", ValueError())
    assert [line["event"] for line in lines(tmp_path / "other")] == ["loud"]
