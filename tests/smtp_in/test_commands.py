"""Command lines as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.address import Address
from mail.errors import Refusal
from smtp_in import commands
from smtp_in.commands import Command, Path
from smtp_in.replies import Reply

KNOWN = frozenset({"SIZE", "BODY", "SMTPUTF8", "AUTH"})


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"noop", Command("NOOP", "")),
        (b"MAIL FROM:<a@b>", Command("MAIL", "FROM:<a@b>")),
        (b"EHLO x ", Command("EHLO", "x")),
        (b"", None),
        (b" NOOP", None),
        (b"NOOP\tx", None),
        (b"NO\x1bOP", None),
        (b"NOOP \x7f", None),
        (b"M\xc3\x84IL x", None),
        (b"NOOP \xff", None),
        (b"12 x", None),
    ],
)
def test_command(line: bytes, value: Command | None) -> None:
    assert commands.command(line) == value


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("FROM:<>", Path("", {})),
        ("from:<a@b>", Path("a@b", {})),
        ("FROM: <a@b>", Path("a@b", {})),
        ("FROM:<a@b> size=10 Body=7BIT", Path("a@b", {"SIZE": "10", "BODY": "7BIT"})),
        ("FROM:<a@b> SMTPUTF8", Path("a@b", {"SMTPUTF8": None})),
        ("FROM:<a@b> AUTH=<>", Path("a@b", {"AUTH": "<>"})),
        ('FROM:<"a b"@c>', Path('"a b"@c', {})),
        ("FROM:<ä@b>", Path("ä@b", {})),
        ("FROM:a@b", 501),
        ("FROM:<a@b", 501),
        ("FROM:<a@b>x", 501),
        ("FROM:<a@b><c@d>", 501),
        ("FROM:<<a@b>>", 501),
        ("FROM:<a b@c>", 501),
        ("TO:<a@b>", 501),
        ("", 501),
        ("FROM:<a@b> SIZE=1 size=2", 501),
        ("FROM:<a@b> =1", 501),
        ("FROM:<a@b> SIZE==", 501),
        ("FROM:<a@b> RET=FULL", 555),
        ("FROM:<a@b> X", 555),
    ],
)  # fmt: skip
def test_path(argument: str, value: Path | int) -> None:
    got = commands.path(argument, "FROM:", KNOWN)
    assert got == value if isinstance(value, Path) else isinstance(got, Reply) and got.code == value


@pytest.mark.parametrize(
    ("parameters", "value"),
    [
        ({}, (0, False)),
        ({"SIZE": "0"}, (0, False)),
        ({"SIZE": "12345678901234567890"}, (12345678901234567890, False)),
        ({"SIZE": "123456789012345678901"}, None),
        ({"SIZE": "-1"}, None),
        ({"SIZE": "1x"}, None),
        ({"SIZE": "١"}, None),
        ({"SIZE": None}, None),
        ({"BODY": "7bit", "SMTPUTF8": None}, (0, True)),
        ({"BODY": "BINARYMIME"}, None),
        ({"BODY": None}, None),
        ({"SMTPUTF8": "1"}, None),
        ({"AUTH": "<>"}, (0, False)),
        ({"AUTH": None}, None),
    ],
)
def test_mail_parameters(parameters: dict[str, str | None], value: tuple[int, bool] | None) -> None:
    got = commands.mail_parameters(parameters)
    if value is None:
        assert isinstance(got, Reply) and got.code == 501
    else:
        assert isinstance(got, commands.MailParameters) and (got.size, got.utf8) == value


@pytest.mark.parametrize("name", ["x", "[127.0.0.1]", "[IPv6:::1]", "my_pc", "büro", "a-b.c"])
def test_host(name: str) -> None:
    assert commands.host(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a(b)", "a;b", "a\rb", "<x>", "x" * 256])
def test_host_that_must_not_reach_a_header(name: str) -> None:
    assert commands.host(name) is None


@given(st.text())
def test_a_path_holds_nothing_that_ends_a_header_line(text: str) -> None:
    """Returns a Path without controls or angle brackets outside quotes, or a Reply; nothing else."""
    got = commands.path(f"TO:<{text}>", "TO:", frozenset())
    if isinstance(got, Path):
        assert not any(c < " " or c == "\x7f" for c in got.address)


@pytest.mark.parametrize(
    "text",
    [
        "@a,@b:c@example-health.test", "a@b@example-health.test", '"a"@example-health.test', "a%b@x.test",
        "x!a@example-health.test", "a@example-health.test.", "a@[127.0.0.1]", "a@.test", ".a@x.test",
        "a..b@x.test", "a@x_y.test", "a@", "@x.test", "a", '""@x.test', "a(c)@x.test", "a@x.test(c)",
        "a@x.test;b@y.test", "a@x.test,b@y.test", "=?utf-8?q?a?=@x.test>", "a@-x.test", "a@x-.test",
        "a@x..test", "a\u200b@x.test", "a\u202e@x.test", "a\u00a0b@x.test", "a@x.test/y", "a@x.test\u3002",
    ],
)  # fmt: skip
def test_tricky_addresses_are_refused(text: str) -> None:
    """Row 12: what could be read in two ways is read in none."""
    path = commands.path(f"TO:<{text}>", "TO:", frozenset())
    if isinstance(path, Path):
        with pytest.raises(Refusal):
            Address.parse(path.address)
