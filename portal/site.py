"""The web door: paths to pages, bounds, and headers that leave a browser little to misuse.

Apart because it is the portal's gatekeeper of twisted.web. Anybody can send bytes here,
before any login: any method, any path, a body without end. Nothing of a request is
logged (an autoconfig query holds an address), stored, or put on a disk: Twisted would
write a large body to a temporary file, so bodies are dropped as they come.

RFC 9110 (methods, 404, 405, 414), RFC 6797 (HSTS), CSP level 3.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from urllib.parse import parse_qs

from twisted.web.http import Request as PlainRequest
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from portal.pages import STYLE_HASH, autoconfig, help_page, page
from portal.settings import Settings

_LONGEST_URL = 2048
_SECONDS = 60  # for a whole request to arrive, and between two
_HTML = "text/html; charset=utf-8"
_TEXT = "text/plain; charset=utf-8"
_XML = "text/xml; charset=utf-8"

_HEADERS = {
    # Nothing is loaded from anywhere, no form goes anywhere, no page frames this one.
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "Secure Inbox",  # in place of Twisted's name and version
}

_ERRORS = {
    404: ("Not found", "There is no such page here."),
    405: ("Not allowed", "This page can only be read."),
    414: ("Too long", "That address is too long."),
}


class _Pages(Resource):
    """All paths; compared whole and as sent, so that nothing is decoded twice."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, settings: Settings) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        help_text = help_page(settings)

        def configuration(query: bytes) -> bytes:
            return autoconfig(settings, _email_address(query))

        self._paths: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
            b"/": (_HTML, lambda _: help_text),
            b"/health": (_TEXT, lambda _: b"ok\n"),
            b"/.well-known/autoconfig/mail/config-v1.1.xml": (_XML, configuration),
            b"/mail/config-v1.1.xml": (_XML, configuration),
        }

    def render(self, request: PlainRequest) -> bytes:
        """Not Twisted's dispatch: that looks up an attribute by a word from the wire."""
        path, _, query = request.uri.partition(b"?")
        if len(request.uri) > _LONGEST_URL:
            return self._answer(request, 414)
        if path not in self._paths:
            return self._answer(request, 404)
        if request.method not in (b"GET", b"HEAD"):
            _set(request, "Allow", "GET, HEAD")  # RFC 9110 section 15.5.6
            return self._answer(request, 405)
        kind, render = self._paths[path]
        return self._answer(request, 200, kind, render(query))

    def _answer(self, request: PlainRequest, code: int, kind: str = _HTML, body: bytes = b"") -> bytes:
        request.setResponseCode(code)
        for name, value in {**_HEADERS, "Content-Type": kind}.items():
            _set(request, name, value)
        if code in _ERRORS:
            title, words = _ERRORS[code]
            body = page(title, f"<h1>{title}</h1>\n<p>{words}</p>\n")
        _set(request, "Content-Length", str(len(body)))
        return b"" if request.method == b"HEAD" else body


def _set(request: PlainRequest, name: str, value: str) -> None:
    request.responseHeaders.setRawHeaders(name, [value])


def _email_address(query: bytes) -> str:
    try:
        fields = parse_qs(query.decode("ascii"), max_num_fields=10)
    except ValueError:
        return ""
    return fields.get("emailaddress", [""])[0]


class _Request(Request):
    def process(self) -> None:
        """`OPTIONS *` is a path like any other here; Twisted's own answer names its version."""
        if self.path == b"*":
            self.path = b"/*"
        super().process()  # type: ignore[no-untyped-call]


class _Nowhere(BytesIO):
    """A request body: no page of ours reads one."""

    def write(self, data: object) -> int:
        """Drop it."""
        return 0


class _Site(Site):
    def getContentFile(self, _length: int | None) -> BytesIO:  # noqa: N802 - Twisted's name
        """Called for each request: bodies are kept neither in memory nor in a temporary file."""
        return _Nowhere()

    def log(self, _request: PlainRequest) -> None:
        """No access log: paths and queries hold addresses."""


def site(settings: Settings) -> Site:
    """To be listened on with TLS only; it has no redirect for the unencrypted port."""
    return _Site(  # type: ignore[no-untyped-call]
        _Pages(settings), timeout=_SECONDS, requestFactory=_Request, parsePOSTFormSubmission=False
    )
