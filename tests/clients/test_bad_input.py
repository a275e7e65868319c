"""Bad input at the doors of a running gateway: the right answer to each, and good health afterwards.

The rooms' own tests hold every bound; here the whole thing is met from outside. After each
test both workers must be the same processes as before, hold little memory, take a delivery
and answer a NOOP.
"""

from __future__ import annotations

import base64
import re
import smtplib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.gateway import Running, gateway
from tests.clients.site import Site, until
from tests.clients.wire import Closed, Wire

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("bad input")]

ANN = "ann@acme.test"
CLAIMS = "claims@example-health.test"
LETTER = b"From: claims@example-health.test\r\nTo: ann@acme.test\r\nSubject: %s\r\n%s\r\nText.\r\n"
WORKER_MIB = 400  # an idle worker has some 60; a message of 80 MB may be held a few times


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp("bad") / "data", examples=False) as started:
        yield started


@pytest.fixture(scope="module")
def site(running: Running) -> Site:
    return running.site


@pytest.fixture(autouse=True)
def good_health(running: Running) -> Iterator[None]:
    """Before and after each test."""
    before = set(running.processes())
    yield
    site = running.site
    site.relay([ANN], LETTER % (b"health", b""))
    with site.reader(site.account("ann")) as reader:
        assert reader.noop()[0] == "OK"
        reader.select("INBOX")
        found = reader.search(None, "SUBJECT", "health")[1][0].split()
        assert len(found) == 1
        reader.store(found[0].decode(), "+FLAGS", "(\\Deleted)")
        reader.expunge()
    assert before <= set(running.processes()), "a process has died"
    for pid in running.processes():
        assert _resident(pid) < WORKER_MIB, f"process {pid} has grown"


def _resident(pid: int) -> int:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) // 1024


# --- IMAP


@pytest.fixture
def imap(site: Site) -> Iterator[Wire]:
    """Greeted, over TLS, not logged in."""
    with Wire(site.imaps, site.tls()) as wire:
        assert wire.line().startswith(b"* OK")
        yield wire


@pytest.fixture
def ann(imap: Wire) -> Wire:
    assert imap.imap(b'LOGIN ann@acme.test "correct horse battery"').startswith(b"t OK")
    return imap


def test_imap_wrong_password(imap: Wire) -> None:
    assert imap.imap(b"LOGIN ann@acme.test wrong").startswith(b"t NO [AUTHENTICATIONFAILED]")
    assert imap.imap(b'LOGIN ann@acme.test "correct horse battery"').startswith(b"t OK")


@pytest.mark.parametrize(
    "line", [b"XYZZY", b"FETCH", b"", b"LOGIN \x00", b"LIST (", b"UID", b"\xff\xfe", b"SELECT {x}"]
)
def test_imap_unknown_or_unreadable_command(ann: Wire, line: bytes) -> None:
    assert ann.imap(line).startswith(b"t BAD")
    assert ann.imap(b"NOOP").startswith(b"t OK")


def test_imap_literal_too_large_before_login(imap: Wire) -> None:
    assert re.match(rb"t (BAD|NO \[(TOOBIG|LIMIT)\])", imap.imap(b"LOGIN {100000}"))
    assert imap.imap(b"NOOP").startswith(b"t OK")


def test_imap_unasked_literal_too_large_before_login(imap: Wire) -> None:
    """LITERAL+ (RFC 7888 section 4): the octets come whether we want them or not."""
    imap.send(b"t LOGIN {50000+}\r\n" + b"x" * 50000 + b" y\r\n")
    assert re.match(rb"t (BAD|NO)", imap.tagged(b"t")[-1])
    assert imap.imap(b"NOOP").startswith(b"t OK")
    imap.send(b"t LOGIN {4000000000+}\r\n" + b"x" * 100_000)
    assert imap.line().startswith(b"* BYE")  # more than we are willing to throw away
    with pytest.raises(Closed):
        imap.line()


def test_imap_literal_too_large_after_login(ann: Wire) -> None:
    assert re.match(rb"t (BAD|NO \[(TOOBIG|LIMIT)\])", ann.imap(b"CREATE {2000000}"))
    assert ann.imap(b"APPEND Drafts {200000000}").startswith(b"t NO [TOOBIG]")
    assert ann.imap(b"APPEND Drafts {99999999999999999999}")[:4] in (b"t BA", b"t NO")
    assert ann.imap(b"NOOP").startswith(b"t OK")


def test_imap_too_long_a_line(ann: Wire) -> None:
    assert ann.imap(b"LOGIN " + b"x" * 200_000)[:4] in (b"t BA", b"t NO")
    assert ann.imap(b"NOOP").startswith(b"t OK")


def test_imap_nul_in_a_message(ann: Wire) -> None:
    """RFC 3501 section 9: a literal is CHAR8, %x01-ff."""
    content = b"Subject: zero\r\n\r\na\x00bcd\r\n"
    ann.send(b"t APPEND Drafts {%d+}\r\n" % len(content) + content + b"\r\n")
    assert ann.tagged(b"t")[-1].startswith(b"t NO")
    assert ann.imap(b"CREATE x\x00y").startswith(b"t BAD")
    assert ann.imap(b"NOOP").startswith(b"t OK")


def test_imap_vanishes_in_a_literal(site: Site, running: Running) -> None:
    with Wire(site.imaps, site.tls()) as wire:
        wire.line()
        wire.imap(b'LOGIN ann@acme.test "correct horse battery"')
        wire.send(b"t APPEND Drafts {50000000+}\r\nSubject: never\r\n\r\n" + b"x" * 10_000_000)
        wire.vanish()
    with site.reader(site.account("ann")) as reader:
        reader.select("Drafts", readonly=True)
        assert reader.search(None, "SUBJECT", "never")[1] == [b""]


def test_imap_starttls_with_commands_behind_it(site: Site) -> None:
    """CVE-2011-0411 and family: what was said in clear must not count as said under TLS."""
    with Wire(site.imap) as wire:
        wire.line()
        wire.send(b"t STARTTLS\r\ninjected NOOP\r\n")
        answer = wire.tagged(b"t")[-1]
        if answer.startswith(b"t OK"):
            assert b"injected" not in wire._buffer
            wire._buffer = b""
            try:
                wire.encrypt(site.tls())
                assert b"injected" not in wire.waiting(0.5)
                assert wire.imap(b"NOOP").startswith(b"t OK")
            except (Closed, OSError):
                pass  # hung up on: as good
        else:
            assert re.match(rb"t (BAD|NO)", answer)


def test_imap_second_starttls(site: Site) -> None:
    with Wire(site.imap) as wire:
        wire.line()
        assert wire.imap(b"STARTTLS").startswith(b"t OK")
        wire.encrypt(site.tls())
        assert wire.imap(b"STARTTLS").startswith(b"t BAD")
        assert wire.imap(b"NOOP").startswith(b"t OK")


def test_imap_no_login_in_clear(site: Site) -> None:
    with Wire(site.imap) as wire:
        wire.line()
        assert wire.imap(b'LOGIN ann@acme.test "correct horse battery"').startswith(
            b"t NO [PRIVACYREQUIRED]"
        )
        assert wire.imap(b"AUTHENTICATE PLAIN AGEAYg==").startswith(b"t NO [PRIVACYREQUIRED]")


# --- SMTP


@pytest.fixture
def relay(site: Site) -> Iterator[Wire]:
    """At relay-in, under TLS, greeted again."""
    with Wire(site.relay_in) as wire:
        assert wire.reply().startswith(b"220")
        assert wire.smtp(b"EHLO mx.test", b"STARTTLS").startswith(b"220")
        wire.encrypt(site.tls())
        assert wire.smtp(b"EHLO mx.test").startswith(b"250")
        yield wire


def _data(wire: Wire, content: bytes) -> bytes:
    """One message to Ann; `content` as on the wire, without the final dot."""
    assert wire.smtp(b"MAIL FROM:<claims@example-health.test>", b"RCPT TO:<ann@acme.test>").startswith(
        b"250"
    )
    assert wire.smtp(b"DATA").startswith(b"354")
    wire.send(content + b".\r\n")
    return wire.reply()


def _inbox(site: Site, subject: str) -> int:
    with site.reader(site.account("ann")) as reader:
        reader.select("INBOX", readonly=True)
        return len(reader.search(None, "SUBJECT", f'"{subject}"')[1][0].split())


def test_smtp_wrong_password(site: Site) -> None:
    for door in (site.submissions,):
        with Wire(door, site.tls()) as wire:
            wire.reply()
            wire.smtp(b"EHLO client.test")
            secret = base64.b64encode(b"\0ann@acme.test\0wrong")
            assert wire.smtp(b"AUTH PLAIN " + secret).startswith(b"535 5.7.8")


@pytest.mark.parametrize(
    "line",
    [
        b"XYZZY",
        b"",
        b"MAIL",
        b"MAIL FROM:<a@b@c>",
        b"RCPT TO:<x",
        b"EHLO",
        b"\xff",
        b"NOOP\x00",
        b"VRFY " + b"x" * 5000,
    ],
)
def test_smtp_unknown_or_unreadable_command(relay: Wire, line: bytes) -> None:
    assert re.match(rb"5\d\d 5\.", relay.smtp(line)), line
    assert relay.smtp(b"NOOP").startswith(b"250")


@pytest.mark.parametrize(
    "octets", [b"a\rb", b"a\nb", b"a\x00b", b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"]
)
def test_smtp_bare_line_ends_and_nul(relay: Wire, site: Site, octets: bytes) -> None:
    """SMTP smuggling (CVE-2023-51764 and family): no second meaning, and nothing behind it is a command."""
    smuggled = (
        b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<bob@acme.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"
    )
    said = _data(relay, LETTER % (b"crooked", b"") + octets + smuggled)
    assert said.startswith(b"550 5.6.0")
    assert relay.waiting(0.2) == b""
    assert relay.smtp(b"NOOP").startswith(b"250")
    assert _inbox(site, "crooked") == 0
    with site.reader(site.account("bob")) as reader:
        assert reader.select("INBOX", readonly=True)[1] == [b"0"]


@pytest.fixture
def submission(site: Site) -> Iterator[Wire]:
    """Ann, logged in to send."""
    with Wire(site.submissions, site.tls()) as wire:
        wire.reply()
        secret = base64.b64encode(b"\0ann@acme.test\0correct horse battery")
        assert wire.smtp(b"EHLO client.test", b"AUTH PLAIN " + secret).startswith(b"235")
        yield wire


def _recipients(wire: Wire, pattern: bytes) -> dict[bytes, int]:
    """10,000 of them, pipelined as a machine gun would; how often each code was the answer."""
    codes: dict[bytes, int] = {}
    try:
        for hundred in range(100):
            names = [pattern.replace(b"#", b"%d" % (hundred * 100 + n)) for n in range(100)]
            wire.send(b"".join(b"RCPT TO:<%s>\r\n" % name for name in names))
            for _ in names:
                code = wire.reply()[:9]
                codes[code] = codes.get(code, 0) + 1
    except Closed:
        pass
    return codes


def test_smtp_ten_thousand_recipients(submission: Wire) -> None:
    assert submission.smtp(b"MAIL FROM:<ann@acme.test>").startswith(b"250")
    codes = _recipients(submission, b"somebody#@example-health.test")
    # RFC 5321 section 4.5.3.1.10: 452 for each above the limit; and who does not listen is sent away.
    assert set(codes) == {b"250 2.1.5", b"452 4.5.3", b"421 4.7.0"}, codes
    assert codes[b"250 2.1.5"] == 100
    assert codes[b"421 4.7.0"] == 1


def test_smtp_many_unknown_recipients_wait_longer_and_longer(relay: Wire) -> None:
    """Somebody who reads the member list by asking has to wait for each answer after the first few."""
    assert relay.smtp(b"MAIL FROM:<>").startswith(b"250")
    for number in range(20):
        began = time.monotonic()
        assert re.match(rb"550 5\.1\.1|454 4\.7\.0", relay.smtp(b"RCPT TO:<somebody%d@acme.test>" % number))
        if time.monotonic() - began > 0.5:
            return
    pytest.fail("twenty answers at once")


def test_smtp_one_recipient_ten_thousand_times(relay: Wire, site: Site) -> None:
    assert relay.smtp(b"MAIL FROM:<>").startswith(b"250")
    assert _recipients(relay, b"ann@acme.test") == {b"250 2.1.5": 10_000}
    relay.smtp(b"DATA")
    relay.send(LETTER % (b"named often", b"") + b".\r\n")
    assert relay.reply().startswith(b"250")
    assert _inbox(site, "named often") == 1


def _many_headers() -> bytes:
    return LETTER % (b"hostile headers", b"".join(b"X-%d: y\r\n" % n for n in range(100_000)))


def _long_header() -> bytes:
    return LETTER % (b"hostile line", b"X-Long: " + b"y" * 10_485_760 + b"\r\n")


def _long_folded_header() -> bytes:
    return LETTER % (b"hostile folds", b"To: " + b"a@b.test,\r\n " * 800_000 + b"c@d.test\r\n")


def _nested() -> bytes:
    opened = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(10_000)
    )
    return b"From: x@y.test\r\nSubject: hostile nest\r\nMIME-Version: 1.0\r\n" + opened + b"\r\nCore.\r\n"


def _nested_messages() -> bytes:
    return (
        b"From: x@y.test\r\nSubject: hostile nest\r\n"
        + b"Content-Type: message/rfc822\r\n\r\n" * 10_000
        + b"\r\nCore.\r\n"
    )


def _many_parts() -> bytes:
    return (
        b"From: x@y.test\r\nSubject: hostile nest\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        + b"--b\r\n\r\nx\r\n" * 200_000 + b"--b--\r\n"
    )  # fmt: skip


@pytest.mark.parametrize("make", [_many_headers, _long_header, _long_folded_header])
def test_smtp_hostile_headers_are_refused(relay: Wire, site: Site, make: Callable[[], bytes]) -> None:
    assert _data(relay, make()).startswith(b"552 5.3.4")
    assert relay.smtp(b"NOOP").startswith(b"250")
    assert _inbox(site, "hostile") == 0


@pytest.mark.parametrize("make", [_nested, _nested_messages, _many_parts])
def test_hostile_nesting_is_taken_and_shown(relay: Wire, site: Site, make: Callable[[], bytes]) -> None:
    """Not refused: it may be somebody's mail. Past our bounds it is shown as one leaf."""
    content = make()
    assert _data(relay, content).startswith(b"250")
    with site.reader(site.account("ann")) as reader:
        reader.select("INBOX")
        (number,) = reader.search(None, "SUBJECT", '"hostile nest"')[1][0].split()
        (answer,) = [a for a in reader.fetch(number.decode(), "(BODY.PEEK[])")[1] if isinstance(a, tuple)]
        assert answer[1].endswith(content)
        assert reader.fetch(number.decode(), "(ENVELOPE BODY BODYSTRUCTURE)")[0] == "OK"
        assert (
            reader.fetch(number.decode(), "(BODY.PEEK[1.1.1.1] BODY.PEEK[1.MIME] BODY.PEEK[1])")[0] == "OK"
        )
        assert reader.search(None, "TEXT", "nowhere-to-be-found")[1] == [b""]
        reader.store(number.decode(), "+FLAGS", "(\\Deleted)")
        reader.expunge()


@pytest.mark.parametrize(
    "make", [_many_headers, _long_header, _long_folded_header, _nested, _nested_messages, _many_parts]
)
def test_hostile_messages_can_be_filed(site: Site, make: Callable[[], bytes]) -> None:
    """By APPEND: a member may bring old mail along, whatever it looks like."""
    content = make()
    with site.reader(site.account("ann")) as reader:
        assert reader.append("Archive", None, None, content)[0] == "OK"
        reader.select("Archive")
        (answer,) = [a for a in reader.fetch("1", "(BODY.PEEK[])")[1] if isinstance(a, tuple)]
        assert answer[1] == content
        assert reader.fetch("1", "(ENVELOPE BODYSTRUCTURE)")[0] == "OK"
        assert reader.search(None, "SUBJECT", "hostile")[1] == [b"1"]
        reader.store("1", "+FLAGS", "(\\Deleted)")
        reader.expunge()


def test_smtp_vanishes_in_data(relay: Wire, site: Site, running: Running) -> None:
    relay.smtp(b"MAIL FROM:<>", b"RCPT TO:<ann@acme.test>", b"DATA")
    relay.send(LETTER % (b"half a letter", b"") + b"x" * 1_000_000)
    relay.vanish()
    with Wire(site.relay_in) as wire:  # politely, without the final dot
        wire.reply()
        wire.smtp(b"EHLO mx.test", b"STARTTLS")
        wire.encrypt(site.tls())
        wire.smtp(b"EHLO mx.test", b"MAIL FROM:<>", b"RCPT TO:<ann@acme.test>", b"DATA")
        wire.send(LETTER % (b"half a letter", b""))
    until("no file half written", lambda: not list((site.directory / "data").rglob("accounts/*/tmp/*")))
    assert _inbox(site, "half a letter") == 0


@pytest.mark.parametrize("door", ["relay_in", "submission"])
def test_smtp_starttls_with_commands_behind_it(site: Site, door: str) -> None:
    with Wire(getattr(site, door)) as wire:
        wire.reply()
        wire.smtp(b"EHLO client.test")
        wire.send(b"STARTTLS\r\nMAIL FROM:<injected@x.test>\r\nNOOP\r\n")
        answer = wire.reply()
        if answer.startswith(b"220"):
            assert wire._buffer == b""
            try:
                wire.encrypt(site.tls())
                assert wire.waiting(0.5) == b""
                # RFC 3207 section 4.2: it knows nothing of before, so this is out of order.
                assert wire.smtp(b"RCPT TO:<ann@acme.test>").startswith(b"5")
            except (Closed, OSError):
                pass
        else:
            assert answer[:1] in (b"4", b"5")


@pytest.mark.parametrize("door", ["relay_in", "submission"])
def test_smtp_second_starttls(site: Site, door: str) -> None:
    with Wire(getattr(site, door)) as wire:
        wire.reply()
        wire.smtp(b"EHLO client.test", b"STARTTLS")
        wire.encrypt(site.tls())
        said = wire.smtp(b"EHLO client.test")
        assert b"STARTTLS" not in said
        assert re.match(rb"(503|554|502) 5\.5\.1", wire.smtp(b"STARTTLS"))
        assert wire.smtp(b"NOOP").startswith(b"250")


def test_smtp_message_too_large(site: Site) -> None:
    with smtplib.SMTP(site.relay_in.host, site.relay_in.port, timeout=60) as door:
        door.starttls(context=site.tls())
        door.ehlo()
        limit = int(door.esmtp_features["size"])
        assert door.mail(CLAIMS, [f"SIZE={limit + 1}"])[0] == 552
        assert door.mail(CLAIMS)[0] == 250 and door.rcpt(ANN)[0] == 250
        with pytest.raises((smtplib.SMTPDataError, smtplib.SMTPServerDisconnected)) as refused:
            code, words = door.data(b"Subject: huge\r\n\r\n" + (b"x" * 998 + b"\r\n") * (limit // 1000 + 1))
            raise smtplib.SMTPDataError(code, words)
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (552, b"5.3.4")


def test_eleven_attachments_and_too_many_octets(site: Site) -> None:
    """P10, in decoded octets; the refusal says which limit, by how much, and whom to ask."""

    def message(sizes: list[int]) -> bytes:
        part = b'--b\r\nContent-Type: application/x; name="x.bin"\r\nContent-Disposition: attachment\r\n'
        part += b"Content-Transfer-Encoding: base64\r\n\r\n%s\r\n"
        head = f"From: {ANN}\r\nTo: {CLAIMS}\r\nSubject: too much\r\nMIME-Version: 1.0\r\n"
        head += "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        row = base64.b64encode(b"x" * 57) + b"\r\n"
        encoded = (row * (size // 57) + base64.b64encode(b"x" * (size % 57)) for size in sizes)
        return head.encode() + b"".join(part % one for one in encoded) + b"--b--\r\n"

    def send(sizes: list[int]) -> None:
        assert door.sendmail(ANN, [CLAIMS], message(sizes)) == {}

    with site.submitter(site.account("ann")) as door:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            send([10] * 11)
        assert (
            refused.value.smtp_code == 550
            and b"10" in refused.value.smtp_error
            and b"11" in refused.value.smtp_error
        )
        assert b"support@example-health.test" in refused.value.smtp_error
        with pytest.raises(smtplib.SMTPDataError) as refused:
            send([52_428_801])
        assert refused.value.smtp_code in (550, 552) and b"50" in refused.value.smtp_error
        send([10] * 10)
    site.sunk_with("too much")
