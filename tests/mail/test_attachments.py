"""P10: what counts, and how much; no spelling of a name or of a tree hides an attachment."""

from __future__ import annotations

import base64

import pytest

from mail.attachments import TEXT_OCTETS, Role, attachments, counts
from mail.structure import Limits, parse


def message(*parts: bytes, subtype: bytes = b"mixed") -> bytes:
    return (
        b"Content-Type: multipart/"
        + subtype
        + b"; boundary=b\n\n--b\n"
        + b"\n--b\n".join(parts)
        + b"\n--b--\n"
    )


def counted(content: bytes) -> tuple[int, int]:
    return counts(content, parse(content))


@pytest.mark.parametrize(
    ("header", "filename"),
    [
        (b"Content-Disposition: attachment", ""),
        (b"Content-Disposition: ATTACHMENT", ""),
        (b"Content-Disposition: (c) attachment", ""),
        (b"Content-Disposition: inline; filename=a.txt", "a.txt"),
        (b"Content-Disposition: x-other; filename=a.txt", "a.txt"),
        (b"Content-Disposition: inline\nContent-Disposition: attachment; filename=a.txt", "a.txt"),
        (b'Content-Disposition: attachment; filename="a', "a"),
        (b"Content-Disposition: attachment;\n filename*0=a.;\n filename*1=txt", "a.txt"),
        (b"Content-Disposition: attachment; filename*=utf-8''%C3%A9.txt", "é.txt"),
        (
            b"Content-Disposition: attachment; filename*1*=%2E; filename*0*=utf-8''%C3%A9; filename*2=txt",
            "é.txt",
        ),
        (b'Content-Disposition: attachment; filename="=?utf-8?q?=C3=A9?="', "é"),
        (b"Content-Type: text/plain; name=a.txt", "a.txt"),
        (b"Content-Type: text/html; NAME*=utf-8''%C3%A9", "é"),
        (b"Content-Type: text/plain; name=b\nContent-Disposition: attachment; filename=a", "a"),
        (b"Content-Type: application/pdf; name=a.pdf", "a.pdf"),
        (b'Content-Disposition: attachment; filename="../../etc/passwd"', "../../etc/passwd"),
    ],
)
def test_an_attachment(header: bytes, filename: str) -> None:
    content = message(b"\ntext", header + b"\n\n12345")
    (found,) = attachments(content, parse(content))
    assert (found.filename, found.size, found.role) == (filename, 5, Role.ATTACHMENT)
    assert counted(content) == (1, 5)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Content-Type: text/html",
        b"Content-Type: TEXT/calendar; method=REQUEST",
        b"Content-Disposition: inline",
        b"Content-Disposition: INLINE; filename",
        b'Content-Type: text/plain; name=""',
        b'Content-Type: text/plain; name=""; charset=utf-8',
        b"Content-Transfer-Encoding: 8BIT",
        b"Subject: name=a",
    ],
)
def test_the_text_is_no_attachment(header: bytes) -> None:
    content = message(b"\ntext", header + b"\n\n12345")
    assert counted(content) == (0, 0) and attachments(content, parse(content)) == ()


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Type: application/octet-stream",
        b"Content-Type: application/octet-stream\nContent-Disposition: inline",
        b"Content-Type: application/pgp-signature",
        b"Content-Type: image/png\nContent-ID: <a>",
        b"Content-Type: video/mp4",
        b"Content-Type: x/y",
        b"Content-Type: multipart/mixed",
        b"Content-Type: message/external-body; access-type=URL",
        b"Content-Disposition: x-other",
        b"Content-Disposition: =?utf-8?q?attachment?=",
        b"Content-Disposition:",
        b"Content-Disposition: inline filename=a",
        b"Content-Disposition: inline (; filename=a)",
        b"Content-Type: text/plain name=a",
        b'Content-Type: text/plain; name=""; Name*0=a',
        b"Content-Transfer-Encoding: x-uuencode",
    ],
)
def test_what_is_not_the_text_counts_without_a_name(header: bytes) -> None:
    content = message(b"\ntext", header + b"\n\n12345")
    assert counted(content) == (1, 5)


@pytest.mark.parametrize(
    ("kind", "first", "second", "expected"),
    [
        (b"signed", b"text/plain", b"application/pgp-signature; name=a.asc", (0, 5)),
        (b"signed", b"text/plain", b"application/pkcs7-signature; name=smime.p7s", (0, 5)),
        (b"SIGNED", b"text/plain", b"APPLICATION/x-pkcs7-signature", (0, 5)),
        (b"signed", b"application/pgp-signature", b"application/pgp-signature", (1, 10)),
        (b"mixed", b"text/plain", b"application/pgp-signature", (1, 5)),
        (b"signed", b"text/plain", b"application/pdf", (1, 5)),
        (b"encrypted", b"application/pgp-encrypted", b"application/octet-stream", (1, 10)),
        (b"report", b"text/plain", b"message/delivery-status", (0, 5)),
        (b"report", b"text/plain", b"message/disposition-notification", (0, 5)),
        (b"appledouble", b"application/applefile", b"application/pdf; name=a", (1, 10)),
    ],
)
def test_apparatus_counts_in_octets_only(
    kind: bytes, first: bytes, second: bytes, expected: tuple[int, int]
) -> None:
    parts = [b"Content-Type: " + each + b"\n\n12345" for each in (first, second)]
    assert counted(message(*parts, subtype=kind)) == expected


def test_only_one_part_of_each_kind_is_apparatus() -> None:
    part = b"Content-Type: application/pgp-signature\n\n12345"
    assert counted(message(b"\ntext", part, part, part, subtype=b"signed")) == (2, 15)


def test_text_beyond_a_megabyte_counts_in_octets() -> None:
    half = b"\n" + b"x" * (TEXT_OCTETS // 2)
    assert counted(message(half, half)) == (0, 0)
    assert counted(message(half, half, b"Content-Type: text/html\n\n12345")) == (0, 5)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Content-Type: image/png\nContent-ID: <a>", (0, 5)),
        (b"Content-Type: image/png; name=a.png\nContent-ID: <a>", (0, 5)),
        (b"Content-Type: image/png; name=a.png\nContent-Disposition: inline", (0, 5)),
        (b"Content-Type: image/png; name=a.png\nContent-Location: a", (0, 5)),
        (b"Content-Type: image/png; name=a.png", (1, 5)),
        (b"Content-Type: audio/ogg\nContent-ID: <a>", (1, 5)),
        (b"Content-Type: image/png\nContent-ID: <a>\nContent-Disposition: attachment", (1, 5)),
        (
            b"Content-Type: application/pdf; name=a.pdf\nContent-ID: <a>\nContent-Disposition: inline",
            (1, 5),
        ),
    ],
)
def test_inline_pictures_count_in_octets_only(header: bytes, expected: tuple[int, int]) -> None:
    assert (
        counted(message(b"Content-Type: text/html\n\n<img>", header + b"\n\n12345", subtype=b"related"))
        == expected
    )


def test_a_picture_outside_related_is_an_attachment() -> None:
    header = b"Content-Type: image/png; name=a.png\nContent-ID: <a>\nContent-Disposition: inline"
    assert counted(message(header + b"\n\n12345")) == (1, 5)


def test_an_embedded_message_is_one_whatever_it_holds() -> None:
    inner = message(
        b"Content-Disposition: attachment\n\n1", b"Content-Disposition: attachment\n\n2"
    ).replace(b"=b", b"=c")
    inner = inner.replace(b"--b", b"--c")
    content = message(b"\ntext", b"Content-Type: message/rfc822\n\n" + inner)
    (found,) = attachments(content, parse(content))
    assert found.type == "message/rfc822"
    assert found.size == len(inner.rstrip(b"\n")) or found.size == len(inner)
    assert counted(content)[0] == 1


def test_an_encoded_message_counts_with_the_octets_that_stand_there() -> None:
    header = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
    assert counted(message(header + b"QUFB")) == (1, 4)


def test_decoded_octets_count() -> None:
    data = bytes(range(256)) * 40
    header = b"Content-Type: application/pdf; name=a\nContent-Transfer-Encoding: base64\n\n"
    content = message(header + base64.encodebytes(data), header + base64.encodebytes(data), b"\ntext")
    assert counted(content) == (2, 2 * len(data))


def test_a_message_that_is_an_attachment() -> None:
    content = b"Content-Type: application/pdf; name=a.pdf\n\n12345"
    assert counted(content) == (1, 5)


def test_nested_multiparts_are_walked() -> None:
    inner = message(b"Content-Disposition: attachment\n\n1").replace(b"=b", b"=c").replace(b"--b", b"--c")
    assert counted(message(b"\nx", inner, b"Content-Disposition: attachment\n\n22")) == (2, 3)


def test_a_truncated_tree_says_so() -> None:
    """Parts beyond the bound are not counted, so that the caller has to look at this."""
    content = message(*[b"Content-Disposition: attachment\n\n1"] * 20)
    root = parse(content, Limits(max_parts=5))
    assert root.truncated
    assert counts(content, root)[0] < 20


def test_uuencoded_text_counts_as_text() -> None:
    content = message(
        b"Content-Type: text/plain; name=a\nContent-Transfer-Encoding: x-uuencode\n\n"
        b"begin 644 a\n#86)C\n`\nend"
    )
    assert counted(content) == (1, len(b"begin 644 a\n#86)C\n`\nend"))
