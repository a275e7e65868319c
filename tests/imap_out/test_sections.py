"""BODY[...]: parsing at its edges, header subsets byte for byte, in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap_out import sections
from imap_out.grammar import Arguments
from imap_out.sections import Section, Spec
from mail import structure
from mail.errors import Refusal

HEADER = b"Subject: a\r\n b\r\nX-Y : c\r\nno colon here\r\n folded\r\nsubject:d\nTo:\r\n\r\n"


def parse(text: bytes) -> Section:
    return sections.parse(Arguments((text,)))


@pytest.mark.parametrize(
    ("text", "section"),
    [
        (b"[]", Section()),
        (b"[header]<0.5>", Section(Spec.HEADER, partial=(0, 5))),
        (b"[1.2.3]", Section(path=(1, 2, 3))),
        (b"[1.mime]", Section(Spec.MIME, (1,))),
        (b"[4.2.TEXT]", Section(Spec.TEXT, (4, 2))),
        (b"[HEADER.FIELDS (a B)]", Section(Spec.FIELDS, fields=(b"A", b"B"))),
        (
            b'[3.HEADER.FIELDS.NOT ("a")]<7.4294967295>',
            Section(Spec.FIELDS_NOT, (3,), (b"A",), (7, 4294967295)),
        ),
    ],
)
def test_parse(text, section):
    assert parse(text) == section
    assert parse(section.label().split(b"<")[0]).path == section.path


@pytest.mark.parametrize(
    "text",
    [
        b"[",
        b"[x]",
        b"[1",
        b"[01]",
        b"[1.]",
        b"[1.0]",
        b"[MIME]",
        b"[HEADER.FIELDS]",
        b"[HEADER.FIELDS ()]",
        b"[1 ]",
        b"[]<0>",
        b"[]<0.0>",
        b"[]<-1.5>",
        b"[" + b"1." * 300 + b"1]",
        b"[HEADER.FIELDS (a]",
    ],
)
def test_parse_refuses(text):
    with pytest.raises(Refusal):
        parse(text)


def choose(header: bytes, *names: bytes, keep: bool = True) -> bytes:
    """By the few and by the many names alike; both ways must agree."""
    spec = Spec.FIELDS if keep else Spec.FIELDS_NOT
    few = sections.chooser(Section(spec, fields=names))(header)
    many = sections.chooser(Section(spec, fields=(*names, *(b"-%d" % n for n in range(100)))))(header)
    assert few == many
    return few


def test_subsets_are_byte_exact():
    assert choose(HEADER, b"SUBJECT") == b"Subject: a\r\n b\r\nsubject:d\n\r\n"
    assert choose(HEADER, b"X-Y") == b"X-Y : c\r\n\r\n"
    assert choose(HEADER, b"SUBJECT", keep=False) == b"X-Y : c\r\nTo:\r\n\r\n"
    assert choose(HEADER, b"NONE", b".*", b"X") == b"\r\n"
    assert choose(b"", b"X", keep=False) == b"\r\n"
    assert choose(b"A: b", b"A") == b"A: b\r\n\r\n"


@given(
    st.lists(st.sampled_from([b"A", b"ab", b":", b" ", b"\t", b"\r", b"\n", b"x", b"\xff"]), max_size=40)
)
def test_both_ways_agree_on_any_octets(pieces):
    for keep in (True, False):
        choose(b"".join(pieces), b"A", b"AB", keep=keep)
        choose(b"".join(pieces), b":", b"A:A", b"", b"A ", keep=keep)


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 1000000,
        b"x" + b" " * 1000000,
        b"x:\r\n" + b" y\r\n" * 300000,
        b"x\r\n" * 300000,
        b"a:b\r\n" * 200000,
        b" \t" * 500000,
        b"\r" * 1000000,
        b":" * 1000000,
    ],
)
def test_subsets_are_linear(line):
    started = time.perf_counter()
    choose(line, b"X")
    assert time.perf_counter() - started < 2


@given(st.binary(max_size=300), st.integers(0, 50), st.integers(1, 50))
def test_any_message_gives_octets_or_nil(content, first, most):
    """Returns octets of the message or None, nothing else."""
    root = structure.parse(content)
    for spec in Spec:
        for path in ((), (1,), (2,), (1, 1)):
            if spec is Spec.MIME and not path:
                continue
            fields = (b"A",) if spec in (Spec.FIELDS, Spec.FIELDS_NOT) else ()
            whole = sections.of_message(content, root, Section(spec, path, fields))
            part = sections.of_message(content, root, Section(spec, path, fields, (first, most)))
            if whole is None:
                assert part is None
            else:
                assert part == whole[first : first + most]
    assert sections.of_message(content, root, Section()) == content
