"""The search finds a canary in every form, at every place, and nothing where nothing is."""

from __future__ import annotations

import base64
import json
import quopri
import secrets
import urllib.parse

import pytest

from tests.privacy.canaries import Canaries

WAYS = {
    "raw": lambda w: w.encode(),
    "upper": lambda w: w.upper().encode(),
    "mixed": lambda w: w.title().swapcase().encode(),
    "utf-16": lambda w: w.encode("utf-16"),
    "utf-16-be": lambda w: w.encode("utf-16-be"),
    "hex": lambda w: w.encode().hex().encode(),
    "HEX": lambda w: w.encode().hex().upper().encode(),
    "quoted-printable, soft line end": lambda w: quopri.encodestring(("ü" + "x" * 70 + w).encode()),
    "url": lambda w: urllib.parse.quote(w).encode(),
    "json": lambda w: json.dumps({"a": w}).encode(),
    "base64 in lines": lambda w: base64.encodebytes(("y" * 50 + w + "z" * 50).encode()),
    "base64 at 1": lambda w: base64.b64encode(("a" + w).encode()),
    "base64 at 2": lambda w: base64.b64encode(("ab" + w).encode()),
    "base64 of upper at 1": lambda w: base64.b64encode(("a" + w.upper()).encode()),
    "base64url": lambda w: base64.urlsafe_b64encode(("abcd" + w).encode()),
    "base64 of utf-16": lambda w: base64.b64encode(w.encode("utf-16-le")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("before", [b"", b"\x00\xff", b"line\r\n"])
def test_finds_each_form(way: str, before: bytes) -> None:
    canaries = Canaries()
    planted, _ = canaries["planted"], canaries["absent"]
    found = canaries.found_in(before + WAYS[way](planted) + b"\x80 after")
    assert {name for name, _ in found} == {"planted"}


def test_finds_nothing_in_noise() -> None:
    canaries = Canaries()
    for number in range(20):
        canaries[str(number)]
    assert canaries.found_in(secrets.token_bytes(500_000)) == []
