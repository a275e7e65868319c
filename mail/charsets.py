"""Bytes in a charset that a stranger names, as text.

Apart because headers, parameters and bodies all need it, and because the name is hostile:
Python's registry also holds codecs that are no charsets (`punycode` is quadratic, `idna`
and `unicode_escape` are something else), and it caches every unknown name for ever. So
only names from a fixed table reach it.
"""

from __future__ import annotations

import codecs
from encodings import aliases, normalize_encoding

_NOT_CHARSETS = {
    "base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec",
    "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem",
}  # fmt: skip
_KNOWN = {**aliases.aliases, **{name: name for name in aliases.aliases.values()}}
_MORE = {
    "ascii": "ascii",
    "cp874": "cp874",
    "cp949": "cp949",
    "windows_874": "cp874",
    "windows_949": "cp949",
    "ks_c_5601_1987": "cp949",
    "gb2312": "gb18030",  # what calls itself gb2312 usually is its superset
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "utf_8": "utf_8",
    "x_unknown": "",
}


def _codec(charset: str) -> str:
    """The registry's name for a charset, "" when it is none that we know."""
    if len(charset) > 40 or not charset.isascii():
        return ""
    name = normalize_encoding(charset.strip().lower()).lower()
    name = _MORE.get(name) or _KNOWN.get(name, "")
    return "" if name in _NOT_CHARSETS else name


def decode(data: bytes, charset: str) -> str:
    """Never raises. Unknown or missing charset, or 8-bit in ASCII: UTF-8 if it is that,
    otherwise Windows-1252's reading of Latin-1, byte for byte."""
    codec = _codec(charset)
    if codec and codec != "ascii":
        try:
            return codecs.decode(data, codec, "replace")
        except (LookupError, ValueError):
            pass  # a codec of the table that this platform lacks, or that refuses "replace"
    return _guessed(data)


def _guessed(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass  # no UTF-8: the two codecs below accept what it does not
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")
