"""The session core: hostile input before and after login, faults, order, back-pressure, bounds."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imap_out import capabilities
from imap_out.codes import CODES, SERVER_BUG, answer_to
from imap_out.rendering import summarise
from imap_out.states import State
from imap_out.table import TABLE
from mail.errors import Damaged, Reason, Refusal, Unavailable
from tests.imap_out.memory import Account, MemoryDirectory
from tests.imap_out.talk import QUICK, Talk, message, run, talking, turns

LOGINS = [pytest.param(False, id="before login"), pytest.param(True, id="after login")]

HOSTILE = {
    "a million parentheses": b"x SEARCH " + b"(" * 60_000,
    "the same, unasked in a literal": b"x LIST {3+}\r\n((( " + b"(" * 7000,
    "NOT without end": b"x SEARCH " + b"NOT " * 15_000 + b"ALL",
    "OR without end": b"x SEARCH " + b"OR ALL " * 8_000 + b"ALL",
    "braces": b"x LOGIN " + b"{" * 8_000,
    "parentheses for ID": b"x ID " + b"(" * 8_000,
    "parentheses for LIST": b'x LIST "" ' + b"(" * 8_000,
    "parentheses for FETCH": b"x FETCH 1 " + b"(" * 8_000,
    "parentheses for APPEND": b"x APPEND a " + b"(" * 8_000,
    "parentheses for STATUS": b"x STATUS a " + b"(" * 8_000,
    "a path of numbers": b"x FETCH 1 BODY[" + b"1." * 4_000 + b"1]",
    "a tag without a command": b"x" * 5_000,
    "a long word": b"x " + b"N" * 8_000,
    "8-bit octets": b"x \xff\xfe\x80",
    "8-bit in a name": b"x SELECT \xc3\xa9",
    "HTTP": b"GET / HTTP/1.1",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a quoted string that goes on": b'x LOGIN "' + b"\\" * 4_000,
    "a sequence of everything": b"x FETCH 1:4294967295,4294967296 FLAGS",
    "an encoded separator": b"x CREATE a&AC8-b",
    "bad modified UTF-7": b"x SELECT &Jj",
    "an unpaired surrogate": b"x SELECT &2AA-",
    "UID without end": b"x UID UID UID FETCH 1 FLAGS",
}


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_command_is_bad_and_the_session_lives(name, login):
    async def conversation():
        async with talking(login=login) as talk:
            if login:
                await talk.ok(b"SELECT INBOX")
            started = time.perf_counter()
            talk.send(HOSTILE[name] + b"\r\n")
            answer = await talk.settle()
            assert time.perf_counter() - started < 2
            last = answer.split(b"\r\n")[-2]
            complex_search = login and HOSTILE[name].startswith(b"x SEARCH ")
            assert (b" NO [LIMIT] " if complex_search else b" BAD ") in last, answer[:200]
            await talk.ok(b"NOOP")

    run(conversation)


@pytest.mark.parametrize("login", LOGINS)
def test_a_tag_is_bounded_by_the_line_alone(login):
    async def conversation():
        async with talking(login=login) as talk:
            for size in (100, 101, 7_000):
                talk.send(b"x" * size + b" NOOP\r\n")
                assert await talk.settle() == b"x" * size + b" OK Nothing done.\r\n"
                talk.send(b"x" * size + b" NOOP {99999999999}\r\n")
                assert (await talk.settle()).startswith(b"x" * size + b" NO [TOOBIG] ")
            talk.send(b"x" * 200 + b" NOOP" + b" " * 70_000 + b"\r\n")
            assert (await talk.settle()).startswith((b"x" * 200 + b" BAD [TOOBIG] ", b"* BYE "))

    run(conversation)


@pytest.mark.parametrize("login", LOGINS)
def test_a_megabyte_of_parentheses_is_swallowed_or_ends_in_bye(login):
    async def conversation():
        async with talking(login=login) as talk:
            for _ in range(16):
                talk.send(b"(" * 65_536)
                await talk.settle()
            talk.send(b"\r\n")
            await talk.settle()
            if login:
                await talk.ok(b"NOOP")
            else:
                assert talk.session.state is State.LOGOUT

    run(conversation)


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize(
    ("announced", "status"),
    [(b"{4294967295}", b"NO [TOOBIG]"), (b"{-1}", b"BAD"), (b"{99999999999999999999}", b"NO [TOOBIG]")],
)
def test_oversize_literal_is_refused_without_a_continuation(login, announced, status):
    async def conversation():
        async with talking(login=login) as talk:
            for command in (b"APPEND INBOX ", b"LOGIN ", b"NOOP ", b"BOGUS "):
                answer = await talk.ask(command + announced)
                assert status in answer and b"+" not in answer
            await talk.ok(b"NOOP")

    run(conversation)


def test_oversize_unasked_literal_before_login_ends_in_bye():
    async def conversation():
        async with talking(login=False) as talk:
            talk.send(b"a LOGIN {1000000+}\r\n")
            assert await talk.settle() == b"* BYE That is more than this server reads.\r\n"
            await asyncio.wait_for(talk.task, 1)

    run(conversation)


def test_ten_thousand_literals():
    async def conversation():
        async with talking() as talk:
            talk.send(b"a SEARCH " + b"{0+}\r\n " * 10_000 + b"\r\n")
            assert b"a BAD [TOOBIG]" in await talk.settle()
            await talk.ok(b"NOOP")

    run(conversation)


@pytest.mark.parametrize("login", LOGINS)
def test_only_ever_bad_ends_in_bye(login):
    async def conversation():
        async with talking(login=login) as talk:
            talk.send(b"GET / HTTP/1.1\r\n" * 30)
            answer = await talk.settle()
            assert answer.count(b"BAD") == QUICK.bad_commands
            assert answer.endswith(b"* BYE Too many bad commands.\r\n")
            assert "refused" in [line[0] for line in talk.notes.lines]

    run(conversation)


def test_starttls_drops_what_was_pipelined_behind_it():
    async def conversation():
        directory = MemoryDirectory(ann=Account())
        talk = Talk(directory, secure=False)
        await talk.settle()
        talk.send(b"a STARTTLS\r\nb LOGIN ann sesame\r\nc NOOP\r\nd LOGIN {3+}\r\n")
        assert await talk.settle() == b"a OK Begin TLS negotiation now.\r\n"
        assert directory.asked == []
        assert talk.session.state is State.NOT_AUTHENTICATED
        await talk.ok(b"LOGIN ann sesame")
        await talk.end()

    run(conversation)


def test_failed_logins_are_answered_late_and_counted():
    async def conversation():
        limits = replace(QUICK, failed_login_seconds=0.05)
        async with talking(limits=limits, login=False) as talk:
            other = Talk(MemoryDirectory(ann=Account()))
            started = time.perf_counter()
            talk.send(b"a LOGIN ann wrong\r\n")
            await talk.settle()
            await other.ok(b"NOOP")
            assert time.perf_counter() - started < 0.05  # somebody else did not wait
            assert b"a NO [AUTHENTICATIONFAILED]" in await talk.until(b"a NO")
            assert time.perf_counter() - started >= 0.05
            for _ in range(4):
                talk.send(b"b LOGIN nobody wrong\r\n")
                answer = await talk.until(b"b NO")
            assert b"* BYE Too many failed logins.\r\n" in answer
            await asyncio.wait_for(talk.task, 1)
            await other.end()

    run(conversation)


def test_throttled_and_unavailable_logins():
    async def conversation():
        async with talking(login=False) as talk:
            talk.session.directory.error = Refusal(Reason.THROTTLED, "Too many tries.")
            assert b"NO [LIMIT] Too many tries." in await talk.ask(b"LOGIN ann sesame")
            talk.session.directory.error = Unavailable()
            assert b"NO [UNAVAILABLE]" in await talk.ask(b"LOGIN ann sesame")
            talk.session.directory.error = None
            await talk.ok(b"LOGIN ann sesame")

    run(conversation)


@pytest.mark.parametrize("name", [b'""', b'"a\tb"', b"x" * 400, b"{2+}\r\n\xff\xfe"])
def test_impossible_names_never_reach_the_directory(name):
    async def conversation():
        async with talking(login=False) as talk:
            talk.send(b"a LOGIN " + name + b" sesame\r\n")
            assert b"a NO [AUTHENTICATIONFAILED]" in await talk.settle()
            assert talk.session.directory.asked == []

    run(conversation)


def test_a_bug_is_logged_by_type_and_answered_with_fixed_words(caplog):
    class Broken(Account):
        pass

    async def conversation():
        async with talking() as talk:

            def explode(*_args: object) -> None:
                raise KeyError("canary-subject")

            talk.session.store.status = explode
            with caplog.at_level(logging.ERROR):
                assert b"NO [SERVERBUG] " + SERVER_BUG.words in await talk.ask(b"STATUS INBOX (MESSAGES)")
            await talk.ok(b"NOOP")

    run(conversation)
    assert "KeyError at test_session.py" in caplog.text
    assert "canary" not in caplog.text


def test_passwords_are_not_logged(caplog):
    async def conversation():
        async with talking(login=False) as talk:
            talk.session.directory.error = RuntimeError("canary-reason")
            assert b"NO [SERVERBUG]" in await talk.ask(b"LOGIN ann canary-password")
            assert "canary" not in repr(talk.notes.lines)

    with caplog.at_level(logging.DEBUG):
        run(conversation)
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text


def test_an_unreadable_message_is_unavailable_and_the_others_come():
    async def conversation():
        account = Account()
        for number in range(3):
            account.deliver(message(number))
        account.broken.add(2)
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            answer = await talk.ask(b"FETCH 1:3 BODY.PEEK[]")
            assert re.findall(rb"\* (\d+) FETCH", answer) == [b"1", b"3"]
            assert b"NO [UNAVAILABLE]" in answer

    run(conversation)


def test_only_opened_bodies_are_read():
    async def conversation():
        account = Account()
        account.deliver(message(1))
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            await talk.ok(b"FETCH 1 (FULL BODYSTRUCTURE)".replace(b"FULL ", b"ENVELOPE BODY "))
            await talk.ok(b"FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
            await talk.ok(b"FETCH 1 RFC822.HEADER")
            assert account.reads == []
            await talk.ok(b"FETCH 1 BODY.PEEK[TEXT]")
            assert account.reads == [1]
            assert account.boxes["INBOX"].mails[1].flags == frozenset()
            answer = await talk.ok(b"FETCH 1 (FLAGS BODY[TEXT])")
            assert b"(FLAGS (\\Seen \\Recent) BODY[TEXT]" in answer

    run(conversation)


def test_what_is_done_is_noted_without_names():
    async def conversation():
        account = Account()
        account.deliver(message(1))
        account.deliver(message(2))
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            await talk.ok(b"APPEND Drafts {3+}\r\na:b")
            await talk.ok(b"COPY 1 Archive")
            await talk.ok(b"MOVE 1 Trash")
            await talk.ok(b"STORE 1 +FLAGS (\\Deleted)")
            await talk.ok(b"EXPUNGE")
        assert [line[0] for line in talk.notes.lines] == [
            "login",
            "appended",
            "copied",
            "moved",
            "expunged",
            "logout",
        ]
        assert all(line[1] == "a" * 32 for line in talk.notes.lines)
        assert talk.notes.lines[3][2] == {
            "folder": 1, "uids": [1], "to_folder": 4, "to_uids": [1]
        }  # fmt: skip
        assert not account.open_sessions

    run(conversation)


def test_nobody_comes_in_without_an_audit_line_and_nothing_done_is_denied():
    async def conversation():
        async with talking(login=False) as talk:
            note = talk.notes.note

            def fail(*_args, **_facts):
                raise Unavailable

            talk.notes.note = fail
            assert b"NO [UNAVAILABLE]" in await talk.ask(b"LOGIN ann sesame")
            assert all(store.closed for store in talk.session.directory.opened)
            talk.notes.note = note
            await talk.ok(b"LOGIN ann sesame")
            talk.notes.note = fail
            await talk.ok(b"APPEND Drafts {3+}\r\na:b")

    run(conversation)


def test_expired_mail_is_gone_from_an_open_session():
    async def conversation():
        now = [1_795_000_000]
        account = Account(lambda: now[0])
        account.deliver(message(1), expires=now[0] + 10)
        account.deliver(message(2))
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            now[0] += 10
            answer = await talk.ok(b"FETCH 1:2 (UID BODY.PEEK[])")
            assert b"* 1 FETCH" not in answer and b"* 2 FETCH" in answer
            assert b"* 1 EXPUNGE" in await talk.ok(b"NOOP")

    run(conversation)


def test_expiry_is_told_in_idle_without_anybody_telling():
    async def conversation():
        now = [1_795_000_000]
        account = Account(lambda: now[0])
        account.deliver(message(1), expires=now[0] + 10)
        async with talking(account, replace(QUICK, beat_seconds=0.02)) as talk:
            await talk.ok(b"SELECT INBOX")
            talk.send(b"i IDLE\r\n")
            await talk.settle()
            now[0] += 10
            assert b"* OK Still here.\r\n* 1 EXPUNGE\r\n" in await talk.until(b"EXPUNGE")
            talk.send(b"DONE\r\n")
            assert b"i OK" in await talk.settle()
            assert not account.watchers

    run(conversation)


def test_autologout_before_and_after_login_and_in_idle():
    async def conversation():
        quick = replace(QUICK, login_seconds=0.03, idle_seconds=0.06, beat_seconds=0.01)
        for login, command in ((False, b""), (True, b""), (True, b"i IDLE\r\n")):
            async with talking(limits=quick, login=login) as talk:
                talk.send(command)
                assert b"* BYE Autologout" in await talk.until(b"BYE")
                await asyncio.wait_for(talk.task, 1)
                assert all(store.closed for store in talk.session.directory.opened)

    run(conversation)


def test_a_client_that_stops_amid_a_command_is_not_waited_for_as_an_idle_one_is():
    async def conversation():
        async with talking(limits=replace(QUICK, stalled_seconds=0.05)) as talk:
            await asyncio.sleep(0.1)
            await talk.ok(b"NOOP")
            talk.send(b"a APPEND INBOX {100000+}\r\nhalf")
            assert b"* BYE Autologout" in await talk.until(b"BYE")

    run(conversation)


def test_trickling_bytes_do_not_put_off_the_time_before_login():
    async def conversation():
        async with talking(limits=replace(QUICK, login_seconds=0.05), login=False) as talk:
            for _ in range(20):
                talk.send(b"x")
                await asyncio.sleep(0.01)
            assert b"* BYE Autologout" in await talk.settle()

    run(conversation)


@pytest.mark.parametrize("sent", [b"a APPEND INBOX {1000}\r\nSubject: ha", b"a NOO", b"a IDLE\r\n", b""])
def test_a_client_that_vanishes_leaves_nothing(sent):
    async def conversation():
        account = Account()
        async with talking(account) as talk:
            talk.send(sent)
            await talk.settle()
            await talk.end()
            assert account.open_sessions == 0 and not account.watchers
            assert not account.boxes["INBOX"].mails

    run(conversation)


def test_the_budget_is_given_back_by_commands_and_by_clients_that_vanish():
    async def conversation():
        async with talking(limits=replace(QUICK, in_flight=1_000_000)) as talk:
            for _ in range(3):
                await talk.ok(b"APPEND Drafts {900000+}\r\n" + b"a" * 900_000)
            assert b"NO [UNAVAILABLE]" in await talk.ask(b"APPEND Drafts {1000001}")
            talk.send(b"b APPEND Drafts {900000+}\r\nhalf")
            await talk.settle()
            budget = talk.session._framer._budget
            assert budget.left == 100_000
            await talk.end()
            assert budget.left == 1_000_000

    run(conversation)


def test_stop_says_bye_after_the_command_under_way():
    async def conversation():
        async with talking() as talk:
            talk.send(b"i IDLE\r\n")
            await talk.settle()
            talk.session.stop()
            assert b"* BYE The server is going down" in await talk.settle()
            await asyncio.wait_for(talk.task, 1)

    run(conversation)


def test_pipelined_commands_are_answered_in_order():
    async def conversation():
        async with talking() as talk:
            talk.send(b"a SELECT INBOX\r\nb NOOP\r\nc UID SEARCH ALL\r\nd LOGOUT\r\ne NOOP\r\n")
            answer = await talk.settle()
            assert re.findall(rb"^(\w) OK", answer, re.MULTILINE) == [b"a", b"b", b"c", b"d"]
            await asyncio.wait_for(talk.task, 1)

    run(conversation)


def test_a_flood_pauses_the_transport_and_is_answered_all_the_same():
    async def conversation():
        async with talking(limits=replace(QUICK, backlog=1000)) as talk:
            talk.pipe.blocked = asyncio.Event()
            talk.send(b"a NOOP\r\n")
            await talk.settle()
            talk.send(b"b NOOP\r\n" * 1000)
            assert talk.pipe.paused
            talk.pipe.blocked.set()
            talk.pipe.blocked = None
            answer = await talk.settle()
            assert answer.count(b"b OK") == 1000
            assert not talk.pipe.paused

    run(conversation)


def test_a_flood_leaves_turns_to_others():
    async def conversation():
        account = Account()
        async with talking(account) as flooding, talking(account) as other:
            flooding.send(b"a NOOP\r\n" * 2000)
            assert b"o OK" in await _soon(other, b"o NOOP\r\n", b"o OK")
            assert flooding.pipe.written.count(b"a OK") < 1000

    run(conversation)


async def _soon(talk: Talk, command: bytes, text: bytes) -> bytes:
    talk.send(command)
    await turns(lambda: text in talk.pipe.written)
    said = bytes(talk.pipe.written)
    talk.pipe.written.clear()
    return said


def test_a_long_listing_is_sliced_and_waits_for_the_peer():
    async def conversation():
        account = Account()
        account.deliver(message(1))
        first = account.boxes["INBOX"].mails[1]
        for uid in range(2, 5001):
            account.boxes["INBOX"].mails[uid] = first
        account.boxes["INBOX"].uid_next = 5001
        async with talking(account) as talk, talking(account) as other:
            await talk.ok(b"SELECT INBOX")
            talk.send(b"f FETCH 1:* (ENVELOPE BODYSTRUCTURE)\r\n")
            await _soon(other, b"o NOOP\r\n", b"o OK")
            assert b"f OK" not in talk.pipe.written
            await talk.until(b"f OK")
            talk.pipe.blocked = asyncio.Event()
            talk.send(b"g FETCH 1:* (ENVELOPE BODYSTRUCTURE)\r\n")
            said = await talk.settle()
            assert 0 < len(said) < 300_000  # no more than a slice while the peer does not read
            talk.pipe.blocked.set()
            talk.pipe.blocked = None
            answer = said + await talk.until(b"g OK")
            numbers = [int(n) for n in re.findall(rb"^\* (\d+) FETCH", answer, re.MULTILINE)]
            assert numbers == list(range(1, 5001))

    run(conversation)


def test_a_change_amid_a_long_silent_store_is_told():
    """STORE goes by slices; another session may come in between, on its turn."""

    async def conversation():
        account = Account()
        one = summarise(message())
        for _ in range(1_100):
            account.deliver(message(), summary=one)
        async with talking(account) as talk, talking(account) as other:
            await talk.ok(b"SELECT INBOX")
            await other.ok(b"SELECT INBOX")
            talk.pipe.blocked = asyncio.Event()
            talk.send(b"a STORE 1:* +FLAGS.SILENT (\\Flagged)\r\n")
            await talk.settle()
            await other.ok(b"STORE 1100 +FLAGS.SILENT (\\Seen)")
            await other.ok(b"STORE 5 +FLAGS.SILENT (\\Seen)")
            talk.pipe.blocked.set()
            talk.pipe.blocked = None
            said = await talk.until(b"a OK")
            assert said.split(b"\r\n")[:-2] == [
                b"* 5 FETCH (FLAGS (\\Flagged \\Seen \\Recent))",
                b"* 1100 FETCH (FLAGS (\\Flagged \\Seen \\Recent))",
            ]

    run(conversation)


def test_a_large_message_is_sent_in_pieces():
    async def conversation():
        account = Account()
        body = "x" * 70 + "\r\n"
        account.deliver(message(1, body * 20_000))
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            writes = talk.pipe.writes
            answer = await talk.ok(b"FETCH 1 BODY.PEEK[]")
            content = account.boxes["INBOX"].mails[1].content
            assert b"BODY[] {%d}\r\n" % len(content) + content + b")\r\n" in answer
            assert talk.pipe.writes - writes > len(content) // 65_536

    run(conversation)


def test_first_listing_of_ten_thousand_flags_is_quick():
    """The hot path: the view's own knowledge, one format a message. Generous for a busy machine."""

    async def conversation():
        account = Account()
        account.deliver(message(1))
        first = account.boxes["INBOX"].mails[1]
        for uid in range(2, 10_001):
            account.boxes["INBOX"].mails[uid] = first
        account.boxes["INBOX"].uid_next = 10_001
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            started = time.perf_counter()
            talk.send(b"a UID FETCH 1:* (FLAGS)\r\n")
            await turns(lambda: b"a OK" in talk.pipe.written[-100:])
            assert time.perf_counter() - started < 0.25

    run(conversation)


def test_every_reason_has_a_row_and_every_row_its_answer():
    assert set(CODES) == set(Reason)
    for reason, code in CODES.items():
        answer = answer_to(Refusal(reason, "Words\r\nof a stranger."))
        expected = b"BAD" if reason is Reason.BAD_SYNTAX else b"NO [" + code + b"]"
        assert answer.render(b"t").startswith(b"t " + expected + b" Words??of")
    assert answer_to(Unavailable()).code == b"UNAVAILABLE"
    assert b"page" not in answer_to(Damaged("page 7 of index")).render(b"t")
    assert (
        answer_to(Refusal(Reason.NO_SUCH_FOLDER, "x"), {Reason.NO_SUCH_FOLDER: b"TRYCREATE"}).code
        == b"TRYCREATE"
    )


def test_every_command_is_refused_in_every_state_its_row_does_not_name():
    async def conversation():
        for state in (State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED):
            async with talking(
                login=state is not State.NOT_AUTHENTICATED, limits=replace(QUICK, bad_commands=99)
            ) as talk:
                if state is State.SELECTED:
                    await talk.ok(b"SELECT INBOX")
                for name, row in TABLE.items():
                    if state not in row.states:
                        assert b"BAD The command is not allowed now." in await talk.ask(name)

    run(conversation)


def test_capabilities_have_their_commands():
    named = {name for name, _ in capabilities.ROWS}
    for capability, command in {
        b"IDLE": b"IDLE",
        b"NAMESPACE": b"NAMESPACE",
        b"UNSELECT": b"UNSELECT",
        b"UIDPLUS": b"UID EXPUNGE",
        b"MOVE": b"UID MOVE",
        b"ID": b"ID",
        b"ENABLE": b"ENABLE",
    }.items():
        assert capability in named and command in TABLE


_WORDS = st.sampled_from([name for name in TABLE if name not in (b"LOGOUT", b"IDLE", b"AUTHENTICATE")])
_PIECES = st.sampled_from(
    [
        b"1",
        b"1:*",
        b"*",
        b"(",
        b")",
        b"FLAGS",
        b"BODY[",
        b"]",
        b"<0.9>",
        b"INBOX",
        b'"',
        b"\\Seen",
        b"{0+}\r\n",
        b"{3+}\r\nabc",
        b"NOT",
        b"OR",
        b"ALL",
        b"HEADER",
        b"TEXT",
        b"+FLAGS",
        b" ",
        b"  ",
        b"&",
        b"%",
        b"1-Feb-1994",
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(_WORDS, st.lists(st.one_of(_PIECES, st.binary(max_size=6)), max_size=8), st.booleans())
def test_a_command_is_answered_or_called_bad_and_nothing_else(word, pieces, spaced):
    """One tagged (or `*`) status line comes back, and the session still answers NOOP."""

    async def conversation():
        account = Account()
        account.deliver(message(1))
        async with talking(account) as talk:
            await talk.ok(b"SELECT INBOX")
            data = b"x " + word + b" " + (b" " if spaced else b"").join(pieces)
            talk.send(data + b"\r\n")
            answer = await talk.settle()
            assert b"SERVERBUG" not in answer, answer
            talk.send(b"\r\nlast NOOP\r\n")
            assert b"last OK" in await talk.settle(), (data, answer)

    run(conversation)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
def test_any_bytes_before_login_never_break_the_session(data):
    async def conversation():
        async with talking(login=False) as talk:
            talk.send(data)
            answer = await talk.settle()
            assert b"SERVERBUG" not in answer and b"Something went wrong" not in answer

    run(conversation)


@pytest.mark.parametrize("before", [b"", b"SELECT INBOX", b"IDLE"])
def test_who_is_barred_is_shown_out(before):
    async def conversation():
        account = Account()
        async with talking(account) as talk:
            if before:
                await talk.ok(b"SELECT INBOX")
                talk.send(b"x " + before + b"\r\n")
                await talk.settle()
            talk.send(b"a NOOP\r\nb NOOP\r\n" if before != b"IDLE" else b"")
            for told in account.bars:
                told()
            assert await talk.settle() == b"* BYE This login is not valid any more.\r\n"
            assert talk.task.done() and account.open_sessions == 0

    run(conversation)
