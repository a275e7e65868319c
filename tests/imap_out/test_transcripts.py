"""Conversations as data: every file in tests/transcripts is one, held on the session core.

# a comment
GIVEN clear | fresh | messages 3 | nested       how it starts (default: TLS, logged in, INBOX empty)
C: a1 NOOP            sent with CRLF           C2: the same by a second client of the account
S: a1 OK {*}          the next line received   {*} is any text, {n} is a number
NOTHING               nothing more was received
"""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.imap_out.memory import Account
from tests.imap_out.talk import Talk, message, run, talking

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "transcripts").glob("*.txt"))

NESTED = (
    b"From: a@example.test\r\nSubject: outer\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=X\r\n\r\npreamble\r\n"
    b"--X\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nfirst\r\n"
    b"--X\r\nContent-Type: message/rfc822\r\nContent-Description: inside\r\n\r\n"
    b"From: b@example.test\r\nSubject: inner\r\n"
    b"Content-Type: multipart/alternative; boundary=Y\r\n\r\n"
    b"--Y\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
    b"--Y\r\nContent-Type: text/html\r\n\r\n<p>rich</p>\r\n--Y--\r\n\r\n"
    b"--X\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"
    b"--X--\r\n"
)


def pattern(line: str) -> re.Pattern[str]:
    pieces = re.split(r"(\{\*\}|\{n\})", line)
    return re.compile("".join({"{*}": ".*", "{n}": r"\d+"}.get(p, re.escape(p)) for p in pieces))


async def _start(given: list[str], stack: AsyncExitStack) -> tuple[Talk, Account]:
    account = Account()
    date = 837_596_665  # 17-Jul-1996 09:44:25 +0000
    secure = login = True
    for words in given:
        match words.split():
            case ["clear"]:
                secure = login = False
            case ["fresh"]:
                login = False
            case ["messages", count]:
                for number in range(int(count)):
                    account.deliver(message(number + 1), date=date)
            case ["nested"]:
                account.deliver(NESTED, date=date)
            case _:
                raise AssertionError(f"GIVEN {words}")
    return await stack.enter_async_context(talking(account, secure=secure, login=login)), account


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda p: p.stem)
def test_transcript(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    given = [line.removeprefix("GIVEN ") for line in lines if line.startswith("GIVEN ")]

    async def conversation():
        async with AsyncExitStack() as stack:
            first, account = await _start(given, stack)
            clients = {"": first}
            heard: dict[str, list[str]] = {"": [], "2": []}
            for line in lines:
                if line.startswith("GIVEN "):
                    continue
                if line == "NOTHING":
                    for who, talk in clients.items():
                        heard[who] += (await talk.settle()).decode("latin-1").split("\r\n")[:-1]
                    assert not any(heard.values()), heard
                    continue
                speaker, _, text = line.partition(": ") if ": " in line else (line.rstrip(":"), "", "")
                side, who = speaker[0], speaker[1:]
                if who == "2" and "2" not in clients:
                    clients["2"] = await stack.enter_async_context(talking(account))
                if side == "C":
                    clients[who].send(
                        text.encode("latin-1").replace(b"\\0", b"\0").replace(b"\\r", b"\r") + b"\r\n"
                    )
                else:
                    if not heard[who]:
                        heard[who] += (await clients[who].settle()).decode("latin-1").split("\r\n")[:-1]
                    assert heard[who], f"nothing came for: {line}"
                    assert pattern(text).fullmatch(heard[who][0]), (line, heard[who])
                    heard[who].pop(0)
            for who, talk in clients.items():
                heard[who] += (await talk.settle()).decode("latin-1").split("\r\n")[:-1]
            assert not any(heard.values()), heard

    run(conversation)


def test_there_are_transcripts():
    assert len(TRANSCRIPTS) >= 15
