"""Part trees: exact offsets, every bound, hostile nesting in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.errors import Damaged
from mail.structure import Limits, Part, find, pack, parse, unpack
from tests.mail.cost import assert_linear


def shape(part: Part) -> object:
    """Types only: ("mixed", [...]) for a multipart, ["rfc822", inner] for a message."""
    if part.children or part.is_multipart:
        return (part.subtype.decode(), [shape(child) for child in part.children])
    if part.message is not None:
        return [part.subtype.decode(), shape(part.message)]
    return part.subtype.decode()


def bodies(content: bytes, part: Part) -> list[bytes]:
    if part.message is not None:
        return bodies(content, part.message)
    if part.is_multipart:
        return [body for child in part.children for body in bodies(content, child)]
    return [content[slice(*part.body)]]


def crlf(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


SIMPLE = b"""Content-Type: multipart/mixed; boundary=b

preamble
--b

one
--b
Content-Type: text/html

two

--b--
epilogue
"""


@pytest.mark.parametrize("content", [SIMPLE, crlf(SIMPLE)], ids=["lf", "crlf"])
def test_offsets_are_exact(content: bytes) -> None:
    root = parse(content)
    end = b"\r\n" if b"\r" in content else b"\n"
    assert shape(root) == ("mixed", ["plain", "html"])
    assert bodies(content, root) == [b"one", b"two" + end]
    assert content[slice(*root.header)] == b"Content-Type: multipart/mixed; boundary=b" + 2 * end
    assert content[slice(*root.body)] == content[root.header[1] :]
    assert content[slice(*root.children[0].header)] == end
    assert content[slice(*root.children[1].header)] == b"Content-Type: text/html" + 2 * end
    assert [part.lines for part in root.children] == [0, 1]


MIXED = b"Content-Type: multipart/mixed; boundary=b\n\n"
DIGEST = b"Content-Type: multipart/digest; boundary=b\n\n--b\n"


@pytest.mark.parametrize(
    ("content", "expected", "texts"),
    [
        (b"", "plain", [b""]),
        (b"\n", "plain", [b""]),
        (b"\nbody", "plain", [b"body"]),
        (b"\r\nbody", "plain", [b"body"]),
        (b"A: b", "plain", [b""]),
        (b"A: b\n", "plain", [b""]),
        (b"A: b\r\n\r\n", "plain", [b""]),
        (b"A: b\n \nC: d\n\nx", "plain", [b"x"]),  # a line of white space goes on with the header
        (b"content-TYPE : multipart/Mixed;BOUNDARY=b\n\n--b\n\nx", ("Mixed", ["plain"]), [b"x"]),
        (b"Content-Type: multipart/mixed\n\n--b\n\nx\n", ("mixed", []), []),  # no boundary
        (b'Content-Type: multipart/mixed; boundary=""\n\n--\n\nx\n', ("mixed", []), []),
        (MIXED + b"", ("mixed", []), []),
        (MIXED + b"--b--\n", ("mixed", []), []),
        (b"Content-Type: multipart/mixed; boundary=b\n--b\n\nx\n", ("mixed", []), []),  # header never ends
        (MIXED + b"--b\n--b\n--b\n--b--", ("mixed", ["plain"] * 3), [b""] * 3),
        (MIXED + b"--b", ("mixed", ["plain"]), [b""]),
        (MIXED + b"x--b\n\n --b\n", ("mixed", []), []),
        # Transport padding, and text behind the boundary (RFC 2046 5.1.1: only the beginning counts).
        (MIXED + b"--b  \t\n\nx\n--bcd\n\ny\n", ("mixed", ["plain"] * 2), [b"x", b"y\n"]),
        # A boundary line in a header ends that header.
        (MIXED + b"--b\nA: b\n--b\n\nx", ("mixed", ["plain"] * 2), [b"", b"x"]),
        (DIGEST + b"\nSubject: x\n\ny\n--b--", ("digest", [["rfc822", "plain"]]), [b"y"]),
        (
            DIGEST + b"Content-Type: text/html\n\ny\n--b--",
            ("digest", ["html"]),
            [b"y"],
        ),
        (b"Content-Type: message/rfc822\n\nA: b\n\nx\n", ["rfc822", "plain"], [b"x\n"]),
        (b"Content-Type: message/GLOBAL\n\nA: b\n\nx\n", ["GLOBAL", "plain"], [b"x\n"]),
        (b"Content-Type: message/rfc822\n\n", ["rfc822", "plain"], [b""]),
        (b"Content-Type: message/partial\n\nx", "partial", [b"x"]),
        (b"Content-Type: text\n\nx", "plain", [b"x"]),
        (b"Content-Type: image\n\nx", "unknown", [b"x"]),
        (b"Content-Type: =\n\nx", "plain", [b"x"]),
        (b"Content-Type: text/html\nContent-Type: image/png\n\nx", "html", [b"x"]),  # the first counts
    ],
)
def test_shapes(content: bytes, expected: object, texts: list[bytes]) -> None:
    root = parse(content)
    assert shape(root) == expected
    assert bodies(content, root) == texts
    if not content.startswith(b"\r"):
        converted = crlf(content)
        assert shape(parse(converted)) == expected
        assert bodies(converted, parse(converted)) == [crlf(text) for text in texts]


def nested(outer: bytes, inner: bytes, middle: bytes) -> bytes:
    return (
        b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\n"
        b"Content-Type: multipart/related; boundary=%b\n\n" % (outer, outer, inner)
    ) + middle


@pytest.mark.parametrize(
    ("outer", "inner"), [(b"ab", b"a"), (b"a", b"ab"), (b"a", b"a--"), (b"=_1", b"=_1_alt"), (b"b", b"c")]
)
def test_boundaries_that_begin_alike(outer: bytes, inner: bytes) -> None:
    content = nested(outer, inner, b"--%b\n\nx\n--%b--\n--%b\n\ny\n--%b--\n" % (inner, inner, outer, outer))
    root = parse(content)
    assert shape(root) == ("mixed", [("related", ["plain"]), "plain"])
    assert bodies(content, root) == [b"x", b"y"]


def test_one_boundary_twice_belongs_to_the_inner() -> None:
    content = nested(b"b", b"b", b"--b\n\nx\n--b--\n--b\n\ny\n--b--\n")
    assert shape(parse(content)) == ("mixed", [("related", ["plain"]), "plain"])


def test_an_inner_multipart_that_is_never_closed() -> None:
    content = nested(b"b", b"c", b"--c\n\nx\n--b\n\ny\n--b--\n")
    assert shape(parse(content)) == ("mixed", [("related", ["plain"]), "plain"])
    assert bodies(content, parse(content)) == [b"x", b"y"]


def test_inner_boundary_after_the_outer_is_closed_means_nothing() -> None:
    content = nested(b"b", b"c", b"--b\n\ny\n--c\nz\n--b--\n--c\n")
    assert bodies(content, parse(content)) == [b"y\n--c\nz"]


def test_a_boundary_longer_than_allowed_is_found() -> None:
    long = b"x" * 300
    content = b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\n\ny\n--%b--\n" % (long, long, long)
    assert len(parse(content).children) >= 1


def test_every_content_field_is_kept() -> None:
    part = parse(
        b'Content-Type: Image/PNG; name="a b.png"; x=y\nContent-Transfer-Encoding: (c) Base64 \n'
        b"Content-ID: <i@d>\nContent-Description: a\n fold\nContent-MD5: q==\n"
        b"Content-Disposition: inline\nContent-Disposition: Attachment; filename*0=a; filename*1*=%62\n"
        b"Content-Language: en, de-CH\nContent-Location: http://x/\n\n"
    )
    assert (part.type, part.subtype, part.encoding) == (b"Image", b"PNG", b"Base64")
    assert part.parameters == ((b"name", b"a b.png"), (b"x", b"y"))
    assert (part.content_id, part.description, part.md5) == (b"<i@d>", b"a fold", b"q==")
    assert part.disposition == b"Attachment", "a file name does not hide behind a bare first field"
    assert part.disposition_parameters == ((b"filename*", b"''a%62"),)
    assert (part.languages, part.location) == ((b"en", b"de-CH"), b"http://x/")
    assert part.parameter(b"name") == b"a b.png"
    assert part.parameter(b"none") is None


NUMBERED = (
    b"Content-Type: multipart/mixed; boundary=a\n\n--a\n\none\n--a\nContent-Type: message/rfc822\n\n"
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nin one\n--b\nContent-Type: message/rfc822\n\n"
    b"Subject: deep\n\ndeep\n--b--\n--a\n"
    b"Content-Type: multipart/related; boundary=c\n\n--c\n\nrelated\n--a--\n"
)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ((1,), b"one"),
        ((2, 1), b"in one"),
        ((2, 2, 1), b"deep"),
        ((3, 1), b"related"),
        ((0,), None),
        ((4,), None),
        ((-1,), None),
        ((1, 1), None),
        ((2, 3), None),
        ((2, 2, 2), None),
        ((2, 2, 1, 1), None),
        ((3, 1, 1), None),
    ],
)
def test_numbers_are_imaps(path: tuple[int, ...], body: bytes | None) -> None:
    part = find(parse(NUMBERED), path)
    assert (part and NUMBERED[slice(*part.body)]) == body


def test_the_only_part_is_number_one() -> None:
    root = parse(b"A: b\n\nx")
    assert find(root, (1,)) is root
    assert find(root, ()) is root
    assert find(root, (2,)) is None
    assert find(root, (1, 1)) is None


def test_a_multipart_without_parts_has_an_empty_text() -> None:
    """As BODYSTRUCTURE shows it, and as in Dovecot: BODY[1] of it is "", not NIL."""
    root = parse(b"Content-Type: multipart/mixed; boundary=b\n\nx")
    part = find(root, (1,))
    assert part is not None
    assert (part.header, part.body, root.numbered) == ((0, 0), (0, 0), (part,))
    assert find(root, (2,)) is None
    assert find(root, (1, 1)) is None
    assert unpack(pack(root)) == root


# -- bounds and hostile input -----------------------------------------------------------


def test_too_many_parts_become_one_leaf() -> None:
    content = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 20
    root = parse(content, Limits(max_parts=5))
    assert root.truncated
    assert len(root.children) == 4
    assert root.children[-1].body[1] == len(content)
    assert not root.children[-1].truncated, "only the root says so"
    assert not parse(content, Limits(max_parts=22)).truncated
    assert len(parse(content, Limits(max_parts=22)).children) == 20


@pytest.mark.parametrize(
    "level",
    [b"Content-Type: message/rfc822\n\n", b"Content-Type: multipart/mixed; boundary=b%d_\n\n--b%d_\n"],
    ids=["message", "multipart"],
)
def test_too_deep_becomes_a_leaf(level: bytes) -> None:
    content = b"".join(level.replace(b"%d", b"%d" % i) for i in range(20))
    root = part = parse(content, Limits(max_depth=5))
    for _ in range(5):
        part = part.message or part.children[0]
    assert root.truncated
    assert (part.type, part.subtype, part.children, part.message) == (
        b"application",
        b"octet-stream",
        (),
        None,
    )
    assert part.body[1] == len(content)
    assert not parse(content, Limits(max_depth=20)).truncated


def test_content_fields_far_down_a_header_are_not_read() -> None:
    content = b"X: y\n" * 100 + b"Content-Type: image/png\n\nx"
    assert parse(content, Limits(max_header_bytes=100)).type == b"text"
    assert content[slice(*parse(content, Limits(max_header_bytes=100)).body)] == b"x"
    assert parse(content).type == b"image"


HOSTILE = {
    "multiparts in each other": lambda n: b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(n // 10)
    ),
    "one boundary for all": lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * (n // 10),
    "messages in each other": lambda n: b"Content-Type: message/rfc822\n\n" * (n // 10),
    "boundaries that begin alike": lambda n: (
        b"".join(
            b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\n" % (b"a" * i, b"a" * i)
            for i in range(1, 99)
        )
        + b"\n--b" * n
    ),
    "almost boundaries": lambda n: (
        b"Content-Type: multipart/mixed; boundary=abc\n\n--abc\n" + b"\n--ab" * n
    ),
    "parts": lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * n,
    "closing lines": lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + b"--b--\n" * n,
    "multiparts that never begin": lambda n: (
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        + b"--b\nContent-Type: multipart/mixed; boundary=c\n\n" * 999
        + b"x" * 50 * n
    ),
    "header fields": lambda n: b"X-A: b\n" * n + b"\nx",
    "content types": lambda n: b"Content-Type: text/plain\n" * n + b"\nx",
    "a long line": lambda n: b"Subject: " + b"x" * 100 * n + b"\n\nx",
    "a line that is no field": lambda n: b"x" * 100 * n,
    "white space": lambda n: b"Content-Type:" + b" " * 100 * n,
    "folds": lambda n: b"Content-Type: text/plain\n" + b" \n" * n + b"\nx",
    "continuations": lambda n: b"Content-Type: a/b" + b"".join(b"; a*%d*=x" % i for i in range(n)),
    "parameters": lambda n: b"Content-Type: a/b" + b"; a=b" * n,
    "semicolons": lambda n: b"Content-Type: a/b" + b";" * n,
    "open comments": lambda n: b"Content-Type: a/b " + b"(" * n,
    "open comments in parameters": lambda n: b"Content-Type: a/b " + b";(" * n,
    "quotes": lambda n: b'Content-Type: a/b; a="' + b'\\"' * n,
    "many open quotes": lambda n: b"Content-Type: a/b" + b';a="\\"' * n,
    "empty lines": lambda n: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"\n" * 10 * n,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_costs_its_length(make) -> None:
    assert_linear(parse, make, 4_000)
    content = make(16_000)
    root = parse(content)
    assert unpack(pack(root)) == root


def test_ten_thousand_levels_and_a_hundred_thousand_parts_are_told() -> None:
    assert parse(HOSTILE["multiparts in each other"](100_000)).truncated
    assert parse(HOSTILE["messages in each other"](100_000)).truncated
    assert parse(HOSTILE["parts"](100_000)).truncated
    assert parse(b"Subject: " + b"x" * 10_000_000 + b"\n\nbody").body[1] == 10_000_000 + 15


def test_twenty_five_megabytes_in_under_a_tenth_of_a_second() -> None:
    attachment = (
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + b"QUJD" * 19 * 40_000
    )
    attachment = attachment.replace(b"QUJD" * 19, b"QUJD" * 19 + b"\r\n")
    part = b"--b\r\n" + attachment + b"\r\n"
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 9 + b"--b--\r\n"
    assert len(content) > 25_000_000
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        root = parse(content)
        best = min(best, time.process_time() - start)
    assert len(root.children) == 9
    assert best < 0.1


# -- packing and fuzz -----------------------------------------------------------------------

FRAGMENTS = [
    b"Content-Type: multipart/mixed; boundary=a",
    b"Content-Type: multipart/digest; boundary=ab",
    b"--a",
    b"--ab",
    b"--a--",
    b"--ab--",
    b"Content-Type: message/rfc822",
    b"Content-Type: text/plain; charset=\xff; a*0*=x''%41; a*1=\"b;\"",
    b'Content-Disposition: attachment; filename="x',
    b"Content-Language: a,b",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b" ",
    b"x",
    b"\0",
    b"\xff",
    b":",
    b"Content-ID: \xe9",
    b"\r",
]


def check(content: bytes, part: Part, low: int, high: int) -> None:
    """A part lies within what holds it, and its parts lie in order within it."""
    assert low <= part.header[0] <= part.header[1] == part.body[0] <= part.body[1] <= high
    position = part.body[0]
    for child in (*part.children, *([part.message] if part.message else [])):
        check(content, child, position, part.body[1])
        position = child.body[1]
    assert part.lines == content.count(b"\n", *part.body)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(b"".join) | st.binary(max_size=200))
def test_any_bytes_make_a_tree_that_packs(content: bytes) -> None:
    root = parse(content)
    check(content, root, 0, len(content))
    assert root.header[0] == 0
    assert root.body[1] == len(content)
    assert unpack(pack(root)) == root
    check(content, parse(content, Limits(max_parts=3, max_depth=2)), 0, len(content))


def test_packing_is_compact_and_ascii() -> None:
    packed = pack(parse(SIMPLE))
    assert len(packed) < 200
    assert packed.isascii()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[1,2]",
        b"\xff",
        b"[0,0,0,0,0,1,2]",
        b"[" * 100_000,
        b'[0,1,1,2,0,"\xe2\x82\xac","a"]',
        '[0,1,1,2,0,"\u20ac","a"]'.encode(),
        b'[0,1,1,2,0,"a","b",["x"]]',
    ],
)
def test_what_was_not_packed_is_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        unpack(data)
