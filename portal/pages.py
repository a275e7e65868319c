"""The pages as text: HTML for people, the autoconfig XML for mail clients.

Apart from `site` because nothing here knows HTTP. The only words of a stranger that come
in are the `emailaddress` of a client that configures itself: they are read as an address
and only its domain, in canonical form, comes out again. Every value is escaped.

Autoconfig: draft-ietf-mailmaint-autoconfig. RFC 8314 (implicit TLS first).
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from string import Template

from mail.address import Address
from mail.errors import Refusal
from portal.settings import Endpoint, Settings

STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; }
:root { color-scheme: light dark; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""For the Content-Security-Policy: this style and no other."""

_PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title><style>$style</style></head>
<body>
$body</body>
</html>
"""
)

_HELP = Template(
    """<h1>Secure Inbox of $organisation</h1>
<p>Secure Inbox is where $organisation and you exchange mail that nobody else can read. Every message
is encrypted before it is stored, and only your password opens it. You use it with the mail program
that you already have.</p>
<p><strong>Every message expires $days days after it arrived, mail that you sent included.</strong> Expired
messages cannot be retrieved by anyone. If you need one for longer, save it on your own computer
in time.</p>
<p>Questions? $support</p>

<h2>Settings for any mail program</h2>
<table>
<tr><th></th><th>server</th><th>port</th><th>security</th></tr>
<tr><th>Incoming (IMAP)</th><td>$imaps_host</td><td>$imaps_port</td><td>SSL/TLS</td></tr>
<tr><th>or</th><td>$imap_host</td><td>$imap_port</td><td>STARTTLS</td></tr>
<tr><th>Outgoing (SMTP)</th><td>$submissions_host</td><td>$submissions_port</td><td>SSL/TLS</td></tr>
<tr><th>or</th><td>$submission_host</td><td>$submission_port</td><td>STARTTLS</td></tr>
</table>
<p>The user name is your whole e-mail address, for incoming and outgoing mail alike. The password is
the one that you chose for Secure Inbox. The method is “normal password”; it travels
encrypted.</p>

<h2>Thunderbird</h2>
<ol>
<li>Open the menu, then <em>New Account</em>, then <em>Email</em>.</li>
<li>Enter your name, your e-mail address and your Secure Inbox password.</li>
<li>If the settings are not found by themselves, choose <em>Configure manually</em> and enter: incoming
$imaps_host, port $imaps_port, SSL/TLS, normal password; outgoing $submissions_host, port
$submissions_port, SSL/TLS, normal password; user name: your e-mail address.</li>
<li>Choose <em>Done</em>. The Inbox appears in the folder list.</li>
</ol>

<h2>Outlook</h2>
<ol>
<li>Choose <em>File</em>, then <em>Add Account</em>; enter your e-mail address.</li>
<li>Open <em>Advanced options</em>, tick <em>Let me set up my account manually</em>, choose
<em>IMAP</em>.</li>
<li>Incoming mail: $imaps_host, port $imaps_port, encryption SSL/TLS. Outgoing mail: $submissions_host, port
$submissions_port, encryption SSL/TLS.</li>
<li>Enter your Secure Inbox password and choose <em>Connect</em>.</li>
</ol>

<h2>Apple Mail</h2>
<ol>
<li>On a Mac open Mail, then <em>Add Account</em>, then <em>Other Mail Account</em>. On an iPhone or iPad
open Settings, then <em>Mail</em>, <em>Accounts</em>, <em>Add Account</em>, <em>Other</em>.</li>
<li>Enter your name, your e-mail address and your Secure Inbox password.</li>
<li>Choose <em>IMAP</em>. Incoming mail server: $imaps_host. Outgoing mail server: $submissions_host. User
name, for both: your e-mail address.</li>
<li>If asked, switch on <em>Use SSL</em> with port $imaps_port for incoming and $submissions_port for
outgoing mail, authentication by password.</li>
</ol>

<h2>Writing</h2>
<ul>
<li>A new message can go to addresses of $organisation, in To and in Cc.</li>
<li>In a reply or a forward you can also add registered colleagues whose address has the same part after
the @ as yours.</li>
<li>Separate addresses by a comma or a semicolon.</li>
<li>A message can carry up to $max_attachments attachments of together $max_megabytes MB.</li>
<li>What cannot be delivered comes back to your Inbox with the reason.</li>
</ul>
"""
)

_AUTOCONFIG = Template(
    """<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="$provider">
    <domain>$domain</domain>
    <displayName>Secure Inbox of $organisation</displayName>
    <displayShortName>Secure Inbox</displayShortName>
$servers  </emailProvider>
</clientConfig>
"""
)

_SERVER = Template(
    """    <$tag type="$type">
      <hostname>$host</hostname>
      <port>$port</port>
      <socketType>$security</socketType>
      <username>%EMAILADDRESS%</username>
      <authentication>password-cleartext</authentication>
    </$tag>
"""
)


def page(title: str, body: str) -> bytes:
    """A whole page; `title` is text, `body` is HTML made from escaped values."""
    return _PAGE.substitute(title=escape(title), style=STYLE, body=body).encode()


def help_page(settings: Settings) -> bytes:
    """What Secure Inbox is, and how to set up a mail program, step by step (P19)."""
    values: dict[str, str | int] = {
        "organisation": settings.organisation,
        "support": settings.support,
        "days": settings.days,
        "max_attachments": settings.max_attachments,
        "max_megabytes": settings.max_megabytes,
    }
    for name in ("imaps", "imap", "submissions", "submission"):
        endpoint: Endpoint = getattr(settings, name)
        values |= {f"{name}_host": endpoint.host, f"{name}_port": endpoint.port}
    body = _HELP.substitute({name: escape(str(value)) for name, value in values.items()})
    return page("Secure Inbox", body)


def autoconfig(settings: Settings, address: str) -> bytes:
    """The servers for a client that configures itself; `address` is whatever it sent."""
    provider = settings.imaps.host
    try:
        domain = Address.parse(address).domain
    except Refusal:
        domain = provider
    rows = (
        ("incomingServer", "imap", settings.imaps, "SSL"),
        ("incomingServer", "imap", settings.imap, "STARTTLS"),
        ("outgoingServer", "smtp", settings.submissions, "SSL"),
        ("outgoingServer", "smtp", settings.submission, "STARTTLS"),
    )
    servers = "".join(
        _SERVER.substitute(tag=tag, type=kind, host=escape(at.host), port=at.port, security=security)
        for tag, kind, at, security in rows
    )
    return _AUTOCONFIG.substitute(
        provider=escape(provider),
        domain=escape(domain),
        organisation=escape(settings.organisation),
        servers=servers,
    ).encode()
