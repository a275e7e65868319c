from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtp_out.answer import _STATUS_OF_CODE, one_line, reply


@pytest.mark.parametrize(
    ("code", "text", "status"),
    [
        (250, "2.1.5 ok", "2.1.5"),
        (250, "ok", "2.0.0"),
        (251, "will forward", "2.0.0"),
        (550, "5.1.1 no such user", "5.1.1"),
        (550, "no such user", "5.0.0"),
        (451, "5.1.1 of another class", "4.3.0"),
        (550, "4.2.2 of another class", "5.0.0"),
        (450, "4.2.0greylisted", "4.2.0"),
        (450, "4.1234.0 too long", "4.2.0"),
        (354, "not a verdict", "4.0.0"),
        (199, "nonsense", "4.0.0"),
        (-1, "Response too long", "4.0.0"),
    ],
)
def test_the_status_is_the_texts_when_it_fits_the_code(code: int, text: str, status: str) -> None:
    answer = reply(code, text, "mx.test")
    assert answer.status == status
    assert (answer.accepted, answer.permanent) == (status[0] == "2", status[0] == "5")


@pytest.mark.parametrize("code", sorted(_STATUS_OF_CODE))
def test_every_row_keeps_the_class_of_its_code(code: int) -> None:
    assert reply(code, "", "mx.test").status[0] == str(code)[0]
    assert reply(code, "", "mx.test").words == str(code)


def test_several_lines_become_one() -> None:
    assert reply(550, "5.7.1 no\nreally\r\nno", "mx").words == "550 5.7.1 no really no"


@given(st.text())
def test_words_are_one_short_line_of_printable_ascii(text: str) -> None:
    words = one_line(text)
    assert len(words) <= 500
    assert all(" " <= c <= "~" for c in words)
