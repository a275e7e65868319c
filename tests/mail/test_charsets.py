"""Charset names from strangers: only charsets reach Python's registry."""

from __future__ import annotations

import encodings

import pytest

from mail.charsets import decode


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"\xc3\xa9", "utf-8", "é"),
        (b"\xc3\xa9", "UTF8", "é"),
        (b"\xe9", "ISO-8859-1", "é"),
        (b"\xe9", "latin1", "é"),
        (b"\xe9", "iso_8859-15", "é"),
        (b"\x80", "windows-1252", "€"),
        (b"\xe9", "us-ascii", "é"),
        (b"\xc3\xa9", "us-ascii", "é"),
        (b"\xc3\xa9", "", "é"),
        (b"\xc3\xa9", "unknown-8bit", "é"),
        (b"\xff", "utf-8", "\ufffd"),
        (b"a\0", "utf-16-le", "a"),
        (b"+AOk-", "utf-7", "é"),
        (b"\x81\x30\x81\x30", "gb2312", "\x80"),
        (b"\xe0", "iso-8859-8-i", "א"),
        (b"616a", "hex", "616a"),
        (b"abc", "rot13", "abc"),
        (b"a-", "punycode", "a-"),
        (b"a", "idna", "a"),
        (b"a", "undefined", "a"),
        (b"a", "a" * 1000, "a"),
        (b"a", "utf-8\0", "a"),
        (b"a", "../x", "a"),
        (b"a", "ütf-8", "a"),
        (b"", "utf-8", ""),
    ],
)
def test_decodes(data: bytes, charset: str, text: str) -> None:
    assert decode(data, charset) == text


def test_unknown_names_are_not_remembered() -> None:
    """Python caches each name it was ever asked for: that would be a leak that strangers fill."""
    before = len(encodings._cache)
    for number in range(1000):
        decode(b"\xe9", f"x-made-up-{number}")
    assert len(encodings._cache) <= before + 2


@pytest.mark.parametrize("name", sorted(set(encodings.aliases.aliases)))
def test_no_known_name_raises(name: str) -> None:
    assert isinstance(decode(b"+-\xff\0abc=", name), str)
