"""Fields, encoded words, parameters and message ids, good, broken and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.headers import (
    MAX_MESSAGE_IDS,
    MAX_PARAMETERS,
    decode,
    fields,
    message_ids,
    parameters,
    raw_parameters,
    unfolded,
    values,
)
from tests.mail.cost import assert_linear

BLOCK = b"From: a@b\r\nsubject :  one\r\n\ttwo \r\nno field\r\nX-Y:\r\nTo: c\nTO: d\n\r\n"


def test_fields_with_their_places() -> None:
    found = fields(BLOCK)
    assert [(field.name, field.value) for field in found] == [
        (b"From", b"a@b"),
        (b"subject", b"one\ttwo"),
        (b"X-Y", b""),
        (b"To", b"c"),
        (b"TO", b"d"),
    ]
    assert BLOCK[found[1].start : found[1].end] == b"subject :  one\r\n\ttwo \r\n"
    assert BLOCK[found[-1].start : found[-1].end] == b"TO: d\n"


def test_values_ignore_case() -> None:
    assert values(BLOCK, b"to") == [b"c", b"d"]
    assert values(BLOCK, b"SUBJECT") == [b"one\ttwo"]
    assert values(BLOCK, b"cc") == []


@pytest.mark.parametrize(
    "block", [b"", b"\r\n", b"a b: c\n", b": c\n", b" x: y\n", b"\xff: y\n", b"a\0b: y\n", b"x"]
)
def test_no_fields(block: bytes) -> None:
    assert fields(block) == []


def test_unfolding_keeps_the_white_space() -> None:
    assert unfolded(b" a\r\n b\n\tc \r\n") == b"a b\tc"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", ""),
        (b"plain", "plain"),
        (b"=?iso-8859-1?q?caf=E9_au_lait?=", "café au lait"),
        (b"=?UTF-8?B?w6k=?=", "é"),
        (b"=?utf-8?b?w6k?=", "é"),  # no padding
        (b"=?utf-8?b?w6*k=\xff?=", "é"),  # bytes outside the alphabet
        (b"=?utf-8?b?w?=", ""),  # six bits are no byte
        (b"=?utf-8?b?!!!!?=", ""),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),  # RFC 2047 section 8
        (b"=?utf-8?q?a?=\t  =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        (b"(=?utf-8?q?a?=)", "(a)"),
        (b"x=?utf-8?q?a?=y", "xay"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),  # a character cut in two
        (b"=?utf-8?b?w6?= =?utf-8?q?=A9?=", "é"),
        (b"=?utf-8?q?=C3?= =?iso-8859-1?q?=A9?=", "\ufffd©"),
        (b"=?us-ascii*en?q?a?=", "a"),  # RFC 2231 section 5
        (b"=?nonsense?q?=E9?=", "é"),
        (b"=?hex?q?6162?=", "6162"),  # a codec that is no charset
        (b"=?punycode?q?a-b?=", "a-b"),
        (b"=?unicode_escape?q?=5Cu0041?=", "\\u0041"),
        (b"=?utf-16?q?=FF=FEa=00?=", "a"),
        (b"=?iso-2022-jp?b?GyRCJCIbKEI=?=", "あ"),
        (b"=?gb2312?b?xOO6ww==?=", "你好"),
        (b"=?windows-874?q?=A1?=", "ก"),
        (b"=?utf-8?q?=zz=4?=", "=zz=4"),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?a", "=?utf-8?q?a"),
        (b"=?utf-8?q??=", ""),
        (b"=?utf-8?q?a b?=", "a b"),
        ("é".encode(), "é"),
        (b"\xe9", "é"),
        (b"\x81", "\x81"),
        (b"\xff=?utf-8?q?a?=", "ÿa"),
    ],
)
def test_decodes(value: bytes, text: str) -> None:
    assert decode(value) == text


@pytest.mark.parametrize(
    ("value", "main", "found"),
    [
        (b"text/plain", "text/plain", {}),
        (b" Text / Plain (c) ; Charset=UTF-8", "text/plain", {"charset": "UTF-8"}),
        (b'attachment; filename="a;b.txt"', "attachment", {"filename": "a;b.txt"}),
        (b'attachment; filename="a\\"b\\\\c"', "attachment", {"filename": 'a"b\\c'}),
        (b'attachment; filename="a', "attachment", {"filename": "a"}),
        (b'attachment; filename=""', "attachment", {"filename": ""}),
        (b"attachment; filename=a b.txt; x=y", "attachment", {"filename": "a", "x": "y"}),
        (b"attachment; filename==?utf-8?q?=C3=A9?=; x=y", "attachment", {"filename": "é", "x": "y"}),
        (b'attachment; filename="=?utf-8?b?w6k=?="', "attachment", {"filename": "é"}),
        (b"attachment; filename=\xc3\xa9", "attachment", {"filename": "é"}),
        (b"attachment;;; ; filename=a;", "attachment", {"filename": "a"}),
        (b"attachment filename=a", "attachment", {}),
        (b"attachment; filename; x=y", "attachment", {"x": "y"}),
        (b"attachment; filename=; x=y", "attachment", {"x": "y"}),
        (b"a/b; x=1; X=2", "a/b", {"x": "1"}),
        # RFC 2231: sections 3 and 4, in any order, mixed, and with holes
        (b"a/b; n*=utf-8'en'%C3%A9", "a/b", {"n": "é"}),
        (b"a/b; n*=iso-8859-1''%E9", "a/b", {"n": "é"}),
        (b"a/b; n*=''%41", "a/b", {"n": "A"}),
        (b"a/b; n*=%41", "a/b", {"n": "A"}),
        (b"a/b; n*=utf-8'%41", "a/b", {"n": "utf-8'A"}),
        (b"a/b; n*=nonsense''%C3%A9%zz", "a/b", {"n": "é%zz"}),
        (b'a/b; n*0="a"; n*1="b"', "a/b", {"n": "ab"}),
        (b'a/b; n*1="b"; n*0="a"', "a/b", {"n": "ab"}),
        (b"a/b; n*0*=utf-8''%C3; n*1*=%A9; n*2=%41x", "a/b", {"n": "é%41x"}),
        (b"a/b; n*0=%41; n*1*=%42", "a/b", {"n": "%41B"}),
        (b"a/b; n=plain; n*=utf-8''ext", "a/b", {"n": "ext"}),
        (b"a/b; n*0=a; n*2=c", "a/b", {"n*0": "a", "n*2": "c"}),
        (b"a/b; n*1=a", "a/b", {"n*1": "a"}),
        (b"a/b; n*0=a; n*0=b", "a/b", {"n*0": "a"}),
        (b"a/b; n*x=a", "a/b", {"n*x": "a"}),
        (b"a/b; *=a; *0=b", "a/b", {"": "a", "*0": "b"}),
        (b"a/b; n*99999999999999999999=a", "a/b", {"n*99999999999999999999": "a"}),
        (b"", "", {}),
        (b";a=b", "", {"a": "b"}),
        (b"=/;", "", {}),
    ],
)
def test_parameters(value: bytes, main: str, found: dict[str, str]) -> None:
    assert parameters(value) == (main, found)


def test_raw_parameters_stay_encoded_but_joined() -> None:
    """RFC 2231 section 6, for BODYSTRUCTURE."""
    value = b"a/b; x=1; n*0*=utf-8''%C3; n*1=' b"
    assert raw_parameters(value) == (b"a/b", ((b"x", b"1"), (b"n*", b"utf-8''%C3%27")))
    value = b"a/b; n*0*=utf-8''%C3; n*1=\"' b\""
    assert raw_parameters(value)[1] == ((b"n*", b"utf-8''%C3%27%20b"),)


def test_parameters_are_bounded() -> None:
    _, found = raw_parameters(b"a/b" + b"".join(b"; n*%d=x" % i for i in range(100_000)))
    assert found == ((b"n", b"x" * MAX_PARAMETERS),)


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (b"<a@b>", ["a@b"]),
        (b" <a@b> (c)\t<d@e> ", ["a@b", "d@e"]),
        (b"<a@b><d@e>", ["a@b", "d@e"]),
        (b"<a\t @b>", ["a@b"]),
        (b"a@b", []),
        (b"<>", []),
        (b"< >", []),
        (b"<a@b", []),
        (b"<<a@b>>", ["a@b"]),
        (b'Your message of <"x y"@b>', ['"xy"@b']),
        (b"<\xc3\xa9@b>", ["é@b"]),
        (b"<\xff@b>", ["\ufffd@b"]),
    ],
)
def test_message_ids(value: bytes, ids: list[str]) -> None:
    assert message_ids(value) == ids


def test_message_ids_are_bounded() -> None:
    assert len(message_ids(b"<a@b>" * 100_000)) == MAX_MESSAGE_IDS


HOSTILE = {
    "fields": (fields, lambda n: b"a: b\r\n" * n),
    "no fields": (fields, lambda n: b"a" * 50 * n),
    "no fields, many": (fields, lambda n: b"ab cd\n" * n),
    "folds": (fields, lambda n: b"a: b\n" + b" \n" * n),
    "encoded words": (decode, lambda n: b"=?utf-8?q?a?= " * n),
    "words in many charsets": (decode, lambda n: b"=?utf-8?q?a?= =?ascii?q?b?= " * n),
    "half words": (decode, lambda n: b"=?" * n + b"=?a?q?" * n),
    "a word that never ends": (decode, lambda n: b"=?utf-8?q?" + b"a" * 50 * n),
    "base64 in pieces": (decode, lambda n: b"=?utf-8?b?" + b"YQ==" * n + b"?="),
    "parameters": (parameters, lambda n: b"a/b" + b";a=b" * n),
    "pieces": (parameters, lambda n: b"a/b" + b"".join(b";a*%d*=%%41" % (n - i) for i in range(n))),
    "quotes": (parameters, lambda n: b'a/b;a="' + b'\\"' * n),
    "more quotes": (parameters, lambda n: b'a/b;a="\\"' * n),
    "comments": (parameters, lambda n: b"a/b;" + b"(" * n),
    "closed comments": (parameters, lambda n: b"a/b;" + b"()" * n),
    "unquoted words": (parameters, lambda n: b"a/b" + b";a==x" * n),
    "ids": (message_ids, lambda n: b"<" * n + b"< " * n),
    "ids of white space": (message_ids, lambda n: b"< " + b" " * 50 * n),
}


@pytest.mark.parametrize(("work", "make"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_costs_its_length(work, make) -> None:
    assert_linear(work, make, 3_000)


@given(
    st.lists(
        st.sampled_from(
            [
                b"=?",
                b"utf-8",
                b"?q?",
                b"?b?",
                b"?=",
                b"=41",
                b" ",
                b"\xff",
                b"*",
                b"'",
                b";",
                b"n*0=",
                b'"',
                b"(",
            ]
        )
    ).map(b"".join)
)
def test_any_bytes_decode(value: bytes) -> None:
    assert isinstance(decode(value), str)
    main, found = parameters(value)
    assert isinstance(main, str)
    assert all(isinstance(item, str) for pair in found.items() for item in pair)
