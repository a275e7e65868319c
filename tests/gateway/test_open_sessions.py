"""What commands do reaches the sessions that are open: locks, new passwords, sweeps ahead of the clock."""

from __future__ import annotations

import imaplib
import time
from collections.abc import Iterator

import pytest

from tests.clients.gateway import gateway
from tests.clients.site import Account, Site
from tests.gateway.command import rows, run
from tests.gateway.test_roads import ODD

pytestmark = pytest.mark.slow

DAYS_61 = 61 * 86_400
PASSWORD = "a password for this"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Its own, because a sweep ahead takes all mail that is there."""
    with gateway(tmp_path_factory.mktemp("open") / "data", examples=False) as started:
        yield started.site


def later() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + DAYS_61))


def lines_up_to(client: imaplib.IMAP4_SSL, *wanted: bytes) -> list[bytes]:
    """What an idling client is told, up to a line for each of these, in their order."""
    client.sock.settimeout(10)
    said: list[bytes] = []
    missing = list(wanted)
    while missing:
        said.append(client.readline())
        assert said[-1], said
        if missing[0] in said[-1]:
            del missing[0]
    return said


def idling(site: Site, account: Account) -> imaplib.IMAP4_SSL:
    client = site.reader(account)
    client.select("INBOX")
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+")
    return client


def over(client: imaplib.IMAP4_SSL) -> bool:
    """BYE, and the end of the connection."""
    client.sock.settimeout(10)
    said = b""
    while line := client.readline():
        said += line
    client.shutdown()
    return b"* BYE This login is not valid any more.\r\n" in said


def test_a_sweep_ahead_empties_open_folders_and_spares_what_comes_after(site: Site) -> None:
    ann = site.account("ann")
    for number in range(3):
        site.relay(["ann@acme.test"], ODD % (b"before the sweep", b"b%d" % number))
    held = "held@late.test"
    run(site.config, "account", "add", held, "--password-stdin", typed=PASSWORD + "\n")
    run(site.config, "account", "hold", held)
    site.relay([held], ODD % (b"before the sweep", b"held"))
    idle = [idling(site, who) for who in (ann, ann, Account(held, PASSWORD))]
    other = site.reader(ann)
    assert other.select("INBOX")[1] == [b"3"]
    other.fetch("1:*", "(BODY.PEEK[])")

    [swept] = rows(site.config, "retention", "run", "--now", later())
    assert (swept["removed"], swept["held"]) == (3, 1)
    for client, count in zip(idle, (3, 3, 1), strict=True):
        lines_up_to(client, *([b"EXPUNGE"] * count))
    assert other.fetch("1:*", "(BODY.PEEK[])")[1] in ([None], [])
    assert b"MESSAGES 0" in other.status("INBOX", "(MESSAGES)")[1][0]
    assert other.search(None, "ALL")[1] == [b""]

    site.relay(["ann@acme.test", held], ODD % (b"after the sweep", b"after"))
    for client in idle:
        assert b"* 1 EXISTS\r\n" in lines_up_to(client, b"EXISTS")
        client.send(b"DONE\r\n")
        lines_up_to(client, b"x OK")
        assert b"after the sweep" in client.fetch("1", "(ENVELOPE)")[1][0]
        assert b"last line without end" in client.fetch("1", "(BODY.PEEK[])")[1][0][1]
        client.logout()
    other.logout()
    # Sessions opened later, in either worker, and the checker.
    for who in (ann, Account(held, PASSWORD)) * 3:
        with site.reader(who) as client:
            assert client.select("INBOX")[1] == [b"1"]
    words = ["store", "verify", "--account", held, "--open", "--password-stdin"]
    assert "as it should be" in run(site.config, *words, typed=PASSWORD + "\n")
    [again] = rows(site.config, "retention", "run")
    assert again["removed"] == 0


@pytest.mark.parametrize("act", ["lock", "delete", "passwd"])
def test_a_lock_an_end_and_a_new_password_end_open_sessions(site: Site, act: str) -> None:
    who = Account(f"{act}@acme.test", PASSWORD)
    run(site.config, "account", "add", who.address, "--password-stdin", typed=PASSWORD + "\n")
    site.relay([who.address], ODD % (b"still there", b"still"))
    [shown] = rows(site.config, "account", "show", who.address)
    sessions = [idling(site, who) for _ in range(3)]
    plain = site.reader(who)
    plain.select("INBOX")
    bystander = idling(site, site.account("bob"))
    sending = site.submitter(who)
    sending.mail(who.address)
    if act == "passwd":
        typed = f"{PASSWORD}\nquite another password\n"
        run(site.config, "account", "passwd", who.address, "--password-stdin", typed=typed)
    else:
        run(site.config, "account", act, who.address, *(["--yes"] if act == "delete" else []))
    assert all(over(client) for client in (*sessions, plain))
    assert sending.rcpt("claims@example-health.test")[0] == 250
    assert sending.data(f"From: {who.address}\r\nSubject: too late\r\n\r\nx\r\n")[0] >= 421
    sending.close()
    bystander.send(b"DONE\r\n")
    lines_up_to(bystander, b"x OK")
    bystander.logout()
    assert not [message for message in site.sunk() if message["Subject"] == "too late"]
    if act == "passwd":
        with site.reader(Account(who.address, "quite another password")) as client:
            assert client.select("INBOX")[1] == [b"1"]
    if act == "delete":
        assert not (site.directory / "data" / "accounts" / shown["id"]).exists()
    log = (site.directory / "log" / "gateway.log").read_text()
    assert "Traceback" not in log
