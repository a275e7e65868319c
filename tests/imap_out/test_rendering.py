"""ENVELOPE, BODY and BODYSTRUCTURE: the examples of the RFC, and nothing that breaks the wire."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imap_out.grammar import Arguments
from imap_out.rendering import (
    MAX_QUOTED,
    MAX_REPEATED,
    MAX_VALUE,
    body,
    envelope,
    nstring,
    string,
    summarise,
)
from imap_out.sections import of_message
from imap_out.sections import parse as section
from mail.addresses import MAX_ADDRESSES
from mail.structure import Limits, parse, unpack
from tests.corpus.reading import tree
from tests.mail.cost import assert_linear
from tests.mail.test_structure import FRAGMENTS, HOSTILE

# RFC 3501 section 8, the session's message.
IMC = (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
    b"From: Terry Gray <gray@cac.washington.edu>\r\n"
    b"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
    b"To: imap@cac.washington.edu\r\n"
    b"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
    b"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"
)


def test_the_envelope_of_the_rfc() -> None:
    gray = b'(("Terry Gray" NIL "gray" "cac.washington.edu"))'
    assert envelope(IMC) == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" '
        + b" ".join([gray] * 3)
        + b' ((NIL NIL "imap" "cac.washington.edu")) ((NIL NIL "minutes" "CNRI.Reston.VA.US")'
        b'("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "<B27397-0100000@cac.washington.edu>")'
    )


def test_the_body_of_the_rfc() -> None:
    content = IMC + b"x" * 76 + b"\r\n" + b"y\r\n" * 91
    root = parse(content)
    assert body(
        content, root, extended=False
    ) == b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7bit" %d 92)' % (len(content) - len(IMC))


def test_a_nested_structure() -> None:
    content = (
        b"Content-Type: multipart/mixed; boundary=b\r\nContent-Language: en\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n"
        b"Content-Type: message/RFC822\r\nContent-Disposition: inline\r\n\r\n"
        b"Subject: in\r\n\r\nx\r\n--b\r\n"
        b'Content-Type: Application/PDF; name="a\\"b.pdf"\r\nContent-Transfer-Encoding: BASE64\r\n'
        b"Content-ID: <i>\r\nContent-MD5: m\r\nContent-Location: l\r\n\r\nQUJD\r\n--b--\r\n"
    )
    text = b'"text" "plain" ("charset" "us-ascii") NIL NIL "7bit" %d %d'
    inner = b'(NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL)'
    pdf = b'"Application" "PDF" ("name" "a\\"b.pdf") "<i>" NIL "BASE64" 4'
    root = parse(content)
    assert body(content, root, extended=False) == (
        b"((%b)" % (text % (2, 0))
        + b'("message" "rfc822" NIL NIL NIL "7bit" 16 %b (%b) 2)' % (inner, text % (1, 0))
        + b'(%b) "mixed")' % pdf
    )
    assert body(content, root, extended=True) == (
        b"((%b NIL NIL NIL NIL)" % (text % (2, 0))
        + b'("message" "rfc822" NIL NIL NIL "7bit" 16 %b (%b NIL NIL NIL NIL) 2 NIL ("inline" NIL) NIL NIL)'
        % (inner, text % (1, 0))
        + b'(%b "m" NIL NIL "l") "mixed" ("boundary" "b") NIL ("en") NIL)' % pdf
    )


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (b"", b'""'),
        (b"NIL", b'"NIL"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"tab\there", b'"tab\there"'),
        (b"\xc3\xa9", b"{2}\r\n\xc3\xa9"),
        (b"\xff", b"{1}\r\n\xff"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"a\nb", b"{3}\r\na\nb"),
        (b"a\rb", b"{3}\r\na\rb"),
        (b"a\0b", b"{2}\r\nab"),
        (b"{3}", b'"{3}"'),
        (b"x" * MAX_QUOTED, b'"' + b"x" * MAX_QUOTED + b'"'),
        (b"x" * (MAX_QUOTED + 1), b"{%d}\r\n" % (MAX_QUOTED + 1) + b"x" * (MAX_QUOTED + 1)),
    ],
)
def test_strings(value: bytes, wire: bytes) -> None:
    assert string(value) == nstring(value) == wire


def test_nil() -> None:
    assert nstring(None) == b"NIL"


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (b"", [None] * 10),
        (b"Subject:\n", [None, b"", *[None] * 8]),
        (b"Subject: a\nSubject: b\n", [None, b"b", *[None] * 8]),
        (b"Subject: a \t b\n\tc\n", [None, b"a b c", *[None] * 8]),
        (b"To:\nCc: ,\n", [None] * 10),
        (
            b"From: a@b\nSender:\nReply-To: c@d\n",
            [
                None,
                None,
                [[None, None, b"a", b"b"]],
                [[None, None, b"a", b"b"]],
                [[None, None, b"c", b"d"]],
                *[None] * 5,
            ],
        ),
        (
            b"To: a@b\nTo: c@d\n",
            [*[None] * 5, [[None, None, b"a", b"b"], [None, None, b"c", b"d"]], *[None] * 4],
        ),
        (
            b"Bcc: G: a@b;\n",
            [*[None] * 7, [[None, None, b"G", None], [None, None, b"a", b"b"], [None] * 4], None, None],
        ),
        (b"In-Reply-To: <a>\nMessage-ID: <b>\n", [*[None] * 8, b"<a>", b"<b>"]),
    ],
)
def test_envelopes(header: bytes, fields: list[object]) -> None:
    assert tree(envelope(header)) == [fields]


@pytest.mark.parametrize(
    "attack",
    [b'"', b"\\", b'") BODY ("', b"\r", b"{5}", b")", b"\xff", b"\0", b'\\"', b"=?utf-8?q?=0D=0A?="],
)
def test_no_header_ends_the_response(attack: bytes) -> None:
    """CR and LF cannot be in an unfolded value; everything else comes back as it was."""
    content = b"Subject: a%bb\n\n" % attack
    (fields,) = tree(envelope(content))
    assert len(fields) == 10
    assert fields[1] == b"a%bb" % attack.replace(b"\0", b"")
    content = b'Content-Type: a/b; n="%b"\nContent-Description: %b\n\n' % (
        attack.replace(b'"', b'\\"'),
        attack,
    )
    (shown,) = tree(body(content, parse(content), extended=True))
    assert len(shown) == 11


def test_a_multipart_without_parts_shows_an_empty_text() -> None:
    """RFC 3501 section 9: body-type-mpart has one part at least."""
    content = b"Content-Type: multipart/mixed; boundary=b\n\nno part"
    assert body(content, parse(content), extended=False) == (
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")'
    )
    root = parse(content)
    for label in (b"1", b"1.MIME"):
        assert of_message(content, root, section(Arguments((b"[" + label + b"]",)))) == b"", label
    for label in (b"2", b"1.1", b"1.TEXT"):
        assert of_message(content, root, section(Arguments((b"[" + label + b"]",)))) is None, label


def test_bounds_of_an_envelope() -> None:
    many = b"To: a@b\n" * (MAX_REPEATED + 50) + b"Subject: " + b"x" * (2 * MAX_VALUE) + b"\n"
    (fields,) = tree(envelope(many))
    assert len(fields[5]) == MAX_REPEATED
    assert len(fields[1]) == MAX_VALUE
    (fields,) = tree(envelope(b"To: " + b"a@b," * 100_000))
    assert len(fields[5]) == MAX_ADDRESSES


def check_body(shown: list[object], extended: bool) -> None:
    """RFC 3501 section 9: body-type-mpart and body-type-1part have so many fields."""
    if isinstance(shown[0], list):
        position = 0
        while isinstance(shown[position], list):
            check_body(shown[position], extended)
            position += 1
        assert len(shown) - position == (5 if extended else 1)
        return
    kind, subtype = shown[0].lower(), shown[1].lower()
    extra = 1 if kind == b"text" else 3 if kind == b"message" and subtype in (b"rfc822", b"global") else 0
    assert len(shown) == 7 + extra + (4 if extended else 0)
    assert re.fullmatch(rb"\d+", shown[6])


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(b"".join) | st.binary(max_size=200))
def test_any_bytes_give_balanced_responses(content: bytes) -> None:
    summary = summarise(content)
    (fields,) = tree(summary.envelope)
    assert len(fields) == 10
    for wire, extended in ((summary.body, False), (summary.body_structure, True)):
        (shown,) = tree(wire)
        check_body(shown, extended)
    assert content.startswith(summary.header)
    assert unpack(summary.parts) == parse(content)


@pytest.mark.parametrize(
    "limits", [Limits(max_parts=3), Limits(max_depth=1), Limits(max_parts=1), Limits(max_depth=0)]
)
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_structure_cut_short_is_still_valid(make, limits: Limits) -> None:
    content = make(300)
    root = parse(content, limits)
    for extended in (False, True):
        (shown,) = tree(body(content, root, extended=extended))
        check_body(shown, extended)


@pytest.mark.parametrize(
    "make",
    [
        *HOSTILE.values(),
        lambda n: b"To: " + b"a@b," * n,
        lambda n: b"To: a@b\n" * n,
        lambda n: b"Subject: " + b"=?utf-8?q?a?= " * n,
        lambda n: b"From: " + b"(" * n,
        lambda n: b"Message-ID: " + b"<" * n,
        lambda n: b"References: " + b"<a@b>" * n,
        lambda n: b"Date: " + b"1 Jan " * n,
        lambda n: b"\n" + b"\xff" * n,
    ],
)
def test_summaries_of_hostile_input_cost_its_length(make) -> None:
    assert_linear(summarise, make, 2_000)


def test_a_summary() -> None:
    content = (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.test>\r\nTo: a@b.test\r\nTo: c@d.test\r\n"
        b"Cc: e@f.test\r\nBcc: g@h.test\r\n"
        b"Subject: =?utf-8?b?w6k=?= there\r\nDate: Wed, 17 Jul 1996 02:44:25 -0700\r\nMessage-ID: <i@d>\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\ncaf\xc3\xa9\r\n"
    )
    summary = summarise(content)
    assert summary.size == len(content)
    assert summary.header + b"caf\xc3\xa9\r\n" == content
    assert (summary.message_id, summary.sent, summary.subject) == ("i@d", 837596665, "é there")
    assert (summary.from_, summary.to) == ("Jürgen <j@x.test>", "a@b.test\nc@d.test")
    assert (summary.cc, summary.bcc) == ("e@f.test", "g@h.test")
    assert (summary.text, summary.text_complete) == ("café\r\n", True)


def test_a_summary_of_nothing() -> None:
    summary = summarise(b"")
    assert (summary.size, summary.header, summary.message_id, summary.sent, summary.text) == (
        0,
        b"",
        "",
        0,
        "",
    )


def test_a_typical_message_is_summarised_in_half_a_millisecond() -> None:
    """0.25 ms when the machine has nothing else to do."""
    content = (
        IMC.replace(b"TEXT/PLAIN; CHARSET=US-ASCII", b"multipart/alternative; boundary=b")
        + b"--b\r\nContent-Type: %b; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n%b\r\n"
        % (
            b"text/html",
            b"<p>some =3D text</p>\r\n" * 160,
        )
        + b"--b--\r\n"
    )
    best = 1.0
    for _ in range(50):
        start = time.process_time()
        summarise(content)
        best = min(best, time.process_time() - start)
    assert best < 0.0005
