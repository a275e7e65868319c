"""P9: `;` between addresses becomes `,`, and nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.addresses import parse
from mail.separators import mend
from tests.mail.cost import assert_linear


@pytest.mark.parametrize(
    ("value", "mended"),
    [
        (b"a@x; b@y", b"a@x, b@y"),
        (b"a@x;b@y ;c@z", b"a@x,b@y ,c@z"),
        (b"a@x; b@y;", b"a@x, b@y "),
        (b"a@x;; b@y", b"a@x,  b@y"),
        (b"; a@x", b"  a@x"),
        (b"a@x, b@y; c@z", b"a@x, b@y, c@z"),
        (b"a@x;, b@y", b"a@x , b@y"),
        (b"a@x,; b@y", b"a@x,  b@y"),
        (b'"A; B" <a@x>; b@y', b'"A; B" <a@x>, b@y'),
        (b"A (c; d) <a@x>; b@y (;)", b"A (c; d) <a@x>, b@y (;)"),
        (b"a@x; (c) b@y", b"a@x, (c) b@y"),
        (b"a@x; (c)", b"a@x  (c)"),
        (b"a@x;\r\n b@y", b"a@x,\r\n b@y"),
        (b"Group: a@x, b@y;", b"Group: a@x, b@y;"),
        (b"Group: a@x;, b@y; c@z", b"Group: a@x;, b@y, c@z"),
        (b"undisclosed-recipients:;", b"undisclosed-recipients:;"),
        (b"Team: a@x; b@y", b"Team: a@x;, b@y"),
        (b"Team: a@x;b@y;c@z", b"Team: a@x;,b@y,c@z"),
        (b"Team: a@x;; b@y", b"Team: a@x;, b@y"),
        (b"Team: a@x; (c) b@y;", b"Team: a@x;, (c) b@y "),
        (b"Team: a@x;\r\n B <b@y>", b"Team: a@x;,\r\n B <b@y>"),
        (b'c@z; Team: a@x; Other:; "Q" <b@y>', b'c@z, Team: a@x;, Other:;, "Q" <b@y>'),
        (b"Team: a@x; , b@y", b"Team: a@x; , b@y"),
        (b"Team: a@x; (c)", b"Team: a@x; (c)"),
        (b"<@r,@s:a@x>; b@y", b"<@r,@s:a@x>, b@y"),
        (b"<a;b@x>; c@y", b"<a;b@x>, c@y"),
        (b"a@[1;2]; b@y", b"a@[1;2], b@y"),
        (b'"never closed; a@x', b'"never closed; a@x'),
        (b"a@x, b@y", b"a@x, b@y"),
        (b"", b""),
        (b";", b" "),
    ],
)
@pytest.mark.parametrize("name", [b"To", b"CC", b"bcc", b"Resent-To", b"Reply-To", b"From", b"To "])
def test_mends(name: bytes, value: bytes, mended: bytes) -> None:
    before, after = b"Subject: a; b\r\n" + name + b": ", b"\r\nX-To: a; b\r\n\r\n"
    assert mend(before + value + after) == before + mended + after


@pytest.mark.parametrize(
    "block",
    [b"", b"Subject: a; b\r\n", b"Content-Type: a/b; c=d\r\n", b"X: y\r\n To: a; b\r\n", b"To\r\n: a; b"],
)
def test_leaves_other_fields_alone(block: bytes) -> None:
    assert mend(block) is block or mend(block) == block


def test_every_field_of_several() -> None:
    assert (
        mend(b"To: a@x; b@y\nCc: c@z; d@w\nTo: e@v; f@u\n") == b"To: a@x, b@y\nCc: c@z, d@w\nTo: e@v, f@u\n"
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"To: " + b"a:;" * n,
        lambda n: b"To: " + b"a;" * n,
        lambda n: b"To: a;b\n" * n,
        lambda n: b"To: ;" + b"(" * n,
    ],
)
def test_hostile_input_costs_its_length(make) -> None:
    assert_linear(mend, make, 2_000)


@given(
    st.lists(
        st.sampled_from(["a@x.test", "B C <b@y.test>", '"d; e" <f@z.test>', "g@h.test (i; j)"]), min_size=1
    ),
    st.sampled_from([";", " ; ", ";\r\n\t"]),
)
def test_reads_as_if_it_had_been_written_with_commas(addresses: list[str], separator: str) -> None:
    written = f"To: {separator.join(addresses)}\r\n".encode()
    mended = mend(written)
    assert len(mended) == len(written)
    assert parse(mended[4:]) == parse(", ".join(addresses).encode())


@given(st.text(alphabet='ab@.<>,;:"()[]\\ \r\n', max_size=40).map(str.encode))
def test_only_separators_change_and_only_once(value: bytes) -> None:
    block = b"To: " + value
    mended = mend(block)
    assert mended.translate(None, b",; ") == block.translate(None, b",; ")
    added = len(mended) - len(block)
    assert 0 <= added <= block.count(b";") and (not added or b":" in value)
    assert mend(mended) == mended
