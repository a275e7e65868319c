"""A submission is in all its homes or in none, whichever step fails; and the gate has its bounds."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conf.loader import load
from gateway import demo_ca, directory
from gateway.desk import Counter, Returns
from gateway.directory import Gate, Member, ReadingDirectory, SendingDirectory
from gateway.house import House, kind
from gateway.journal import Journal
from gateway.ledger import Ledger
from mail.address import Address
from mail.errors import Reason, Refusal, Unavailable
from mail.mailbox import Folder
from mail.secret import Secret
from smtp_in.ports import Submission
from store.accounts import Status
from store.audit import read
from store.mailbox import Mailbox

ANN, BOB = Address.parse("ann@acme.test"), Address.parse("bob@acme.test")
OUTSIDE = Address.parse("claims@example-health.test")
PASSWORD = Secret(b"a password for tests")
CONTENT = b"From: ann@acme.test\r\nMessage-ID: <one@acme.test>\r\nSubject: one\r\n\r\nText.\r\n"


@asynccontextmanager
async def house(tmp_path: Path) -> AsyncIterator[House]:
    demo_ca.ensure(tmp_path / "tls", datetime.now(UTC))
    config = tmp_path / "gateway.toml"
    config.write_text(
        '[organisation]\nname = "E"\ndomains = ["example-health.test"]\nsupport = "s@example-health.test"\n'
        'hostname = "localhost"\n[storage]\ndata_root = "data"\nserver_key = "server.key"\n'
        '[tls]\ncertificate = "tls/server.pem"\nkey = "tls/server.key"\n'
        '[relay_in]\nnetworks = ["127.0.0.0/8"]\n'
    )
    settings = load(config)
    ledger = Ledger.open(settings)
    for address in (ANN, BOB):
        if ledger.accounts.find(address) is None:
            ledger.accounts.add(address, "", PASSWORD, 0)
    ledger.close()
    made = House.open(settings, asyncio.get_running_loop())
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def member(made: House) -> AsyncIterator[Member]:
    journal = Journal(made.ledger.audit, "submission")
    gate = Gate(made)
    found = await SendingDirectory(gate, made, journal).log_in(str(ANN), PASSWORD, "127.0.0.1")
    try:
        yield found
    finally:
        found.close()
        gate.close()


def submission(
    *, members: tuple[Address, ...] = (BOB,), outside: tuple[Address, ...] = (OUTSIDE,)
) -> Submission:
    return Submission(members, outside, CONTENT, CONTENT, hashlib.sha256(CONTENT).digest())


async def homes(made: House) -> tuple[int, int, int, int]:
    """How many messages lie in Bob's inbox, in the queue, in Ann's Sent; and files of the queue."""
    counts = []
    for address, folder in ((BOB, "INBOX"), (ANN, "Sent")):
        account = made.ledger.accounts.find(address)
        assert account is not None
        secret = await asyncio.to_thread(made.ledger.accounts.open_secret, account, PASSWORD)
        mailbox = await Mailbox.open(made.open_accounts, account, secret)
        counts.append(len(mailbox.entries(mailbox.folder(folder))))
        mailbox.close()
    files = [path for path in (made.ledger.root / "spool").iterdir() if not path.name.startswith("spool")]
    return counts[0], len(made.spool.list()), counts[1], len(files)


def test_a_submission_is_in_all_its_homes(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            async with member(made) as ann:
                (await ann.submit(submission())).acknowledged()
            assert await homes(made) == (1, 1, 1, 1)
            [item] = made.spool.list()
            assert item.sender == str(ANN) and [each.address for each in item.recipients] == [OUTSIDE]

    asyncio.run(main())


@pytest.mark.parametrize("members", [(), (BOB,)])
@pytest.mark.parametrize("outside", [(), (OUTSIDE,)])
def test_only_the_homes_that_it_needs(
    tmp_path: Path, members: tuple[Address, ...], outside: tuple[Address, ...]
) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            async with member(made) as ann:
                (await ann.submit(submission(members=members, outside=outside))).acknowledged()
            assert await homes(made) == (len(members), len(outside), 1, len(outside))

    asyncio.run(main())


def no_file(made: House) -> None:
    """The queue's directory takes no file: what a full disk does."""
    made.spool._directory = made.ledger.root / "nowhere"


def no_row(made: House) -> None:
    """The queue's table takes no row."""
    made.spool._db.execute("PRAGMA query_only = ON")


def no_sent(made: House) -> None:
    """Ann's tmp/ is a file: nothing can be filed."""
    account = made.ledger.accounts.find(ANN)
    assert account is not None
    tmp = made.ledger.root / "accounts" / account.id / "tmp"
    tmp.rmdir()
    tmp.write_bytes(b"")


def no_link(made: House) -> None:
    """Bob's new/ vanishes between preparation and commit."""
    account = made.ledger.accounts.find(BOB)
    assert account is not None
    prepare = made.spool.prepare

    async def and_then(*args: object, **named: object) -> object:
        prepared = await prepare(*args, **named)  # type: ignore[arg-type]
        new = made.ledger.root / "accounts" / account.id / "new"
        for path in new.iterdir():
            path.unlink()
        new.rmdir()
        new.write_bytes(b"")
        return prepared

    made.spool.prepare = and_then  # type: ignore[method-assign, assignment]


def mend(made: House) -> None:
    """What a sysadmin would do, so that one can look."""
    for account in made.ledger.accounts.all():
        for part in ("tmp", "new"):
            path = made.ledger.root / "accounts" / account.id / part
            if path.is_file():
                path.unlink()
                path.mkdir()
    made.spool._directory = made.ledger.root / "spool"
    made.spool._db.execute("PRAGMA query_only = OFF")


@pytest.mark.parametrize("fault", [no_file, no_row, no_sent, no_link])
def test_a_fault_at_any_step_leaves_nothing(tmp_path: Path, fault: Callable[[House], None]) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            async with member(made) as ann:
                fault(made)
                with pytest.raises(Unavailable):
                    await ann.submit(submission())
                mend(made)
            assert await homes(made) == (0, 0, 0, 0)

    asyncio.run(main())


def test_a_copy_that_the_client_had_filed_itself_survives_the_fault(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            async with member(made) as ann:
                box = ann._mailbox
                await box.append(box.folder("Sent"), CONTENT, frozenset(), None)
                no_row(made)
                with pytest.raises(Unavailable):
                    await ann.submit(submission())
                mend(made)
            assert await homes(made) == (0, 0, 1, 0)

    asyncio.run(main())


def test_a_repetition_is_known_by_what_the_client_sent(tmp_path: Path) -> None:
    """The 250 was lost: Received and Date are new, Bob and Sent get it once."""

    async def main() -> None:
        for attempt in (b"first", b"second"):
            async with house(tmp_path) as made, member(made) as ann:
                added = b"Received: " + attempt + b"\r\n" + CONTENT
                await ann.submit(Submission((BOB,), (), added, added, hashlib.sha256(CONTENT).digest()))
                # no acknowledged(): the process dies before its 250
        async with house(tmp_path) as made:
            assert (await homes(made))[0::2] == (1, 1)

    asyncio.run(main())


def test_a_member_who_is_gone_since_rcpt_is_refused_for_all(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            async with member(made) as ann:
                account = made.ledger.accounts.find(BOB)
                assert account is not None
                made.ledger.accounts.set_status(account.id, Status.LOCKED)
                with pytest.raises(Refusal) as caught:
                    await ann.submit(submission())
                assert caught.value.reason is Reason.UNKNOWN_RECIPIENT
            assert (await homes(made))[1:] == (0, 0, 0)

    asyncio.run(main())


def test_a_bounce_comes_into_the_inbox_and_for_who_is_gone_it_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            account = made.ledger.accounts.find(BOB)
            assert account is not None
            await Returns(made).bounce(account.id, b"Subject: returned\r\n\r\nx\r\n")
            assert (await homes(made))[0] == 1
            await Returns(made).bounce("0" * 32, b"Subject: returned\r\n\r\nx\r\n")

    asyncio.run(main())


def test_refused_logins_are_audited_and_throttled(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            gate = Gate(made)
            reading = ReadingDirectory(gate, Journal(made.ledger.audit, "imap"))
            reasons = []
            for _ in range(12):
                with pytest.raises(Refusal) as caught:
                    await reading.log_in(str(ANN), Secret(b"wrong"), "192.0.2.1")
                reasons.append(caught.value.reason)
            assert reasons == [Reason.LOGIN_FAILED] * 10 + [Reason.THROTTLED] * 2
            with pytest.raises(Refusal):
                await reading.log_in("nobody@acme.test", Secret(b"wrong"), "192.0.2.2")
            mailbox = await reading.log_in(str(ANN), PASSWORD, "192.0.2.3")  # the owner, elsewhere
            mailbox.close()
            gate.close()
            key = made.ledger.audit._key
        events = [line.event for line in read(tmp_path / "data", key)]
        assert (events.count("login refused"), events.count("login throttled")) == (11, 2)

    asyncio.run(main())


def test_a_flood_of_logins_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "MOST_WAITING", 3)

    async def main() -> None:
        async with house(tmp_path) as made:
            gate = Gate(made)
            reading = ReadingDirectory(gate, Journal(made.ledger.audit, "imap"))
            answers = await asyncio.gather(
                *(reading.log_in(f"n{number}@acme.test", Secret(b"x"), "192.0.2.1") for number in range(8)),
                return_exceptions=True,
            )
            assert (
                sorted(type(answer).__name__ for answer in answers) == ["Refusal"] * 3 + ["Unavailable"] * 5
            )
            gate.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "use", "expected"),
    [
        ("INBOX", "", "inbox"),
        ("Sent", "\\Sent", "sent"),
        ("Drafts", "\\Drafts", "drafts"),
        ("Trash", "\\Trash", "trash"),
        ("Junk", "\\Junk", "junk"),
        ("Archive", "\\Archive", "archive"),
        ("Mine", "", "other"),
    ],
)
def test_the_kind_of_a_folder(name: str, use: str, expected: str) -> None:
    assert kind(Folder(1, name, 1, use, True)) == expected
    assert kind(None) == "inbox"


@pytest.mark.parametrize("act", ["lock", "delete", "password"])
def test_who_is_barred_while_logged_in_sends_nothing_more(tmp_path: Path, act: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            async with member(made) as ann:
                (await ann.submit(submission())).acknowledged()
                accounts = made.ledger.accounts
                account = accounts.find(ANN)
                assert account is not None
                if act == "lock":
                    accounts.set_status(account.id, Status.LOCKED)
                elif act == "delete":
                    accounts.delete(account.id)
                else:
                    accounts.change_password(account, PASSWORD, Secret(b"quite another password"), 0)
                for refused in (ann.submit(submission()), ann.holds(["one@acme.test"])):
                    with pytest.raises(Refusal) as caught:
                        await refused
                    assert caught.value.reason is Reason.LOGIN_FAILED
            assert len(made.spool.list()) == 1

    asyncio.run(main())


def test_what_comes_for_the_postmaster_goes_to_the_support(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as made:
            before = await homes(made)
            receipt = await Counter(made).to_postmaster("x@org.test", CONTENT, b"Received: trace\r\n")
            receipt.acknowledged()
            [item] = made.spool.list()
            assert (item.sender, item.account_id) == ("x@org.test", "")
            assert [str(each.address) for each in item.recipients] == ["s@example-health.test"]
            assert await made.spool.content(item) == b"Received: trace\r\n" + CONTENT
            no_row(made)
            with pytest.raises(Unavailable):
                await Counter(made).to_postmaster("", CONTENT, b"")
            mend(made)
            assert (before, (await homes(made))) == ((0, 0, 0, 0), (0, 1, 0, 1))

    asyncio.run(main())
