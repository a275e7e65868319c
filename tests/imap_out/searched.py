"""One message and what SEARCH finds in it: held on both stores, and on Dovecot."""

from __future__ import annotations

MESSAGE = (
    b"From: a@example.test\r\n"
    b"Subject: Quarterly\t\r\n\tfigures =?utf-8?q?f=C3=BCr?=\r\n =?utf-8?q?_alle?=\r\n"
    b"MIME-Version: 1.0\r\nX-Top: toplevel\r\nContent-Type: multipart/mixed;\r\n\tboundary=X\r\n\r\n"
    b"preambleword\r\n"
    b"--X\r\nContent-Type: text/plain; charset=utf-8\r\nX-Thing: parthdr\r\n\r\n"
    b"first body   two\tspaces\r\n"
    b"--X\r\nContent-Type: application/pdf; name=nameplain.pdf\r\n"
    b"Content-Disposition: attachment; filename*=utf-8''stra%C3%9Fefile.pdf\r\n"
    b"Content-Description: =?utf-8?q?d=C3=A9scrword?=\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"
    b"--X\r\nContent-Type: message/rfc822\r\nX-Wrap: wraphdr\r\n\r\n"
    b"From: in@example.test\r\nSubject: innersubject\r\nContent-Type: multipart/mixed; boundary=Y\r\n\r\n"
    b"--Y\r\nX-Deep: deephdr\r\n\r\ndeep body\r\n--Y--\r\n"
    b"--X--\r\nepilogueword\r\n"
)

TEXT: dict[str, bool] = {
    "quarterly": True,
    "toplevel": True,
    "parthdr": True,
    "x-thing: parthdr": True,
    "nameplain.pdf": True,
    "déscrword": True,
    "stra%c3%9fefile": True,
    "wraphdr": True,
    "innersubject": True,
    "deephdr": True,
    "first body": True,
    "deep body": True,
    "body   two": True,
    "body two": False,
    "preambleword": False,
    "epilogueword": False,
    "--X": False,
    "AAEC": False,
}
"""Words, and whether TEXT finds them."""

BODY: dict[str, bool] = dict.fromkeys(TEXT, False) | {
    "first body": True,
    "deep body": True,
    "body   two": True,
}

SUBJECT: dict[str, bool] = {
    "quarterly figures": True,
    "figures für alle": True,
    "quarterlyfigures": False,
    "innersubject": False,
}

OURS_ALONE = {"straßefile.pdf", "quarterly figures", "quarterly \t\tfigures"}
"""TEXT: Dovecot finds neither the decoded file name of RFC 2231 nor what was folded by a tab."""
