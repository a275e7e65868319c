"""A few messages for an empty demo, sent in by relay-in as the organisation's server would.

Apart because only a fresh demo sends them. They show what mail is made of: plain text, HTML, both,
an inline image, attachments, other scripts.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import struct
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

_HTML = "<!doctype html><html><body>{}</body></html>"


async def deliver(host: str, port: int, ca: Path, members: Sequence[str], internal: Sequence[str]) -> None:
    """Hand all of them over; smtplib.SMTPException or OSError when the door does not take them."""
    await asyncio.to_thread(_send, host, port, ca, members, internal)


def _send(host: str, port: int, ca: Path, members: Sequence[str], internal: Sequence[str]) -> None:
    context = ssl.create_default_context(cafile=str(ca))
    with smtplib.SMTP(host, port, timeout=60) as door:
        door.starttls(context=context)
        for sender in internal:
            for member in members:
                for message in _messages(sender, member):
                    door.send_message(message)


def _messages(sender: str, member: str) -> Iterator[EmailMessage]:
    name = member.partition("@")[0].capitalize()
    if sender.startswith("support"):
        yield _plain(sender, member, name)
        return
    yield _letter(sender, member, name)
    yield _statement(sender, member, name)
    yield _picture(sender, member, name)


def _begin(sender: str, member: str, subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"Example Health <{sender}>"
    message["To"] = member
    message["Subject"] = subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=sender.partition("@")[2])
    return message


def _plain(sender: str, member: str, name: str) -> EmailMessage:
    message = _begin(sender, member, "Welcome to your secure inbox")
    message.set_content(
        f"Dear {name},\n\nthis mailbox is sealed: on our disks nobody can read it without your password.\n"
        "You can reply to us, forward to colleagues, keep drafts and file mail in folders of your own.\n"
        "Every message disappears after 60 days; save what you need for longer.\n\nYour support team\n"
    )
    return message


def _letter(sender: str, member: str, name: str) -> EmailMessage:
    message = _begin(sender, member, "Ihre Anfrage – réponse à votre demande ✓")
    text = f"Grüezi {name},\n\nvielen Dank für Ihre Anfrage. Merci de votre patience.\n"
    message.set_content(text)
    message.add_alternative(_HTML.format(f"<p>{text.replace(chr(10), '<br>')}</p>"), subtype="html")
    return message


def _statement(sender: str, member: str, name: str) -> EmailMessage:
    message = _begin(sender, member, "Your statement for October")
    message.set_content(f"Dear {name},\n\nyour statement and the figures behind it are attached.\n")
    rows = "\r\n".join(
        ["day,provider,amount", "2026-10-02,Dr. Miller,120.00", "2026-10-19,Pharmacy,34.50", ""]
    )
    message.add_attachment(rows.encode(), maintype="text", subtype="csv", filename="figures October.csv")
    message.add_attachment(_pdf("Statement for October"), maintype="application", subtype="pdf",
                           filename="Übersicht Oktober.pdf")  # fmt: skip
    return message


def _picture(sender: str, member: str, name: str) -> EmailMessage:
    message = _begin(sender, member, "Our new colours")
    picture = make_msgid(domain="example-health.test")
    page = _HTML.format(
        f'<p>Dear {name}, these are our new colours:</p><img src="cid:{picture[1:-1]}" alt="colours">'
    )
    message.set_content(page, subtype="html")
    message.add_related(_png(), maintype="image", subtype="png", cid=picture, filename="colours.png")
    return message


def _png() -> bytes:
    """64 by 16 pixels, three stripes (RFC 2083)."""
    stripes = (b"\x00\x4b\x87", b"\xff\xff\xff", b"\xe2\x00\x1a")
    row = b"\0" + b"".join(stripes[min(x // 22, 2)] for x in range(64))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 64, 16, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(row * 16))
        + chunk(b"IEND", b"")
    )


def _pdf(title: str) -> bytes:
    """One page with one line (ISO 32000-1)."""
    drawing = f"BT /F 24 Tf 72 720 Td ({title}) Tj ET".encode("ascii")
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1) + table + end
