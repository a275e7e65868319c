"""A Secret shows itself to nobody who does not ask by name."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest

from mail.secret import Secret

WORD = b"correct horse battery"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        lambda s: f"{s}",
        lambda s: f"{s!r:>40}",
        "%s".__mod__,
        lambda s: f"{s:>40}",
        "{}".format,
        lambda s: str([s]),
        lambda s: str({"a": s}),
        ascii,
    ],
)
def test_prints_as_redacted(show) -> None:
    assert "horse" not in show(Secret(WORD))
    assert "redacted" in show(Secret(WORD))


def test_a_log_line_and_a_traceback_do_not_hold_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(WORD)
    try:
        raise ValueError("no", secret)
    except ValueError:
        logging.getLogger("test").exception("failed with %s", secret)
    assert "horse" not in caplog.text


@pytest.mark.parametrize(
    "leak", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, hash, bytes, list, iter]
)
def test_makes_no_readable_copy(leak) -> None:
    with pytest.raises(TypeError):
        leak(Secret(WORD))


def test_has_no_dictionary_to_look_into() -> None:
    assert not hasattr(Secret(WORD), "__dict__")


def test_equal_by_content_only() -> None:
    assert Secret(WORD) == Secret(bytearray(WORD))
    assert Secret(WORD) != Secret(WORD + b"!")
    assert Secret(WORD) != WORD
    assert len(Secret(WORD)) == len(WORD)
    assert Secret(WORD).reveal() == WORD


def test_does_not_follow_a_changing_buffer() -> None:
    buffer = bytearray(WORD)
    secret = Secret(buffer)
    buffer[:] = b"x" * len(buffer)
    assert secret.reveal() == WORD
