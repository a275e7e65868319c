from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.pages import autoconfig, help_page, page
from portal.settings import Endpoint, Settings

HOST = "inbox.example-health.test"
SETTINGS = Settings(
    organisation="Example <Health> & Co",
    support='call "us"',
    days=60,
    imaps=Endpoint(HOST, 993),
    imap=Endpoint(HOST, 143),
    submissions=Endpoint(HOST, 465),
    submission=Endpoint(HOST, 587),
)


class Text(HTMLParser):
    """The words of a page and its open elements."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.words, self.open, self.tags = "", [], set()
        self.feed(html.decode())
        self.close()

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_help_page_tells_hosts_ports_expiry_and_contact() -> None:
    text = Text(help_page(SETTINGS))
    words = " ".join(text.words.split())
    assert not text.open
    for wanted in (
        "Example <Health> & Co", 'call "us"', HOST, "993", "143", "465", "587",
        "expires 60 days after", "Thunderbird", "Outlook", "Apple Mail", "10 attachments", "50 MB",
    ):  # fmt: skip
        assert wanted in words


def test_nothing_on_the_page_is_loaded_or_run() -> None:
    assert not Text(help_page(SETTINGS)).tags & {"script", "link", "img", "iframe", "form", "object"}


@given(st.text())
def test_a_title_is_text(title: str) -> None:
    assert "<script" not in page(title + "<script>", "").decode().lower().replace("&lt;", "")


def test_autoconfig_names_all_four_servers_the_encrypted_first() -> None:
    root = ElementTree.fromstring(autoconfig(SETTINGS, "ann@acme.test"))
    provider = root.find("emailProvider")
    assert provider is not None
    assert provider.findtext("domain") == "acme.test"
    assert provider.findtext("displayName") == "Secure Inbox of Example <Health> & Co"
    servers = [
        (s.tag, s.get("type"), s.findtext("hostname"), s.findtext("port"), s.findtext("socketType"))
        for s in provider
        if s.tag.endswith("Server")
    ]
    assert servers == [
        ("incomingServer", "imap", HOST, "993", "SSL"),
        ("incomingServer", "imap", HOST, "143", "STARTTLS"),
        ("outgoingServer", "smtp", HOST, "465", "SSL"),
        ("outgoingServer", "smtp", HOST, "587", "STARTTLS"),
    ]
    assert {s.text for s in provider.iter("username")} == {"%EMAILADDRESS%"}
    assert {s.text for s in provider.iter("authentication")} == {"password-cleartext"}


@pytest.mark.parametrize("address", ["", "nobody", "a@b@c", "<x>@acme.test", "a@b&quot;", "a@\r\nx"])
def test_what_is_no_address_is_not_repeated(address: str) -> None:
    root = ElementTree.fromstring(autoconfig(SETTINGS, address))
    assert root.findtext("emailProvider/domain") == HOST


@given(st.text())
def test_autoconfig_is_well_formed_whatever_is_asked(address: str) -> None:
    ElementTree.fromstring(autoconfig(SETTINGS, address))
